"""Blocks that make series longer."""

import random

import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Apply, Draw, chance


def transposed(rng: random.Random, channels: int, time: int) -> nn.Module:
    stride, groups = rng.choice([1, 2]), channels if chance(rng, 0.3) else 1
    kernel = rng.choice([1, 2, 3])
    padding, more = rng.choice([0, min(1, kernel - 1)]), rng.choice([0, stride - 1])
    n_out = groups * rng.choice([1, 2]) if groups > 1 else rng.choice([2, 3])
    dilation = 2 if stride == 1 and chance(rng, 0.3) else 1
    return nn.ConvTranspose1d(
        channels, n_out, kernel, stride, padding, more, groups, bias=chance(rng, 0.7), dilation=dilation
    )


def longer(rng: random.Random, channels: int, time: int) -> nn.Module:
    size = time + rng.choice([-1, 1, 3]) if time > 2 else time + 1
    return rng.choice(
        [
            nn.Upsample(scale_factor=2),
            nn.Upsample(size=size, mode="linear"),
            nn.Upsample(scale_factor=1.5, mode="linear", align_corners=True),
            Apply("interpolate", lambda x: F.interpolate(x, size=size)),
            Apply("interpolate", lambda x: F.interpolate(x, scale_factor=2.0, mode="linear")),
            Apply("interpolate", lambda x: F.interpolate(x, size, mode="area")),
            Apply("repeat", lambda x: x.repeat_interleave(2, dim=2)),
        ]
    )


BLOCKS: list[Draw] = [transposed, longer]
