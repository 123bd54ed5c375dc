"""Windows whose channels replace those of explained windows, to see whether these still belong to their cluster."""

import numpy as np

from clusterwhy.types import FloatArray

# among the windows outside the cluster, the nearest first: the first ones are those that a default explanation compared
# with, and what it was compared with must not be what it is judged by
FITTING = slice(4, 6)


def fitting_windows(windows: FloatArray, outside: FloatArray) -> FloatArray:
    """Near windows outside the cluster: a window with some of their channels is still one that could be.

    Args:
        windows: (window, channel, time) of the cluster.
        outside: (other, channel, time); where there are few, some come twice.

    Returns:
        (window, replacement, channel, time) those at `FITTING`, by squared distance.
    """
    found = []
    for window in windows:
        order = np.argsort(np.square(outside - window).mean(axis=(1, 2)), kind="stable")
        found.append(outside[np.resize(order, max(len(order), FITTING.stop))[FITTING]])
    return np.stack(found)
