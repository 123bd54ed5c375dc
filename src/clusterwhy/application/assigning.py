"""Known clusters for new points, from the condensed tree of a study: no model is stored."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.clustering import NOISE, UNKNOWN, Clusters, Hdbscan, number_as_fitted, predicted
from clusterwhy.types import FloatArray, IntArray

COLUMNS: dict[str, Any] = {"parent": "i8", "child": "i8", "lambda_val": "f8", "child_size": "i8"}


def assigned(
    clusterer: Hdbscan, new: FloatArray, points: FloatArray, found: Clusters, embeddings: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Clusters and membership strengths (new point,) of new points, by `hdbscan.approximate_predict`.

    The study assigned the windows outside its sample in the same way.

    Args:
        clusterer: by which `points` were clustered.
        new: (new point, dimension).
        points: (window, dimension).
        found: clusters of these; labels and tree are used.
        embeddings: (window, feature), whose twins the study put into one cluster.
    """
    from hdbscan.plots import CondensedTree
    from hdbscan.prediction import PredictionData

    fitted, tree = clusterer.fitted(len(points)), found.tree
    if not (tree["child_size"] > 1).any():
        return np.full(len(new), NOISE), np.zeros(len(new))
    samples = clusterer.sizes(int(fitted.sum()))[1]
    raw = tree[list(COLUMNS)].to_records(index=False, column_dtypes=COLUMNS)
    condensed = CondensedTree(np.asarray(raw), found.labels[fitted])
    data = PredictionData(np.asarray(points[fitted], dtype=np.float64), condensed, samples)
    number_as_fitted(data, tree, _as_clustered(found.labels[fitted], tree, embeddings[fitted]))
    model = SimpleNamespace(min_samples=samples, condensed_tree_=condensed, prediction_data_=data)
    return predicted(model, np.asarray(new, dtype=np.float64))


def _as_clustered(labels: IntArray, tree: pd.DataFrame, embeddings: FloatArray) -> IntArray:
    """Labels before `with_twins`: unknown where windows of one embedding left the tree in different branches."""
    _, kinds = np.unique(embeddings, axis=0, return_inverse=True)
    left = tree[tree["child_size"] == 1].set_index("child")["parent"].reindex(np.arange(len(labels)))
    branches = left.groupby(kinds.ravel()).transform("nunique").to_numpy()
    return np.where(branches > 1, UNKNOWN, labels)
