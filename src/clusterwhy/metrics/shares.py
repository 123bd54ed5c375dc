"""Relevance as shares of all |relevance| of a window, so that windows and methods can be compared."""

import numpy as np

from clusterwhy.types import FloatArray

# share of a target that may be lost untold: what stabilisers take in a sound explanation stays below
TOLERATED_LOSS = 0.05


def relevance_shares(relevance: FloatArray) -> FloatArray:
    """(window, channel, time) relevance over the summed |relevance| of its window; 0 where there is none."""
    total = np.abs(relevance).sum(axis=(1, 2), keepdims=True)
    return np.asarray(relevance / np.where(total > 0, total, 1.0))


def signed_shares(relevance: FloatArray) -> FloatArray:
    """(window, channel) summed relevance of each channel over all |relevance| of the window."""
    return np.asarray(relevance_shares(relevance).sum(axis=2))
