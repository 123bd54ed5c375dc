"""Do clusters agree with labels that nobody used to make them?"""

import itertools
from typing import Any

import numpy as np

from clusterwhy.types import FloatArray, IntArray


def label_agreement(truth: IntArray, labels: IntArray) -> dict[str, float]:
    """ARI, AMI, segmentation covering and noise share; noise counts as a label of its own.

    Args:
        truth: (window,) label of each window, in time order.
        labels: (window,) cluster of each window, -1 is noise.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    return {
        "ari": float(adjusted_rand_score(truth, labels)),
        "ami": float(adjusted_mutual_info_score(truth, labels)),
        "covering": covering(truth, labels),
        "noise_share": float((labels < 0).mean()),
        "n_clusters": len(set(labels[labels >= 0].tolist())),
    }


def _runs(labels: IntArray) -> list[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(itertools.pairwise(edges))


def covering(truth: IntArray, labels: IntArray) -> float:
    """Mean over true segments, weighted by length, of the best Jaccard overlap (Arbelaez et al. 2011)."""
    found = _runs(labels)
    total, earliest = 0.0, 0
    for start, stop in _runs(truth):
        # both are in time order: what ends before this segment ends before all later ones
        while found[earliest][1] <= start:
            earliest += 1
        best = 0.0
        for first, last in itertools.islice(found, earliest, None):
            if first >= stop:
                break
            best = max(best, (min(stop, last) - max(start, first)) / (max(stop, last) - min(start, first)))
        total += (stop - start) * best
    return total / len(truth)


def spectral_features(windows: FloatArray) -> FloatArray:
    """A plain baseline: log amplitude spectrum of each channel.

    Args:
        windows: (window, channel, time).

    Returns:
        (window, channel * (time // 2 + 1)).
    """
    return np.log1p(np.abs(np.fft.rfft(windows, axis=2))).reshape(len(windows), -1)


def cluster_like_the_study(points: FloatArray, projection: Any, clusterer: Any, seed: int) -> IntArray:
    """Labels that the study's own projection and clusterer give other features (window, feature)."""
    placed = projection.fit(points, seed) if clusterer.space == "projection" else points
    labels: IntArray = clusterer.fit(placed).labels
    return labels
