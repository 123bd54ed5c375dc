"""What is told of clusters: their validity, central windows, sizes and times."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE, Clusters
from clusterwhy.compute.rounding import coincide
from clusterwhy.compute.seeding import drawn
from clusterwhy.types import FloatArray, IntArray

DISTANCES_MIB = 64  # of memory for distances between windows


def density_validity(points: FloatArray, labels: IntArray, seed: int, limit: int = 3000) -> float | None:
    """DBCV (Moulavi et al. 2014) in [-1, 1], on at most `limit` windows.

    None below two clusters, or where densities are not finite: many windows coincide, or the number of features, which
    distances are raised to, is too large for floating point.
    """
    from hdbscan.validity import validity_index

    chosen = np.arange(len(labels))
    if len(chosen) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    if len(set(labels[chosen]) - {NOISE}) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        try:
            value = float(validity_index(np.asarray(points[chosen], dtype=np.float64), labels[chosen]))
        except AssertionError:  # no tree of distances that are not finite
            return None
    return value if np.isfinite(value) else None


def silhouette(points: FloatArray, labels: IntArray, seed: int, limit: int = 5000) -> float | None:
    """Mean silhouette of clustered windows (noise left out), on at most `limit` windows.

    None below two clusters, or where all windows coincide (0 / 0, scikit-learn says 0).
    """
    from sklearn import config_context
    from sklearn.metrics import silhouette_score

    kept = np.flatnonzero(labels != NOISE)
    if len(kept) > limit:
        kept = np.random.RandomState(seed).permutation(kept)[:limit]
    if len(set(labels[kept])) < 2 or coincide(points[kept]):
        return None
    with config_context(working_memory=DISTANCES_MIB):
        return float(silhouette_score(points[kept], labels[kept]))


def central_order(points: FloatArray, limit: int = 5000) -> IntArray:
    """Members of one cluster in ascending order of their summed distance to the others, the medoid first.

    To at most `limit` others, drawn at random, since distances of all pairs take time with the square of the members.
    """
    from sklearn.metrics import pairwise_distances_chunked

    points = np.asarray(points, dtype=np.float64)
    others = points if len(points) <= limit else points[drawn(len(points), limit, seed=0)]
    chunks = pairwise_distances_chunked(points, others, working_memory=DISTANCES_MIB)
    sums = np.concatenate([chunk.sum(axis=1) for chunk in chunks])
    return np.argsort(sums, kind="stable")


def summarise(
    clusters: Clusters, embeddings: FloatArray, index: pd.DataFrame, n_medoids: int = 5
) -> list[dict[str, Any]]:
    """One record per cluster: size, persistence and mean strength (None where undefined), the most central windows."""
    records = []
    for cluster in range(len(clusters.persistence)):
        members = np.flatnonzero(clusters.labels == cluster)
        central = members[central_order(embeddings[members])[:n_medoids]] if len(members) else members
        records.append(
            {
                "cluster": cluster,
                "n_windows": len(members),
                "share": len(members) / len(clusters.labels),
                "persistence": float(persistence)
                if np.isfinite(persistence := clusters.persistence[cluster])
                else None,
                "mean_strength": float(clusters.strengths[members].mean()) if len(members) else None,
                "medoid_windows": [int(index["window"].iloc[i]) for i in central],
            }
        )
    return records
