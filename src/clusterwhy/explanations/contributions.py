"""Contributions to a target: relevance summed over channels or stretches of time, and the rest, the base."""

import itertools
from dataclasses import dataclass

import numpy as np

from clusterwhy.errors import ShapeError
from clusterwhy.types import FloatArray, IntArray


@dataclass(frozen=True)
class Contributions:
    """What each feature of each window adds to the target: base + sum of values = target.

    Attributes:
        names: of the features: channels, or channels in a stretch of time.
        values: (window, feature) with sign, in units of the target.
        inputs: (window, feature) mean of the input in the feature.
        base: (window,) the part of the target that no feature accounts for: biases and references.
        target: (window,) the scalar that is explained.
    """

    names: tuple[str, ...]
    values: FloatArray
    inputs: FloatArray
    base: FloatArray
    target: FloatArray

    def of(self, windows: IntArray | list[int]) -> "Contributions":
        """Those of chosen windows."""
        chosen = np.asarray(windows)
        return Contributions(
            self.names, self.values[chosen], self.inputs[chosen], self.base[chosen], self.target[chosen]
        )


def contributions(
    relevance: FloatArray,
    target: FloatArray,
    windows: FloatArray,
    channels: tuple[str, ...],
    n_segments: int = 1,
    dt_s: float = 1.0,
) -> Contributions:
    """Contributions of channels, or of channels in stretches of time.

    Args:
        relevance: (window, channel, time) in units of the target.
        target: (window,) such as `Relevance.target`; what relevance does not add up to is the base.
        windows: (window, channel, time) that were explained.
        channels: names.
        n_segments: stretches of (nearly) equal length; 1 for whole channels.
        dt_s: seconds between samples, for the names of stretches.
    """
    if relevance.shape != windows.shape or len(target) != len(windows) or len(channels) != windows.shape[1]:
        raise ShapeError(
            f"expected relevance and windows (window, channel, time) with a target per window and a name per channel, "
            f"got {relevance.shape}, {windows.shape}, {np.shape(target)} and {len(channels)} names"
        )
    edges = np.linspace(0, windows.shape[2], n_segments + 1).round().astype(int)
    stretches = list(itertools.pairwise(edges))
    sums = np.stack([relevance[:, :, start:stop].sum(axis=2) for start, stop in stretches], axis=2)
    means = np.stack([windows[:, :, start:stop].mean(axis=2) for start, stop in stretches], axis=2)
    names = [
        channel if n_segments == 1 else f"{channel} {start * dt_s:.3g}–{stop * dt_s:.3g} s"
        for channel in channels
        for start, stop in stretches
    ]
    values = sums.reshape(len(windows), -1)
    return Contributions(
        tuple(names), values, means.reshape(len(windows), -1), target - values.sum(axis=1), np.asarray(target)
    )
