"""Blocks of convolutions, dense layers, batch norms, activations, pooling, reshapes, sums and concatenations."""

import random
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Apply, Draw, OverTime, chance, pointwise, with_any_parameters


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


def convolution(rng: random.Random, channels: int, time: int) -> nn.Module:
    groups = rng.choice([g for g in (1, 1, channels) if channels % g == 0])
    kernel, dilation = rng.choice([1, 2, 3, 5]), rng.choice([1, 1, 2])
    stride = rng.choice([1, 1, 2]) if time > 8 else 1
    padding: Any = rng.choice([0, 1, "same" if stride == 1 else 0])
    if time + 2 * (padding if isinstance(padding, int) else 9) <= dilation * (kernel - 1) + 1:
        kernel = 1
    n_out = groups * rng.choice([1, 2]) if groups > 1 else rng.choice([2, 3, 4, 6])
    return nn.Conv1d(channels, n_out, kernel, stride, padding, dilation, groups, bias=chance(rng, 0.7))


def batch_norm(rng: random.Random, channels: int, time: int) -> nn.Module:
    return with_any_statistics(nn.BatchNorm1d(channels, affine=chance(rng, 0.8)))


def with_any_statistics(norm: Any) -> nn.Module:
    """A batch norm in float32 of any parameters and running statistics."""
    nn.init.normal_(norm.running_mean, std=0.3)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return with_any_parameters(norm)


# modules and functions, in place and not
ACTIVATIONS: list[Callable[[], nn.Module]] = [
    *(nn.ReLU, nn.ReLU, lambda: nn.ReLU(inplace=True), lambda: nn.LeakyReLU(0.1), nn.Tanh, nn.ELU, nn.GELU, nn.SiLU),
    *(nn.PReLU, nn.Mish, nn.Hardswish, nn.CELU, nn.SELU, nn.ReLU6, nn.Hardtanh, nn.RReLU),
    *(lambda: Apply("relu", F.relu), lambda: Apply("tanh", torch.tanh), lambda: Apply("silu", F.silu)),
    *(lambda: Apply("clamp", lambda x: x.clamp(min=0)), lambda: nn.GELU(approximate="tanh")),
    # these are not 0 at 0
    *(nn.Sigmoid, nn.Softplus, nn.Hardsigmoid),
]


def activation(rng: random.Random, channels: int, time: int) -> nn.Module:
    return rng.choice(ACTIVATIONS)()


def pooling(rng: random.Random, channels: int, time: int) -> nn.Module:
    if chance(rng, 0.2):
        return rng.choice([nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d])(max(2, time // 2))
    size = rng.choice([2, 3]) if time >= 4 else 1
    return rng.choice([nn.MaxPool1d, nn.AvgPool1d])(size, stride=rng.choice([1, size]), padding=size // 2)


def reshaping(rng: random.Random, channels: int, time: int) -> nn.Module:
    start, scale, half = rng.choice([0, 1]) if time > 3 else 0, rng.choice([-0.5, 1.7]), channels // 2

    def swapped(x: torch.Tensor) -> torch.Tensor:
        first, second = x.split([half, channels - half], dim=1)
        return torch.cat([second, first], dim=1)

    made: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
        ("slice", lambda x: x[:, :, start:]),
        ("slice", lambda x: x[:, -1:] if start else x),
        ("scale", lambda x: x * scale),
        ("scale", lambda x: x / scale),
        ("negative", lambda x: -x),
        ("pad", lambda x: F.pad(x, (1, 0))),
        ("transpose", lambda x: x.transpose(1, 2).contiguous().transpose(1, 2)),
        ("unsqueeze", lambda x: x.unsqueeze(1).squeeze(1)),
        ("flip", lambda x: x.flip(-1)),
        ("roll", lambda x: torch.roll(x, 1, dims=2)),
        ("split", swapped if half else lambda x: x),
        ("unbind", lambda x: torch.stack([step * scale for step in x.unbind(dim=2)], dim=2)),
    ]
    name, function = rng.choice(made)
    pads = [kind(1) for kind in (nn.ReflectionPad1d, nn.ReplicationPad1d, nn.CircularPad1d, nn.ZeroPad1d)]
    shuffled = [nn.ChannelShuffle(2)] if channels % 2 == 0 else []
    return rng.choice([*[Apply(name, function)] * 8, nn.Dropout(0.3), nn.Identity(), *pads, *shuffled])


def chunks(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Parts of a wider value, of which one is activated, summed."""
    ways: list[Callable[[torch.Tensor], Any]] = [
        lambda x: x.chunk(2, dim=1),
        lambda x: torch.chunk(x, 2, 1),
        lambda x: x.split(channels, dim=1),
        lambda x: torch.split(x, [channels, channels], dim=1),
        lambda x: torch.tensor_split(x, 2, dim=1),
        lambda x: x.unflatten(1, (2, channels)).unbind(1),
    ]
    way, sign = rng.choice(ways), rng.choice([1, -1])

    def joined(x: torch.Tensor) -> torch.Tensor:
        first, second = way(x)
        return first + torch.tanh(second) if sign > 0 else first - F.relu(second)

    return nn.Sequential(pointwise(rng, channels, 2 * channels), Apply("chunk", joined))


def dense_over_time(rng: random.Random, channels: int, time: int) -> nn.Module:
    return OverTime(nn.Linear(channels, rng.choice([2, 3, 4]), bias=chance(rng, 0.7)))


def residual(rng: random.Random, channels: int, time: int) -> nn.Module:
    kernel = rng.choice([1, 3])
    layers: list[nn.Module] = [nn.Conv1d(channels, channels, kernel, padding=kernel // 2, bias=chance(rng, 0.7))]
    if chance(rng):
        layers.append(batch_norm(rng, channels, time))
    if chance(rng):
        layers.append(activation(rng, channels, time))
    return Residual(nn.Sequential(*layers), rng.choice([1, 1, -1]), chance(rng, 0.3))


def branches(rng: random.Random, channels: int, time: int) -> nn.Module:
    kernels = [rng.choice([1, 3, 5]) for _ in range(rng.choice([2, 3]))]
    made = [nn.Conv1d(channels, rng.choice([1, 2]), k, padding=k // 2, bias=chance(rng)) for k in kernels]
    return Branches(*made, *([nn.MaxPool1d(3, 1, 1)] if chance(rng) else []))


class Tied(nn.Module):
    """One block several times (Dehghani et al. 2019), or on the signal and on its mirror image."""

    def __init__(self, block: nn.Module, times: int) -> None:
        super().__init__()
        self.block, self.times = block, times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.times == 0:
            return self.block(x) + self.block(x.flip(2)).flip(2)
        for _ in range(self.times):
            x = x + self.block(x)
        return x


def tied(rng: random.Random, channels: int, time: int) -> nn.Module:
    layers = [pointwise(rng, channels, channels), *([batch_norm(rng, channels, time)] if chance(rng) else [])]
    return Tied(nn.Sequential(*layers, activation(rng, channels, time)), rng.choice([0, 2, 3]))


BLOCKS: list[Draw] = [
    *(convolution, convolution, batch_norm, activation, activation, pooling, reshaping, dense_over_time),
    *(residual, residual, branches, chunks, tied),
]
