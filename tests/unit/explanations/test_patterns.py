"""Alarms that are alike form a pattern: the same channel, deviating in the same way, wherever in the window."""

import numpy as np
import pytest

from clusterwhy.explanations.patterns import NO_PATTERN, likeness, pattern_table, patterns_of

LENGTH, N_CHANNELS = 64, 4


def alarm(rng: np.random.Generator, channel: int, course: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """Relevance and deviation (channel, time) of a fault whose course begins at a sample, and noise elsewhere."""
    deviation = 0.1 * rng.normal(size=(N_CHANNELS, LENGTH))
    deviation[channel, at : at + len(course)] += course
    relevance = 0.02 * rng.normal(size=(N_CHANNELS, LENGTH))
    relevance[channel, at : at + len(course)] += np.abs(course)
    return relevance, deviation


STEP, BUMPS = 3.0 * np.ones(20), 3.0 * np.sin(np.arange(20) * 0.9)


def many(rng: np.random.Generator, kinds: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    found = [alarm(rng, channel, course, int(rng.integers(0, 40))) for channel, course in kinds]
    return np.stack([one for one, _ in found]), np.stack([other for _, other in found])


def test_the_same_fault_at_another_time_is_the_same_pattern(rng: np.random.Generator) -> None:
    kinds = [(0, STEP)] * 3 + [(0, -STEP)] * 4 + [(2, STEP)] * 2 + [(1, BUMPS)] * 5
    labels, typical = patterns_of(*many(rng, kinds))
    # the most frequent first
    assert labels.tolist() == [2] * 3 + [1] * 4 + [3] * 2 + [0] * 5
    assert (typical > 0.6).all()


def test_likeness_equals_a_plain_search_over_shifts(rng: np.random.Generator) -> None:
    relevance, deviation = many(rng, [(0, STEP), (0, BUMPS), (3, STEP)])
    found = likeness(relevance, deviation)
    shares = np.maximum(relevance.sum(axis=2), 0)
    shares /= shares.sum(axis=1, keepdims=True)
    kernel = np.ones(4) / 4
    course = np.zeros_like(deviation)
    for i in range(3):
        for c in range(N_CHANNELS):
            padded = np.pad(deviation[i, c] * shares[i, c], (2, 1), mode="symmetric")
            course[i, c] = np.convolve(padded, kernel, "valid")
    course /= np.sqrt((course**2).sum(axis=(1, 2), keepdims=True))
    for i in range(3):
        for j in range(3):
            best = -np.inf
            for lag in range(-LENGTH // 2, LENGTH // 2 + 1):
                one, other = (
                    (course[i, :, lag:], course[j, :, : LENGTH - lag])
                    if lag >= 0
                    else (
                        course[i, :, :lag],
                        course[j, :, -lag:],
                    )
                )
                best = max(best, float((one * other).sum()))
            assert found[i, j] == pytest.approx(best, abs=1e-9)
    np.testing.assert_allclose(np.diag(found), 1.0)


def test_alarms_without_relevance_have_no_pattern(rng: np.random.Generator) -> None:
    relevance, deviation = many(rng, [(0, STEP), (0, STEP), (1, STEP)])
    relevance[1] = -1.0
    assert patterns_of(relevance, deviation)[0].tolist() == [0, NO_PATTERN, 1]
    relevance[2] = 0.0
    labels, typical = patterns_of(relevance, deviation)
    assert labels.tolist() == [0, NO_PATTERN, NO_PATTERN] and typical[0] == 1.0
    empty = np.zeros((0, N_CHANNELS, LENGTH))
    assert patterns_of(empty, empty)[0].tolist() == []


def test_the_table_names_the_most_typical_alarm_and_both_ends() -> None:
    windows, labels = np.array([40, 7, 22, 90, 3]), np.array([0, 0, 1, 0, NO_PATTERN])
    table = pattern_table(windows, labels, np.array([0.7, 0.9, 1.0, 0.8, 1.0]))
    assert table[["pattern", "n_alarms", "window", "first_window", "last_window"]].to_numpy().tolist() == [
        [0, 3, 7, 7, 90],
        [1, 1, 22, 22, 22],
    ]
    assert table["likeness"].tolist() == pytest.approx([0.8, 1.0])
    assert pattern_table(windows[:0], labels[:0], np.zeros(0)).empty
