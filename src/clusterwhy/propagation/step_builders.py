"""How modules and calls become steps, beside those of `tracing`: tables from types and functions to builders."""

from typing import Any

from torch import nn

from clusterwhy.propagation import plane_builders, recurrence_builders, signal_builders, statistics_builders
from clusterwhy.propagation.building import CallBuilder, ModuleBuilder, Steps, call_of, refuse_held
from clusterwhy.propagation.gates import MULTIPLY
from clusterwhy.propagation.statistics_builders import CHOICES, STATISTICS

# a module is traced as one operation where its type, or one that it inherits from, stands here
MODULES: dict[type[nn.Module], ModuleBuilder] = (
    signal_builders.MODULES | plane_builders.MODULES | recurrence_builders.MODULES
)
CALLS: dict[Any, CallBuilder] = signal_builders.CALLS | plane_builders.CALLS | statistics_builders.CALLS


def module_builder(module: nn.Module) -> ModuleBuilder | None:
    """The builder of a module's type; None where there is none."""
    return next((MODULES[kind] for kind in type(module).__mro__ if kind in MODULES), None)


def add_call(builder: Steps, node: Any) -> bool:
    """Add the steps of a call; False where it is left to `tracing`."""
    signals = [n for n in node.all_input_nodes if builder.is_signal(n)]
    measured = STATISTICS.get(node.target)
    if signals and (measured or node.target in CHOICES or builder.statistics.issuperset(signals)):
        builder.statistics.add(node)
        if node.target in CHOICES or any(map(builder.is_held, signals)) or (measured and not measured(builder, node)):
            return _add_product_of_statistics(builder, node) or add_held(builder, node)
        if measured:
            return True
    made = CALLS.get(node.target)
    if made is not None and made(builder, node):
        return True
    refuse_held(builder, node)
    return False


def _add_product_of_statistics(builder: Steps, node: Any) -> bool:
    """A statistic times one that is held, such as a sign, passes its relevance."""
    free = [n for n in node.all_input_nodes if builder.is_signal(n) and not builder.is_held(n)]
    return bool(free) and node.target in MULTIPLY and CALLS[node.target](builder, node)


def add_held(builder: Steps, node: Any) -> bool:
    """Add a statistic that no rule covers; it takes no relevance."""
    builder.add_step(node, "held", call_of(node), builder.positions(node))
    return True
