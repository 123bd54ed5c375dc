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
from clusterwhy.propagation.gates import MULTIPLY, fixed_factor
from clusterwhy.propagation.linearised import GatedLinearUnit, Product, Quotient, Softmax
from clusterwhy.propagation.operations import Call, Slot

MATRIX_MULTIPLY = (operator.matmul, torch.matmul, torch.bmm, "matmul", "bmm")
DIVIDE = (operator.truediv, torch.div, torch.divide, "div", "divide")
SOFTMAX = (torch.softmax, F.softmax, "softmax")


def _softmax_module(builder: Steps, node: Any, module: nn.Module) -> None:
    builder.add_step(node, "mixed", Softmax(module), builder.positions(node), True)


def _softmax(builder: Steps, node: Any) -> bool:
    builder.add_step(node, "mixed", Softmax(call_of(node)), builder.positions(node), True)
    return True


def _product(builder: Steps, node: Any) -> bool:
    factors = list(node.args) + list(node.kwargs.values())
    if len(factors) != 2 or not all(isinstance(factor, fx.Node) for factor in factors) or factors[0] is factors[1]:
        return False  # a number scales; a square passes all that it gets
    positions = tuple(builder.position[factor] for factor in factors)
    signals = [builder.is_signal(factor) and not builder.is_held(factor) for factor in factors]
    function = Call(node.target, (Slot(0), Slot(1)), {})
    made = Product(function, signals, fixed_factor(builder.steps, positions))
    builder.add_step(node, "mixed", made, positions, node.target in MULTIPLY and builder.keeps_sign(positions))
    return True


def _quotient(builder: Steps, node: Any) -> bool:
    given = [*node.args, *node.kwargs.values()]
    if len(given) != 2 or not isinstance(given[1], fx.Node):
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
    refuse_held(builder, node)
    refuse_signal_as_mask(builder, node, given["mask"])
    fills = isinstance(given["value"], int | float) and given["value"] >= 0
    positions = builder.positions(node)
    builder.add_step(node, "route", call_of(node), positions, fills and builder.keeps_sign(positions))
    return True


def _gated_linear_unit(builder: Steps, node: Any, module: nn.GLU) -> None:
    builder.add_step(node, "mixed", GatedLinearUnit(module.dim), builder.positions(node))


def _glu(builder: Steps, node: Any) -> bool:
    given = dict(zip(("input", "dim"), node.args, strict=False)) | node.kwargs
    builder.add_step(node, "mixed", GatedLinearUnit(int(given.get("dim", -1))), builder.positions(node))
    return True


MODULES: dict[type[nn.Module], ModuleBuilder] = {
    nn.Softmax: _softmax_module,
    nn.GLU: _gated_linear_unit,
}
CALLS: dict[Any, CallBuilder] = {
    **dict.fromkeys(SOFTMAX, _softmax),
    **dict.fromkeys(MULTIPLY, _product),
    **dict.fromkeys(MATRIX_MULTIPLY, _product),
    **dict.fromkeys(DIVIDE, _quotient),
    F.scaled_dot_product_attention: _attention_call,
    torch.masked_fill: _masked_fill,
    "masked_fill": _masked_fill,
    F.glu: _glu,
}
