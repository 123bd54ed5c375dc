"""Operations of a traced graph in one spelling of the many that torch has, so that each rule is told once.

Only names change: what an operation computes stays. What looks like an operation with a rule and is none (dropout
that always drops, padding with a number) is refused with its reason, if the target depends on it.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx
from torch.autograd import Variable

from clusterwhy.propagation.graph_nodes import argument, become, refuse
from clusterwhy.propagation.splitting import number_of_parts, part_of, take_part


def squeeze_within_windows(values: torch.Tensor) -> torch.Tensor:
    """Values without axes of size 1, but with that of windows even where there is one window."""
    return values.squeeze([axis for axis in range(1, values.ndim) if values.shape[axis] == 1])


# what NumPy calls torch's arguments
NAMES = {"axis": "dim", "keepdims": "keepdim", "x2": "other"}
FIRST_NAMES = ("input", "tensors", "tensor", "self", "x")
ALIASES: dict[Any, Any] = {
    **{"view": "reshape", "swapaxes": "transpose", "swapdims": "transpose", "moveaxis": "movedim", "clip": "clamp"},
    **{"multiply": "mul", "divide": "div", "true_divide": "div", "subtract": "sub", "negative": "neg"},
    **{torch.concat: torch.cat, torch.concatenate: torch.cat, torch.moveaxis: torch.movedim, torch.clip: torch.clamp},
    **{torch.swapaxes: torch.transpose, torch.swapdims: torch.transpose, torch.subtract: torch.sub},
    **{torch.multiply: torch.mul, torch.divide: torch.div, torch.true_divide: torch.div, torch.negative: torch.neg},
}
# what leaves values as they are in evaluation mode
SAME = {"detach", torch.detach, "requires_grad_", "contiguous", Variable, operator.pos, torch.positive, "positive"}
# values that move, are copied or change their type: relevance goes where they came from
MOVED = {
    *("movedim", torch.movedim, "narrow", torch.narrow, "select", torch.select, "flip", torch.flip, "roll", torch.roll),
    *("expand", "repeat", "tile", torch.tile, "broadcast_to", torch.broadcast_to, "repeat_interleave"),
    *(torch.repeat_interleave, torch.unflatten, part_of, squeeze_within_windows, "unfold"),
    *(F.pad, "to", "float", "double", "type", "cpu", "cuda"),
}
EXTREMA = {"max": torch.amax, "min": torch.amin, torch.max: torch.amax, torch.min: torch.amin}


def respell(graph: fx.Graph) -> None:
    """Write the operations of a graph in their plain spelling, in place."""
    for node in list(graph.nodes):
        if node.op in ("call_function", "call_method"):
            _rename_arguments(node)
            become(node, ALIASES.get(node.target, node.target), node.args, node.kwargs)
            if node.target in SAME:
                node.replace_all_uses_with(node.args[0])
            elif (rule := RULES.get(node.target)) is not None:
                rule(node)


def _rename_arguments(node: Any) -> None:
    keywords = {NAMES.get(key, key): value for key, value in node.kwargs.items()}
    args = node.args
    if not args:
        first = next((name for name in FIRST_NAMES if name in keywords), None)
        args = () if first is None else (keywords.pop(first),)
    if len(args) == 1 and "other" in keywords:
        args = (*args, keywords.pop("other"))
    node.args, node.kwargs = args, keywords


def _concatenation(node: Any) -> None:
    parts, dim = node.args[0], argument(node, 1, "dim", 0)
    if isinstance(parts, fx.Node):
        count = number_of_parts(parts)
        if count is None:
            refuse(node, "joins parts whose number depends on the windows; name them, as in torch.cat([a, b], dim=1)")
            return
        with node.graph.inserting_before(node):
            parts = [node.graph.call_function(operator.getitem, (parts, i)) for i in range(count)]
        for part in parts:
            _item(part)
    become(node, torch.cat, (list(parts), dim))


def _horizontal(node: Any) -> None:
    become(node, torch.cat, (node.args[0], 1))
    _concatenation(node)


def _stack(node: Any) -> None:
    parts, dim = node.args[0], argument(node, 1, "dim", 0)
    if isinstance(parts, fx.Node):
        refuse(node, "stacks parts that are not named; write torch.stack([a, b], dim=1)")
        return
    with node.graph.inserting_before(node):
        apart = [node.graph.call_function(torch.unsqueeze, (part, dim)) for part in parts]
    become(node, torch.cat, (apart, dim))


def _item(node: Any) -> None:
    if not take_part(node) and _is_extremum(node.args[0]) and node.args[1] == 0:
        _extremum_values(node, node.args[0])


def _attribute(node: Any) -> None:
    source, name = node.args[0], node.args[1]
    if name == "values" and _is_extremum(source):
        _extremum_values(node, source)
    elif name == "mT":
        become(node, "transpose", (source, -2, -1))
    elif name == "data":
        node.replace_all_uses_with(source)


def _is_extremum(node: Any) -> bool:
    along = argument(node, 1, "dim") if isinstance(node, fx.Node) and node.target in EXTREMA else None
    return isinstance(along, int)


def _extremum_values(node: Any, source: Any) -> None:
    along, keep = argument(source, 1, "dim"), argument(source, 2, "keepdim", False)
    become(node, EXTREMA[source.target], (source.args[0], along, keep))


def _sum(node: Any) -> None:
    factor = node.kwargs.get("alpha", 1)
    first, second = (node.args[0], argument(node, 1, "other"))
    subtracts = node.target in (operator.sub, torch.sub, "sub")
    if isinstance(second, int | float) and second == 0:
        node.replace_all_uses_with(first)
    elif isinstance(first, int | float) and first == 0 and not subtracts:
        node.replace_all_uses_with(second)
    elif factor != 1:
        with node.graph.inserting_before(node):
            second = node.graph.call_function(operator.mul, (second, factor))
        become(node, node.target, (first, second))
    else:
        become(node, node.target, (first, second))


def _squeeze(node: Any) -> None:
    if len(node.args) == 1 and not node.kwargs:
        become(node, squeeze_within_windows, node.args)


def _dropout(node: Any) -> None:
    by_default = node.target in (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d)
    if argument(node, 2, "train" if node.target is torch.dropout else "training", by_default):
        refuse(
            node,
            f"{node.target.__name__} drops in evaluation mode, too: give it `training=self.training`",
        )
    else:
        node.replace_all_uses_with(node.args[0])


def _padding(node: Any) -> None:
    value = argument(node, 3, "value")
    if argument(node, 2, "mode", "constant") == "constant" and value not in (None, 0):
        refuse(node, f"pads with {value}, which has no relevance to give back; pad with 0")


def _clamp(node: Any) -> None:
    low, high = argument(node, 1, "min"), argument(node, 2, "max")
    if node.target in (torch.clamp_max, "clamp_max"):
        low, high = None, argument(node, 1, "max")
    if high is None and isinstance(low, int | float) and low == 0:
        become(node, F.relu, node.args[:1])
    else:
        become(node, torch.clamp, node.args[:1], {"min": low, "max": high})


def _normalize(node: Any) -> None:
    """`F.normalize` as a quotient by a norm, which is held fixed."""
    values, p, dim = node.args[0], argument(node, 1, "p", 2.0), argument(node, 2, "dim", 1)
    with node.graph.inserting_before(node):
        size = node.graph.call_method("norm", (values, p, dim, True))
        size = node.graph.call_method("clamp", (size, argument(node, 3, "eps", 1e-12)))
    become(node, operator.truediv, (values, size))


def _like(node: Any) -> None:
    """`x.expand_as(y)` and its kin, where y gives nothing but its shape or type."""
    target, asked = LIKE[node.target]
    with node.graph.inserting_before(node):
        size = node.graph.call_function(getattr, (argument(node, 1, "other"), asked))
    become(node, target, (node.args[0], size))


LIKE = {
    "expand_as": ("expand", "shape"),
    "view_as": ("reshape", "shape"),
    "reshape_as": ("reshape", "shape"),
    "type_as": ("to", "dtype"),
}
RULES: dict[Any, Callable[[Any], None]] = {
    **{torch.cat: _concatenation, torch.hstack: _horizontal, torch.stack: _stack},
    **{operator.getitem: _item, getattr: _attribute, F.pad: _padding},
    **dict.fromkeys((operator.add, torch.add, "add", operator.sub, torch.sub, "sub"), _sum),
    **dict.fromkeys(("squeeze", torch.squeeze), _squeeze),
    **dict.fromkeys((torch.clamp, "clamp", torch.clamp_min, "clamp_min", torch.clamp_max, "clamp_max"), _clamp),
    **dict.fromkeys(
        (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout),
        _dropout,
    ),
    **dict.fromkeys(LIKE, _like),
    F.normalize: _normalize,
}
