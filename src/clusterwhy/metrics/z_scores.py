"""How unusual simple statistics of a window are: the baseline of every explanation.

Where a statistic does not vary in the other windows, its z is infinite for a window that differs, and NaN (0 / 0) for
one that does not; rankings sort infinity first and NaN last.
"""

from collections.abc import Callable

import numpy as np

from clusterwhy.metrics.insertion_deletion import Cells
from clusterwhy.types import FloatArray

TINY = 1e-9  # of values in standard deviations of the training span: rounding
CONSTANT = "the channel does not vary in other windows"  # why there is no finite z


def channel_z_scores(windows: FloatArray, others: FloatArray) -> FloatArray:
    """(window, channel) the largest |z| of mean, standard deviation and standard deviation of differences.

    NaN or infinite where the channel does not vary in other windows.

    Args:
        windows: (window, channel, time).
        others: (window, channel, time) windows whose statistics are usual.
    """

    def statistics(batch: FloatArray) -> FloatArray:
        return np.stack([batch.mean(axis=2), batch.std(axis=2), np.diff(batch, axis=2).std(axis=2)])

    return _largest_z(statistics, windows, others)


def cell_z_scores(windows: FloatArray, others: FloatArray, cells: Cells) -> FloatArray:
    """(window, cell) the larger |z| of each cell's sum and sum of squares, against the same cell of other windows."""
    return _largest_z(lambda batch: np.stack([cells.sums(batch), cells.sums(batch**2)]), windows, others)


def _largest_z(statistics: Callable[[FloatArray], FloatArray], windows: FloatArray, others: FloatArray) -> FloatArray:
    usual = statistics(others)
    centre, spread = usual.mean(axis=1, keepdims=True), usual.std(axis=1, keepdims=True)
    away = np.abs(statistics(windows) - centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(away > TINY, away, 0.0) / np.where(spread > TINY, spread, 0.0)
    return np.asarray(np.fmax.reduce(z, axis=0))
