"""Level, spread and slope of channels, and what is left around the straight line through their samples."""

import numpy as np

from clusterwhy.types import FloatArray

TINY = 1e-9  # of values in standard deviations of the training span: constant


def level(values: FloatArray) -> FloatArray:
    """(...,) mean over time of (..., time)."""
    return np.asarray(values.mean(axis=-1))


def spread(values: FloatArray) -> FloatArray:
    """(...,) standard deviation over time, around the straight line."""
    return np.asarray(straightened(values).std(axis=-1))


def slope(values: FloatArray) -> FloatArray:
    """(...,) least-squares slope per sample."""
    at = times(values.shape[-1])
    return np.asarray((values * at).sum(axis=-1) / (at**2).sum())


def straightened(values: FloatArray) -> FloatArray:
    """Values (..., time) less their straight line."""
    return np.asarray(values - level(values)[..., None] - slope(values)[..., None] * times(values.shape[-1]))


def times(length: int) -> FloatArray:
    """(time,) samples from the middle."""
    return np.arange(length) - (length - 1) / 2.0
