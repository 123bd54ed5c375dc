"""Standardisation fitted on the training span: the encoder and LRP see the same numbers."""

from typing import Literal

import numpy as np

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray

# as in the benchmarks: a resting channel that moves would otherwise reach 1e6
LIMIT = 50.0


class ScalerSettings(Settings):
    """How each channel is centred and scaled."""

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
            # a channel that rests most of the time has no quartile range: its spread is used
            scale = np.where(scale > 0, scale, values.std(axis=0))
        return centre, np.where(scale > 1e-12 * np.maximum(1.0, np.abs(centre)), scale, 1.0)


def standardised(values: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    """Values less centre over scale, between -50 and 50; shapes as NumPy broadcasts them."""
    clipped: FloatArray = np.clip((values - centre) / scale, -LIMIT, LIMIT)
    return clipped
