"""What is the same up to the rounding of float32."""

import numpy as np

from clusterwhy.types import BoolArray, FloatArray

ROUNDING = 1e-6  # of the largest value; float32 rounds to 6e-8, and networks add up


def varies(points: FloatArray) -> BoolArray:
    """(feature,) whether the values of points (point, feature) differ by more than rounding."""
    return np.asarray(np.ptp(points, axis=0) > ROUNDING * np.abs(points).max(axis=0))


def coincide(points: FloatArray) -> bool:
    """Whether all points (point, feature) are the same."""
    return not varies(points).any()
