"""Random networks of the operations that have a rule, and a second, plain way to their epsilon relevance.

A network is drawn as a chain of blocks, each from (window, channel, time) to the same axes, and a head. Blocks branch,
are summed, subtracted, concatenated, pooled, sliced, normalised and read as sequences.
"""

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

CHANNELS, TIME = 3, 16
Draw = Callable[[random.Random, int, int], nn.Module]


class Residual(nn.Module):
    """x + branch(x), or x - branch(x)."""

    def __init__(self, branch: nn.Module, sign: int, in_place: bool) -> None:
        super().__init__()
        self.branch, self.sign, self.in_place = branch, sign, in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.in_place:
            y = self.branch(x)
            y += x
            return y
        return x + self.branch(x) if self.sign > 0 else x - self.branch(x)


class Branches(nn.Module):
    """Branches side by side, concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Apply(nn.Module):
    """A function as a module, traced into."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class OverTime(nn.Module):
    """A layer that reads (window, time, channel)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


def convolution(rng: random.Random, channels: int, time: int) -> nn.Module:
    groups = rng.choice([g for g in (1, 1, channels) if channels % g == 0])
    kernel, dilation = rng.choice([1, 2, 3, 5]), rng.choice([1, 1, 2])
    stride = rng.choice([1, 1, 2]) if time > 8 else 1
    padding: Any = rng.choice([0, 1, "same" if stride == 1 else 0])
    if time + 2 * (padding if isinstance(padding, int) else 9) <= dilation * (kernel - 1) + 1:
        kernel = 1
    n_out = groups * rng.choice([1, 2]) if groups > 1 else rng.choice([2, 3, 4, 6])
    bias = rng.random() < 0.7
    return nn.Conv1d(channels, n_out, kernel, stride, padding, dilation, groups, bias=bias)


def batch_norm(rng: random.Random, channels: int, time: int) -> nn.Module:
    norm = nn.BatchNorm1d(channels, affine=rng.random() < 0.8)
    assert norm.running_mean is not None and norm.running_var is not None
    nn.init.normal_(norm.running_mean, std=0.3)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
    return norm


# modules and functions, in place and not
ACTIVATIONS: list[Callable[[], nn.Module]] = [
    *(nn.ReLU, lambda: nn.ReLU(inplace=True), lambda: nn.LeakyReLU(0.1), nn.Tanh, nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU),
    *(nn.Softplus, nn.PReLU, lambda: Apply(F.relu), lambda: Apply(torch.tanh), lambda: Apply(F.silu)),
]


def activation(rng: random.Random, channels: int, time: int) -> nn.Module:
    return rng.choice(ACTIVATIONS)()


def pooling(rng: random.Random, channels: int, time: int) -> nn.Module:
    size = rng.choice([2, 3]) if time >= 4 else 1
    return rng.choice([nn.MaxPool1d, nn.AvgPool1d])(size, stride=rng.choice([1, size]), padding=size // 2)


def reshaping(rng: random.Random, channels: int, time: int) -> nn.Module:
    start, scale = rng.choice([0, 1]) if time > 3 else 0, rng.choice([-0.5, 1.7])
    return rng.choice(
        [
            Apply(lambda x: x[:, :, start:]),
            Apply(lambda x: x[:, -1:] if start else x),
            Apply(lambda x: x * scale),
            Apply(lambda x: x / scale),
            Apply(lambda x: -x),
            Apply(lambda x: F.pad(x, (1, 0))),
            Apply(lambda x: x.transpose(1, 2).contiguous().transpose(1, 2)),
            Apply(lambda x: x.unsqueeze(1).squeeze(1)),
            nn.Dropout(0.3),
            nn.Identity(),
        ]
    )


def dense_over_time(rng: random.Random, channels: int, time: int) -> nn.Module:
    return OverTime(nn.Linear(channels, rng.choice([2, 3, 4]), bias=rng.random() < 0.7))


SIMPLE: list[Draw] = [convolution, convolution, batch_norm, activation, activation, pooling, reshaping, dense_over_time]


def chain(rng: random.Random, channels: int, time: int, n_blocks: int, draws: list[Draw]) -> nn.Sequential:
    """Blocks one after the other; each is tried out for the shape it gives."""
    blocks = nn.Sequential()
    while len(blocks) < n_blocks:
        block = rng.choice(draws)(rng, channels, time).eval()
        with torch.no_grad():
            shape = block(torch.zeros(1, channels, time)).shape
        if shape[2] >= 2 and shape[1] <= 12:
            blocks.append(block)
            channels, time = shape[1], shape[2]
    return blocks


def residual(rng: random.Random, channels: int, time: int) -> nn.Module:
    kernel = rng.choice([1, 3])
    layers = [nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=rng.random() < 0.7)]
    if rng.random() < 0.5:
        layers.append(batch_norm(rng, channels, time))  # type: ignore[arg-type]
    if rng.random() < 0.5:
        layers.append(activation(rng, channels, time))  # type: ignore[arg-type]
    return Residual(nn.Sequential(*layers), rng.choice([1, 1, -1]), rng.random() < 0.3)


def branches(rng: random.Random, channels: int, time: int) -> nn.Module:
    kernels = [rng.choice([1, 3, 5]) for _ in range(rng.choice([2, 3]))]
    made = [nn.Conv1d(channels, rng.choice([1, 2]), k, padding=k // 2, bias=rng.random() < 0.5) for k in kernels]
    with_pooling = [nn.MaxPool1d(3, 1, 1)] if rng.random() < 0.5 else []
    return Branches(*made, *with_pooling)


BLOCKS: list[Draw] = [*SIMPLE, residual, residual, branches]


def head(rng: random.Random, channels: int, time: int) -> nn.Module:
    made = rng.choice(
        [
            nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
            nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()),
            nn.Sequential(nn.Flatten(), nn.Linear(channels * time, 4), nn.ReLU()),
            Apply(lambda x: x.mean(dim=-1)),
            Apply(lambda x: x[:, :, -1]),
            Apply(lambda x: x.flatten(1)),
        ]
    )
    with torch.no_grad():
        n_features = made(torch.zeros(1, channels, time)).shape[1]
    return nn.Sequential(made, nn.Linear(n_features, 1, bias=rng.random() < 0.7), nn.Flatten(0))


def random_network(seed: int, draws: list[Draw] | None = None) -> nn.Module:
    """(window, channel, time) -> (window,), float64, in evaluation mode; the same for the same seed."""
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = chain(rng, CHANNELS, TIME, rng.randint(2, 7), draws or BLOCKS)
        with torch.no_grad():
            channels, time = body.eval()(torch.zeros(1, CHANNELS, TIME)).shape[1:]
        made = nn.Sequential(body, head(rng, channels, time))
    return made.double().eval()


def random_windows(seed: int, n_windows: int = 3) -> torch.Tensor:
    """(window, channel, time)."""
    return torch.randn(
        n_windows, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 + seed)
    )


class Secants(TorchFunctionMode):
    """Activations become multiples of their inputs: x times the constant f(x) / x, so that gradient x input of what is
    left is the relevance of the epsilon rule with epsilon 0 (Ancona et al. 2018, proposition 1).

    Attributes:
        undefined: some x is 0 where f(x) is not: there is no such multiple.
    """

    undefined = False

    FUNCTIONS = frozenset(
        {
            *(F.relu, F.relu_, torch.relu, F.leaky_relu, F.prelu, torch.prelu, F.elu, F.selu, F.celu),
            *(F.gelu, F.silu, F.mish, F.hardswish, F.softplus),
            *(torch.tanh, torch.Tensor.tanh, torch.sigmoid, torch.Tensor.sigmoid),
        }
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in self.FUNCTIONS:
            return func(*args, **(kwargs or {}))
        x = args[0]
        given = {key: value for key, value in (kwargs or {}).items() if key != "inplace"}
        with torch.no_grad():
            value = func(x.detach().clone(), *args[1:], **given)
            self.undefined |= bool(((x == 0) & (value != 0)).any())
            slope = value / torch.where(x == 0, 1.0, x)
        return x * slope


def plain_epsilon(network: nn.Module, windows: torch.Tensor) -> torch.Tensor | None:
    """(window, channel, time) relevance of the epsilon rule as epsilon goes to 0, by autograd on the network itself.

    None where an activation such as the sigmoid is not 0 at an input of 0.
    """
    x = windows.clone().requires_grad_()
    with Secants() as secants:
        (gradient,) = torch.autograd.grad(network(x).sum(), x)
    return None if secants.undefined else (gradient * x).detach()


def names(network: nn.Module) -> Iterator[str]:
    """The operations of a network, for a message."""
    return (type(module).__name__ for module in network.modules() if not list(module.children()))
