"""Standardisation fitted on the training span; the encoder and all explanations use the scaled values."""

from typing import Literal

import numpy as np

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray

# as in the benchmarks: a channel that is nearly constant in training would otherwise reach 1e6
LIMIT = 50.0


class ScalerSettings(Settings):
    """Centring and scaling of each channel."""

    kind: Literal["standard", "robust"]
    constant_channels: Literal["keep", "drop"]

    def fit(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre and scale of each channel of (time, channel); the scale of a constant channel is 1."""
        if self.kind == "standard":
            centre, scale = values.mean(axis=0), values.std(axis=0)
        else:
            low, centre, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            # 1.349 standard deviations lie between the quartiles of a normal distribution
            scale = (high - low) / 1.349
            # a channel that is constant most of the time has a quartile range of 0: use its standard deviation
            scale = np.where(scale > 0, scale, values.std(axis=0))
        return centre, np.where(scale > 1e-12 * np.abs(centre), scale, 1.0)


def standardised(values: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    """(values - centre) / scale, clipped to [-50, 50]; shapes are broadcast."""
    clipped: FloatArray = np.clip((values - centre) / scale, -LIMIT, LIMIT)
    return clipped
