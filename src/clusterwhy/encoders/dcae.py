"""A deep convolutional autoencoder, the second encoder of DeepVATS (Rodriguez-Fernandez et al. 2023), written anew.

Its operations are ones that LRP has rules for.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn

from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.errors import ConfigError


class Dcae(EncoderSettings):
    """Convolutions and max-pools down to a bottleneck of `delta` feature maps, and back up.

    DeepVATS's bottleneck is dense; ours is a 1 x 1 convolution whose mean over time is the embedding, so that it
    does not depend on where in the window something happens.

    Args:
        delta: feature maps of the bottleneck; the embedding dimension.
        n_filters: filters of each convolution before the bottleneck.
        kernel_sizes: of the same convolutions, samples, odd.
        pools: by how much each shortens time.
        output_kernel: of the last convolution, samples, odd.
    """

    delta: int = Field(ge=1)
    n_filters: list[int] = Field(min_length=1)
    kernel_sizes: list[int]
    pools: list[int]
    output_kernel: int = Field(ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        counts = {len(self.n_filters), len(self.kernel_sizes), len(self.pools)}
        if len(counts) > 1:
            raise ValueError("n_filters, kernel_sizes and pools need one entry for each convolution")
        if even := [k for k in [*self.kernel_sizes, self.output_kernel] if k % 2 == 0]:
            raise ValueError(f"kernel sizes must be odd, so that time is not shifted; got {even}")
        return self

    def build(self, n_channels: int, length: int) -> MaskedEncoder:
        """An untrained encoder for windows (window, channel, time).

        Raises:
            ConfigError: windows are too short for the pools.
        """
        return _autoencoder(self, n_channels, length)


class Autoencoder(MaskedEncoder):
    """The embedding is the mean of the bottleneck over time; the prediction is the decoder's output."""

    def __init__(self, backbone: nn.Module, decoder: nn.Sequential, n_features: int, n_channels: int) -> None:
        super().__init__(backbone, n_features, n_channels, dropout=0.0)
        self.predictor = decoder


class Repeated(nn.Module):
    """Nearest-neighbour upsampling: each step `factor` times, cut to `length` steps.

    Written as a concatenation, which LRP has a rule for; it has none for torch's `Upsample`.
    """

    def __init__(self, factor: int, length: int) -> None:
        super().__init__()
        self.factor, self.length = factor, length

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(window, feature, step) -> (window, feature, length)."""
        repeated = torch.cat([maps.unsqueeze(3)] * self.factor, dim=3).flatten(2)
        return repeated[:, :, : self.length]


def _autoencoder(settings: Dcae, n_channels: int, length: int) -> Autoencoder:
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
