"""Which cluster is which: cases solved by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from clusterwhy.study.comparison.matching import by_number, match_clusters


def rows(table: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    found = table.astype(object).where(table.notna(), None)
    return list(found[list(columns)].itertuples(index=False, name=None))


def test_a_permutation_is_undone(rng: np.random.Generator) -> None:
    a = rng.integers(-1, 5, 400)
    order = rng.permutation(5)
    found = match_clusters(a, np.where(a < 0, -1, order[a]), range(5), range(5))
    assert found.pairs == [(i, int(order[i])) for i in range(5)]
    assert set(found.clusters["kind"]) == {"matched"} and (found.clusters["jaccard"] == 1.0).all()


def test_a_split_has_a_continuation_and_parts() -> None:
    # cluster 0 (8 windows) becomes 0 (5) and 2 (3); cluster 1 loses a window to noise
    a = np.repeat([0, 1], [8, 4])
    b = np.array([0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 1, -1])
    found = match_clusters(a, b, [0, 1], [0, 1, 2]).clusters
    assert rows(found, "cluster_a", "cluster_b", "kind", "n_shared", "part_of", "split_into") == [
        (0, 0, "split", 5, None, (0, 2)),
        (None, 2, "split off", 0, 0, ()),
        (1, 1, "matched", 3, None, ()),
    ]
    np.testing.assert_allclose(found["jaccard"], [5 / 8, np.nan, 3 / 4])


def test_a_split_seen_from_the_other_side_is_a_merge() -> None:
    a = np.array([0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 1, -1])
    b = np.repeat([0, 1], [8, 4])
    found = match_clusters(a, b, [0, 1, 2], [0, 1]).clusters
    assert rows(found, "cluster_a", "cluster_b", "kind", "part_of", "merged_from") == [
        (0, 0, "merged", None, (0, 2)),
        (2, None, "merges", 0, ()),
        (1, 1, "matched", None, ()),
    ]


def test_three_even_parts_are_a_split_although_none_overlaps_by_half() -> None:
    found = match_clusters(np.zeros(9, int), np.repeat([4, 5, 6], 3), [0], [4, 5, 6]).clusters
    assert found["kind"].tolist() == ["split", "split off", "split off"]
    assert found["split_into"].iloc[0] == (4, 5, 6) and found["jaccard"].iloc[0] == pytest.approx(1 / 3)


def test_clusters_among_noise_are_new_and_those_that_become_noise_have_vanished() -> None:
    a = np.array([0, 0, 0, -1, -1, -1, -1])
    b = np.array([-1, -1, -1, 0, 0, 0, -1])
    found = match_clusters(a, b, [0, 7], [0, 8])
    assert rows(found.clusters, "cluster_a", "cluster_b", "kind", "n_a", "n_b") == [
        (0, None, "vanished", 3, 0),
        (7, None, "no shared window", 0, 0),
        (None, 0, "new", 0, 3),
        (None, 8, "no shared window", 0, 0),
    ]
    assert found.pairs == []
    noise = found.overlap.query("cluster_a == -1 and cluster_b == 0").iloc[0]
    assert (noise["n_windows"], noise["of_a"], noise["of_b"]) == (3, 0.75, 1.0)


def test_half_of_both_is_no_pair() -> None:
    found = match_clusters(np.array([0, 0, -1, -1]), np.array([0, -1, 0, -1]), [0], [0])
    assert found.clusters["kind"].tolist() == ["vanished", "new"]


def test_the_pairs_have_the_highest_overlap_of_all_that_are_allowed(rng: np.random.Generator) -> None:
    for _ in range(20):
        a = rng.integers(-1, 4, 60)
        b = np.where(rng.random(60) < 0.6, a, rng.integers(-1, 5, 60))

        def worth(i: int, j: int, a: np.ndarray = a, b: np.ndarray = b) -> float:
            shared = ((a == i) & (b == j)).sum()
            allowed = 2 * shared > min((a == i).sum(), (b == j).sum())
            return float(shared / ((a == i) | (b == j)).sum()) if allowed else 0.0

        best = max(sum(worth(i, j) for i, j in enumerate(some)) for some in itertools.permutations(range(5), 4))
        found = match_clusters(a, b, range(4), range(5))
        assert sum(worth(i, j) for i, j in found.pairs) == pytest.approx(best)
        assert all(worth(i, j) > 0 for i, j in found.pairs)


def test_overlaps_add_up_to_the_windows(rng: np.random.Generator) -> None:
    a, b = rng.integers(-1, 3, 50), rng.integers(-1, 4, 50)
    overlap = match_clusters(a, b, range(3), range(4)).overlap
    assert overlap["n_windows"].sum() == 50
    np.testing.assert_allclose(overlap.groupby("cluster_a")["of_a"].sum(), 1.0)
    np.testing.assert_allclose(overlap.groupby("cluster_b")["of_b"].sum(), 1.0)


def test_clusters_of_one_study_keep_their_numbers() -> None:
    found = by_number(np.array([3, 0, 2, 0]), np.array([1, 4, 0, 0])).clusters
    assert rows(found, "cluster_a", "cluster_b", "kind") == [
        (0, 0, "matched"),
        (1, 1, "new"),
        (2, 2, "vanished"),
        (3, 3, "no shared window"),
    ]
