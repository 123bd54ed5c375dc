"""LRP-epsilon a second way: gradient x input of a network in which all but one factor of what it computes is constant.

An activation is its input times a constant, its secant; gates, attention weights and the scales of norms are constants;
of a product of equals each factor has its part. Written from the papers, without the library.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

SECANTS = (
    *("relu", "sigmoid", "tanh", "gelu", "elu", "silu", "softplus", "leaky_relu", "prelu", "log", "clamp", "sqrt"),
)
CONSTANTS = ("softmax", "rsqrt", "erf", "exp")


def is_live(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


def as_secant(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """y, as x times a constant."""
    made = x * torch.where(x == 0, 0.0, y / torch.where(x == 0, 1.0, x)).detach()
    return made + (y - made).detach()


def shared(function: Callable[..., torch.Tensor], factors: Sequence[Any]) -> torch.Tensor:
    """A product whose live factors have equal parts of its gradient."""
    live = [i for i, factor in enumerate(factors) if is_live(factor)]
    if len(live) < 2:
        return function(*factors)
    each = [[x if j == i or not is_live(x) else x.detach() for j, x in enumerate(factors)] for i in live]
    return sum(function(*chosen) for chosen in each) / len(live)  # type: ignore[return-value]


def square(x: torch.Tensor) -> torch.Tensor:
    return x * x.detach()


def multiply(first: Any, second: Any) -> torch.Tensor:
    return square(first) if first is second else shared(torch.mul, (first, second))


def divide(x: torch.Tensor, by: Any) -> torch.Tensor:
    return x / (by.detach() if is_live(by) else by)


def normed(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    """Less the mean, times a constant scale."""
    centred = x - x.mean(axes, keepdim=True)
    return centred * (square(centred.detach()).mean(axes, keepdim=True) + eps).rsqrt()


def layer_norm(x: torch.Tensor, shape: tuple[int, ...], weight: Any, bias: Any, eps: float) -> torch.Tensor:
    return normed(x, tuple(range(-len(shape), 0)), eps) * weight + bias


def instance_norm(x: torch.Tensor, *, weight: Any, bias: Any, eps: float, **_: Any) -> torch.Tensor:
    return normed(x, (2,), eps) * weight[:, None] + bias[:, None]


def glu(x: torch.Tensor, dim: int) -> torch.Tensor:
    signal, gate = x.chunk(2, dim)
    return signal * gate.sigmoid().detach()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "detach": lambda x: x,  # of the network's own: its value depends on the data
    **dict.fromkeys(("mul", "__mul__", "__rmul__"), multiply),
    **dict.fromkeys(("truediv", "div", "__truediv__", "__itruediv__"), divide),
    **dict.fromkeys(("matmul", "bmm", "__matmul__"), lambda *factors: shared(torch.matmul, factors)),
    "einsum": lambda equation, *factors: shared(lambda *own: torch.einsum(equation, *own), factors),
    **{"layer_norm": layer_norm, "instance_norm": instance_norm, "glu": glu},
}


class Secants(TorchFunctionMode):
    """Runs a network with constants in place of all but one factor; values stay what they are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {name: value for name, value in (kwargs or {}).items() if name != "inplace"}
        name = getattr(func, "__name__", str(func))
        plain = name if name.startswith("__") else name.rstrip("_")
        if plain in SECANTS and is_live(args[0]):
            with torch.no_grad():
                y = (getattr(F, plain, None) or getattr(torch, plain))(*args, **given)
            return as_secant(args[0], y)
        if plain in CONSTANTS:
            return func(*[x.detach() if is_live(x) else x for x in args], **given)
        if plain in ("pow", "__pow__") and args[1] == 2:
            return square(args[0])
        return FUNCTIONS.get(plain, func)(*args, **(given if plain in FUNCTIONS else kwargs or {}))


class _Gated(torch.autograd.Function):
    """A signal times a constant gate, which no mode takes for a product of equals."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate)
        return gate * signal

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, ctx.saved_tensors[0] * gradients[0]


gated: Any = _Gated.apply


class Unrolled(nn.Module):
    """An LSTM or GRU with windows first, step by step, with constant gates."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        own, last = self.layer, []
        for n in range(own.num_layers):
            ways = []
            for suffix in ("", "_reverse")[: 1 + own.bidirectional]:
                states = self.run(x.flip(1) if suffix else x, f"_l{n}{suffix}")
                last.append(states[:, -1])
                ways.append(states.flip(1) if suffix else states)
            x = torch.cat(ways, -1)
        return x, torch.stack(last)

    def run(self, x: torch.Tensor, suffix: str) -> torch.Tensor:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w, u, b, d = (getattr(self.layer, name + suffix) for name in names)
        h = c = x.new_zeros(len(x), self.layer.hidden_size)
        states = []
        for t in range(x.shape[1]):
            of_x, of_h = x[:, t] @ w.T + b, h @ u.T + d
            if isinstance(self.layer, nn.LSTM):
                i, f, z, o = (of_x + of_h).chunk(4, -1)
                c = gated(f.sigmoid(), c) + gated(i.sigmoid(), z.tanh())
                h = gated(o.sigmoid(), c.tanh())
            else:
                (r, z, n), (r_h, z_h, n_h) = of_x.chunk(3, -1), of_h.chunk(3, -1)
                update = (z + z_h).sigmoid()
                h = gated(1 - update, (n + gated((r + r_h).sigmoid(), n_h)).tanh()) + gated(update, h)
            states.append(h)
        return torch.stack(states, 1)


def epsilon_relevance(network: nn.Module, windows: torch.Tensor, pick: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """(window, channel, time) of a scalar that is picked of the output; epsilon is 0.

    Raises:
        AssertionError: the network with constants in it gives another output.
    """
    made = copy.deepcopy(network).requires_grad_(False)
    for module in list(made.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.LSTM | nn.GRU):
                setattr(module, name, Unrolled(child))
    x = windows.clone().requires_grad_()
    with Secants():
        output = pick(made(x * 1.0))
    torch.testing.assert_close(output, pick(network(windows.clone())))
    (gradient,) = torch.autograd.grad(output.sum(), x)
    return (gradient * x).detach()
