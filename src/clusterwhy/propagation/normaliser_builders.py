"""Builders of steps of norms of the window itself, as modules and as functions."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.building import CallBuilder, ModuleBuilder, Steps, bound
from clusterwhy.propagation.constants import Constant
from clusterwhy.propagation.normalisers import NORMALISERS, Normaliser


def _normaliser(builder: Steps, node: Any, module: nn.Module) -> None:
    builder.add_step(node, "mixed", Normaliser(module, str(node.target)), builder.positions(node))


def _layer_norm(given: dict[str, Any]) -> nn.Module:
    return nn.LayerNorm(given["normalized_shape"], given["eps"], elementwise_affine=False)


def _root_mean_square_norm(given: dict[str, Any]) -> nn.Module:
    return nn.RMSNorm(given["normalized_shape"], given["eps"], elementwise_affine=False)


def _group_norm(given: dict[str, Any]) -> nn.Module:
    # of as many channels as the data has, which only a module without parameters need not know
    return nn.GroupNorm(given["num_groups"], given["num_groups"], given["eps"], affine=False)


def _function(builder: Steps, node: Any) -> bool:
    """The norm that a function computes, as a module with its weights.

    Raises:
        CompositeError: its sizes or weights are computed.
    """
    given = bound(node.target, *node.args, **node.kwargs)
    weights: dict[str, Any] = {name: _constant(builder, given.get(name)) for name in ("weight", "bias")}
    if isinstance(weights["weight"], torch.Tensor) and "normalized_shape" in given:
        given["normalized_shape"] = weights["weight"].shape
    sizes = [size for key in ("normalized_shape", "num_groups") for size in _as_list(given.get(key))]
    if any(isinstance(size, fx.Node) for size in sizes) or any(isinstance(w, fx.Node) for w in weights.values()):
        raise CompositeError(
            f"{node.name}: {node.target.__name__} of sizes or weights that forward computes has no rule; give numbers "
            "and parameters, or use the module of the same name"
        )
    norm: Any = FUNCTIONS[node.target](given).eval()
    for name, value in weights.items():
        norm.register_parameter(name, None if value is None else nn.Parameter(value, requires_grad=False))
    builder.add_step(node, "mixed", Normaliser(norm, node.name), (builder.position[given["input"]],))
    return True


def _as_list(sizes: Any) -> list[Any]:
    return list(sizes) if isinstance(sizes, tuple | list) else [sizes]


def _constant(builder: Steps, node: Any) -> torch.Tensor | fx.Node | None:
    """The value of a parameter or a buffer; the node itself where it is computed."""
    module = builder.steps[builder.position[node] - 1].module if isinstance(node, fx.Node) else None
    return module.value if isinstance(module, Constant) else node


FUNCTIONS: dict[Any, Callable[[dict[str, Any]], nn.Module]] = {
    F.layer_norm: _layer_norm,
    F.rms_norm: _root_mean_square_norm,
    F.group_norm: _group_norm,
}
MODULES: dict[type[nn.Module], ModuleBuilder] = dict.fromkeys(NORMALISERS, _normaliser)
CALLS: dict[Any, CallBuilder] = dict.fromkeys(FUNCTIONS, _function)
