"""Scores over what is usual in a cluster."""

import numpy as np
import pytest

from clusterwhy.anomaly.base import Scores
from clusterwhy.anomaly.detectors import Glosh, MeanAbsoluteZ, Random
from clusterwhy.anomaly.relative import (
    ELSEWHERE,
    Nothing,
    UsualInCluster,
    compared_with_all,
    read_usual,
    relative,
    usual_scores,
)
from clusterwhy.anomaly.thresholds import HalvingTailThreshold
from clusterwhy.types import BoolArray, FloatArray, IntArray

SETTINGS = UsualInCluster(full_share=0.2, common_share=0.1, floor=0.1)


def a_recording() -> tuple[FloatArray, IntArray, BoolArray]:
    """A quiet state, a loud one, a rare one, one at rest, noise, and a cluster that no training window is in."""
    scores = np.concatenate(
        [np.full(n, v) for n, v in [(20, 1.0), (20, 4.0), (2, 9.0), (8, 0.001), (4, 1.0), (6, 7.0)]]
    )
    labels = np.repeat([0, 1, 2, 3, -1, 4], [20, 20, 2, 8, 4, 6])
    return scores, labels, labels != 4


RARE, AT_REST = 9.0 ** (2 / 54 / 0.2), 0.1 ** (8 / 54 / 0.2)  # shares of the 54 training windows over `full_share`


def test_usual_scores_solved_by_hand() -> None:
    # the median of all training windows is 1; no training window is in cluster 4
    found = SETTINGS.usual(*a_recording())
    assert found == pytest.approx({ELSEWHERE: 1.0, 0: 1.0, 1: 4.0, 2: RARE, 3: AT_REST})
    assert compared_with_all(found, range(5)) == [4]


def test_what_is_usual_is_not_beyond_what_a_tenth_of_the_windows_reach() -> None:
    """However small a cluster: 20 of 54 windows are in one whose usual score is 4, and 8 in one whose is 0.1."""
    settings = SETTINGS.model_copy(update={"full_share": 0.01})
    assert settings.usual(*a_recording()) == {ELSEWHERE: 1.0, 0: 1.0, 1: 4.0, 2: 4.0, 3: 0.1}
    more = settings.model_copy(update={"common_share": 0.25})
    assert more.usual(*a_recording()) == {ELSEWHERE: 1.0, 0: 1.0, 1: 4.0, 2: 4.0, 3: 1.0}


def test_each_window_is_compared_with_its_own_cluster() -> None:
    scores, labels, train = a_recording()
    usual = usual_scores(SETTINGS.usual(scores, labels, train), labels)
    channels = np.stack([scores, 3.0 * scores], axis=1)
    found = relative(Scores(scores, channels, {"kept": scores}), usual)
    first = [0, 20, 40, 42, 50, 54]
    assert found.windows[first].tolist() == pytest.approx([1.0, 1.0, 9.0 / RARE, 0.001 / AT_REST, 1.0, 7.0])
    assert found.channels is not None and np.allclose(found.channels[:, 1], 3.0 * found.windows)
    assert found.fitted["kept"] is scores


def test_a_loud_state_is_not_anomalous_and_a_loud_window_of_a_quiet_state_is(rng: np.random.Generator) -> None:
    labels = np.tile(np.repeat([0, 1, 2, 3], 50), 5)
    own = np.array([1.0, 1.0, 1.0, 3.0])[labels] * rng.lognormal(0.0, 0.3, len(labels))
    own[425] = 3.0 * own[labels == 0].mean()  # in the range of the loud state
    tail, train = HalvingTailThreshold(initial_quantile=0.6, every=100), np.ones(len(labels), dtype=bool)
    plain = own > tail.fit(own)
    assert plain[labels == 3].mean() > 0.3
    scores = relative(Scores(own), usual_scores(SETTINGS.usual(own, labels, train), labels)).windows
    found = scores > tail.fit(scores)
    assert found[425] and found[labels == 3].mean() < 0.05


@pytest.mark.parametrize("scores", [np.zeros(60), -np.ones(60)])
def test_without_a_usual_score_above_0_scores_stay_as_they_are(scores: FloatArray) -> None:
    _, labels, train = a_recording()
    assert SETTINGS.usual(scores, labels, train) == {}
    assert SETTINGS.usual(np.ones(60), labels, np.zeros(60, dtype=bool)) == {}
    same = Scores(scores)
    assert relative(same, usual_scores({}, labels)) is same


def test_nothing_is_no_choice_of_clusters() -> None:
    assert Nothing().usual(*a_recording()) == {} and Nothing().says == ""


def test_what_was_written_is_read() -> None:
    scores, labels, train = a_recording()
    usual = SETTINGS.usual(scores, labels, train)
    written = {"usual": {str(cluster): score for cluster, score in usual.items()}}
    np.testing.assert_array_equal(read_usual(written, labels), usual_scores(usual, labels))
    assert read_usual({"threshold": 2.0}, labels) is None


def test_detectors_whose_scores_are_relative_to_neighbours_say_so() -> None:
    assert Glosh.local and Random.local and not MeanAbsoluteZ.local
