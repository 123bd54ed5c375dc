"""The order of channels whose replacement lowers a target fastest, and Shapley values, from all sets of channels."""

from math import factorial

import numpy as np

from clusterwhy.types import BoolArray, FloatArray, IntArray

MOST_CHANNELS = 10  # 2^10 sets are replaced


def all_sets(n_channels: int) -> BoolArray:
    """(set, channel) every set of channels; set s holds channel c where bit c of s is set."""
    return np.asarray((np.arange(2**n_channels)[:, None] >> np.arange(n_channels)) & 1, dtype=bool)


def best_order(values: FloatArray) -> IntArray:
    """The order of channels with the lowest area under the curve, the first to be replaced first.

    The least sum along a chain of sets, by dynamic programming over sets.

    Args:
        values: (set,) mean target with the channels of each set replaced, in the order of `all_sets`.
    """
    n_channels = int(np.log2(len(values)))
    costs, last = np.array(values, dtype=np.float64), np.zeros(len(values), dtype=np.int64)
    for members in range(1, len(values)):
        own = [c for c in range(n_channels) if members >> c & 1]
        before = [costs[members ^ 1 << c] for c in own]
        last[members] = own[int(np.argmin(before))]
        costs[members] += min(before)
    order, members = [], len(values) - 1
    while members:
        order.append(int(last[members]))
        members ^= 1 << int(last[members])
    return np.array(order[::-1])


def shapley_values(values: FloatArray) -> FloatArray:
    """(channel,) mean fall of the target by replacing a channel, over all orders (Shapley 1953).

    Args:
        values: (set,) mean target with the channels of each set replaced, in the order of `all_sets`.
    """
    sets = all_sets(int(np.log2(len(values))))
    n_channels, sizes = sets.shape[1], sets.sum(axis=1)
    weights = np.array(
        [factorial(k) * factorial(n_channels - k - 1) / factorial(n_channels) for k in range(n_channels)]
    )
    found = []
    for channel in range(n_channels):
        without = np.flatnonzero(~sets[:, channel])
        fall = values[without] - values[without | 1 << channel]
        found.append(float((weights[sizes[without]] * fall).sum()))
    return np.array(found)


def chain(order: IntArray, counts: IntArray) -> BoolArray:
    """(count, channel) which channels are replaced when so many are, in this order."""
    return np.asarray(np.argsort(order)[None] < np.asarray(counts)[:, None])
