"""Two faults of different kinds in different channels at different times: each explanation names its own."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.rules import options
from benchmarks.two_faults_cases import FAULTS, LEAST, Planted, Planter, named, pairs_of, placed
from clusterwhy.anomaly.detectors import DetectorInput
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import MaskedEncoder
from clusterwhy.explanations.anomalies import explain_anomalies
from clusterwhy.explanations.anomaly_targets import Detection
from clusterwhy.explanations.clusters import explain_clusters
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.settings import ExplanationSettings

N_SAMPLES, LENGTH, STRIDE, CHANNELS = 960, 32, 8, ("a", "b", "c")
FIRST, SECOND = (160, 176), (416, 432)  # samples of the faults


def recording() -> np.ndarray:
    """(time, channel) regular movements with some noise."""
    time = np.arange(N_SAMPLES)
    clean = np.stack([np.sin(time / 5), np.cos(time / 3.5), np.sin(time / 5 + 1.0) + 0.5 * np.cos(time / 2.5)], axis=1)
    return (clean + 0.05 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)


@functools.cache
def trained() -> MaskedEncoder:
    """A small encoder that learned the recording without faults."""
    seed_torch(0)
    encoder = InceptionTime(n_filters=8, depth=3, kernel_size=12, head_dropout=0.0).build(len(CHANNELS), LENGTH)
    changes = {"n_steps": 150, "learning_rate": 8e-3, "n_reports": 1}
    training = options("train")["quick"].model_copy(update=changes)
    training.train(encoder, recording(), np.arange(0, N_SAMPLES - LENGTH + 1, 4), LENGTH, 0, lambda row: None)
    return encoder.cpu().eval().requires_grad_(False)


def embedded(values: np.ndarray, stride: int = STRIDE) -> EmbeddedSeries:
    encoder = trained()
    starts = np.arange(0, len(values) - LENGTH + 1, stride)
    index = pd.DataFrame({"window": np.arange(len(starts)), "start": starts, "stop": starts + LENGTH, "train": True})
    windows = np.stack([values[start : start + LENGTH].T for start in starts])
    with torch.no_grad():
        embeddings = encoder(torch.from_numpy(windows)).numpy()
    return EmbeddedSeries(encoder, values, index, embeddings, CHANNELS, 0.05)


def with_faults(kinds: tuple[str, str], channels: tuple[int, int], spans: tuple[tuple[int, int], ...]) -> np.ndarray:
    values, rng = recording(), np.random.default_rng(1)
    for kind, channel, (first, last) in zip(kinds, channels, spans, strict=True):
        other = recording()[first + 11 : last + 11, channel]
        values[first:last, channel] = FAULTS[kind](values[first:last, channel].copy(), other, rng)
    return values


def explained(values: np.ndarray, count: int, spans: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """First samples of the explained windows, and relevance (window, channel, time), by the pipeline's defaults."""
    series, detector = embedded(values), options("detector")["clipped_prediction"]
    inputs = DetectorInput(
        values,
        series.starts,
        LENGTH,
        np.ones(len(series.starts), dtype=bool),
        series.embeddings,
        series.embeddings[:, :2],
        lambda: series.encoder,
        0,
    )
    scores = detector.score(inputs)
    overlap = [sum(max(0, min(s + LENGTH, b) - max(s, a)) for a, b in spans) for s in series.starts]
    alarms = np.array(overlap, dtype=float)
    detection = Detection(alarms, alarms > 0, 0.0, scores.channels, detector, scores.fitted)
    how = options("anomalies")["detector"].model_copy(update={"count": count})
    found = explain_anomalies(series, detection, how, 0)
    return series.starts[found.windows["window"].to_numpy()], found.relevance


# kinds that the score of so small an encoder sees; how often it names all is measured by `benchmarks.two_faults`
@pytest.mark.parametrize(
    ("kinds", "channels"),
    [(("level shift", "gain"), (0, 1)), (("gain", "frequency"), (1, 2)), (("mirrored", "level shift"), (2, 0))],
)
def test_each_alarm_names_the_channel_of_its_own_fault(kinds: tuple[str, str], channels: tuple[int, int]) -> None:
    starts, relevance = explained(with_faults(kinds, channels, (FIRST, SECOND)), 2, (FIRST, SECOND))
    for start, values in zip(starts, relevance, strict=True):
        own = channels[int(start > 300)]
        assert values.sum(axis=1).argmax() == own


def test_two_faults_in_one_window_are_each_in_their_own_time() -> None:
    spans, channels = ((160, 170), (178, 188)), (0, 2)
    starts, relevance = explained(with_faults(("level shift", "gain"), channels, spans), 1, spans)
    for (first, last), own in zip(spans, channels, strict=True):
        part = relevance[0][:, first - starts[0] : last - starts[0]]
        assert part.sum(axis=1).argmax() == own
    size = np.abs(relevance[0])
    true = sum(size[c, a - starts[0] : b - starts[0]].sum() for (a, b), c in zip(spans, channels, strict=True))
    assert true / size.sum() > 0.5


def test_each_group_of_windows_is_told_by_its_own_channel() -> None:
    values, channels = recording(), (1, 2)
    labels = np.array([1, 0, 0, 2, 0, 0] * 5)  # windows side by side; 0 is untouched
    for window in np.flatnonzero(labels):
        channel, kind = channels[labels[window] - 1], ("level shift", "gain")[labels[window] - 1]
        part = slice(window * LENGTH + 8, window * LENGTH + 24)
        piece = values[part, channel].copy()
        values[part, channel] = FAULTS[kind](piece, piece, np.random.default_rng(0))
    groups = ("target", "canonizer", "composite", "attributor", "members")
    names = ("membership", "auto", "epsilon_plus", "difference", "central")
    settings = {group: options(group)[name] for group, name in zip(groups, names, strict=True)}
    found = explain_clusters(
        embedded(values, LENGTH), labels, np.ones(len(labels)), ExplanationSettings.of(settings | {"seed": 0})
    )
    for cluster, channel in ((1, channels[0]), (2, channels[1])):
        own = found.importance[found.importance["cluster"] == cluster].set_index("channel")
        assert own["signed"].idxmax() == CHANNELS[channel]


def test_planted_faults_are_where_they_are_said_to_be() -> None:
    windows = np.random.default_rng(0).standard_normal((12, 3, 30)).astype(np.float32)
    planter = Planter(windows, np.random.default_rng(1))
    embeddings = windows.mean(axis=2)
    for kinds in pairs_of(0):
        first, second = planter.alone(kinds)
        both, groups = planter.together(kinds), planter.groups(kinds, 3, embeddings)
        assert first.own[0] == second.other[0] != second.own[0]
        for part in (first, second, both, *groups):
            untouched = windows[part.origins]
            mask = part.mask() | (part.swapped().mask() if part is both else False)
            np.testing.assert_array_equal(part.windows[~mask], untouched[~mask])
            changed = np.square(part.windows - untouched)
            for i, channel in enumerate(part.own):
                assert np.sqrt(changed[i, channel, slice(*part.spans[i])].mean()) >= LEAST
        (a, b), (c, d) = both.spans[0], both.others_span[0]
        assert b <= c or d <= a
        assert not set(groups[0].origins) & set(groups[1].origins)
    assert sorted({tuple(sorted(pair)) for i in range(3) for pair in pairs_of(i)}) == sorted(
        {tuple(sorted((a, b))) for a in FAULTS for b in FAULTS if a != b}
    )


def test_figures_of_a_ranking_and_of_cells() -> None:
    assert named(np.array([0.1, 0.9, 0.5]), 1, 2) == {"precision": 1.0, "reciprocal": 1.0, "confused": 0.0}
    assert named(np.array([0.1, 0.9, 0.5]), 2, 1) == {"precision": 0.0, "reciprocal": 0.5, "confused": 1.0}
    assert named(np.zeros(4), 2, 1) == {"precision": 0.25, "reciprocal": 0.4, "confused": 0.25}
    windows = np.zeros((1, 2, 4), dtype=np.float32)
    own, other = np.array([0]), np.array([1])
    of = Planted(windows, own, own, other, np.array([[0, 2]]), np.array([[2, 4]]))
    cells = np.array([[[3.0, -1.0, 1.0, 0.0], [1.0, 0.0, 2.0, 0.0]]])
    assert next(placed(cells, of)) == {"true cells": 0.75, "swapped cells": 0.25, "in its time": 1.0}
    assert next(placed(cells[:, :, ::-1], of))["in its time"] == 0.0
