"""A convolutional autoencoder, down to a bottleneck and up again, in operations that LRP has rules for."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.errors import ConfigError

if TYPE_CHECKING:
    from clusterwhy.encoders.dcae import Dcae


class Autoencoder(MaskedEncoder):
    """Embedding: the mean over time of the bottleneck. Prediction: what the decoder makes of the bottleneck."""

    def __init__(self, backbone: nn.Module, decoder: nn.Module, n_features: int, n_channels: int) -> None:
        super().__init__(backbone, n_features, n_channels, dropout=0.0)
        self.predictor = decoder


class Repeated(nn.Module):
    """Each step `factor` times, cut to `length` steps: nearest upsampling.

    Written as a concatenation, which LRP shares among its parts; torch's Upsample is one operation without a rule.
    """

    def __init__(self, factor: int, length: int) -> None:
        super().__init__()
        self.factor, self.length = factor, length

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(window, feature, step) -> (window, feature, length)."""
        repeated = torch.cat([maps.unsqueeze(3)] * self.factor, dim=3).flatten(2)
        return repeated[:, :, : self.length]


def autoencoder(settings: "Dcae", n_channels: int, length: int) -> Autoencoder:
    """An untrained autoencoder for windows (window, channel, time)."""
    down: list[nn.Module] = []
    lengths, n_inputs = [length], n_channels
    for n_filters, kernel, pool in zip(settings.n_filters, settings.kernel_sizes, settings.pools, strict=True):
        # rounded up: the last pool may be narrower, so that no sample is lost
        down += [
            nn.Conv1d(n_inputs, n_filters, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.MaxPool1d(pool, ceil_mode=True),
        ]
        lengths.append(-(-lengths[-1] // pool))
        n_inputs = n_filters
    if lengths[-1] < 2:
        raise ConfigError(
            "Dcae", [f"windows of {length} samples leave {lengths[-1]} step after the pools {settings.pools}"]
        )
    down.append(nn.Conv1d(n_inputs, settings.delta, 1))
    up: list[nn.Module] = [nn.Conv1d(settings.delta, n_inputs, 1), nn.ReLU()]
    layers = list(zip(settings.n_filters, settings.kernel_sizes, settings.pools, lengths[:-1], strict=True))
    for n_filters, kernel, pool, steps in reversed(layers):
        up += [Repeated(pool, steps), nn.Conv1d(n_inputs, n_filters, kernel, padding=kernel // 2), nn.ReLU()]
        n_inputs = n_filters
    up.append(nn.Conv1d(n_inputs, n_channels, settings.output_kernel, padding=settings.output_kernel // 2))
    return Autoencoder(nn.Sequential(*down), nn.Sequential(*up), settings.delta, n_channels)
