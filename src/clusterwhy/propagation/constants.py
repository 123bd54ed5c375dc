"""Constants that a network adds to, joins with or writes into its data: positions, coordinates, tokens, numbers.

They are a source of their own: relevance that reaches them is no share of the window, and is reported as theirs.
"""

import numbers
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import fx, nn

from clusterwhy.propagation.linearised import Linearised
from clusterwhy.propagation.operations import Call
from clusterwhy.propagation.steps import Step

NOTE = "a constant, a source of its own"
# their values are 0 or 1 whatever their shape
NON_NEGATIVE_FACTORIES = (torch.zeros, torch.ones, torch.zeros_like, torch.ones_like, "new_zeros", "new_ones")
# of a value they read the shape, the type or the device
READS_NO_VALUES = {
    *("size", "dim", "ndimension", "numel", "get_device", "new_zeros", "new_ones", "new_full", "new_empty"),
    *("new_tensor", torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like, torch.rand_like),
    *(torch.randn_like, torch.numel),
}
ATTRIBUTES_WITHOUT_VALUES = ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")
# of all but their first input the same
READS_FIRST_VALUE = {"to", "type_as", "expand_as", "view_as", "reshape_as"}


class _Builder(Protocol):
    """What `tracing.Builder` has of a network so far."""

    steps: list[Step]
    position: dict[fx.Node, int]
    notes: list[str]

    def is_signal(self, node: fx.Node) -> bool: ...


class Constant(nn.Module):
    """A parameter, a buffer or a tensor that forward makes; it reads nothing of the windows that it is given."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value.detach()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.value


class Operand(nn.Module):
    """A constant as large as the data that it is added to, so that each window has its own share of its relevance.

    Args:
        number: the constant; None where it is the second input.
    """

    def __init__(self, number: float | None = None) -> None:
        super().__init__()
        self.number = number

    def forward(self, data: torch.Tensor, constant: Any = None) -> torch.Tensor:
        """(window, ...), the shape of the sum."""
        given: Any = self.number if constant is None else constant
        value = torch.as_tensor(given, dtype=torch.result_type(data, given), device=data.device)
        # not `torch.broadcast_shapes`, which imports sympy: a second
        made: torch.Tensor = torch.broadcast_tensors(value, data)[0]
        return made


def is_constant(node: fx.Node, depends_on_windows: list[bool]) -> bool:
    """Whether an operation computes without the values of the windows.

    Args:
        depends_on_windows: of each of the node's inputs.
    """
    if not any(depends_on_windows) or node.target in READS_NO_VALUES:
        return True
    if node.target is getattr:
        return node.args[1] in ATTRIBUTES_WITHOUT_VALUES
    return node.target in READS_FIRST_VALUE and not depends_on_windows[0]


def data_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The operations of a graph that depend on the values of the windows."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        reads = [n in found for n in node.all_input_nodes]
        if node.op == "placeholder" or (node.op not in ("get_attr", "output") and not is_constant(node, reads)):
            found.add(node)
    return found


def is_never_negative(value: Any) -> bool:
    """Whether a number, a tensor or what makes a tensor is known to give nothing below 0."""
    if isinstance(value, Constant):
        return is_never_negative(value.value)
    if isinstance(value, Call):
        return value.function in NON_NEGATIVE_FACTORIES
    if isinstance(value, numbers.Real):
        return float(value) >= 0.0
    if not isinstance(value, torch.Tensor) or value.is_complex():
        return False
    return bool((value >= 0).all())


def summand(builder: _Builder, node: fx.Node, value: Any, other: Any) -> int:
    """The position of a summand; a constant gets a step that makes it as large as the sum.

    Args:
        builder: of the network.
        node: the sum.
        value: the summand, a node or a number.
        other: the other one.
    """
    if isinstance(value, fx.Node) and builder.is_signal(value):
        return builder.position[value]
    note_constants(builder, node, [value])
    data = builder.position[other]
    if isinstance(value, fx.Node):
        constant = builder.steps[builder.position[value] - 1]
        inputs: tuple[int, ...] = (data, builder.position[value])
        step = Step(constant.name, "shape", Operand(), inputs, constant.non_negative)
    else:
        step = Step(_name_of_number(node, value), "shape", Operand(value), (data,), is_never_negative(value))
    builder.steps.append(step)
    return len(builder.steps)


def note_constants(builder: _Builder, node: fx.Node, values: Iterable[Any]) -> None:
    """Note which of the values that a node adds, joins or writes are constants."""
    for value in values:
        if isinstance(value, fx.Node):
            if builder.is_signal(value):
                continue
            name = builder.steps[builder.position[value] - 1].name
        else:
            name = _name_of_number(node, value)
        note = f"{name}: {NOTE}; its relevance is reported as `constant_share`"
        if note not in builder.notes:
            builder.notes.append(note)


def notes_of_sources(notes: Iterable[str], steps: list[Step], output: int) -> list[str]:
    """Notes without those of constants that take no relevance, such as what is added to a spread that scales.

    Args:
        notes: of the network.
        steps: of the network.
        output: position of its output.
    """
    waiting, reached = [output], set[int]()
    while waiting:
        i = waiting.pop()
        if i == 0 or i in reached:
            continue
        reached.add(i)
        step = steps[i - 1]
        if step.kind != "held":
            own: Any = step.module
            signals = own.signals if isinstance(own, Linearised) else (True,) * len(step.inputs)
            waiting += [j for j, takes in zip(step.inputs, signals, strict=True) if takes]
    names = {step.name for n, step in enumerate(steps, start=1) if step.kind == "shape" and n not in reached}
    names -= {step.name for n, step in enumerate(steps, start=1) if n in reached}
    return [note for note in notes if NOTE not in note or note.split(":")[0] not in names]


def _name_of_number(node: fx.Node, number: float) -> str:
    return f"{node.name}({number:g})"
