"""Cuts of one condensed tree: the clusterings that hdbscan gives when it is fitted again."""

from itertools import pairwise

import hdbscan
import numpy as np
import pandas as pd
import pytest

from clusterwhy.clustering.density import Hdbscan
from clusterwhy.clustering.tree_cuts import between, cut_windows, matched, tree_cuts
from clusterwhy.types import FloatArray

SIZES = {"min_cluster_size": 8, "min_samples": 4, "core_dist_n_jobs": 1}


@pytest.fixture
def points(rng: np.random.Generator) -> FloatArray:
    """Groups within groups, and points that belong to none."""
    centres = np.array([[0, 0], [3, 0], [0, 4], [30, 0], [36, 2], [32, 9], [0, 50]])
    groups = [centre + rng.normal(0, 0.6, (40, 2)) for centre in centres]
    return np.concatenate([*groups, rng.uniform(-10, 60, (30, 2))])


def test_each_number_of_clusters_is_what_hdbscan_gives_at_its_epsilon(points: FloatArray) -> None:
    fitted = hdbscan.HDBSCAN(cluster_selection_method="leaf", **SIZES).fit(points)
    tree = fitted.condensed_tree_.to_pandas()
    cuts = tree_cuts(tree)
    n_leaves = fitted.labels_.max() + 1
    assert list(cuts) == list(range(2, n_leaves + 1)) and n_leaves >= 7
    np.testing.assert_array_equal(cuts[n_leaves].labels(tree), fitted.labels_)
    for n_clusters, cut in cuts.items():
        for single in (False, True):
            again = hdbscan.HDBSCAN(
                cluster_selection_method="leaf",
                cluster_selection_epsilon=cut.epsilon,
                allow_single_cluster=single,
                **SIZES,
            ).fit(points)
            np.testing.assert_array_equal(cut.labels(tree), again.labels_)
        assert set(cut.labels(tree)) - {-1} == set(range(n_clusters))


@pytest.mark.parametrize("sample", [None, 200])
def test_windows_are_clustered_as_by_the_settings_that_the_cut_stands_for(
    points: FloatArray, sample: int | None
) -> None:
    """Windows outside the sample are assigned, and twins stay together."""
    points[:6] = points[0]
    embeddings = np.repeat(points, 2, axis=1)
    embeddings[100:105] = embeddings[100]  # one embedding, several places
    study = Hdbscan(space="projection", min_cluster_size=8, min_samples=4, sample=sample)
    tree = study.fit(points, embeddings).tree
    for cut in tree_cuts(tree).values():
        again = study.model_copy(update={"selection": "leaf", "cluster_selection_epsilon": cut.epsilon})
        labels = cut_windows(cut, study, points, embeddings, tree)
        np.testing.assert_array_equal(labels, again.fit(points, embeddings).labels)


def test_fewer_clusters_are_unions_of_more(points: FloatArray) -> None:
    tree = hdbscan.HDBSCAN(**SIZES).fit(points).condensed_tree_.to_pandas()
    for few, many in pairwise(tree_cuts(tree).values()):
        assert few.epsilon > many.epsilon
        coarse, fine = few.labels(tree), many.labels(tree)
        parents = pd.Series(coarse).groupby(fine).nunique().drop(-1, errors="ignore")
        assert (parents == 1).all(), "a cluster is within one of the coarser clustering"
        assert (coarse == -1).sum() <= (fine == -1).sum()


def edges(*rows: tuple[int, int, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["parent", "child", "lambda_val", "child_size"])


def test_a_tree_by_hand() -> None:
    """The root 6 parts at distance 10 into 7 (points 0, 1) and 8, and 8 at 2 into 9 (2, 3) and 10 (4), which lost 5."""
    tree = edges(
        *((6, 7, 0.1, 2), (6, 8, 0.1, 4), (8, 5, 0.2, 1), (8, 9, 0.5, 2), (8, 10, 0.5, 2)),
        *((7, 0, 1.0, 1), (7, 1, 1.0, 1), (9, 2, 1.0, 1), (9, 3, 1.0, 1), (10, 4, 1.0, 1)),
    )
    cuts = tree_cuts(tree)
    assert {n: cut.labels(tree).tolist() for n, cut in cuts.items()} == {2: [0, 0, 1, 1, 1, 1], 3: [0, 0, 1, 1, 2, -1]}
    assert 2 < cuts[2].epsilon < 10 and cuts[3].epsilon == 0.0


def test_a_tree_that_does_not_split_has_no_cuts() -> None:
    assert tree_cuts(edges((2, 0, 1.0, 1), (2, 1, 1.0, 1))) == {}


def test_numbers_that_no_distance_parts_are_missing() -> None:
    """Both children of the root split at the same distance: there are no three clusters."""
    branches = [(8, 9, 0.1, 4), (8, 10, 0.1, 4), (9, 11, 0.5, 2), (9, 12, 0.5, 2), (10, 13, 0.5, 2), (10, 14, 0.5, 2)]
    cuts = tree_cuts(edges(*branches, *((11 + i // 2, i, 1.0, 1) for i in range(8))))
    assert list(cuts) == [2, 4]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0.0, 1.0, 0.5), (0.301, 0.309, 0.305), (2.0, 9.0, 6.0), (1.0, np.nextafter(1.0, 2.0), np.nextafter(1.0, 2.0))],
)
def test_an_epsilon_has_few_digits(low: float, high: float, found: float) -> None:
    assert between(low, high) == found


def test_numbers_are_those_of_the_study_where_most_windows_are_shared() -> None:
    study = np.array([0, 0, 0, 1, 1, 2, 2, -1])
    assert matched(np.array([2, 2, 2, 0, 0, 1, 1, 1]), study, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    # one cluster in two: the larger part keeps the number; noise stays noise
    assert matched(np.array([0, 1, 1, -1, -1, 2, 2, 2]), study, 3).tolist() == [3, 0, 0, -1, -1, 2, 2, 2]
    assert matched(np.full(8, -1), study, 3).tolist() == [-1] * 8
    assert matched(np.zeros(8, dtype=int), np.full(8, -1), 0).tolist() == [0] * 8
