"""The layers of a traced network: their names, which feeds which, and the input samples that each position sees."""

import difflib
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.errors import ConceptError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.inputs import own_modes
from clusterwhy.propagation.operations import Call
from clusterwhy.propagation.receptive_fields import reach
from clusterwhy.propagation.steps import Canonical, Step
from clusterwhy.propagation.targets import PREFIX, with_target
from clusterwhy.types import IntArray

INPUT = "input"
Found = TypeVar("Found")
AXIS_CALLS = ("transpose", "permute", "movedim", torch.transpose, torch.permute, torch.movedim)


@dataclass(frozen=True)
class Layer:
    """A step of the canonical form whose channels are concepts.

    Attributes:
        name: where it stands in the network; `#2` marks the second call of a shared module.
        operation: what it computes.
        n_concepts: channels, or units where there is no time.
        n_positions: places in time, 1 where there is none.
        inputs: names of the layers it reads, `input` for the window.
        field: input samples that one position sees, at most.
        on_every_path: whether every path from the window to the output leads through it.
    """

    name: str
    operation: str
    n_concepts: int
    n_positions: int
    inputs: tuple[str, ...]
    field: int
    on_every_path: bool


@dataclass(frozen=True)
class TracedLayer:
    """A layer in the canonical form: where its values are, and which input samples they depend on.

    Attributes:
        layer: which one.
        step: its position in `Canonical.steps`.
        axis: of concepts, in (window, ...).
        starts: (concept, position) first input sample that a value depends on.
        stops: (concept, position) the sample after the last one; as `starts` where it depends on none.
    """

    layer: Layer
    step: int
    axis: int
    starts: IntArray
    stops: IntArray


def layer_names(network: nn.Module, example: torch.Tensor) -> tuple[str, ...]:
    """Names of the layers whose concepts can be asked for, in the order of computation; as in `layer_graph`."""
    return tuple(layer.name for layer in layer_graph(network, example))


@own_modes()
def layer_graph(
    network: nn.Module,
    example: torch.Tensor,
    target: Callable[[torch.Tensor], torch.Tensor] | None = None,
    only: Sequence[str] | None = None,
) -> tuple[Layer, ...]:
    """The layers of a network and which of them feed which, in the order of computation.

    Batch norms that were folded into the layer before them, and dropout, are no layers of their own.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode.
        example: windows (window, channel, time).
        target: head behind the network, such as the membership of a cluster.
        only: pass over all other layers, so that `inputs` are the nearest of these; None for all layers.

    Raises:
        CompositeError: the network cannot be traced, or an operation has no rule.
        ConceptError: no such layer.
    """
    canonical = canonize(with_target(network, target), example[:2])
    return tuple(traced.layer for traced in traced_layers(canonical, example, only).values())


def traced_layers(
    canonical: Canonical, example: torch.Tensor, only: Sequence[str] | None = None
) -> dict[str, TracedLayer]:
    """Each layer by its name: steps that give (window, concept) or (window, concept, time) and feed the output."""
    seen = reach(canonical, example)
    down, up = _count_paths(canonical)
    axes = _channel_axes(canonical, seen)
    names: dict[int, str] = {}
    for n, step in enumerate(canonical.steps):
        is_layer = isinstance(seen[n + 1], torch.Tensor) and seen[n + 1].ndim in (2, 3) and len(seen[n + 1]) == 2
        if is_layer and not _is_split_off(step) and down[n + 1] and up[n + 1]:
            names[n] = _unique_name(step.name.removeprefix(PREFIX), names.values())
    if only is not None:
        known = {name: n for n, name in names.items()}
        names = {n: names[n] for n in sorted(layer_named(known, name) for name in only)}
    every = down[canonical.output]
    found = {}
    for n, name in names.items():
        starts, stops = _receptive_field(seen[n + 1], axes[n + 1], example.shape[2])
        layer = Layer(
            name=name,
            operation=operation_of(canonical.steps[n]),
            n_concepts=starts.shape[0],
            n_positions=starts.shape[1],
            inputs=_nearest_named(canonical, n, names),
            field=int((stops - starts).max()),
            on_every_path=down[n + 1] * up[n + 1] == every,
        )
        found[name] = TracedLayer(layer, n, axes[n + 1], starts, stops)
    return found


def layer_named(known: dict[str, Found], name: str) -> Found:
    """The entry of a layer in a table by names.

    Raises:
        ConceptError: no such layer.
    """
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise ConceptError(
            f"no layer {name!r}; of {len(known)} layers the most alike are {', '.join(map(repr, near))}. `layer_names` "
            "lists all; a batch norm is folded into the layer before it"
        )
    return known[name]


def feeds(canonical: Canonical, lower: int, upper: int) -> bool:
    """Whether a path leads from the output of one step to another."""
    waiting, done = [upper + 1], set()
    while waiting:
        i = waiting.pop()
        if i == lower + 1:
            return True
        if i > lower and i not in done:
            done.add(i)
            waiting += _relevant_inputs(canonical.steps[i - 1], canonical.steps)
    return False


def operation_of(step: Step) -> str:
    """What a step computes, in a word."""
    if isinstance(step.module, Call):
        function = step.module.function
        return function if isinstance(function, str) else str(getattr(function, "__name__", function))
    return type(step.module).__name__.lstrip("_")


def _is_split_off(step: Step) -> bool:
    """Padding and changes of sign: the canonical form splits them off convolutions and differences."""
    return isinstance(step.module, Call) and step.module.function in (F.pad, operator.neg)


def _unique_name(name: str, used: Iterable[str]) -> str:
    taken, count, free = set(used), 1, name
    while free in taken:
        count += 1
        free = f"{name}#{count}"
    return free


def _relevant_inputs(step: Step, steps: list[Step]) -> list[int]:
    """Values that a step passes relevance to."""
    return [i for i in step.inputs if i == 0 or steps[i - 1].kind != "shape"]


def _count_paths(canonical: Canonical) -> tuple[list[int], list[int]]:
    """Paths from the window to each value, and from each value to the output."""
    steps = canonical.steps
    down, up = [1] + [0] * len(steps), [0] * (len(steps) + 1)
    up[canonical.output] = 1
    for n, step in enumerate(steps):
        down[n + 1] = 0 if step.kind == "shape" else sum(down[i] for i in _relevant_inputs(step, steps))
    for n, step in reversed(list(enumerate(steps))):
        for i in _relevant_inputs(step, steps):
            up[i] += up[n + 1] if step.kind != "shape" else 0
    return down, up


def _nearest_named(canonical: Canonical, n: int, names: dict[int, str]) -> tuple[str, ...]:
    """The nearest named layers, or the window, that a step reads."""
    found: set[int] = set()
    waiting, done = _relevant_inputs(canonical.steps[n], canonical.steps), set()
    while waiting:
        i = waiting.pop()
        if i in done:
            continue
        done.add(i)
        if i == 0 or i - 1 in names:
            found.add(i)
        else:
            waiting += _relevant_inputs(canonical.steps[i - 1], canonical.steps)
    return tuple(INPUT if i == 0 else names[i - 1] for i in sorted(found))


def _channel_axes(canonical: Canonical, seen: list[Any]) -> list[int]:
    """The axis of channels of each value: 1, moved where axes change places."""
    axes = [1]
    for step, value in zip(canonical.steps, seen[1:], strict=True):
        first = next(filter(canonical.depends_on_windows, step.inputs), 0)
        source, axis = seen[first], axes[first]
        if isinstance(source, torch.Tensor) and isinstance(value, torch.Tensor):
            if isinstance(step.module, Call) and step.module.function in AXIS_CALLS:
                # the axis of size 2 shows where it went
                marked = torch.zeros([1 + (i == axis) for i in range(source.ndim)])
                axis = list(step.module(marked).shape).index(2)
            elif source.ndim != value.ndim:
                axis = 1
        axes.append(axis)
    return axes


def _receptive_field(seen: torch.Tensor, axis: int, length: int) -> tuple[IntArray, IntArray]:
    """(concept, position) first and last + 1 sample, from how far a value reaches back and forth."""
    back, forth = seen.movedim(axis, 1).reshape(2, seen.shape[axis], -1).long().cpu().numpy()
    starts = length - back
    starts[forth == 0] = 0
    return starts, forth
