"""Networks that work on (time, window, feature) for a while: their layers get windows first, as rules need them."""

from typing import Any

import torch

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.attention import MaskedAttention
from clusterwhy.propagation.operations import Call, Slot
from clusterwhy.propagation.recurrences import UnrolledRecurrence
from clusterwhy.propagation.rules import CONVOLUTIONS
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention
from clusterwhy.propagation.steps import Canonical, Step

# kinds whose rules tell windows apart
PER_WINDOW = ("linear", "sequence", "mixed", "distance")
# whose axes are not theirs to choose
OVER_TIME = (*CONVOLUTIONS, Recurrent, SelfAttention, UnrolledRecurrence, MaskedAttention)


def windows_first(canonical: Canonical, example: torch.Tensor) -> Canonical:
    """The same network with axes of windows moved to the front before layers, and back behind them.

    Args:
        canonical: a traced network.
        example: two windows or more (window, channel, time).

    Raises:
        CompositeError: a layer whose output does not have the windows of its input.
    """
    axes = window_axes(canonical, example)
    if not any(axes):
        return canonical
    steps: list[Step] = []
    new = [0]
    for n, step in enumerate(canonical.steps):
        inputs = tuple(new[i] for i in step.inputs)
        moved = [axes[i] for i in step.inputs]
        if any(moved) and isinstance(step.module, OVER_TIME):
            raise CompositeError(
                f"{step.name} does not keep windows apart: it reads (time, window, feature), as batch_first=False "
                "does, where it gets (window, time, feature), or the other way round"
            )
        if step.kind in PER_WINDOW and (axes[n + 1] or any(moved)):
            inputs = tuple(_move(steps, step, i, axis, 0) for i, axis in zip(inputs, moved, strict=True))
            steps.append(Step(step.name, step.kind, step.module, inputs, step.non_negative, step.reads_input))
            new.append(_move(steps, step, len(steps), 0, axes[n + 1]))
        else:
            steps.append(Step(step.name, step.kind, step.module, inputs, step.non_negative, step.reads_input))
            new.append(len(steps))
    made = Canonical(steps, new[canonical.output], canonical.notes)
    made.axes = window_axes(made, example)
    return made


def window_axes(canonical: Canonical, example: torch.Tensor) -> list[int]:
    """The axis of windows of the input and of each step's output: where its shape grows with their number.

    0 where none does, or several.
    """
    two, three = (_shapes(canonical, example[:1].repeat(count, 1, 1)) for count in (2, 3))
    return [_axis(a, b) for a, b in zip(two, three, strict=True)]


@torch.no_grad()
def _shapes(canonical: Canonical, windows: torch.Tensor) -> list[tuple[int, ...]]:
    values: list[Any] = [windows]
    for step in canonical.steps:
        values.append(step.module(*[values[i] for i in step.inputs]))
    return [tuple(value.shape) if isinstance(value, torch.Tensor) else () for value in values]


def _axis(two: tuple[int, ...], three: tuple[int, ...]) -> int:
    if len(two) != len(three):
        return 0
    grown = [axis for axis, sizes in enumerate(zip(two, three, strict=True)) if sizes == (2, 3)]
    return grown[0] if len(grown) == 1 else 0


def _move(steps: list[Step], like: Step, position: int, source: int, destination: int) -> int:
    """The position of a value with its axis of windows moved."""
    if source == destination:
        return position
    call = Call(torch.movedim, (Slot(0), source, destination), {})
    before = steps[position - 1].non_negative if position else False
    steps.append(Step(f"{like.name} windows first", "route", call, (position,), before))
    return len(steps)
