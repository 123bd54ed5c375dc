"""How modules and calls become steps, beside those of `tracing`: tables from types and functions to builders."""

import operator
from typing import Any

import torch
from torch import nn

from clusterwhy.propagation import normaliser_builders, plane_builders, recurrence_builders, signal_builders
from clusterwhy.propagation.building import CallBuilder, ModuleBuilder, Steps, call_of, refuse_held

# a module is traced as one operation where its type, or one that it inherits from, stands here
MODULES: dict[type[nn.Module], ModuleBuilder] = (
    normaliser_builders.MODULES | signal_builders.MODULES | plane_builders.MODULES | recurrence_builders.MODULES
)
CALLS: dict[Any, CallBuilder] = normaliser_builders.CALLS | signal_builders.CALLS | plane_builders.CALLS
# statistics of the data, which may only scale other values
STATISTICS = {
    *(
        torch.std,
        torch.var,
        torch.square,
        torch.pow,
        torch.abs,
        torch.norm,
        torch.linalg.norm,
        torch.linalg.vector_norm,
    ),
    *("std", "var", "square", "pow", "abs", "norm", operator.pow),
}


def module_builder(module: nn.Module) -> ModuleBuilder | None:
    """The builder of a module's type; None where there is none."""
    return next((MODULES[kind] for kind in type(module).__mro__ if kind in MODULES), None)


def add_call(builder: Steps, node: Any) -> bool:
    """Add the steps of a call; False where it is left to `tracing`."""
    held = [builder.is_held(n) for n in node.all_input_nodes if builder.is_signal(n)]
    if held and (all(held) or node.target in STATISTICS):
        builder.add_step(node, "held", call_of(node), builder.positions(node))
        return True
    if node.target in STATISTICS and builder.has_signal(node):
        builder.add_step(node, "held", call_of(node), builder.positions(node))
        return True
    made = CALLS.get(node.target)
    if made is not None and made(builder, node):
        return True
    refuse_held(builder, node)
    return False
