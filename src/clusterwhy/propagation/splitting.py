"""Values that an operation splits into parts (`chunk`, `split`, `unbind`): each part as an operation of its own."""

from typing import Any

import torch
from torch import fx

from clusterwhy.propagation.graph_nodes import argument, become, refuse
from clusterwhy.propagation.known_values import KnownValues

SPLITS = ("chunk", "split", "split_with_sizes", "tensor_split", "unbind")
SECTIONS = (
    "chunks",
    "split_size",
    "split_sizes",
    "split_size_or_sections",
    "indices_or_sections",
    "sections",
    "indices",
)


def part_of(values: torch.Tensor, split: str, sections: Any, dim: int, i: int) -> torch.Tensor:
    """Part i of values that are split, as one operation."""
    parts = values.unbind(dim) if split == "unbind" else getattr(values, split)(sections, dim)
    part: torch.Tensor = parts[i]
    return part


def refuse_parts_of_windows(graph: fx.Graph, known: KnownValues) -> None:
    """Refuse parts along the first axis where it is that of windows, and no other that is folded into it."""
    for node in graph.find_nodes(op="call_function", target=part_of):
        source, how, _, dim, _ = node.args
        if dim == 0 and known.counts_windows(source):
            refuse(node, f"{how} along axis 0 takes windows apart; give the axis of channels or time as `dim`")


def number_of_parts(node: fx.Node) -> int | None:
    """How many parts a call splits values into; None where this depends on their shape."""
    how, sections, _ = _split(node)
    if how is None or how == "unbind" or (how == "split" and isinstance(sections, int)):
        return None
    if isinstance(sections, int):
        return sections
    return len(sections) + (how == "tensor_split") if isinstance(sections, list | tuple) else None


def take_part(node: Any) -> bool:
    """Make an item of what is split an operation of its own, in place; False where nothing is split."""
    source = node.args[0]
    how, sections, dim = _split(source)
    if how is None:
        return False
    if isinstance(node.args[1], int):
        become(node, part_of, (source.args[0], how, sections, dim, node.args[1]))
    else:
        refuse(node, f"takes several parts of {how} at once; take them one by one")
    return True


def _split(node: Any) -> tuple[str | None, Any, Any]:
    """The name of a call that splits values into a sequence of parts, into which ones, and its axis."""
    if not isinstance(node, fx.Node) or node.op not in ("call_function", "call_method"):
        return None, None, None
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if name not in SPLITS:
        return None, None, None
    if name == "unbind":
        return name, None, argument(node, 1, "dim", 0)
    named = next((node.kwargs[key] for key in SECTIONS if key in node.kwargs), None)
    return name, argument(node, 1, "", named), argument(node, 2, "dim", 0)
