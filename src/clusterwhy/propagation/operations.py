"""Which operations of a network have a rule, and of which kind; functional calls and sums as modules."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from clusterwhy.encoders.mini_rocket import Heaviside
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.head_layers import MeanOfSmallest, Scaled, SoftExtremum, SquaredDistances, Sum
from clusterwhy.propagation.spellings import MOVED
from clusterwhy.propagation.steps import Kind

NON_NEGATIVE = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid, Heaviside)
DROPPED = (
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
)
MODULES: dict[Kind, tuple[type[nn.Module], ...]] = {
    "pass": (
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
        *(nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid, nn.Softsign),
        *(nn.Tanhshrink, nn.Softshrink, nn.Hardshrink),
        *(Scaled, Heaviside),
    ),
    "norm": (nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, Sum, MeanOfSmallest),
    "route": (
        *(nn.MaxPool1d, nn.AdaptiveMaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Unflatten),
        *(nn.ReflectionPad1d, nn.ReplicationPad1d, nn.CircularPad1d, nn.ChannelShuffle, nn.Unfold, SoftExtremum),
    ),
}
# what is traced as one operation
LEAVES = (
    *(*MODULES["pass"], *MODULES["norm"], *MODULES["route"], *DROPPED),
    *(nn.Conv1d, nn.Linear, nn.BatchNorm1d, SquaredDistances),
    *(nn.Conv2d, nn.ConvTranspose1d, nn.BatchNorm2d, nn.ConstantPad2d, nn.ZeroPad2d),
)

RELU_CALLS = (F.relu, torch.relu, "relu", "relu_")
NON_NEGATIVE_CALLS = {
    *(*RELU_CALLS, torch.sigmoid, "sigmoid", F.sigmoid, F.softplus, F.relu6, F.hardsigmoid, torch.exp, "exp"),
    *(torch.sqrt, "sqrt"),
}
# rise and fall without end
PERIODIC_CALLS = {torch.sin, "sin", torch.cos, "cos"}
CALLS: dict[Kind, set[Any]] = {
    "pass": {
        *(*NON_NEGATIVE_CALLS, *PERIODIC_CALLS, torch.tanh, "tanh", F.tanh, torch.erf, "erf", torch.clamp),
        *(torch.log, "log", torch.log1p, "log1p", torch.expm1, "expm1", torch.atan, "atan", torch.asinh, "asinh"),
        *(
            F.elu,
            F.gelu,
            F.silu,
            F.leaky_relu,
            F.rrelu,
            F.selu,
            torch.selu,
            F.celu,
            torch.celu,
            F.mish,
            F.hardswish,
            F.hardtanh,
        ),
        *(F.hardtanh, F.logsigmoid, F.softsign, F.tanhshrink, F.softshrink, F.hardshrink),
    },
    "norm": {
        *(torch.mean, "mean", torch.sum, "sum", F.avg_pool1d, F.adaptive_avg_pool1d),
        *(F.avg_pool2d, F.adaptive_avg_pool2d),
    },
    "route": {
        *(operator.getitem, torch.flatten, torch.squeeze, torch.unsqueeze, torch.reshape, torch.transpose),
        *("flatten", "unflatten", "squeeze", "unsqueeze", "reshape", "view", "transpose", "permute", "contiguous"),
        *("amin", "amax", "clone", torch.amin, torch.amax, F.max_pool1d, F.adaptive_max_pool1d, torch.clone),
        *(torch.permute, F.max_pool2d, F.adaptive_max_pool2d, *MOVED),
    },
}
CONCATENATE_CALLS = {torch.cat, torch.concat}
ADD_CALLS = {operator.add, torch.add, "add", "add_", operator.iadd}
SUBTRACT_CALLS = {operator.sub, torch.sub, "sub", operator.isub}
SCALE_CALLS = {operator.mul, torch.mul, "mul", operator.truediv, torch.div, "div", operator.neg, torch.neg, "neg"}


def is_sum_of_zennit(module: nn.Module) -> bool:
    """Whether it is a `zennit.layer.Sum`. Told by its name: importing zennit takes a second, torchvision included."""
    return (type(module).__module__, type(module).__name__) == ("zennit.layer", "Sum")


def is_move_of_einops(operation: Any) -> bool:
    """Whether a function or class is einops' `rearrange` or `repeat`; told by its name: einops need not be there."""
    name = getattr(operation, "__name__", "")
    return str(getattr(operation, "__module__", "")).split(".")[0] == "einops" and name.lower() in (
        "rearrange",
        "repeat",
    )


def kind_of_module(module: nn.Module) -> Kind | None:
    """The kind of a module without weights; None where it has no rule."""
    if is_move_of_einops(type(module)):
        return "route"
    return next((kind for kind, types in MODULES.items() if isinstance(module, types)), None)


def kind_of_call(function: Any) -> Kind | None:
    """The kind of a functional call of one tensor; None where it has no rule."""
    if is_move_of_einops(function):
        return "route"
    return next((kind for kind, functions in CALLS.items() if function in functions), None)


def refuse_own_forward(name: str, module: nn.Module) -> None:
    """Refuse a subclass of a known layer that computes something else: it would get the rule of the layer.

    Raises:
        CompositeError: its forward is not that of the layer.
    """
    base = next((c for c in type(module).__mro__ if c.__module__.startswith(("torch.nn.", "clusterwhy."))), nn.Module)
    own = [method for method in ("forward", "_conv_forward", "__call__") if _overrides(type(module), base, method)]
    if own and base is not nn.Module:
        raise CompositeError(
            f"{name}: {type(module).__name__} is a {base.__name__} with a {own[0]} of its own, which may compute "
            f"something else; make it an nn.Module that contains the {base.__name__}"
        )


def _overrides(kind: type, base: type, method: str) -> bool:
    return getattr(kind, method, None) is not getattr(base, method, None)


# replaces values inside nested arguments; its types know only fx's own
map_arguments: Any = fx.node.map_aggregate


@dataclass(frozen=True)
class Slot:
    """Stands for input i among the arguments of a `Call`."""

    i: int


class Call(nn.Module):
    """A function or method with its constant arguments, as a module that hooks can be put on."""

    def __init__(
        self, function: Callable[..., Any] | str, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> None:
        super().__init__()
        self.function, self.arguments, self.keywords = function, arguments, keywords

    def forward(self, *inputs: Any) -> Any:
        """Put the inputs into their slots and call."""
        given = self.arguments, self.keywords
        arguments, keywords = map_arguments(given, lambda a: inputs[a.i] if isinstance(a, Slot) else a)
        if isinstance(self.function, str):
            return getattr(arguments[0], self.function)(*arguments[1:], **keywords)
        return self.function(*arguments, **keywords)


class Addition(nn.Module):
    """A residual addition: its summands stacked, so that a rule can share relevance among them."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = Sum(dim=-1)

    def forward(self, *summands: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.sum(torch.stack(torch.broadcast_tensors(*summands), dim=-1))
        return total


class Concatenation(nn.Module):
    """torch.cat along a fixed axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, dim=self.dim)
