"""Agreement of clusters with ground-truth labels, and their stability under resampling."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.compute.seeding import drawn
from clusterwhy.types import FloatArray, IntArray

ONE_LABEL = "all windows have one label in both"  # why ARI and AMI are NaN
RESAMPLED = 0.8  # share of the windows


def label_agreement(truth: IntArray, labels: IntArray) -> dict[str, float]:
    """ARI, AMI, segmentation covering and noise share; noise counts as a label of its own.

    ARI and AMI are NaN (0 / 0, scikit-learn says 1) where both have only one label: chance agrees as well.

    Args:
        truth: (window,) label of each window, in time order.
        labels: (window,) cluster of each window, -1 is noise.
    """
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    scores = adjusted_rand_score, adjusted_mutual_info_score
    varied = len(np.unique(truth)) > 1 or len(np.unique(labels)) > 1
    ari, ami = (float(score(truth, labels)) if varied else float("nan") for score in scores)
    return {
        "ari": ari,
        "ami": ami,
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
        # by position: `islice` would walk from the beginning each time
        for position in range(earliest, len(found)):
            first, last = found[position]
            if first >= stop:
                break
            best = max(best, (min(stop, last) - max(start, first)) / (max(stop, last) - min(start, first)))
        total += (stop - start) * best
    return total / len(truth)


def spectral_features(windows: FloatArray) -> FloatArray:
    """Baseline features: log amplitude spectrum of each channel.

    Args:
        windows: (window, channel, time).

    Returns:
        (window, channel * (time // 2 + 1)).
    """
    return np.log1p(np.abs(np.fft.rfft(windows, axis=2))).reshape(len(windows), -1)


def best_overlaps(labels: IntArray, found: IntArray) -> dict[int, float]:
    """For each cluster the greatest Jaccard overlap with any cluster of another run; noise is not a cluster.

    Args:
        labels: (window,) cluster of each window, -1 is noise.
        found: (window,) the same windows in the other run.
    """
    own, other = np.unique(labels[labels >= 0]), np.unique(found[found >= 0])
    overlaps = {}
    for cluster in own:
        inside = labels == cluster
        shares = [((found == one) & inside).sum() / ((found == one) | inside).sum() for one in other]
        overlaps[int(cluster)] = float(max(shares, default=0.0))
    return overlaps


def cluster_stability(
    points: FloatArray,
    labels: IntArray,
    index: pd.DataFrame,
    projection: Any,
    clusterer: Any,
    seed: int,
    resamples: int,
) -> pd.DataFrame:
    """Stability of each cluster when samples of the windows are projected and clustered again with other seeds.

    Clusterwise stability by resampling (Hennig 2007, Computational Statistics & Data Analysis 52): below 0.6 a cluster
    should not be trusted, above 0.85 it is highly stable.

    Args:
        points: (window, feature) embeddings.
        labels: (window,) clusters of the study.
        index: of the windows, with `start` and `stop`.
        resamples: number of samples.

    Returns:
        One row per `cluster` and `resample` with the `jaccard` overlap of its best match, over the `n_windows` sampled.
    """
    from clusterwhy.compute.progress import progress

    rows = []
    for i in progress(range(resamples), desc="cluster again", unit="sample"):
        part = drawn(len(points), round(RESAMPLED * len(points)), seed + 1 + i)
        found = cluster_again(points[part], index[part], projection, clusterer, seed + 1 + i)
        for cluster, jaccard in best_overlaps(labels[part], found).items():
            rows.append({"cluster": cluster, "resample": i, "jaccard": jaccard, "n_windows": int(part.sum())})
    return pd.DataFrame(rows, columns=["cluster", "resample", "jaccard", "n_windows"])


def cluster_again(points: FloatArray, index: pd.DataFrame, projection: Any, clusterer: Any, seed: int) -> IntArray:
    """Labels (window,) that the projection and clusterer of the study give for features (window, feature)."""
    placed = projection.fit(points, seed) if clusterer.space == "projection" else points
    labels: IntArray = clusterer.fit(placed, points, index).labels
    return labels
