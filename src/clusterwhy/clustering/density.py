"""Clusters of windows by density."""

from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.clustering.base import NOISE, Clusterer, Clusters
from clusterwhy.clustering.condensed_tree import assigned, number_as_fitted, predicted
from clusterwhy.compute.rounding import coincide
from clusterwhy.compute.seeding import drawn
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray


class Hdbscan(Clusterer):
    """HDBSCAN (Campello et al. 2013) with sizes as shares of the number of windows, or fixed ones.

    With more than `sample` windows, only `sample` of them, drawn at random, are clustered; sizes are shares of these.
    The others are assigned by `hdbscan.approximate_predict`, with the numbers of the fitted windows' clusters.
    `cluster_selection_epsilon`: clusters that part below this distance stay one (Malzer & Baum 2020, arXiv 1911.02282).
    """

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
            return super().fitted(n_windows)
        return drawn(n_windows, self.sample, seed=0)

    def fit(
        self, points: FloatArray, embeddings: FloatArray | None = None, index: pd.DataFrame | None = None
    ) -> Clusters:
        """Clusters by density; times have no part in it.

        Windows with the same embedding belong to one cluster: UMAP places them beside each other, but apart, where a
        cluster of them may break up; enough of them for a cluster are one, also where none is found. If all are the
        same, they are one cluster: where UMAP placed them tells nothing.

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
        return with_twins(found, clustered, size)

    def assign(
        self, new: FloatArray, points: FloatArray, found: Clusters, embeddings: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """By `hdbscan.approximate_predict`, as windows outside the sample were assigned."""
        fitted = self.fitted(len(points))
        return assigned(fitted, self.sizes(int(fitted.sum()))[1], new, points, found, embeddings)


def _persistence(scores: FloatArray, tree: pd.DataFrame) -> FloatArray:
    """hdbscan's 1.0 where points coincide is no measurement: their density is infinite."""
    known = np.isfinite(tree["lambda_val"]).all()
    return np.asarray(scores, dtype=np.float64) if known else np.full(len(scores), np.nan)


def with_twins(clusters: Clusters, embeddings: FloatArray, size: int) -> Clusters:
    """Windows of the same embedding in the cluster of most of them.

    If all of them are noise they stay noise, unless they are `size` or more: nothing is denser, so they are a cluster.
    Their strength is the mean of those that were in it; the persistence of a cluster that changes or is new is NaN.
    """
    _, kinds = np.unique(embeddings, axis=0, return_inverse=True)
    table = pd.DataFrame({"kind": kinds.ravel(), "label": clusters.labels, "strength": clusters.strengths})
    of_kind = table.groupby("kind")["label"].agg(["size", "max"])
    dense = of_kind.index[(of_kind["size"] >= size) & (of_kind["max"] == NOISE)]
    if len(dense):
        own = pd.Series(len(clusters.persistence) + np.arange(len(dense)), index=dense)
        fresh = table["kind"].isin(dense).to_numpy()
        table.loc[fresh, "label"], table.loc[fresh, "strength"] = table.loc[fresh, "kind"].map(own), 1.0
        persistence = np.concatenate([clusters.persistence, np.full(len(dense), np.nan)])
        labels, strengths = table["label"].to_numpy(dtype=np.int64), table["strength"].to_numpy()
        clusters = Clusters(labels, strengths, persistence, clusters.tree)
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
