"""Blocks in which a sigmoid or a softmax says how much of a signal passes."""

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Apply, Draw, Of, chance, pointwise


def _renormalised(weights: torch.Tensor) -> torch.Tensor:
    """Weights of the first half of the steps alone, that add up to 1."""
    kept = weights * (torch.arange(weights.shape[2]) < max(1, weights.shape[2] // 2))
    return kept / kept.sum(dim=2, keepdim=True)


GATES: list[Callable[[torch.Tensor], torch.Tensor]] = [
    torch.sigmoid,
    F.hardsigmoid,
    lambda x: x.sigmoid(),
    lambda x: 1.0 - torch.sigmoid(x),
    lambda x: 2.0 * torch.sigmoid(x),
    lambda x: torch.softmax(x, dim=-1),
    lambda x: F.softmax(x, dim=1) * 0.5,
    lambda x: 1.0 + torch.sigmoid(x),
    lambda x: torch.sigmoid(x) * torch.softmax(x, dim=2),
    lambda x: F.avg_pool1d(torch.sigmoid(x), 3, 1, 1),
    lambda x: torch.sigmoid(x).amax(dim=1, keepdim=True),
    lambda x: _renormalised(torch.softmax(x, dim=2)),
]


def gate(rng: random.Random, channels: int, time: int) -> nn.Module:
    """A signal, perhaps of a layer, times a gate; both orders."""
    passes, first = rng.choice(GATES), chance(rng)
    signal = rng.choice([nn.Identity(), pointwise(rng, channels, channels)])
    act = rng.choice([lambda x: x, torch.tanh])  # tanh: as WaveNet has it (van den Oord et al. 2016)
    made = (lambda x, y: act(x) * passes(y)) if first else (lambda x, y: passes(y) * act(x))
    return Of("gate", made, signal, pointwise(rng, channels, channels))


def own_gate(rng: random.Random, channels: int, time: int) -> nn.Module:
    """A signal times a gate of itself."""
    passes = rng.choice(GATES)
    return Apply("own gate", lambda x: x * passes(x))


def gated_linear_unit(rng: random.Random, channels: int, time: int) -> nn.Module:
    ways = [
        lambda: nn.GLU(dim=1),
        lambda: Apply("glu", lambda x: F.glu(x, dim=1)),
        lambda: Apply("glu", lambda x: x.chunk(2, dim=1)[0] * torch.sigmoid(x.chunk(2, dim=1)[1])),
    ]
    return nn.Sequential(pointwise(rng, channels, 2 * channels), rng.choice(ways)())


def highway(rng: random.Random, channels: int, time: int) -> nn.Module:
    """g f(x) + (1 - g) x (Srivastava et al. 2015)."""

    def joined(x: torch.Tensor, y: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        g = torch.sigmoid(gate)
        return g * torch.tanh(y) + (1 - g) * x

    return Of("highway", joined, nn.Identity(), pointwise(rng, channels, channels), pointwise(rng, channels, channels))


class SqueezeExcite(nn.Module):
    """Channels gated by their means (Hu et al. 2018), or steps by means over channels (Woo et al. 2018)."""

    def __init__(self, squeeze: nn.Module, axis: int, maxima: bool, scale: bool) -> None:
        super().__init__()
        self.squeeze, self.axis, self.maxima = squeeze, axis, maxima
        self.scale = nn.Parameter(0.5 + torch.rand(1)) if scale else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = x.mean(dim=self.axis)
        if self.maxima:
            pooled = pooled + x.amax(dim=self.axis)
        gate = torch.sigmoid(self.squeeze(pooled))
        if self.scale is not None:
            gate = gate * self.scale
        return x * gate.unsqueeze(self.axis)


def squeeze_excite(rng: random.Random, channels: int, time: int) -> nn.Module:
    axis = rng.choice([1, 2, 2])
    size = time if axis == 1 else channels
    between = rng.choice([nn.ReLU, nn.Tanh, nn.SiLU])()
    layers = nn.Sequential(nn.Linear(size, 3), between, nn.Linear(3, size))
    return SqueezeExcite(layers, axis, chance(rng, 0.3), chance(rng, 0.3))


def softmax_as_signal(rng: random.Random, channels: int, time: int) -> nn.Module:
    """A softmax that layers read, which loses relevance."""
    return rng.choice([nn.Softmax(dim=1), Apply("softmax", lambda x: F.softmax(x, dim=2))])


BLOCKS: list[Draw] = [
    gate,
    gate,
    own_gate,
    gated_linear_unit,
    highway,
    squeeze_excite,
    squeeze_excite,
    softmax_as_signal,
]
