"""Relevance as shares of all |relevance| of a window, so that windows and methods can be compared."""

import numpy as np

from clusterwhy.types import BoolArray, FloatArray

TINY = 1e-12

# share of a target that may be lost untold: what stabilisers take in a sound explanation stays below
TOLERATED_LOSS = 0.05


def relevance_shares(relevance: FloatArray) -> FloatArray:
    """(window, channel, time) relevance over the summed |relevance| of its window; 0 where there is none."""
    total = np.abs(relevance).sum(axis=(1, 2), keepdims=True)
    return np.asarray(relevance / np.where(total > 0, total, 1.0))


def has_relevance(relevance: FloatArray) -> BoolArray:
    """(window,) whether there is more relevance than rounding leaves of targets of order 1, so that shares mean it."""
    return np.asarray(np.abs(relevance).sum(axis=(1, 2)) > TINY)


def signed_shares(relevance: FloatArray) -> FloatArray:
    """(window, channel) summed relevance of each channel over all |relevance| of the window."""
    return np.asarray(relevance_shares(relevance).sum(axis=2))
