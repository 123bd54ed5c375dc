"""Clusters of further points, from the condensed tree of HDBSCAN: no model is stored."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE, UNKNOWN, Clusters
from clusterwhy.types import BoolArray, FloatArray, IntArray

PART = 10_000  # windows that are assigned at a time: each keeps 2 x `min_samples` neighbours
COLUMNS: dict[str, Any] = {"parent": "i8", "child": "i8", "lambda_val": "f8", "child_size": "i8"}


def assigned(
    fitted: BoolArray, min_samples: int, new: FloatArray, points: FloatArray, found: Clusters, embeddings: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Clusters and membership strengths (new point,) of new points, by `hdbscan.approximate_predict`.

    Args:
        fitted: (window,) those that were clustered; the others were assigned in this way.
        min_samples: of HDBSCAN.
        new: (new point, dimension).
        points: (window, dimension).
        found: clusters of these; labels and tree are used.
        embeddings: (window, feature), whose twins the study put into one cluster.
    """
    from hdbscan.plots import CondensedTree
    from hdbscan.prediction import PredictionData

    tree = found.tree
    if not (tree["child_size"] > 1).any():
        return np.full(len(new), NOISE), np.zeros(len(new))
    raw = tree[list(COLUMNS)].to_records(index=False, column_dtypes=COLUMNS)
    condensed = CondensedTree(np.asarray(raw), found.labels[fitted])
    data = PredictionData(np.asarray(points[fitted], dtype=np.float64), condensed, min_samples)
    number_as_fitted(data, tree, _as_clustered(found.labels[fitted], tree, embeddings[fitted]))
    model = SimpleNamespace(min_samples=min_samples, condensed_tree_=condensed, prediction_data_=data)
    return predicted(model, np.asarray(new, dtype=np.float64))


def _as_clustered(labels: IntArray, tree: pd.DataFrame, embeddings: FloatArray) -> IntArray:
    """Labels before `with_twins`: unknown where windows of one embedding left the tree in different branches."""
    _, kinds = np.unique(embeddings, axis=0, return_inverse=True)
    left = tree[tree["child_size"] == 1].set_index("child")["parent"].reindex(np.arange(len(labels)))
    branches = left.groupby(kinds.ravel()).transform("nunique").to_numpy()
    return np.where(branches > 1, UNKNOWN, labels)


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
