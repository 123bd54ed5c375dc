"""Does the target fall when the channels that are said to matter are replaced?"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clusterwhy.types import FloatArray, IntArray

N_STEPS = 8  # points of a curve; a forward pass of all explained windows each


def replacement_areas(
    target: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    others: FloatArray,
    rankings: Mapping[str, Sequence[IntArray]],
) -> dict[str, float]:
    """How slowly the mean target falls while channels are replaced, the most important first.

    The curve runs from 1 (nothing replaced) to 0 (all channels replaced), so that rankings of one
    cluster differ in its area only: lower is more faithful, a random order is the yardstick
    (Samek et al. 2017, region perturbation, with real values of other windows instead of noise).

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time) of one cluster.
        others: the same shape; what replaces them, drawn from outside the cluster.
        rankings: name -> draws of (window, channel), most important channel first; their mean counts.

    Returns:
        name -> area; NaN where replacing everything does not lower the mean target.
    """
    n_channels = windows.shape[1]
    start, end = float(target(windows).mean()), float(target(others).mean())
    if not start > end:
        return dict.fromkeys(rankings, float("nan"))
    counts = np.unique(np.linspace(0, n_channels, min(n_channels, N_STEPS) + 1).round().astype(int))

    def area(ranking: IntArray) -> float:
        curve = [1.0]
        for count in counts[1:-1]:
            replaced = np.argsort(ranking, axis=1) < count
            mixed = np.where(replaced[:, :, None], others, windows)
            curve.append((float(target(mixed).mean()) - end) / (start - end))
        return float(np.trapezoid([*curve, 0.0], counts / n_channels))

    return {name: float(np.mean([area(ranking) for ranking in draws])) for name, draws in rankings.items()}


def statistics_z(windows: FloatArray, rest: FloatArray) -> FloatArray:
    """(window, channel) how far simple statistics of a window lie from the rest: the z-score baseline.

    The largest |z| of mean, standard deviation and standard deviation of differences against all
    windows outside the cluster.
    """

    def describe(batch: FloatArray) -> FloatArray:
        return np.stack([batch.mean(axis=2), batch.std(axis=2), np.diff(batch, axis=2).std(axis=2)])

    usual = describe(rest)
    centre, spread = usual.mean(axis=1, keepdims=True), usual.std(axis=1, keepdims=True)
    return np.abs((describe(windows) - centre) / np.maximum(spread, 1e-9)).max(axis=0)
