"""Measures of detection, against slow plain re-implementations and cases solved by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import ClippedPredictionError
from clusterwhy.metrics.detection import (
    best_range_f1,
    event_quality,
    event_recall,
    events,
    range_f1,
    volume_under_pr,
)


def plain_range_auc_pr(label: np.ndarray, score: np.ndarray, buffer: int, n_thresholds: int) -> float:
    """Range-AUC-PR, sample by sample and threshold by threshold as the paper's authors compute it."""
    runs, n = list(zip(*(part.tolist() for part in events(label)), strict=True)), len(label)
    soft = label.astype(float)
    for first, last in runs:
        for t in range(n):
            distance = max(first - t, t - last)
            if 0 < distance <= buffer // 2:
                soft[t] += np.sqrt(1 - distance / buffer)
    soft = np.minimum(soft, 1.0)
    joined: list[list[int]] = []
    for first, last in runs:
        a, b = first - buffer // 2, last + buffer // 2
        if joined and a <= joined[-1][1]:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    points = [(0.0, 1.0)]
    for at in np.linspace(0, n - 1, n_thresholds).astype(int):
        alarm = score >= np.sort(score)[::-1][at]
        hits = sum(soft[t] for t in range(n) if alarm[t])
        labels = sum(1.0 if label[t] else soft[t] * alarm[t] for t in range(n))
        recall = min(hits / ((label.sum() + labels) / 2), 1.0)
        existence = np.mean([any(alarm[t] for t in range(max(a, 0), min(b, n - 1) + 1)) for a, b in joined])
        points.append((recall * existence, hits / alarm.sum()))
    return sum((points[i + 1][0] - points[i][0]) * points[i + 1][1] for i in range(len(points) - 1))


@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_volume_equals_the_plain_sums_with_touching_buffers_and_at_the_edges(
    kind: str, rng: np.random.Generator
) -> None:
    label = np.zeros(120, dtype=bool)
    for a, b in ((0, 3), (20, 31), (36, 37), (43, 50), (119, 120)):
        label[a:b] = True
    score = rng.normal(size=120) + label
    if kind == "tied":
        score = np.round(score)
    plain = np.mean([plain_range_auc_pr(label, score, buffer, 30) for buffer in range(13)])
    assert volume_under_pr(label, score, 12, 30) == pytest.approx(plain, abs=1e-12)


def test_volume_without_buffer_is_average_precision_times_existence_solved_by_hand() -> None:
    label = np.array([0, 1, 1, 0, 1, 0], dtype=bool)
    score = np.array([1.0, 6.0, 5.0, 4.0, 3.0, 2.0])
    # thresholds at every rank: recall x existence is 1/3 x 1/2, 2/3 x 1/2, the same, then 1
    expected = 1 / 6 * 1 + 1 / 6 * 1 + 0 + 2 / 3 * 3 / 4
    assert volume_under_pr(label, score, 0, 6) == pytest.approx(expected, abs=1e-12)


def test_volume_is_high_for_near_misses_and_falls_with_the_distance() -> None:
    label, score = np.zeros(1000, dtype=bool), np.zeros(1000)
    label[500:520] = True
    found = []
    for shift in (0, 15, 60, 200):
        score[:] = np.linspace(0.0, 0.1, 1000)
        score[500 + shift : 520 + shift] += 1.0
        found.append(volume_under_pr(label, score))
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95
    assert found[-1] < 0.1


def test_samples_without_a_score_rank_lowest() -> None:
    label = np.array([0, 1, 0, 0, 1, 0], dtype=bool)
    missing, least = np.array([3.0, 5.0, np.nan, 4.0, np.nan, 2.0]), np.array([3.0, 5.0, -9.0, 4.0, -9.0, 2.0])
    assert event_quality(label, missing, 0.3) == event_quality(label, least, 0.3)
    assert event_quality(np.zeros(6, dtype=bool), missing, 0.3) == {}


def test_range_f1_equals_sums_over_ranges(rng: np.random.Generator) -> None:
    for _ in range(20):
        label, alarm = np.repeat(rng.random(30) < 0.4, 3), np.repeat(rng.random(45) < 0.3, 2)

        def overlap(ranges: np.ndarray, other: np.ndarray) -> float:
            shares = [np.mean([other[t] for t in range(a, b + 1)]) for a, b in zip(*events(ranges), strict=True)]
            return float(np.mean(shares))

        recall, precision = overlap(label, alarm), overlap(alarm, label)
        assert range_f1(label, alarm) == pytest.approx(2 * recall * precision / (recall + precision), abs=1e-12)


def test_range_f1_solved_by_hand() -> None:
    label = np.array([0, 1, 1, 0, 0, 1, 1, 1, 1, 0], dtype=bool)
    alarm = np.array([0, 0, 1, 1, 0, 0, 0, 0, 0, 1], dtype=bool)
    # recall (1/2 + 0) / 2, precision (1/2 + 0) / 2
    assert range_f1(label, alarm) == pytest.approx(0.25)
    assert range_f1(label, np.zeros(10, dtype=bool)) == 0.0
    assert best_range_f1(label, label.astype(float)) == 1.0


def test_event_recall_keeps_the_budget_of_false_alarms() -> None:
    label = np.zeros(110, dtype=bool)
    label[[10, 11, 50, 51, 52, 90, 91, 92, 93, 94]] = True
    score = np.zeros(110)
    score[~label] = np.arange(100.0)
    score[[11, 52, 94]] = [98.5, 97.5, 96.5]
    # one false alarm in a hundred lies above 98, two above 97: 98.5 is above 98
    assert event_recall(label, score, 0.01) == pytest.approx(1 / 3)
    assert event_recall(label, score, 0.02) == pytest.approx(2 / 3)
    assert event_recall(label, score, 0.0) == 0.0


class Silent(nn.Module):
    """An encoder that predicts 0 everywhere: errors are the squared values."""

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(windows)


def clipped_scores(values: np.ndarray, n_train: int) -> np.ndarray:
    starts, n_channels = np.arange(0, len(values), 10), values.shape[1]
    train, nothing = np.arange(len(starts)) < n_train, np.zeros((len(starts), n_channels))
    detector = ClippedPredictionError(n_parts=2, block=2, stretch=4, quantile=0.5, clip=3.0, batch_size=3)
    made = DetectorInput(values.astype(np.float32), starts, 10, train, nothing, nothing, Silent, 0)  # type: ignore[arg-type]
    found = detector.score(made)
    assert found.channels is not None
    np.testing.assert_allclose(found.windows, found.channels.mean(axis=1))
    return found.channels


def test_clipped_errors_are_the_worst_stretch_over_its_training_mean(rng: np.random.Generator) -> None:
    values = rng.normal(size=(80, 2)) * [1.0, 5.0]
    values[72, 1] = 100.0
    squares = values.reshape(8, 10, 2) ** 2
    worst = np.array([[max(w[a:b, c].mean() for a, b in ((0, 4), (4, 8), (8, 10))) for c in (0, 1)] for w in squares])
    ratio = worst / worst[:6].mean(axis=0)
    expected = np.minimum(ratio, 3.0 * np.maximum(np.median(ratio[:6], axis=0), 1.0))
    found = clipped_scores(values, 6)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[7, 1] == pytest.approx(3.0 * max(np.median(ratio[:6, 1]), 1.0)) and found[:, 1].argmax() == 7


def test_a_channel_that_is_constant_in_training_has_finite_clipped_errors(rng: np.random.Generator) -> None:
    values = rng.normal(size=(80, 2)) * [1.0, 0.0]
    values[70:, 1] = 1.0
    found = clipped_scores(values, 6)
    assert np.isfinite(found).all() and found[7, 1] == found.max() and not found[:7, 1].any()
