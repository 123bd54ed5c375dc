"""Blocks that add positions to a signal, or join it with coordinates or learned tokens."""

import random

import torch
from torch import nn

from tests.random_networks.blocks import Draw, chance


class Learned(nn.Module):
    """Positions that are parameters."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.3 * torch.randn(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.positions[..., : x.shape[2]]


class Sinusoids(nn.Module):
    """Positions that forward computes (Vaswani et al. 2017, section 3.5)."""

    def __init__(self, channels: int, scales: bool) -> None:
        super().__init__()
        self.channels = channels
        self.scale = nn.Parameter(0.5 + torch.rand(1)) if scales else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
        rates = torch.exp(-torch.arange(self.channels, dtype=x.dtype, device=x.device))
        return x + torch.sin(rates[:, None] * steps[None]) * self.scale


class Coordinates(nn.Module):
    """A channel that tells the time (Liu et al. 2018)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = torch.linspace(-1.0, 1.0, x.shape[2], dtype=x.dtype, device=x.device)
        return torch.cat([x, steps.expand(x.shape[0], 1, -1)], dim=1)


class Token(nn.Module):
    """A learned step in front."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=2)


class Embedding(nn.Module):
    """Positions from a table."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.table = nn.Embedding(time, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = torch.arange(x.size(2), device=x.device)
        return (x.transpose(1, 2) + self.table(steps)).transpose(1, 2)


def position(rng: random.Random, channels: int, time: int) -> nn.Module:
    ways = [
        lambda: Learned(1, channels, time),
        lambda: Learned(channels, time),
        lambda: Learned(channels, 1),
        lambda: Sinusoids(channels, chance(rng)),
        Coordinates,
        lambda: Token(channels),
        lambda: Embedding(channels, time),
    ]
    return rng.choice(ways)()


BLOCKS: list[Draw] = [position]
