"""The matrix profile as a detector, against STUMPY's own and a slow plain re-implementation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import stumpy

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.matrix_profile import MatrixProfile
from clusterwhy.errors import ConfigError

LENGTH, N = 16, 300
DETECTOR = MatrixProfile(normalise=True, exclusion=0.25, sample=5000)


def made(rng: np.random.Generator, stride: int = 5, **changes: Any) -> DetectorInput:
    """Two channels that repeat, with noise; windows that begin in the last third are no training windows."""
    t = np.arange(N)[:, None]
    values = (np.sin(2 * np.pi * t / [9, 23]) + 0.1 * rng.normal(size=(N, 2))).astype(np.float32)
    starts = np.arange(0, N - LENGTH + 1, stride)
    nothing = np.zeros((len(starts), 2))
    inputs = DetectorInput(values, starts, LENGTH, starts < 200, nothing, nothing, lambda: None, 0)  # type: ignore[arg-type, return-value]
    return replace(inputs, **changes)


def plain(inputs: DetectorInput, normalise: bool, reach: int) -> np.ndarray:
    """(window, channel) least distances, pair by pair."""
    inside = {t for start in inputs.starts[inputs.train] for t in range(start, start + LENGTH)}
    borders = set(inputs.segments) - {0}

    def searched(first: int) -> bool:
        return all(t in inside for t in range(first, first + LENGTH)) and not borders & set(
            range(first + 1, first + LENGTH)
        )

    def shape(stretch: np.ndarray) -> np.ndarray:
        if not normalise:
            return stretch
        return np.zeros(LENGTH) if np.ptp(stretch) == 0 else (stretch - stretch.mean()) / stretch.std()

    values = inputs.values.astype(np.float64)
    found = np.empty((len(inputs.starts), 2))
    for i, start in enumerate(inputs.starts):
        for c in range(2):
            window = shape(values[start : start + LENGTH, c])
            found[i, c] = min(
                np.linalg.norm(window - shape(values[first : first + LENGTH, c]))
                for first in range(N - LENGTH + 1)
                if searched(first) and abs(first - start) >= reach
            )
    return found


@pytest.mark.parametrize("normalise", [True, False], ids=["shapes", "values"])
@pytest.mark.parametrize("segments", [(0,), (0, 83, 150)], ids=["one segment", "three segments"])
def test_distances_are_the_least_ones_within_training_windows_and_segments(
    rng: np.random.Generator, normalise: bool, segments: tuple[int, ...]
) -> None:
    inputs = made(rng, segments=segments)
    inputs.values[40:70, 0] = 1.5  # stuck, twice
    inputs.values[230:260, 0] = 1.5
    inputs.values[270:290, 1] = 0.0
    found = MatrixProfile(normalise=normalise, exclusion=0.25, sample=5000).score(inputs)
    assert found.channels is not None
    np.testing.assert_allclose(found.channels, plain(inputs, normalise, 4), atol=1e-5)
    np.testing.assert_array_equal(found.windows, found.channels.mean(axis=1))
    assert found.windows[(inputs.starts >= 230) & (inputs.starts <= 240)].max() < 5.0


def test_it_is_stumpy_s_profile_where_all_windows_are_of_training(rng: np.random.Generator) -> None:
    inputs = made(rng, stride=1, train=np.ones(N - LENGTH + 1, dtype=bool))
    found = DETECTOR.score(inputs).channels
    assert found is not None
    for channel in range(2):
        profile = stumpy.stump(inputs.values[:, channel].astype(np.float64), LENGTH)[:, 0].astype(np.float64)
        # STUMPY leaves out what begins up to 4 samples away, here up to 3
        wider = MatrixProfile(normalise=True, exclusion=5 / LENGTH, sample=5000).score(inputs).channels
        assert wider is not None
        np.testing.assert_allclose(wider[:, channel], profile, atol=1e-5)
    assert (found <= wider + 1e-5).all()


def test_an_unusual_shape_ranks_first_and_its_channel_leads(rng: np.random.Generator) -> None:
    inputs = made(rng)
    inputs.values[250:258, 1] += np.array([0, 1, 0, -1, 0, 1, 0, -1])
    scores = DETECTOR.score(inputs)
    worst = int(scores.windows.argmax())
    assert scores.channels is not None
    assert abs(int(inputs.starts[worst]) - 246) < LENGTH / 2 and scores.channels[worst].argmax() == 1


def test_a_new_recording_is_compared_with_the_study_and_its_own_windows_are_not_their_neighbours(
    rng: np.random.Generator,
) -> None:
    study = made(rng)
    fitted = DETECTOR.score(study)
    assert not fitted.fitted
    # the same windows in another recording: those of training, which are told, do not find themselves
    later = replace(study, values=np.concatenate([np.zeros((7, 2), np.float32), study.values]), starts=study.starts + 7)
    found = DETECTOR.score_new(later, {}, study)
    away = study.train | (study.starts >= 200 + LENGTH)
    np.testing.assert_allclose(found.windows[away], fitted.windows[away], atol=1e-5)
    unknown = DETECTOR.score_new(replace(later, train=np.zeros(len(later.starts), dtype=bool)), {}, study)
    assert unknown.windows[study.train].max() < 1e-4 < fitted.windows[study.train].min()
    # one window alone has the same score: nothing is fitted on the recording
    alone = replace(later, starts=later.starts[-1:], train=later.train[-1:])
    np.testing.assert_allclose(DETECTOR.score_new(alone, {}, study).windows, found.windows[-1:], atol=1e-6)


def test_a_sample_of_training_windows_bounds_what_is_searched(rng: np.random.Generator) -> None:
    inputs = made(rng)
    every, few = (MatrixProfile(normalise=True, exclusion=0.25, sample=n).score(inputs).windows for n in (5000, 8))
    assert (few >= every - 1e-6).all() and (few > every + 1e-3).any()


def test_windows_that_have_nothing_to_be_compared_with_are_refused(rng: np.random.Generator) -> None:
    inputs = made(rng)
    one = replace(inputs, train=inputs.starts == 100)
    with pytest.raises(ConfigError, match="no stretch of the training span to compare the window at sample 100 with"):
        DETECTOR.score(one)
    with pytest.raises(ConfigError, match="windows of 3 samples or more, got 2"):
        DETECTOR.score(replace(inputs, length=2))
