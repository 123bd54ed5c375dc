"""The picture of a series: every segment is drawn, and nothing joins two of them."""

import numpy as np
from matplotlib.figure import Figure

from clusterwhy.plots.figures import draw_series


def test_no_line_crosses_a_gap() -> None:
    times = np.concatenate([np.arange(50.0), np.arange(100.0, 180.0)])
    values = np.stack([times, -times], axis=1)
    axes = Figure().subplots(2, 1)
    draw_series(axes, times, values, ("a", "b"), ("bar", ""), (0, 50))
    for ax, column in zip(axes, values.T, strict=True):
        drawn = [line.get_xydata() for line in ax.lines]
        np.testing.assert_array_equal(np.concatenate(drawn), np.stack([times, column], axis=1))
        assert [line[0, 0] for line in drawn] == [0.0, 100.0]
    (thin,) = np.atleast_1d(Figure().subplots(1, 1))
    draw_series([thin], times, values[:, :1], ("a",), ("bar",), (0, 50), limit=10)
    assert sum(len(line.get_xdata()) for line in thin.lines) <= 12
