"""Small drawings as paths of an SVG, so small that each tile and card of the page has its own."""

import numpy as np

from clusterwhy.plots.figures import visible_runs
from clusterwhy.report.array_encoding import envelope
from clusterwhy.types import FloatArray

WIDTH, HEIGHT = 240, 60  # of the view box
MOST_PLACES = 400  # that a strip tells apart
MOST_POINTS = 120  # of a line; of more, minima and maxima are drawn


def sparkline(values: FloatArray, limits: tuple[float, float]) -> str:
    """The path of (time,) values between limits, in a box of `WIDTH` x `HEIGHT`; values that are not finite part it."""
    if len(values) > MOST_POINTS:
        low, high = envelope(values[None], MOST_POINTS // 2)
        values = np.stack([low[0], high[0]], axis=1).ravel()
    span = (limits[1] - limits[0]) or 1.0
    x = np.linspace(0, WIDTH, len(values))
    y = HEIGHT - 2 - (HEIGHT - 4) * (values - limits[0]) / span
    parts, joined = [], False
    for across, down in zip(x, y, strict=True):
        if np.isfinite(down):
            parts.append(f"{'L' if joined else 'M'}{across:.0f},{down:.0f}")
        joined = bool(np.isfinite(down))
    return "".join(parts)


def strip(runs: list[dict[str, int]], cluster: int, seconds: FloatArray, places: int = MOST_PLACES) -> str:
    """When a cluster occurs, as the path of bars in a box of 100 x 3 that is as long as the series.

    Args:
        runs: `cluster`, `start` and `stop` (samples) of all clusters, in order.
        seconds: (sample,) time.
        places: that are told apart along the series.
    """
    total = float(seconds[-1]) or 1.0
    parts = []
    for run in visible_runs(runs, places):
        if run["cluster"] == cluster:
            start, stop = (100 * seconds[sample] / total for sample in (run["start"], run["stop"] - 1))
            parts.append(f"M{start:.2f},0h{max(stop - start, 0.15):.2f}v3h-{max(stop - start, 0.15):.2f}z")
    return "".join(parts)
