"""States of a recording: clusters of stretches of time, not of single windows."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.clustering.base import Clusterer, Clusters
from clusterwhy.clustering.condensed_tree import COLUMNS
from clusterwhy.compute.rounding import ROUNDING, coincide, varies
from clusterwhy.errors import DataError
from clusterwhy.types import FloatArray, IntArray

LAG = 1  # window lengths between two windows that share no sample and are mostly of one state
STEP = 1.15  # from one price to the next, where prices rise


class States(Clusterer):
    """Stretches of time whose embeddings differ by more than they vary; one that comes back is the same state.

    First, change points: the partition of time with the smallest sum of squared distances to the mean of each stretch,
    plus a price for each (kernel change points, Arlot et al. 2019, JMLR 20; found by PELT, Killick et al. 2012). Then
    two stretches become one state where this adds less to the sum than the price (Ward 1963). The price is what a
    change saves by chance (`saved_by_chance`) times `penalty`. A state lasts as long as a window, and `min_windows`, at
    least. No window is noise.

    States may have states within. If the price may rise `lasting` times without the number of states changing, that
    number, the first such, is taken in place of the one that `penalty` gives; 1 takes that of `penalty`.

    Distances are those of Mahalanobis between the first `components` principal components of standardised features, by
    the covariance of windows of one state: what varies within states, however much, hides no change of the rest. More
    than `blocks` windows are taken together in so many blocks; a change is then found to the window between two of
    them.
    """

    penalty: float = Field(gt=0.0)
    lasting: float = Field(default=1.0, ge=1.0)  # studies that were made before do not have it
    components: int = Field(ge=1)
    min_windows: int = Field(ge=1)
    blocks: int = Field(ge=100)

    def sizes(self, n_windows: int) -> tuple[int, int]:
        """`min_windows`, and 1: density has no part in it."""
        return self.min_windows, 1

    def fit(
        self, points: FloatArray, embeddings: FloatArray | None = None, index: pd.DataFrame | None = None
    ) -> Clusters:
        """States of windows, numbered by their first; strengths are simplified silhouettes, 0 where negative.

        Persistence is NaN, and the tree is empty.

        Raises:
            DataError: no index, which says when windows are.
        """
        if index is None:
            raise DataError("clustering", ["states need the times of windows (`index`); `clusterer=hdbscan` does not"])
        labels: IntArray = np.zeros(len(points), dtype=np.int64)
        placed = self._placed(points, points)
        if not coincide(points):
            labels = self._labels(placed, _overlap(index))
        placed, means = _within_states(placed, placed, labels)
        strengths = simplified_silhouettes(placed, means, labels)
        tree = pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
        return Clusters(labels, strengths, np.full(int(labels.max()) + 1, np.nan), tree)

    def assign(
        self, new: FloatArray, points: FloatArray, found: Clusters, embeddings: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """The state with the nearest mean: the times of new windows have no part in it."""
        from sklearn.metrics import pairwise_distances_argmin

        placed, means = _within_states(self._placed(new, points), self._placed(points, points), found.labels)
        labels = pairwise_distances_argmin(placed, means)
        return labels, simplified_silhouettes(placed, means, labels)

    def _placed(self, points: FloatArray, fitted: FloatArray) -> FloatArray:
        """(window, component)."""
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        kept = varies(fitted)
        if not kept.any():
            return np.zeros((len(points), 1))
        scaler = StandardScaler().fit(fitted[:, kept].astype(np.float64))
        known = scaler.transform(fitted[:, kept].astype(np.float64))
        axes = PCA(min(self.components, *known.shape), random_state=0).fit(known)
        placed: FloatArray = axes.transform(scaler.transform(points[:, kept].astype(np.float64)))
        return placed

    def _labels(self, placed: FloatArray, overlap: float) -> IntArray:
        size = math.ceil(len(placed) / self.blocks)  # windows in a block
        edges = np.arange(0, len(placed), size)
        blocks = np.add.reduceat(placed, edges) / np.diff(np.append(edges, len(placed)))[:, None]
        overlap = max(1.0, overlap / size)
        apart = max(1, min(round(LAG * overlap), len(blocks) // 8))
        units = whitening((blocks[apart:] - blocks[:-apart]) / math.sqrt(2.0))
        blocks, placed = blocks @ units, placed @ units
        price = self.penalty * overlap * saved_by_chance(blocks.shape[1], len(blocks) / overlap)
        least = max(1, math.ceil(self.min_windows / size), round(overlap))

        def states(times: float) -> IntArray:
            changes = [edges[block] for block in change_points(blocks, times * price, least)]
            changes = [_refined(placed, changes, i, size) for i in range(len(changes))]
            stretches = np.zeros(len(placed), dtype=np.int64)
            stretches[changes] = 1
            return merged(placed, np.cumsum(stretches), times * price * size)

        return lasting_states(states, self.lasting)


def lasting_states(states: Callable[[float], IntArray], lasting: float) -> IntArray:
    """The first partition whose number of states stays while the price rises `lasting` times; else that of the price.

    Args:
        states: labels (point,) from 0 on, by how many times the price is paid; the more, the fewer states.
    """
    finest = first = states(1.0)
    paid, since = 1.0, 1.0
    while first.max() and paid < lasting * since:
        paid *= STEP
        found = states(paid)
        if found.max() != first.max():
            first, since = found, paid
    return first if first.max() else finest


def change_points(points: FloatArray, price: float, least: int) -> list[int]:
    """First points of all stretches but the first: the sum of squared distances to their means plus prices is smallest.

    Args:
        points: (point, dimension) in order of time.
        price: of each stretch.
        least: points of the shortest stretch.
    """
    import ruptures

    if len(points) < 2 * least:
        return []
    found = ruptures.KernelCPD(kernel="linear", min_size=least).fit(points).predict(pen=price)
    return [int(change) for change in found[:-1]]


def merged(points: FloatArray, stretches: IntArray, price: float) -> IntArray:
    """States (point,), numbered by their first points: the nearest stretches are one while this adds less than `price`.

    Args:
        points: (point, dimension).
        stretches: (point,) number of the stretch of each.
        price: what the sum of squared distances to means may grow by.
    """
    labels = stretches.copy()
    while True:
        names, sizes = np.unique(labels, return_counts=True)
        means = np.stack([points[labels == name].mean(axis=0) for name in names])
        squared = ((means[:, None] - means) ** 2).sum(axis=2)
        costs = squared * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
        np.fill_diagonal(costs, np.inf)
        one, other = np.unravel_index(costs.argmin(), costs.shape)
        if not costs[one, other] < price:
            return np.searchsorted(names, labels)
        labels[labels == names[max(one, other)]] = names[min(one, other)]


def _refined(points: FloatArray, changes: list[int], i: int, size: int) -> int:
    """The change within a block's length of change `i` that leaves the smallest sum of squared distances."""
    bounds = [0, *changes, len(points)]
    first, change, stop = bounds[i], bounds[i + 1], bounds[i + 2]
    if size == 1:
        return change
    before, after = points[first:change].mean(axis=0), points[change:stop].mean(axis=0)
    low, high = max(first + 1, change - size), min(stop - 1, change + size)
    near = points[low:high]
    # moving a point to the stretch before adds its distance to that mean and saves that to the other
    gains = np.cumsum(((near - before) ** 2).sum(axis=1) - ((near - after) ** 2).sum(axis=1))
    return low + int(np.argmin(np.append(0.0, gains)))


def _overlap(index: pd.DataFrame) -> float:
    """How many windows a sample is in, at least 1."""
    starts = index["start"].to_numpy()
    length = float((index["stop"] - index["start"]).iloc[0])
    return max(1.0, length / float(np.median(np.diff(starts)))) if len(starts) > 1 else 1.0


def saved_by_chance(dimensions: int, points: float) -> float:
    """What a change saves of the sum of squares where there is none, at most, with a risk of 1 / points.

    It is the tail of chi-square (Laurent & Massart 2000, lemma 1), for independent points whose every coordinate has
    the variance 1.
    """
    log_n = math.log(max(points, 1.0))
    return dimensions + 2.0 * math.sqrt(dimensions * log_n) + 2.0 * log_n


def whitening(differences: FloatArray) -> FloatArray:
    """(dimension, axis) that gives differences (point, dimension) the variance 1 along every axis they vary along.

    By the covariance of Ledoit & Wolf (2004). Differences of none, as of a machine that is off, tell nothing of it.
    """
    from sklearn.covariance import ledoit_wolf

    lengths = (differences**2).sum(axis=1)
    tell = lengths > ROUNDING * lengths.max()
    if not tell.any():
        return np.eye(differences.shape[1])
    variances, axes = np.linalg.eigh(ledoit_wolf(differences[tell], assume_centered=True)[0])
    kept = variances > ROUNDING * variances.max()
    units: FloatArray = axes[:, kept] / np.sqrt(variances[kept])
    return units


def _within_states(new: FloatArray, points: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """New points, and the means (state, axis) of points, in units of how much points of one state vary."""
    means = np.stack([points[labels == state].mean(axis=0) for state in range(int(labels.max()) + 1)])
    units = whitening(points - means[labels])
    return new @ units, means @ units


def simplified_silhouettes(points: FloatArray, means: FloatArray, labels: IntArray) -> FloatArray:
    """(point,) how much nearer the mean of its state is than the nearest other one (Hruschka et al. 2004), at least 0.

    1 where there is no other state.

    Args:
        points: (point, dimension).
        means: (state, dimension).
        labels: (point,) states.
    """
    from sklearn.metrics import pairwise_distances

    if len(means) == 1:
        return np.ones(len(points))
    distances, rows = pairwise_distances(points, means), np.arange(len(points))
    own = distances[rows, labels]
    distances[rows, labels] = np.inf
    other = distances.min(axis=1)
    return np.clip((other - own) / np.maximum(np.maximum(own, other), 1e-12), 0.0, 1.0)
