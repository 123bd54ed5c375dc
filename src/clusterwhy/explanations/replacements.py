"""Windows whose channels replace those of explained windows, to see whether these still belong to their cluster."""

import numpy as np

from clusterwhy.types import FloatArray

# among the windows outside the cluster, the nearest first: those that a default explanation compares with, and those
# that replace, since what it was compared with must not be what it is judged by
COMPARED, FITTING = slice(0, 4), slice(4, 6)


def fitting_windows(windows: FloatArray, outside: FloatArray, at: slice = FITTING) -> FloatArray:
    """Near windows outside the cluster: a window with some of their channels is still one that could be.

    Args:
        windows: (window, channel, time) of the cluster.
        outside: (other, channel, time); where there are few, some come twice.
        at: which of them, the nearest first, by squared distance.

    Returns:
        (window, replacement, channel, time).
    """
    found = []
    for window in windows:
        order = np.argsort(np.square(outside - window).mean(axis=(1, 2)), kind="stable")
        found.append(outside[np.resize(order, max(len(order), at.stop))[at]])
    return np.stack(found)
