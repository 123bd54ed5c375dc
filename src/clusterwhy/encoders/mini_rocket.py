"""MiniRocket (Dempster, Schmidt and Webb 2021, arXiv 2012.08791) as an encoder: fixed convolutions, nothing to train.

Written from the paper. A feature is the share of time at which a convolution is above a threshold (PPV). Kernels,
dilations, padding and combinations of channels are those of the paper and of its authors' multivariate form. A
threshold lies between two values of a convolution instead of on one: stretches at rest and measurements in coarse steps
would otherwise be above it by rounding alone.
"""

import math
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.errors import ConfigError
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

SIZE = 9  # samples of a kernel
HIGH = tuple(combinations(range(SIZE), 3))  # where a kernel is 2; elsewhere it is -1
MOST_DILATIONS = 32
MOST_CHANNELS = 9  # that one kernel adds up
GOLDEN = (math.sqrt(5.0) + 1.0) / 2.0
# of two values of a convolution of scaled channels; above what float32 rounds, 1e-5
SMALLEST_STEP = 1e-4


class MiniRocket(EncoderSettings):
    """The embedding has 84 * `per_kernel` features, shares from 0 to 1.

    Args:
        per_kernel: features of each of the 84 kernels, spread over its dilations.
    """

    differs_by_seed: ClassVar[bool] = True
    of_one_length: ClassVar[bool] = True  # its dilations

    per_kernel: int = Field(ge=1, le=1000)

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """The encoder for windows (window, channel, time), with thresholds as for white noise.

        Raises:
            ConfigError: windows are shorter than a kernel.
        """
        if length < SIZE:
            raise ConfigError("encoder mini_rocket", [f"needs windows of {SIZE} samples or more, got {length}"])
        return cast("MaskedEncoder", MiniRocketNetwork(n_channels, length, self.per_kernel))

    def fit(self, encoder: nn.Module, values: FloatArray, starts: IntArray, length: int, seed: int) -> None:
        """Set the thresholds to quantiles of what each kernel gives for a training window of its own."""
        rng = np.random.default_rng(seed)
        for convolution, quantiles in cast("MiniRocketNetwork", encoder).convolutions():
            windows = torch.from_numpy(windows_at(values, rng.choice(starts, len(quantiles)), length))
            kernels = convolution.weight[:: quantiles.shape[1], None]
            found = [
                thresholds_between(F.conv1d(window, kernel, None, 1, convolution.padding, convolution.dilation)[0], own)
                for window, kernel, own in zip(windows, kernels, quantiles, strict=True)
            ]
            convolution.bias.data.copy_(-torch.cat(found))


class Heaviside(nn.Module):
    """1 where a value is above 0, else 0: its gradient is 0 everywhere."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return values.sign().clamp(min=0.0)


class MiniRocketNetwork(nn.Module):
    """Windows (window, channel, time) -> (window, feature): the shares of time at which convolutions are above 0.

    Args:
        n_channels: of the windows.
        length: samples of the windows.
        per_kernel: features of each kernel.
    """

    def __init__(self, n_channels: int, length: int, per_kernel: int) -> None:
        super().__init__()
        self.parts, self.quantiles, first = nn.ModuleList(), list[torch.Tensor](), 1  # the first quantile is not 0
        for i, (dilation, count) in enumerate(dilations(length, per_kernel)):
            kernels = _kernels(n_channels)
            # every other kernel of a dilation is padded, the others see only whole stretches
            for first_kernel, padding in ((i % 2, SIZE // 2 * dilation), (1 - i % 2, 0)):
                own = kernels[first_kernel::2]
                quantiles = golden_quantiles(first, len(own) * count).reshape(len(own), count)
                first += quantiles.numel()
                self.quantiles.append(quantiles)
                self.parts.append(_share_of_time(own, quantiles, dilation, padding))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        return torch.cat([part(windows) for part in self.parts], dim=1)

    def convolutions(self) -> Iterator[tuple[Any, torch.Tensor]]:
        """Each convolution, whose bias is minus its thresholds, and their quantiles (kernel, threshold)."""
        for part, quantiles in zip(self.parts, self.quantiles, strict=True):
            yield cast("nn.Sequential", part)[0], quantiles


def dilations(length: int, per_kernel: int) -> list[tuple[int, int]]:
    """Each dilation and how many features of a kernel have it (section 3.1).

    Dilations grow exponentially until a kernel is as long as a window.
    """
    most = min(per_kernel, MOST_DILATIONS)
    grown = np.logspace(0.0, math.log2((length - 1) / (SIZE - 1)), most, base=2.0)
    # 2 ** log2(3) is below 3
    found, repeats = np.unique((grown + 1e-9).astype(int), return_counts=True)
    counts = repeats * per_kernel // most
    counts[: per_kernel - counts.sum()] += 1
    return [(int(dilation), int(count)) for dilation, count in zip(found, counts, strict=True)]


def golden_quantiles(first: int, count: int) -> torch.Tensor:
    """(count,) from 0 to 1, spread evenly by multiples of the golden ratio, from the `first` on."""
    return torch.from_numpy(np.arange(first, first + count) * GOLDEN % 1.0)


def thresholds_between(values: torch.Tensor, quantiles: torch.Tensor) -> torch.Tensor:
    """(quantile,) thresholds in the middle between a quantile of the values and the next greater one.

    Values that differ by less than `SMALLEST_STEP` count as one. A threshold is above the greatest by as much.
    """
    ordered = values.double().sort().values
    low = ordered[(quantiles * (len(ordered) - 1)).long()]
    next_one = torch.searchsorted(ordered, low + SMALLEST_STEP)
    above = torch.cat([ordered, ordered[-1:] + 2.0 * SMALLEST_STEP])[next_one]
    return ((low + above) / 2.0).to(values.dtype)


def _kernels(n_channels: int) -> torch.Tensor:
    """(kernel, channel, time): the 84 kernels, each on channels of its own, up to nine, few more often than many."""
    kernels = torch.full((len(HIGH), SIZE), -1.0, device="cpu")
    kernels.scatter_(1, torch.tensor(HIGH, device="cpu"), 2.0)
    most = math.log2(min(n_channels, MOST_CHANNELS) + 1)
    counts = (2.0 ** (torch.rand(len(HIGH), device="cpu") * most)).int().tolist()
    on = torch.zeros(len(HIGH), n_channels, device="cpu")
    for row, count in zip(on, counts, strict=True):
        row[torch.randperm(n_channels, device="cpu")[:count]] = 1.0
    return on[:, :, None] * kernels[:, None]


def _share_of_time(kernels: torch.Tensor, quantiles: torch.Tensor, dilation: int, padding: int) -> nn.Sequential:
    """Each kernel (kernel, channel, time) once for each of its quantiles (kernel, threshold) of white noise."""
    _, n_channels, size = kernels.shape
    spread = kernels.square().sum(dim=(1, 2)).sqrt()
    thresholds = spread[:, None] * torch.special.ndtri(quantiles).float()
    convolution = nn.Conv1d(
        n_channels,
        quantiles.numel(),
        size,
        dilation=dilation,
        padding=padding,
        device="meta",  # no weights are drawn
    )
    convolution.weight = nn.Parameter(kernels.repeat_interleave(quantiles.shape[1], dim=0), requires_grad=False)
    convolution.bias = nn.Parameter(-thresholds.flatten(), requires_grad=False)
    return nn.Sequential(convolution, Heaviside(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
