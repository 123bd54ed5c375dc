"""Builders of steps of recurrent layers and cells."""

from typing import Any

from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.building import ModuleBuilder, Steps, time_and_windows_swapped
from clusterwhy.propagation.recurrences import CELLS, RECURRENCES, RecurrentCell, UnrolledRecurrence


def _recurrence(builder: Steps, node: Any, module: Any) -> None:
    states = [*node.args[1:], *node.kwargs.values()]
    if any(state is not None for state in states) or not node.args:
        raise CompositeError(
            f"{node.target}: {type(module).__name__} with a state of its own to start from has no rule; start from "
            "zeros"
        )
    positions = builder.positions(node)
    if module.batch_first:
        builder.add_step(node, "mixed", UnrolledRecurrence(module), positions)
        return
    builder.add_step(node, "route", time_and_windows_swapped(), positions, builder.keeps_sign(positions))
    builder.add_step(node, "mixed", UnrolledRecurrence(module), (builder.position[node],))
    builder.add_step(node, "route", time_and_windows_swapped(), (builder.position[node],))


def _cell(builder: Steps, node: Any, module: Any) -> None:
    inputs = [n for n in (*node.args, *node.kwargs.values()) if isinstance(n, fx.Node)]
    signals = [builder.is_signal(n) for n in inputs]
    builder.add_step(node, "mixed", RecurrentCell(module, signals), tuple(builder.position[n] for n in inputs))


MODULES: dict[type[nn.Module], ModuleBuilder] = {
    **dict.fromkeys(RECURRENCES, _recurrence),
    **dict.fromkeys(CELLS, _cell),
}
