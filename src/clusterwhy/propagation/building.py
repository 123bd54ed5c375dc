"""What builders of steps share: their types, calls with slots for their inputs, and what they refuse.

A builder gets the steps of the network and the node of the traced graph; it adds steps, or raises `CompositeError`.
"""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.batch_norms import FoldedBatchNorms
from clusterwhy.propagation.operations import Call, Slot, map_arguments
from clusterwhy.propagation.steps import Kind, Step


class Steps(Protocol):
    """The steps that a network has so far, and what is known about its values; `tracing.Builder`."""

    steps: list[Step]
    position: dict[fx.Node, int]
    notes: list[str]
    norms: FoldedBatchNorms
    statistics: set[fx.Node]  # sizes, spreads and choices: they are held fixed where they scale others

    def add_step(
        self, node: fx.Node, kind: Kind, module: nn.Module, inputs: tuple[int, ...], non_negative: bool = False
    ) -> None:
        """Add a step for a node; of several steps for one node the last gives its value."""

    def positions(self, node: fx.Node) -> tuple[int, ...]:
        """Positions of the values that a node reads."""

    def keeps_sign(self, positions: tuple[int, ...]) -> bool:
        """Whether none of these values is ever negative."""

    def is_signal(self, node: fx.Node) -> bool:
        """Whether a value depends on the data."""

    def has_signal(self, node: fx.Node) -> bool:
        """Whether a node reads data."""

    def is_held(self, node: fx.Node) -> bool:
        """Whether a value is a statistic that takes no relevance."""


ModuleBuilder = Callable[[Steps, Any, Any], None]
CallBuilder = Callable[[Steps, Any], bool]  # whether it has added steps; `tracing` goes on where it has not


def refuse_held(builder: Steps, node: Any) -> None:
    """Raise where a statistic is used as a signal.

    Raises:
        CompositeError: names the statistic.
    """
    held = [n.name for n in node.all_input_nodes if builder.is_held(n)]
    if held:
        raise CompositeError(
            f"{node.name}: reads {', '.join(held)}, a choice or a statistic of the window that has no rule as a "
            "feature; it may only scale or mask a signal, as in x * (x > 0)"
        )


def call_of(node: Any) -> Call:
    """The call with slots for its input nodes."""
    slots = {n: Slot(i) for i, n in enumerate(node.all_input_nodes)}
    given = node.args, dict(node.kwargs)
    return Call(node.target, *map_arguments(given, lambda a: slots.get(a, a) if isinstance(a, fx.Node) else a))


def time_and_windows_swapped() -> Call:
    """(time, window, ...) as (window, time, ...), or back."""
    return Call(torch.transpose, (Slot(0), 0, 1), {})


def bound(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Arguments by their names, with defaults."""
    found = inspect.signature(function).bind(*args, **kwargs)
    found.apply_defaults()
    return dict(found.arguments)


def refuse_signal_as_mask(builder: Steps, node: Any, mask: Any) -> None:
    if isinstance(mask, fx.Node) and builder.is_signal(mask):
        raise CompositeError(f"{node.name}: a mask computed from the data has no rule; give a constant one")
