"""Blocks of products of two signals, and of signals and parameters."""

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Apply, Draw, Of, pointwise


def product(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Of two layers, or of a layer and what it reads, element by element."""
    first = rng.choice([nn.Identity(), pointwise(rng, channels, channels)])
    ways: list[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = [
        lambda x, y: x * y,
        lambda x, y: torch.mul(x, torch.tanh(y)),
        lambda x, y: F.relu(x) * y,
        lambda x, y: x * y.mean(dim=2, keepdim=True),
        lambda x, y: x.mul(y[:, :1]),
    ]
    return Of("product", rng.choice(ways), first, pointwise(rng, channels, channels))


def square(rng: random.Random, channels: int, time: int) -> nn.Module:
    return Apply("square", lambda x: x * x)


def matrices(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Products of matrices of two layers."""
    size = rng.choice([2, 3])
    ways: list[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = [
        lambda x, y: x @ y.transpose(1, 2),
        lambda x, y: torch.bmm(x, y.mT),
        lambda x, y: torch.matmul(torch.tanh(x), y.permute(0, 2, 1)),
        lambda x, y: torch.bmm(x.transpose(1, 2), y) / time**0.5,
    ]
    return Of("matrices", rng.choice(ways), pointwise(rng, channels, size), pointwise(rng, channels, size))


class WithParameter(nn.Module):
    """A function of a signal and of a parameter."""

    def __init__(self, name: str, function: Callable[..., torch.Tensor], *shape: int) -> None:
        super().__init__()
        self.name, self.function, self.parameter = name, function, nn.Parameter(torch.randn(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.parameter)


def with_parameter(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Scales of channels, mixtures of steps or of channels."""
    ways = [
        lambda: WithParameter("scale", lambda x, p: x * p, channels, 1),
        lambda: WithParameter("scale", lambda x, p: x / (p.abs() + 0.5), channels, 1),
        lambda: WithParameter("mixture", lambda x, p: x @ p, time, max(2, time // 2)),
        lambda: WithParameter("mixture", lambda x, p: torch.matmul(p, x), rng.choice([2, 4]), channels),
        lambda: WithParameter("mixture", lambda x, p: x @ torch.softmax(p, dim=0), time, time),
        lambda: WithParameter("mask", lambda x, p: x.masked_fill(p > 0.5, 0.0), channels, time),
    ]
    return rng.choice(ways)()


BLOCKS: list[Draw] = [product, product, square, matrices, with_parameter, with_parameter]
