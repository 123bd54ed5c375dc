"""Alarms that are alike: in the channels that raise the score, and in how these deviate from normal windows."""

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d

from clusterwhy.types import FloatArray, IntArray

NO_PATTERN = -1  # of windows that are no alarm, or that have no relevance
APART = 0.5  # mean distance from which on groups of alarms are not merged (`python -m benchmarks.patterns`)
SMOOTHED = 16  # deviations are smoothed over this part of a window
COLUMNS = ["pattern", "n_alarms", "window", "first_window", "last_window", "likeness"]


def likeness(relevance: FloatArray, deviation: FloatArray) -> FloatArray:
    """(alarm, alarm) likeness of alarms, at most 1: the correlation of deviations where they fit best in time.

    A channel counts by its positive share of relevance.

    Args:
        relevance: (alarm, channel, time), with a positive sum in at least one channel.
        deviation: (alarm, channel, time) window less the mean of its aligned normal windows, in scaled units.
    """
    shares = np.maximum(relevance.sum(axis=2, dtype=np.float64), 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    length = deviation.shape[2]
    course = uniform_filter1d(deviation * shares[:, :, None], max(1, length // SMOOTHED), axis=2)
    size = np.sqrt(np.square(course).sum(axis=(1, 2), keepdims=True))
    course = course / np.where(size > 0, size, 1.0)
    spectra, lags = np.fft.rfft(course, 2 * length, axis=2), np.arange(-(length // 2), length // 2 + 1)
    found = np.empty((len(course), len(course)))
    for row, one in enumerate(spectra):  # all pairs at once would not fit
        products = np.fft.irfft((spectra * np.conj(one)).sum(axis=1), 2 * length, axis=1)
        found[row] = products[:, lags].max(axis=1)
    return np.asarray(np.minimum(found, found.T))


def patterns_of(relevance: FloatArray, deviation: FloatArray) -> tuple[IntArray, FloatArray]:
    """Group alarms by average linkage of their likeness.

    Args:
        relevance, deviation: (alarm, channel, time), as in `likeness`.

    Returns:
        (alarm,) pattern, the most frequent one is 0, -1 where no channel has positive relevance; and the likeness of
        each alarm to its pattern, the mean over the others, 1 where it is alone.
    """
    from sklearn.cluster import AgglomerativeClustering

    labels, typical = np.full(len(relevance), NO_PATTERN), np.ones(len(relevance))
    known = np.flatnonzero((relevance.sum(axis=2) > 0).any(axis=1))
    if len(known) < 2:
        labels[known] = 0
        return labels, typical
    alike = likeness(relevance[known], deviation[known])
    distances = 1.0 - alike
    np.fill_diagonal(distances, 0.0)
    linkage = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=APART)
    groups = linkage.fit_predict(distances)
    # the most frequent first; of equal ones that with the first alarm
    first = {group: int(np.flatnonzero(groups == group)[0]) for group in np.unique(groups)}
    order = sorted(first, key=lambda group: (-int((groups == group).sum()), first[group]))
    labels[known] = np.argsort(order)[groups]
    same = (groups[:, None] == groups[None]) & ~np.eye(len(groups), dtype=bool)
    count = same.sum(axis=1)
    typical[known] = np.where(count > 0, (alike * same).sum(axis=1) / np.maximum(count, 1), 1.0)
    return labels, typical


def pattern_table(windows: IntArray, labels: IntArray, typical: FloatArray) -> pd.DataFrame:
    """One row per pattern, the most frequent one first.

    Args:
        windows: (alarm,) ids, which increase with time.
        labels, typical: (alarm,) of `patterns_of`.

    Returns:
        `pattern`, `n_alarms`, its most typical `window`, the `first_window` and the `last_window` in time, and the mean
        `likeness` of its alarms.
    """
    rows = []
    for pattern in range(int(labels.max(initial=NO_PATTERN)) + 1):
        own = np.flatnonzero(labels == pattern)
        best = own[typical[own].argmax()]
        ends = {"first_window": int(windows[own].min()), "last_window": int(windows[own].max())}
        about = {"pattern": pattern, "n_alarms": len(own), "window": int(windows[best])}
        rows.append(about | ends | {"likeness": float(typical[own].mean())})
    return pd.DataFrame(rows, columns=COLUMNS)
