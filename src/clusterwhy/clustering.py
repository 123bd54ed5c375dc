"""Density clusters of windows: labels, membership strengths, medoids, timeline."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.compute.rounding import coincide
from clusterwhy.compute.seeding import drawn
from clusterwhy.config import Settings
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray

NOISE = -1
UNKNOWN = -2  # a label that is not told
DISTANCES_MIB = 64  # of memory for distances between windows
PART = 10_000  # windows that are assigned at a time: each keeps 2 x `min_samples` neighbours


@dataclass(frozen=True)
class Clusters:
    """Clusters of windows.

    Attributes:
        labels: (window,) cluster of each window; -1 is noise.
        strengths: (window,) membership strength in [0, 1]; 0 for noise.
        persistence: (cluster,) stability of each cluster in the condensed tree; NaN where windows coincide.
        tree: the condensed tree, one row per edge.
    """

    labels: IntArray
    strengths: FloatArray
    persistence: FloatArray
    tree: pd.DataFrame


class Hdbscan(Settings):
    """HDBSCAN (Campello et al. 2013) with sizes as shares of the number of windows, or fixed ones.

    With more than `sample` windows, only `sample` of them, drawn at random, are clustered; sizes are shares of these.
    The others are assigned by `hdbscan.approximate_predict`, with the numbers of the fitted windows' clusters.
    `cluster_selection_epsilon`: clusters that part below this distance stay one (Malzer & Baum 2020, arXiv 1911.02282).
    """

    space: Literal["projection", "embeddings"]
    min_cluster_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    min_samples_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    min_cluster_size: int | None = Field(default=None, ge=2)
    min_samples: int | None = Field(default=None, ge=1)
    selection: Literal["eom", "leaf"] = "eom"
    cluster_selection_epsilon: float = Field(default=0.0, ge=0.0)
    allow_single_cluster: bool = False
    sample: int | None = Field(default=None, ge=100)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for share, fixed in (("min_cluster_share", "min_cluster_size"), ("min_samples_share", "min_samples")):
            if (getattr(self, share) is None) == (getattr(self, fixed) is None):
                raise ValueError(f"set exactly one of `{share}` and `{fixed}`")
        return self

    def sizes(self, n_windows: int) -> tuple[int, int]:
        """`min_cluster_size` and `min_samples` for this many windows (never below 5 and 3 from shares)."""
        size = self.min_cluster_size or max(5, round((self.min_cluster_share or 0.0) * n_windows))
        samples = self.min_samples or max(3, round((self.min_samples_share or 0.0) * n_windows))
        return size, samples

    def fitted(self, n_windows: int) -> BoolArray:
        """(window,) those that are clustered; the others are assigned."""
        if self.sample is None or n_windows <= self.sample:
            return np.ones(n_windows, dtype=bool)
        return drawn(n_windows, self.sample, seed=0)

    def fit(self, points: FloatArray, embeddings: FloatArray | None = None) -> Clusters:
        """Cluster points (window, dimension).

        Args:
            embeddings: (window, feature) that the points are a projection of. Windows with the same embedding belong to
                one cluster: UMAP places them beside each other, but apart, where a cluster of them may break up. If all
                are the same, they are one cluster: where UMAP placed them tells nothing.

        Raises:
            DataError: fewer windows than `min_cluster_size`.
        """
        fitted = self.fitted(len(points))
        size, samples = self.sizes(int(fitted.sum()))
        if len(points) < max(size, samples + 1):
            raise DataError(
                "clustering",
                [
                    f"{len(points)} windows, but min_cluster_size is {size} and min_samples is {samples}: "
                    "use more windows (a smaller stride) or smaller sizes"
                ],
            )
        import hdbscan

        points = np.asarray(points, dtype=np.float64)
        model = hdbscan.HDBSCAN(
            min_cluster_size=size,
            min_samples=samples,
            cluster_selection_method=self.selection,
            cluster_selection_epsilon=self.cluster_selection_epsilon,
            allow_single_cluster=self.allow_single_cluster,
            core_dist_n_jobs=1,
            prediction_data=not fitted.all(),
        ).fit(points[fitted])
        labels, strengths = np.empty(len(points), dtype=np.int64), np.empty(len(points))
        labels[fitted], strengths[fitted] = model.labels_, model.probabilities_
        tree = model.condensed_tree_.to_pandas()
        if not fitted.all():
            number_as_fitted(model.prediction_data_, tree, model.labels_)
            labels[~fitted], strengths[~fitted] = predicted(model, points[~fitted])
        found = Clusters(labels, strengths, _persistence(model.cluster_persistence_, tree), tree)
        clustered = points if embeddings is None else embeddings
        if coincide(clustered):
            return Clusters(np.zeros_like(labels), np.ones_like(strengths), np.array([np.nan]), tree)
        return with_twins(found, clustered)


def predicted(model: Any, points: FloatArray) -> tuple[IntArray, FloatArray]:
    """Clusters and strengths (point,) of points that were not fitted, some at a time.

    Args:
        model: has what `hdbscan.approximate_predict` uses.
    """
    import hdbscan

    labels, strengths = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    for first in range(0, len(points), PART):
        part = slice(first, first + PART)
        labels[part], strengths[part] = hdbscan.approximate_predict(model, points[part])
    return labels, strengths


def _persistence(scores: FloatArray, tree: pd.DataFrame) -> FloatArray:
    """hdbscan's 1.0 where points coincide is no measurement: their density is infinite."""
    known = np.isfinite(tree["lambda_val"]).all()
    return np.asarray(scores, dtype=np.float64) if known else np.full(len(scores), np.nan)


def with_twins(clusters: Clusters, embeddings: FloatArray) -> Clusters:
    """Windows of the same embedding in the cluster of most of them; they are noise only if all of them are.

    Their strength is the mean of those that were in it; the persistence of a cluster that changes is NaN.
    """
    _, kinds = np.unique(embeddings, axis=0, return_inverse=True)
    table = pd.DataFrame({"kind": kinds.ravel(), "label": clusters.labels, "strength": clusters.strengths})
    votes = table[table["label"] != NOISE].groupby(["kind", "label"])["strength"].agg(["size", "mean"]).reset_index()
    most = votes.sort_values("size", ascending=False, kind="stable").drop_duplicates("kind").set_index("kind")
    labels = table["kind"].map(most["label"]).fillna(NOISE).to_numpy(dtype=np.int64)
    moved = labels != clusters.labels
    if not moved.any():
        return clusters
    strengths = np.where(moved, table["kind"].map(most["mean"]), clusters.strengths)
    persistence = clusters.persistence.copy()
    persistence[np.union1d(labels[moved], clusters.labels[moved][clusters.labels[moved] != NOISE])] = np.nan
    kept = np.unique(labels[labels != NOISE])
    numbers = np.full(len(persistence) + 1, NOISE)  # the last one is that of noise
    numbers[kept] = np.arange(len(kept))
    return Clusters(numbers[labels], strengths, persistence[kept], clusters.tree)


def number_as_fitted(prediction: Any, tree: pd.DataFrame, labels: IntArray) -> None:
    """Give the branches of the condensed tree the numbers of the fitted points in them.

    hdbscan 0.8.44 takes the lowest branch that loses a point for the cluster itself, and numbers clusters by it: where
    a cluster splits before it loses one, numbers change places and its other branches are noise.

    Args:
        prediction: `prediction_data_` of a model; its `cluster_map` and `max_lambdas` are replaced.
        tree: condensed tree; a branch has a higher number than the one that it comes from.
        labels: (point,) clusters of the fitted points, `UNKNOWN` where they tell nothing.
    """
    known: dict[int, set[int]] = {}
    for parent, child, size in zip(*(tree[name].tolist() for name in ("parent", "child", "child_size")), strict=True):
        told = {int(labels[child])} - {UNKNOWN} if size == 1 else set()
        known.setdefault(parent, set()).update(told)
    branches = tree[tree["child_size"] > 1].sort_values("child")
    origins = dict(zip(branches["child"].tolist(), branches["parent"].tolist(), strict=True))
    for branch in reversed(origins):
        known[origins[branch]] |= known[branch]
    own = {branch: min(found) for branch, found in known.items() if len(found) == 1 and found != {NOISE}}
    # infinite where points coincide, but a quotient of it has no value
    densest = tree.groupby("parent")["lambda_val"].max().clip(upper=np.finfo(np.float64).max)
    prediction.cluster_map, prediction.max_lambdas = own, {}
    for branch in sorted(own):  # strengths are relative to the density of the whole cluster
        origin = origins.get(branch)
        prediction.max_lambdas[branch] = prediction.max_lambdas[origin] if origin in own else float(densest[branch])


def density_validity(points: FloatArray, labels: IntArray, seed: int, limit: int = 3000) -> float | None:
    """DBCV (Moulavi et al. 2014) in [-1, 1], on at most `limit` windows.

    None below two clusters, or where so many windows coincide that densities are infinite.
    """
    from hdbscan.validity import validity_index

    chosen = np.arange(len(labels))
    if len(chosen) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    if len(set(labels[chosen]) - {NOISE}) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(validity_index(np.asarray(points[chosen], dtype=np.float64), labels[chosen]))
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


def timeline(labels: IntArray, index: pd.DataFrame) -> list[dict[str, int]]:
    """Runs of consecutive windows with the same label, in samples (stop exclusive)."""
    change = np.flatnonzero(np.diff(labels)) + 1
    firsts, lasts = np.append(0, change), np.append(change, len(labels)) - 1
    starts, stops = index["start"].to_numpy(), index["stop"].to_numpy()
    return [
        {"cluster": int(labels[a]), "start": int(starts[a]), "stop": int(stops[b]), "n_windows": int(b - a + 1)}
        for a, b in zip(firsts, lasts, strict=True)
    ]


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
