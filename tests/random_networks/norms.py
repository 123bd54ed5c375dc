"""Blocks that normalise by statistics of the window itself."""

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Apply, Draw, OverTime, chance, pointwise, with_any_parameters
from tests.random_networks.simple import Residual, activation


def norm(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Layer, group, instance and root-mean-square norms, over channels, over time or over both."""
    affine, bias = chance(rng, 0.8), chance(rng, 0.8)
    groups = rng.choice([g for g in range(1, channels + 1) if channels % g == 0])
    ways: list[Callable[[], nn.Module]] = [
        lambda: OverTime(with_any_parameters(nn.LayerNorm(channels, elementwise_affine=affine, bias=bias))),
        lambda: with_any_parameters(nn.LayerNorm((channels, time), elementwise_affine=affine, bias=bias)),
        lambda: with_any_parameters(nn.LayerNorm(time, elementwise_affine=affine)),
        lambda: with_any_parameters(nn.GroupNorm(groups, channels, affine=affine)),
        lambda: with_any_parameters(nn.InstanceNorm1d(channels, affine=affine)),
        lambda: OverTime(with_any_parameters(nn.RMSNorm(channels, elementwise_affine=affine))),
        lambda: with_any_parameters(nn.RMSNorm(time, eps=1e-3, elementwise_affine=affine)),
    ]
    return rng.choice(ways)()


def pre_norm(rng: random.Random, channels: int, time: int) -> nn.Module:
    """x + f(norm(x)), as transformers have it."""
    layers = norm(rng, channels, time), pointwise(rng, channels, channels), activation(rng, channels, time)
    return Residual(nn.Sequential(*layers), 1, False)


def _over_spread(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(dim=-1, keepdim=True)) / torch.sqrt(x.var(dim=-1, keepdim=True, unbiased=False) + 1e-5)


def _unit_length(x: torch.Tensor) -> torch.Tensor:
    return x / (x.norm(dim=1, keepdim=True) + 1e-3)


WRITTEN: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
    ("standardised", _over_spread),
    ("over deviation", lambda x: x / (x.std(dim=2, keepdim=True) + 1e-3)),
    ("over power", lambda x: x * torch.rsqrt(x.pow(2).mean(dim=1, keepdim=True) + 1e-3)),
    ("over size", lambda x: x / (x.abs().mean(dim=(1, 2), keepdim=True) + 1e-3)),
    ("centred", lambda x: x - x.mean(dim=2, keepdim=True)),
    ("unit length", _unit_length),
    ("normalize", lambda x: F.normalize(x, dim=1)),
    ("group_norm", lambda x: F.group_norm(x, 1)),
]


def written_norm(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Norms that a network writes itself, or calls as functions."""
    return Apply(*rng.choice([*WRITTEN, ("layer_norm", lambda x: F.layer_norm(x, (channels, time)))]))


class WithParameters(nn.Module):
    """`layer_norm` or `rms_norm` with parameters, over (time,)."""

    def __init__(self, time: int, centred: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.centred = nn.Parameter(torch.rand(time)), nn.Parameter(torch.randn(time)), centred

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = self.weight.shape
        return F.layer_norm(x, size, self.weight, self.bias) if self.centred else F.rms_norm(x, size, self.weight)


def with_parameters(rng: random.Random, channels: int, time: int) -> nn.Module:
    return WithParameters(time, chance(rng))


BLOCKS: list[Draw] = [norm, norm, pre_norm, written_norm, with_parameters]
