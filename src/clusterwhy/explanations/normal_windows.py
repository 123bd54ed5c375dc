"""Normal windows to hold a strange one against: near in the embedding and moved to where they fit best."""

import numpy as np

from clusterwhy.errors import ShapeError
from clusterwhy.types import BoolArray, FloatArray, IntArray


def allowed_starts(starts: IntArray, length: int, banned: IntArray, n_samples: int) -> BoolArray:
    """(time,) whether a window may start there: within one recording, and overlapping no banned window.

    Args:
        starts: (window,) first sample of each window; within a recording they follow at one stride.
        length: samples in one window.
        banned: (window,) first samples of windows to keep clear of.
        n_samples: length of the series.
    """
    allowed = np.zeros(n_samples, dtype=bool)
    allowed[starts] = True
    ordered = np.sort(starts)
    gaps = np.diff(ordered)
    for start in ordered[:-1][gaps == gaps.min(initial=length)]:
        # neighbours that overlap belong to one recording, so does what lies between them
        if gaps.min() < length:
            allowed[start : start + gaps.min()] = True
    for start in banned:
        allowed[max(0, start - length + 1) : start + length] = False
    return allowed


def fitting_references(
    values: FloatArray,
    windows: FloatArray,
    near: IntArray,
    allowed: BoolArray,
    count: int,
    reach: int,
) -> IntArray:
    """Where the references of each window start: near windows, moved by up to `reach` samples to fit best.

    An anomaly is judged by what is unlike its references. A normal window at another phase of the same
    movement differs everywhere; moved to where the squared difference is smallest, only the fault is left.

    Args:
        values: (time, channel).
        windows: (window, channel, time) to be explained.
        near: (window, candidate) starts of normal windows, the nearest first; more than `count`, since
            candidates that move to the same place count once.
        allowed: (time,) where a window may start.
        count: references of each window.
        reach: samples.

    Returns:
        (window, count) starts, at least a quarter of a window apart where the candidates allow it.

    Raises:
        ShapeError: fewer candidates than `count`.
    """
    if near.shape[1] < count:
        raise ShapeError(f"expected at least {count} candidates per window, got {near.shape[1]}")
    length = windows.shape[2]
    views = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
    found = []
    for window, candidates in zip(windows, near, strict=True):
        chosen: list[int] = []
        spare: list[int] = []
        for start in candidates:
            around = np.arange(max(0, start - reach), min(len(views), start + reach + 1))
            around = around[allowed[around]]
            misfit = np.square(views[around] - window).mean(axis=(1, 2)) if len(around) else np.zeros(0)
            best = int(around[misfit.argmin()]) if len(around) else int(start)
            apart = all(abs(best - other) >= length // 4 for other in chosen)
            (chosen if apart else spare).append(best)
            if len(chosen) == count:
                break
        found.append([*chosen, *spare][:count])
    return np.array(found)
