"""Insertion and deletion of cells: does the target follow the relevance of single channels and stretches of time?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from clusterwhy.metrics.channel_deletion import can_flip, fall_of, flip_rate, targets_of_replaced
from clusterwhy.types import BoolArray, FloatArray, IntArray

N_STEPS = 6  # points of a curve; two forward passes of all windows each


@dataclass(frozen=True)
class Cells:
    """Cells of a window: each channel cut into stretches of time.

    Attributes:
        edges: (stretch + 1,) samples where stretches begin and end.
    """

    edges: IntArray

    @classmethod
    def of(cls, length: int, n_stretches: int) -> Self:
        """Nearly equal stretches of windows of `length` samples."""
        return cls(np.linspace(0, length, min(n_stretches, length) + 1).round().astype(int))

    @property
    def n_stretches(self) -> int:
        return len(self.edges) - 1

    def sums(self, relevance: FloatArray) -> FloatArray:
        """(window, channel, time) -> (window, cell), signed sums."""
        return np.add.reduceat(relevance, self.edges[:-1], axis=2).reshape(len(relevance), -1)

    def masks(self, chosen: BoolArray) -> BoolArray:
        """(window, cell) truth -> (window, channel, time) truth."""
        cells = chosen.reshape(len(chosen), -1, self.n_stretches)
        return np.repeat(cells, np.diff(self.edges), axis=2)


@dataclass(frozen=True)
class Curves:
    """Areas under the curves of one ranking.

    Attributes:
        deletion: mean height of the curve from 1 (window) to 0 (all cells replaced), the most relevant cells first;
            lower is more faithful.
        insertion: mean height of the curve from 0 (baseline) to 1 (all cells of the window put back), the most
            relevant cells first; higher is more faithful.
        flip_rate: of the windows whose target is above 0 and changes with all cells replaced, the share whose target
            falls to 0 or below with the leading third of them replaced; NaN where there is no such window.
    """

    deletion: float
    insertion: float
    flip_rate: float


def cell_baselines(
    windows: FloatArray, others: FloatArray, fitting: FloatArray, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """What cells are replaced by, (window, channel, time) each.

    `mean`: each channel's mean in the other windows; `noise`: normal values of the same mean and standard deviation;
    `windows`: the `fitting` ones as recorded, one for each window.
    """
    centre, spread = others.mean(axis=(0, 2), keepdims=True), others.std(axis=(0, 2), keepdims=True)
    noise = centre + spread * rng.standard_normal(windows.shape)
    return {
        "mean": np.broadcast_to(centre, windows.shape).astype(windows.dtype),
        "noise": noise.astype(windows.dtype),
        "windows": fitting,
    }


def insertion_deletion(
    target: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    baselines: Mapping[str, FloatArray],
    rankings: Mapping[str, FloatArray],
    cells: Cells,
) -> dict[tuple[str, str], Curves]:
    """Insertion and deletion (Petsiuk et al. 2018) of cells, for each baseline and ranking.

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time).
        baselines: name -> what replaces cells, the same shape.
        rankings: name -> (window, cell), the highest first.
        cells: of the windows.

    Returns:
        (baseline, ranking) -> areas; NaN where the baseline does not lower the mean target or there is only one cell.
    """
    whole = target(windows)
    n_cells = windows.shape[1] * cells.n_stretches
    third = max(1, round(n_cells / 3))
    counts = np.unique([*np.linspace(0, n_cells, min(n_cells, N_STEPS) + 1).round().astype(int), third])
    found = {}
    for baseline, others in baselines.items():
        without = target(others)
        end, fall, inside = float(without.mean()), fall_of(whole, without), can_flip(whole, without)
        for name, ranking in rankings.items():
            places = np.argsort(np.argsort(-ranking, axis=1, kind="stable"), axis=1)
            masks = [cells.masks(places < count) for count in counts[1:-1]]
            after = targets_of_replaced(target, windows, others, [*masks, *(~mask for mask in masks)])
            means = ((after.mean(axis=1, dtype=np.float64) - end) / fall).tolist()
            deleted, inserted = [1.0, *means[: len(masks)]], [0.0, *means[len(masks) :]]
            flips = flip_rate((after[counts[1:-1].tolist().index(third)] if third < n_cells else without)[inside])
            curves = [*deleted, 0.0], [*inserted, 1.0]
            ranked = n_cells > 1 and fall > 0
            low, high = (float(np.trapezoid(curve, counts / n_cells)) if ranked else np.nan for curve in curves)
            found[baseline, name] = Curves(low, high, flips)
    return found
