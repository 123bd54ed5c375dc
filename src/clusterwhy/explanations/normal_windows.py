"""Normal windows to compare an anomalous one with: near in the embedding, shifted in time to fit best."""

import numpy as np

from clusterwhy.errors import ShapeError
from clusterwhy.types import BoolArray, FloatArray, IntArray


def allowed_starts(starts: IntArray, length: int, excluded: IntArray, n_samples: int) -> BoolArray:
    """(time,) whether a window may start there: within one recording, and without overlap with excluded windows.

    Args:
        starts: (window,) first sample of each window, one stride apart within a recording. Around beats, where they are
            not, windows begin there, and between the two that are nearest to each other.
        length: samples in one window.
        excluded: (window,) first samples of windows that must not overlap.
        n_samples: length of the series.
    """
    allowed = np.zeros(n_samples, dtype=bool)
    allowed[starts] = True
    ordered = np.sort(starts)
    gaps = np.diff(ordered)
    for start in ordered[:-1][gaps == gaps.min(initial=length)]:
        # overlapping neighbours belong to one recording, and so do the samples between them
        if gaps.min() < length:
            allowed[start : start + gaps.min()] = True
    for start in excluded:
        allowed[max(0, start - length + 1) : start + length] = False
    return allowed


def matching_starts(
    values: FloatArray,
    windows: FloatArray,
    near: IntArray,
    allowed: BoolArray,
    count: int,
    max_shift: int,
) -> IntArray:
    """First samples of the normal windows that each window is compared with.

    A normal window at another phase of the same movement differs everywhere. Shifted by up to `max_shift` samples to
    where the squared difference is smallest, it differs by the fault only.

    Args:
        values: (time, channel).
        windows: (window, channel, time) to be explained.
        near: (window, candidate) starts of normal windows, the nearest first; more than `count`, since candidates
            that shift to the same place count once.
        allowed: (time,) where a window may start.
        count: normal windows of each window.
        max_shift: samples.

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
            around = np.arange(max(0, start - max_shift), min(len(views), start + max_shift + 1))
            around = around[allowed[around]]
            misfit = np.square(views[around] - window).mean(axis=(1, 2)) if len(around) else np.zeros(0)
            best = int(around[misfit.argmin()]) if len(around) else int(start)
            apart = all(abs(best - other) >= length // 4 for other in chosen)
            (chosen if apart else spare).append(best)
            if len(chosen) == count:
                break
        found.append([*chosen, *spare][:count])
    return np.array(found)
