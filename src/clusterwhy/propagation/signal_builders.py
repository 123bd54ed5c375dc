"""Builders of steps of several signals: products, gates, softmax, attention."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.attention import DotProductAttention, MaskedAttention
from clusterwhy.propagation.building import (
    CallBuilder,
    ModuleBuilder,
    Steps,
    bound,
    call_of,
    refuse_held,
    refuse_signal_as_mask,
    time_and_windows_swapped,
)
from clusterwhy.propagation.constants import is_never_negative, note_constants
from clusterwhy.propagation.gates import MULTIPLY, fixed_factors
from clusterwhy.propagation.linearised import FirstOrder, GatedLinearUnit, Product, Quotient, Softmax
from clusterwhy.propagation.normalisers import NORMALISERS, Normaliser
from clusterwhy.propagation.operations import Call, Slot
from clusterwhy.propagation.spectral import Spectral, SpectralStep

MATRIX_MULTIPLY = (operator.matmul, torch.matmul, torch.bmm, torch.mm, "matmul", "bmm", "mm")
DIVIDE = (operator.truediv, torch.div, torch.divide, "div", "divide")
SOFTMAX = (torch.softmax, F.softmax, "softmax")
LOGARITHMS = (torch.log_softmax, F.log_softmax, "log_softmax", torch.logsumexp, "logsumexp")


def _normaliser(builder: Steps, node: Any, module: nn.Module) -> None:
    builder.add_step(node, "mixed", Normaliser(module, str(node.target)), builder.positions(node))


def _softmax_module(builder: Steps, node: Any, module: nn.Module) -> None:
    builder.add_step(node, "mixed", Softmax(module), builder.positions(node), True)


def _softmax(builder: Steps, node: Any) -> bool:
    builder.add_step(node, "mixed", Softmax(call_of(node)), builder.positions(node), True)
    return True


def _log_softmax_module(builder: Steps, node: Any, module: nn.Module) -> None:
    builder.add_step(node, "mixed", FirstOrder(module), builder.positions(node))


def _logarithm(builder: Steps, node: Any) -> bool:
    builder.add_step(node, "mixed", FirstOrder(call_of(node)), builder.positions(node))
    return True


def _product(builder: Steps, node: Any) -> bool:
    factors = list(node.args) + list(node.kwargs.values())
    if len(factors) != 2 or not all(isinstance(factor, fx.Node) for factor in factors):
        return False  # a number scales
    if factors[0] is factors[1] and node.target in MULTIPLY:
        builder.statistics.add(node)
        return False  # a square passes all that it gets
    _add_product(builder, node, Call(node.target, (Slot(0), Slot(1)), {}), factors)
    return True


def _einsum(builder: Steps, node: Any) -> bool:
    equation, *factors = node.args
    if len(factors) == 1 and isinstance(factors[0], list | tuple):
        factors = list(factors[0])
    if not isinstance(equation, str) or not all(isinstance(factor, fx.Node) for factor in factors):
        raise CompositeError(f"{node.name}: einsum has a rule in the form torch.einsum('bij,bjk->bik', x, y)")
    _add_product(builder, node, Call(torch.einsum, (equation, *map(Slot, range(len(factors)))), {}), factors)
    return True


def _add_product(builder: Steps, node: Any, function: Call, factors: list[fx.Node]) -> None:
    """Gates are held fixed, statistics where other factors are left, and of statistics alone those of another."""
    positions = tuple(builder.position[factor] for factor in factors)
    signals = [builder.is_signal(factor) and not builder.is_held(factor) for factor in factors]
    gates = fixed_factors(builder.steps, positions, signals)
    others = [is_data and i not in gates for i, is_data in enumerate(signals)]
    free = [is_data and factor not in builder.statistics for factor, is_data in zip(factors, others, strict=True)]
    if any(free):
        signals = [is_free or i in gates for i, is_free in enumerate(free)]
    elif any(of_another := [i not in gates and _is_of_another(builder, f, factors) for i, f in enumerate(factors)]):
        signals = [is_data and not held for is_data, held in zip(signals, of_another, strict=True)]
        gates = fixed_factors(builder.steps, positions, signals)
    builder.add_step(node, "mixed", Product(function, signals, gates), positions, builder.keeps_sign(positions))


def _is_of_another(builder: Steps, factor: fx.Node, factors: list[fx.Node]) -> bool:
    """Whether a factor is a statistic of another one, as the power of a square or of a gate."""
    todo, seen = [factor], {factor}
    while todo:
        node = todo.pop()
        if node is not factor and node in factors:
            return True
        if node in builder.statistics:
            todo += [n for n in node.all_input_nodes if n not in seen]
            seen.update(todo)
    return False


def _quotient(builder: Steps, node: Any) -> bool:
    given = [*node.args, *node.kwargs.values()]
    if len(given) != 2 or not isinstance(given[1], fx.Node):
        return False
    if not isinstance(given[0], fx.Node) and builder.steps[builder.position[given[1]] - 1].is_gate:
        return False  # of a gate it is one, too, as in 1 / (1 + exp(-x))
    if node in builder.statistics and not (isinstance(given[0], fx.Node) and builder.is_signal(given[0])):
        return False
    if not isinstance(given[0], fx.Node) or not builder.is_signal(given[0]) or builder.is_held(given[0]):
        raise CompositeError(
            f"{node.name}: divides a constant or a statistic by a signal, which has no rule; multiply or divide a "
            "signal by it instead"
        )
    positions = tuple(builder.position[n] for n in given)
    builder.add_step(node, "mixed", Quotient(), positions, builder.keeps_sign(positions))
    return True


def _attention_call(builder: Steps, node: Any) -> bool:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    inputs = list(dict.fromkeys(given[name] for name in names[:4] if isinstance(given.get(name), fx.Node)))
    places: Any = tuple(inputs.index(given[name]) for name in names[:3])
    mask = given.get("attn_mask")
    keywords = {key: value for key, value in given.items() if key in ("is_causal", "scale", "enable_gqa")}
    made = DotProductAttention(
        (*places, None if mask is None else inputs.index(mask)), [builder.is_signal(n) for n in inputs], keywords
    )
    refuse_held(builder, node)
    refuse_signal_as_mask(builder, node, mask)
    builder.add_step(node, "mixed", made, tuple(builder.position[n] for n in inputs))
    return True


def add_masked_attention(builder: Steps, node: Any, module: nn.MultiheadAttention) -> None:
    """Attention to other sequences, or with masks."""
    given = bound(nn.MultiheadAttention.forward, module, *node.args, **node.kwargs)
    sources = [given[name] for name in ("query", "key", "value")]
    masks = [given[name] for name in ("attn_mask", "key_padding_mask")]
    inputs = list(dict.fromkeys(n for n in (*sources, *masks) if n is not None))
    for mask in masks:
        refuse_signal_as_mask(builder, node, mask)
    made = MaskedAttention(
        module,
        tuple(inputs.index(n) for n in sources),  # type: ignore[arg-type]
        tuple(None if n is None else inputs.index(n) for n in masks),  # type: ignore[arg-type]
        [builder.is_signal(n) for n in inputs],
    )
    positions = {n: builder.position[n] for n in inputs}
    if module.batch_first:
        builder.add_step(node, "mixed", made, tuple(positions.values()))
        return
    for n in dict.fromkeys(sources):
        builder.add_step(node, "route", time_and_windows_swapped(), (positions[n],))
        positions[n] = builder.position[node]
    builder.add_step(node, "mixed", made, tuple(positions.values()))
    builder.add_step(node, "route", time_and_windows_swapped(), (builder.position[node],))


def _masked_fill(builder: Steps, node: Any) -> bool:
    given = dict(zip(("input", "mask", "value"), node.args, strict=False)) | node.kwargs
    fills = isinstance(given["value"], int | float) and given["value"] >= 0
    positions = builder.positions(node)
    if builder.is_held(given["mask"]) and not builder.is_held(node.args[0]) and len(positions) == 2:
        builder.add_step(node, "write", call_of(node), positions, fills and builder.keeps_sign(positions[:1]))
        return True
    refuse_held(builder, node)
    refuse_signal_as_mask(builder, node, given["mask"])
    builder.add_step(node, "route", call_of(node), positions, fills and builder.keeps_sign(positions))
    return True


def _where(builder: Steps, node: Any) -> bool:
    """Values of one or the other, by a mask."""
    given = [*node.args, *node.kwargs.values()]
    if len(given) != 3 or not isinstance(given[0], fx.Node):
        raise CompositeError(f"{node.name}: where has a rule in the form torch.where(mask, x, y)")
    values = given[1:]
    if any(isinstance(value, fx.Node) and builder.is_held(value) for value in values):
        refuse_held(builder, node)
    note_constants(builder, node, values)
    signs = [
        builder.keeps_sign((builder.position[value],)) if isinstance(value, fx.Node) else is_never_negative(value)
        for value in values
    ]
    builder.add_step(node, "write", call_of(node), builder.positions(node), all(signs))
    return True


def _gated_linear_unit(builder: Steps, node: Any, module: nn.GLU) -> None:
    builder.add_step(node, "mixed", GatedLinearUnit(module.dim), builder.positions(node))


def _glu(builder: Steps, node: Any) -> bool:
    given = dict(zip(("input", "dim"), node.args, strict=False)) | node.kwargs
    builder.add_step(node, "mixed", GatedLinearUnit(int(given.get("dim", -1))), builder.positions(node))
    return True


def _spectral(builder: Steps, node: Any, module: Spectral) -> None:
    builder.add_step(node, "mixed", SpectralStep(module), builder.positions(node))


MODULES: dict[type[nn.Module], ModuleBuilder] = {
    Spectral: _spectral,
    **dict.fromkeys(NORMALISERS, _normaliser),
    nn.Softmax: _softmax_module,
    nn.LogSoftmax: _log_softmax_module,
    nn.GLU: _gated_linear_unit,
}
CALLS: dict[Any, CallBuilder] = {
    **dict.fromkeys(SOFTMAX, _softmax),
    **dict.fromkeys(LOGARITHMS, _logarithm),
    torch.einsum: _einsum,
    **dict.fromkeys(MULTIPLY, _product),
    **dict.fromkeys(MATRIX_MULTIPLY, _product),
    **dict.fromkeys(DIVIDE, _quotient),
    F.scaled_dot_product_attention: _attention_call,
    torch.where: _where,
    torch.masked_fill: _masked_fill,
    "masked_fill": _masked_fill,
    F.glu: _glu,
}
