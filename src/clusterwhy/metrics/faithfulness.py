"""Does the target fall when the channels that are said to matter are replaced?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clusterwhy.types import FloatArray, IntArray

N_STEPS = 8  # points of a curve; a forward pass of all explained windows each


@dataclass(frozen=True)
class Replacement:
    """What replacing channels in the order of a ranking does.

    Attributes:
        area: mean height of the curve from 1 (nothing replaced) to 0 (all replaced); lower is more
            faithful, NaN where replacing everything does not lower the mean target.
        flip_rate: share of windows whose target falls to 0 or below with a third of the channels
            replaced; higher is more faithful.
    """

    area: float
    flip_rate: float


def replace_channels(
    target: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    others: FloatArray,
    rankings: Mapping[str, Sequence[IntArray]],
) -> dict[str, Replacement]:
    """How fast the target falls while channels are replaced, the most important first.

    The curve runs from 1 to 0 for every ranking, so that rankings of one cluster differ in its area
    only; a random order is the yardstick (Samek et al. 2017, region perturbation, with real values of
    other windows instead of noise).

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time) of one cluster.
        others: the same shape; what replaces them, drawn from outside the cluster.
        rankings: name -> draws of (window, channel), most important channel first; their mean counts.
    """
    n_channels = windows.shape[1]
    start, end = float(target(windows).mean()), float(target(others).mean())
    third = max(1, round(n_channels / 3))
    counts = np.unique([*np.linspace(0, n_channels, min(n_channels, N_STEPS) + 1).round().astype(int), third])

    def follow(ranking: IntArray) -> tuple[float, float]:
        curve, flips = [1.0], 0.0
        for count in counts[1:-1]:
            replaced = np.argsort(ranking, axis=1) < count
            found = target(np.where(replaced[:, :, None], others, windows))
            curve.append((float(found.mean()) - end) / (start - end) if start > end else float("nan"))
            flips = float((found <= 0).mean()) if count == third else flips
        return float(np.trapezoid([*curve, 0.0], counts / n_channels)), flips

    followed = {name: [follow(ranking) for ranking in draws] for name, draws in rankings.items()}
    return {name: Replacement(*np.mean(found, axis=0).tolist()) for name, found in followed.items()}


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
