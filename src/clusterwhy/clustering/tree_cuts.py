"""Flat clusterings of each achievable number of clusters, from one condensed tree of HDBSCAN."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE, Clusterer, Clusters
from clusterwhy.clustering.density import with_twins
from clusterwhy.types import FloatArray, IntArray


@dataclass(frozen=True)
class TreeCut:
    """A flat clustering of the fitted points.

    Attributes:
        epsilon: the `cluster_selection_epsilon` that gives these clusters with `selection: leaf`; a distance of points.
        branches: of the tree that are clusters, ascending, which numbers them as in hdbscan.
    """

    epsilon: float
    branches: tuple[int, ...]

    def labels(self, tree: pd.DataFrame) -> IntArray:
        """(point,) the number of the cluster that each point of the tree is below; -1 if none is."""
        number = {branch: i for i, branch in enumerate(self.branches)}
        found = tree[tree["child_size"] > 1].sort_values("child")  # a branch has a higher number than its parent
        for branch, parent in zip(found["child"].tolist(), found["parent"].tolist(), strict=True):
            number.setdefault(branch, number.get(parent, NOISE))
        points = tree[tree["child_size"] == 1].sort_values("child")
        return np.array([number.get(parent, NOISE) for parent in points["parent"].tolist()], dtype=np.int64)


def tree_cuts(tree: pd.DataFrame) -> dict[int, TreeCut]:
    """Number of clusters -> the clustering that cuts a condensed tree into so many, without a refit.

    The leaves of the tree are the finest clusters. Those that part below a distance epsilon stay one (Malzer & Baum
    2020, arXiv 1911.02282, eq. 3), so each of the m distances at which a branch splits in two adds a cluster: from 2 at
    the root to m + 1 leaves. What `hdbscan` gives for `selection: leaf` with this epsilon. Numbers between are missing
    only where several branches split at the same distance.

    Args:
        tree: one row per edge: `parent`, `child`, `lambda_val` (1 / distance), `child_size`; children of size 1 are
            points, 0 to n - 1, and the root is the lowest parent.

    Returns:
        Ascending; empty if no branch splits.
    """
    branches = tree[tree["child_size"] > 1]
    if branches.empty:
        return {}
    # both children of a split are born at the same distance, 0 where points coincide
    born = dict(zip(branches["child"].tolist(), (1.0 / branches["lambda_val"].to_numpy()).tolist(), strict=True))
    origin = dict(zip(branches["child"].tolist(), branches["parent"].tolist(), strict=True))
    splits = np.sort(branches.groupby("parent")["lambda_val"].first().rdiv(1.0).to_numpy())[::-1]
    cuts = {}
    for n_clusters, (above, below) in enumerate(zip(splits, [*splits[1:], None], strict=True), start=2):
        if below is None or above > below:
            epsilon = 0.0 if below is None else between(float(below), float(above))
            cuts[n_clusters] = TreeCut(epsilon, _selected(born, origin, epsilon))
    return cuts


def between(low: float, high: float) -> float:
    """The number with the fewest digits near the middle of low < high, so that it can be typed."""
    middle = (low + high) / 2
    for digits in range(1, 17):
        rounded = float(f"{middle:.{digits}g}")
        if low < rounded < high:
            return rounded
    return high  # no number is between: what splits at `high` still does


def _selected(born: dict[int, float], origin: dict[int, int], epsilon: float) -> tuple[int, ...]:
    """Branches that were born at epsilon or above, or at the root, and do not split there."""
    root = min(origin.values())
    kept = {branch for branch in born if born[branch] >= epsilon or origin[branch] == root}
    return tuple(sorted(kept - {origin[branch] for branch in kept}))


def cut_windows(
    cut: TreeCut, clusterer: Clusterer, points: FloatArray, embeddings: FloatArray, tree: pd.DataFrame
) -> IntArray:
    """Labels (window,) of a cut for all windows, as `Hdbscan.fit` gives them.

    Windows outside the sample that was fitted are assigned, and windows of one embedding are in one cluster.

    Args:
        clusterer: that fitted the tree.
        points: (window, dimension) that it clustered.
        embeddings: (window, feature) of these.
        tree: its condensed tree.
    """
    fitted = clusterer.fitted(len(points))
    labels = np.full(len(points), NOISE)
    labels[fitted] = cut.labels(tree)
    found = Clusters(labels, np.ones(len(points)), np.full(len(cut.branches), np.nan), tree)
    if not fitted.all():
        labels[~fitted], _ = clusterer.assign(points[~fitted], points, found, embeddings)
    return with_twins(found, embeddings, clusterer.sizes(int(fitted.sum()))[0]).labels


def matched(labels: IntArray, study: IntArray, n_study: int) -> IntArray:
    """Labels (window,) with the numbers of the study's clusters that they share the most windows with.

    One to one, so that the shared windows are the most in sum (Hungarian method); others get numbers from `n_study` on.
    """
    from scipy.optimize import linear_sum_assignment

    found = np.unique(labels[labels != NOISE])
    shared = np.zeros((len(found), n_study), dtype=np.int64)
    known = (labels != NOISE) & (study != NOISE)
    np.add.at(shared, (np.searchsorted(found, labels[known]), study[known]), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    numbers = {row: column for row, column in pairs if shared[row, column]}
    free = iter(range(n_study, n_study + len(found)))
    renumbered = np.array([numbers[row] if row in numbers else next(free) for row in range(len(found))] + [NOISE])
    return np.where(labels == NOISE, NOISE, renumbered[np.searchsorted(found, labels)])
