"""Which channels of an anomaly lead, and what its score without them is called."""

import numpy as np

from clusterwhy.types import BoolArray, FloatArray

N_LEADING = 3  # channels, at most
LEAST_SHARE = 0.1  # of the first channel's relevance, to lead beside it
COLUMNS = ("without_leading", "without_highest_z", "without_random")


def leading(relevance: FloatArray) -> BoolArray:
    """(window, channel) whether a channel leads, from signed relevance of channels (window, channel)."""
    places = np.argsort(np.argsort(-relevance, axis=1, kind="stable"), axis=1)
    enough = relevance >= LEAST_SHARE * relevance.max(axis=1, keepdims=True)
    return np.asarray((places < N_LEADING) & (relevance > 0) & enough)
