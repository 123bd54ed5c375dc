"""Blocks over planes (window, map, channel, time), that begin and end with (window, channel, time)."""

import random

import torch
from torch import nn

from tests.random_networks.blocks import Draw, chance, with_any_parameters
from tests.random_networks.simple import activation, with_any_statistics


class Planes(nn.Module):
    """Layers over planes of one map; their maps and rows become channels."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.unsqueeze(1)).flatten(1, 2)


def convolution(rng: random.Random, n_inputs: int, n_outputs: int, rows: int, same: bool = False) -> nn.Module:
    height, width = rng.choice([1, 1, rows, min(rows, 2)]), rng.choice([1, 2])
    padding = "same" if same else rng.choice([0, (0, width // 2), "same"])
    groups = n_inputs if n_outputs % n_inputs == 0 and chance(rng, 0.3) else 1
    return nn.Conv2d(n_inputs, n_outputs, (height, width), padding=padding, groups=groups, bias=chance(rng, 0.7))


def pooling(rng: random.Random, time: int) -> nn.Module:
    width = 2 if time >= 4 else 1
    return rng.choice(
        [
            nn.MaxPool2d((1, width), stride=(1, rng.choice([1, width]))),
            nn.AvgPool2d((1, width)),
            nn.AdaptiveAvgPool2d((1, max(2, time // 2))),
            nn.AdaptiveMaxPool2d((1, max(2, time // 2))),
            nn.MaxPool2d((2, width), stride=1, padding=(1, 0)),
            nn.Dropout2d(0.2),
        ]
    )


def planes(rng: random.Random, channels: int, time: int) -> nn.Module:
    """As EEGNet has them (Lawhern et al. 2018)."""
    layers = [convolution(rng, 1, 2, channels)]
    if chance(rng):
        layers.append(with_any_statistics(nn.BatchNorm2d(2)))
    layers.append(activation(rng, channels, time))
    if chance(rng):
        layers.append(pooling(rng, time - 1))
    if chance(rng, 0.3):
        layers.append(nn.Conv2d(2, 2, 1))
    return Planes(*layers)


def normed_planes(rng: random.Random, channels: int, time: int) -> nn.Module:
    """With a norm of the window itself."""
    norm = rng.choice([nn.InstanceNorm2d(2, affine=chance(rng)), nn.GroupNorm(rng.choice([1, 2]), 2)])
    return Planes(convolution(rng, 1, 2, channels, True), with_any_parameters(norm), activation(rng, channels, time))


BLOCKS: list[Draw] = [planes]
WITH_NORMS: list[Draw] = [normed_planes]
