"""Change points and states by hand and by trying everything; states that come back; what is refused."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from clusterwhy.clustering.states import (
    States,
    change_points,
    lasting_states,
    merged,
    saved_by_chance,
    simplified_silhouettes,
    whitening,
)
from clusterwhy.errors import DataError
from clusterwhy.types import IntArray

STATES = States(space="embeddings", penalty=1.2, lasting=2.0, components=12, min_windows=5, blocks=2000)


def index_of(n_windows: int, length: int = 8, stride: int = 2) -> pd.DataFrame:
    starts = stride * np.arange(n_windows)
    return pd.DataFrame({"start": starts, "stop": starts + length})


def recording(rng: np.random.Generator, truth: np.ndarray, n_features: int = 12) -> np.ndarray:
    """(window, feature) of overlapping windows: noise is a moving mean over four windows."""
    means = 1.5 * rng.normal(size=(truth.max() + 1, n_features))
    noise = rng.normal(size=(len(truth) + 3, n_features))
    return (means[truth] + sum(noise[i : i + len(truth)] for i in range(4)) / 2.0).astype(np.float32)


def spread(points: np.ndarray) -> float:
    return float(((points - points.mean(axis=0)) ** 2).sum())


def test_change_points_are_those_of_the_cheapest_partition(rng: np.random.Generator) -> None:
    points = rng.normal(size=(14, 2)) + np.repeat([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]], [5, 4, 5], axis=0)
    for price, least in ((1.0, 2), (4.0, 2), (4.0, 5), (100.0, 2)):
        costs = {}
        for count in range(5):
            for changes in itertools.combinations(range(1, 14), count):
                edges = [0, *changes, 14]
                if min(np.diff(edges)) >= least:
                    stretches = [points[a:b] for a, b in itertools.pairwise(edges)]
                    costs[changes] = sum(spread(stretch) for stretch in stretches) + price * len(stretches)
        assert change_points(points, price, least) == list(min(costs, key=costs.__getitem__))
    assert change_points(points, 1e-9, 8) == []  # too short for two stretches


def test_stretches_are_merged_while_that_costs_less_than_a_price() -> None:
    """By hand: 0 and 0.2 of two and one points cost 2/3 * 0.04; with 5, of two points, they would cost far more."""
    points, stretches = np.array([0.0, 0.0, 5.0, 5.0, 0.2])[:, None], np.array([0, 0, 1, 1, 2])
    assert merged(points, stretches, 0.026).tolist() == [0, 0, 1, 1, 2]
    assert merged(points, stretches, 0.027).tolist() == [0, 0, 1, 1, 0]
    assert merged(points, stretches, 1000.0).tolist() == [0] * 5


def test_what_a_change_saves_by_chance(rng: np.random.Generator) -> None:
    assert saved_by_chance(4, np.e) == pytest.approx(4 + 2 * 2 + 2)  # by hand
    n, dimensions, more = 200, 5, 0
    for _ in range(300):
        points = rng.normal(size=(n, dimensions))
        saved = spread(points) - spread(points[:90]) - spread(points[90:])
        more += saved > saved_by_chance(dimensions, n)
    assert more <= 5  # 1.5 of 300 are expected at most


def test_whitened_differences_have_variance_one_along_every_axis(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(3, 3)) * [1.0, 2.0, 4.0]
    differences = np.hstack([rng.normal(size=(20_000, 3)) @ mixing, np.zeros((20_000, 1))])
    whitened = differences @ whitening(np.vstack([differences, np.zeros((20_000, 4))]))
    # shrinkage towards equal variances takes a little of them, and lets the fourth, which never varies, be none
    np.testing.assert_allclose(np.cov(whitened[:, -3:].T), np.eye(3), atol=0.05)
    assert np.ptp(whitened[:, :-3]) == 0.0


def test_what_varies_within_states_hides_no_change_of_the_rest(rng: np.random.Generator) -> None:
    """All features follow one that changes all the time; what is left over tells the states apart."""
    truth = np.repeat([0, 1, 0], [100, 60, 90])
    points = 0.1 * recording(rng, truth) + recording(rng, np.zeros(len(truth), dtype=int), 1)
    found = STATES.fit(points, points, index_of(len(truth)))
    assert adjusted_rand_score(truth, found.labels) > 0.9


def test_states_that_come_back_are_one(rng: np.random.Generator) -> None:
    truth = np.repeat([0, 1, 0, 2, 1], [60, 40, 80, 50, 70])
    points = recording(rng, truth)
    found = STATES.fit(points, points, index_of(len(truth)))
    assert found.labels.max() == 2 and adjusted_rand_score(truth, found.labels) > 0.95
    assert found.labels[0] == 0 and found.labels[75] == 1  # numbered by when they are first there
    assert ((found.strengths >= 0) & (found.strengths <= 1)).all() and np.median(found.strengths) > 0.3
    assert np.isnan(found.persistence).all() and len(found.persistence) == 3 and found.tree.empty


def test_one_state_is_not_divided(rng: np.random.Generator) -> None:
    divided = 0
    for _ in range(20):
        points = recording(rng, np.zeros(300, dtype=int))
        divided += STATES.fit(points, points, index_of(300)).labels.max() > 0
    assert divided <= 1


def test_a_machine_that_is_off_most_of_the_time_has_no_more_states_for_it(rng: np.random.Generator) -> None:
    points = recording(rng, np.zeros(300, dtype=int))
    points[:200] = 5.0  # all the same
    found = STATES.fit(points, points, index_of(300)).labels
    assert set(found[:200]) == {0} and set(found[200:]) == {1}


def test_a_number_of_states_that_lasts_is_taken_in_place_of_a_finer_one() -> None:
    """By hand: the number by how many times the price is paid."""

    def of(*steps: tuple[float, int]) -> Callable[[float], IntArray]:
        return lambda times: np.arange(next(n for until, n in steps if times < until))

    def number(lasting: float, *steps: tuple[float, int]) -> int:
        return len(lasting_states(of(*steps, (math.inf, 1)), lasting))

    assert number(2.0, (3.0, 5), (30.0, 2)) == 5  # the finest lasts
    assert number(2.0, (1.5, 5), (2.0, 4), (9.0, 2)) == 2
    assert number(1.2, (1.5, 5), (2.0, 4), (9.0, 2)) == 5
    assert number(2.0, (1.5, 5), (4.0, 4), (30.0, 2)) == 4  # the first that lasts
    assert number(2.0, (1.5, 5), (2.0, 3), (3.0, 2)) == 5  # none does, but one state for ever
    assert number(1.0, (1.1, 5), (30.0, 2)) == 5
    assert number(2.0) == 1


def test_states_within_states_are_told_by_a_lower_lasting(rng: np.random.Generator) -> None:
    """Two states far apart, each with two that are near one another and do not come back."""
    truth = np.repeat([0, 1, 2, 3], 80)
    centres = np.zeros((4, 4))
    centres[:, 0], centres[:, 1] = [0.0, 0.0, 20.0, 20.0], [0.0, 2.0, 0.0, 2.0]
    points = centres[truth] + rng.normal(size=(len(truth), 4))
    coarse = STATES.fit(points, points, index_of(len(truth)))
    fine = STATES.model_copy(update={"lasting": 1.0}).fit(points, points, index_of(len(truth)))
    assert adjusted_rand_score(truth // 2, coarse.labels) > 0.95 and coarse.labels.max() == 1
    assert adjusted_rand_score(truth, fine.labels) > 0.9


def test_blocks_of_windows_find_the_same_changes(rng: np.random.Generator) -> None:
    truth = np.repeat([0, 1, 2, 0], [333, 251, 307, 409])
    points = recording(rng, truth)
    exact = STATES.fit(points, points, index_of(len(truth))).labels
    in_blocks = STATES.model_copy(update={"blocks": 100}).fit(points, points, index_of(len(truth))).labels
    assert len(np.flatnonzero(np.diff(exact))) == len(np.flatnonzero(np.diff(in_blocks))) == 3
    # 13 windows are in a block, but changes are not only found between blocks
    assert np.abs(np.flatnonzero(np.diff(exact)) - np.flatnonzero(np.diff(in_blocks))).max() <= 3


def test_new_windows_are_in_the_state_with_the_nearest_mean(rng: np.random.Generator) -> None:
    truth = np.repeat([0, 1, 0], [60, 40, 80])
    points = recording(rng, truth)
    found = STATES.fit(points, points, index_of(len(truth)))
    labels, strengths = STATES.assign(points[::3], points, found, points)
    assert (labels == truth[::3]).mean() > 0.95
    same = labels == found.labels[::3]
    np.testing.assert_allclose(strengths[same], found.strengths[::3][same])


def test_simplified_silhouettes_by_hand() -> None:
    points, means = np.array([0.0, 1.0, 3.0])[:, None], np.array([0.0, 4.0])[:, None]
    # of the mean itself; a third of the way; beyond the middle
    np.testing.assert_allclose(simplified_silhouettes(points, means, np.array([0, 0, 0])), [1.0, 2 / 3, 0.0])
    assert simplified_silhouettes(points, means[:1], np.array([0, 0, 0])).tolist() == [1.0, 1.0, 1.0]


def test_windows_of_one_embedding_are_one_state() -> None:
    same = np.full((40, 3), 0.3, dtype=np.float32)
    found = STATES.fit(same, same, index_of(40))
    assert set(found.labels) == {0} and set(found.strengths) == {1.0}
    labels, strengths = STATES.assign(same[:2], same, found, same)
    assert labels.tolist() == [0, 0] and strengths.tolist() == [1.0, 1.0]


def test_states_need_times() -> None:
    with pytest.raises(DataError, match="states need the times of windows"):
        STATES.fit(np.zeros((9, 2)), np.zeros((9, 2)))
