"""Level, spread and change of every channel as an encoder: nothing to train, and each feature has a name."""

from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import nn

from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.errors import ConfigError

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

SHORTEST = 4  # samples


class ChannelStatistics(EncoderSettings):
    """The embedding has three features per channel: its mean, and the logs of its spread and of its steps.

    Args:
        floor: variance, in squared standard deviations of the training span, that is added to that of a window: how
            still a channel is below it hardly matters.
    """

    floor: float = Field(gt=0.0)

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """The encoder for windows (window, channel, time).

        Raises:
            ConfigError: windows are too short to have a spread.
        """
        if length < SHORTEST:
            raise ConfigError("encoder statistics", [f"needs windows of {SHORTEST} samples or more, got {length}"])
        return cast("MaskedEncoder", StatisticsNetwork(n_channels, self.floor))


class StatisticsNetwork(nn.Module):
    """Windows (window, channel, time) -> (window, feature): of all channels the level, the spread, the change.

    Level is the mean over time, spread 1/2 log(variance + floor), change 1/2 log(mean squared step + floor), where a
    step is the difference of two samples in a row.
    """

    def __init__(self, n_channels: int, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.steps = nn.Conv1d(n_channels, n_channels, 2, groups=n_channels, bias=False)
        kernels = torch.tensor([-1.0, 1.0]).repeat(n_channels, 1, 1)
        self.steps.weight = nn.Parameter(kernels, requires_grad=False)
        self.mean = nn.AdaptiveAvgPool1d(1)
        self.flatten = nn.Flatten()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        level = self.mean(windows)
        sizes = [self.mean((windows - level) ** 2), self.mean(self.steps(windows) ** 2)]
        logs = [0.5 * torch.log(self.flatten(size) + self.floor) for size in sizes]
        return torch.cat([self.flatten(level), *logs], dim=1)
