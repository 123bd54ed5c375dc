"""Does the target fall when the channels that are said to matter are replaced?"""

from collections.abc import Callable

import numpy as np

from clusterwhy.types import FloatArray, IntArray


def replacement_curve(
    target: Callable[[FloatArray], FloatArray], windows: FloatArray, others: FloatArray, ranking: IntArray
) -> FloatArray:
    """Mean target after the first 0, 1, ... channels were replaced by those of other windows.

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time) of one cluster.
        others: the same shape; what replaces them, drawn from outside the cluster.
        ranking: (window, channel) most important channel first.

    Returns:
        (channel + 1,), 1 at the start where the mean target is not 0.
    """
    changed = windows.copy()
    rows = np.arange(len(windows))
    values = [float(target(changed).mean())]
    for k in range(windows.shape[1]):
        changed[rows, ranking[:, k]] = others[rows, ranking[:, k]]
        values.append(float(target(changed).mean()))
    start = values[0]
    return np.asarray(values) / start if start else np.asarray(values)


def curve_area(curve: FloatArray) -> float:
    """Mean of a replacement curve between no and all channels; lower is more faithful."""
    return float(np.trapezoid(curve, dx=1.0 / (len(curve) - 1)))


def statistics_ranking(windows: FloatArray, rest: FloatArray) -> IntArray:
    """The z-score baseline: channels by how far simple statistics lie from the rest.

    Mean, standard deviation and standard deviation of differences of each channel, as |z| against
    all windows outside the cluster; the largest of the three counts.

    Returns:
        (window, channel) most unusual channel first.
    """
    return np.argsort(-statistics_z(windows, rest), axis=1, kind="stable")


def statistics_z(windows: FloatArray, rest: FloatArray) -> FloatArray:
    """(window, channel) largest |z| of mean, standard deviation and difference spread."""

    def describe(batch: FloatArray) -> FloatArray:
        return np.stack([batch.mean(axis=2), batch.std(axis=2), np.diff(batch, axis=2).std(axis=2)])

    usual = describe(rest)
    centre, spread = usual.mean(axis=1, keepdims=True), usual.std(axis=1, keepdims=True)
    return np.abs((describe(windows) - centre) / np.maximum(spread, 1e-9)).max(axis=0)
