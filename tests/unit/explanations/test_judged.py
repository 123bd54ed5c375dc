"""Judges of rankings: on windows whose clusters differ in known channels only."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.judged import CLASSIFIER, NO_FALL, OTHER_ENCODER, judge
from clusterwhy.explanations.replacements import FITTING, fitting_windows
from clusterwhy.metrics.verdicts import BETTER, EQUAL, WORSE, compared, verdict
from clusterwhy.metrics.window_classifier import RandomKernels, WindowClassifier
from tests.unit.propagation.test_relevance import made_encoder

LENGTH, N_CHANNELS, N_WINDOWS = 32, 3, 120


def two_states(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time, channel) and (window,): every tenth window the state changes; channel 1 oscillates faster in one state."""
    labels = np.arange(N_WINDOWS) // 10 % 2
    time = np.arange(N_WINDOWS * LENGTH)
    values = rng.normal(0, 0.3, (len(time), N_CHANNELS)).astype(np.float32)
    values[:, 1] += np.sin(time * np.where(np.repeat(labels, LENGTH) == 1, 1.2, 0.3))
    return values, labels


@pytest.fixture
def study(rng: np.random.Generator) -> dict[str, Any]:
    values, labels = two_states(rng)
    starts = np.arange(0, len(values), LENGTH)
    index = pd.DataFrame({"window": 5 + np.arange(N_WINDOWS), "start": starts, "stop": starts + LENGTH, "train": True})
    series, again = (
        EmbeddedSeries(made_encoder(N_CHANNELS).float(), values, index, embeddings, ("a", "b", "c"), 0.1)
        for embeddings in (np.zeros((N_WINDOWS, 4)), np.zeros((N_WINDOWS, 4)))
    )
    explained = pd.DataFrame({"window": 5 + np.arange(20), "cluster": labels[:20]})
    shares = {"signed": [0.1, 0.8, 0.1], "absolute": [0.1, 0.8, 0.1], "z_score": [2.0, 1.0, 3.0]}
    shares |= {"signed_by_1": [0.1, 0.8, 0.1], "signed_by_2": [0.9, 0.0, 0.1]}
    importance = pd.concat([pd.DataFrame({"cluster": c, "channel": ["a", "b", "c"], **shares}) for c in (0, 1)])
    return {"series": series, "again": again, "labels": labels, "explained": explained, "importance": importance}


def test_the_classifier_tells_who_names_the_channel_that_differs(study: dict[str, Any]) -> None:
    every = np.ones(N_WINDOWS, dtype=bool)
    found = judge(study["series"], [], study["labels"], study["explained"], study["importance"], every, 6, 0)
    assert found.accuracy > 0.95
    assert set(found.table["judge"]) == {CLASSIFIER} and (found.table["n_windows"] == 6).all()
    for _, own in found.table.groupby("cluster"):
        rows = own.set_index("ranking")
        assert rows.loc["relevance", "verdict"] == BETTER
        # it puts the channel first, as the best order does; z puts it last
        assert rows.loc["relevance", "area"] == pytest.approx(rows.loc["best", "area"], abs=0.05)
        assert rows.loc["z_score", "area"] > 0.6 > 0.4 > rows.loc["relevance", "area"]
        assert rows["area"].drop("best").min() >= rows.loc["best", "area"] - 1e-9
        ahead = rows.loc["z_score", "area"] - rows["area"]
        np.testing.assert_allclose(rows["ahead"], ahead, atol=1e-9)
        assert (rows["ahead_low"] <= rows["ahead"] + 1e-9).all() and (rows["ahead"] <= rows["ahead_high"] + 1e-9).all()


def test_relevance_by_the_judging_encoder_is_left_out(study: dict[str, Any]) -> None:
    series, labels = study["series"], study["labels"]
    # the encoder that judges sees channel 1 only, by its roughness
    again = study["again"]
    rough = np.abs(np.diff(series.windows(np.arange(N_WINDOWS))[:, 1], axis=1)).mean(axis=1)

    embeddings = np.repeat(rough[:, None], 4, axis=1)
    judging = EmbeddedSeries(again.encoder, series.values, series.index, embeddings, series.channels, 0.1)
    every = np.ones(N_WINDOWS, dtype=bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "clusterwhy.explanations.judged.target_function",
            lambda network, example: (
                lambda batch: np.repeat(np.abs(np.diff(batch[:, 1], axis=1)).mean(axis=1)[:, None], 4, axis=1)
            ),
        )
        found = judge(series, [judging], labels, study["explained"], study["importance"], every, 6, 0)
    own = found.table[found.table["judge"] == OTHER_ENCODER]
    # by the first encoder alone channel 1 leads; with the second one, which judges, channel 0 would
    assert own.loc[own["ranking"] == "relevance", "verdict"].tolist() == [BETTER, BETTER]


def test_without_two_groups_nothing_is_judged(study: dict[str, Any]) -> None:
    labels, every = np.zeros(N_WINDOWS, dtype=int), np.ones(N_WINDOWS, dtype=bool)
    found = judge(study["series"], [], labels, study["explained"], study["importance"], every, 6, 0)
    assert found.table.empty and np.isnan(found.accuracy)


def test_one_channel_has_no_order(study: dict[str, Any]) -> None:
    series = study["series"]
    one = EmbeddedSeries(series.encoder, series.values[:, 1:2], series.index, series.embeddings, ("b",), 0.1)
    importance = study["importance"].query("channel == 'b'")
    every = np.ones(N_WINDOWS, dtype=bool)
    found = judge(one, [], study["labels"], study["explained"], importance, every, 6, 0)
    assert found.table["area"].isna().all() and (found.table["verdict"] == "").all()
    assert found.table["undefined"].str.contains(NO_FALL).all()


def test_fitting_windows_are_near_ones_that_were_not_compared_with() -> None:
    outside = np.arange(10.0)[:, None, None] * np.ones((1, 2, 4))
    found = fitting_windows(np.full((1, 2, 4), 3.1), outside)
    # by distance: 3, 4, 2, 5, then 1 and 6
    assert slice(4, 6) == FITTING
    assert sorted(found[0, :, 0, 0].tolist()) == [1.0, 6.0]
    assert fitting_windows(np.zeros((1, 2, 4)), outside[:2])[0, :, 0, 0].tolist() == [0.0, 1.0]


def test_random_kernels_are_convolutions_one_by_one(rng: np.random.Generator) -> None:
    kernels = RandomKernels(2, 20, seed=0, n_kernels=12)
    windows = rng.normal(size=(3, 2, 20)).astype(np.float32)
    features = kernels.features(windows)
    assert features.shape == (3, 24)
    column = 0
    for (size, dilation, padding), (weights, biases) in kernels.groups.items():
        padded = np.pad(windows, ((0, 0), (0, 0), (padding, padding)))
        places = range(padded.shape[2] - (size - 1) * dilation)
        for k, (weight, bias) in enumerate(zip(weights.numpy(), biases.numpy(), strict=True)):
            made = [(padded[:, :, p : p + (size - 1) * dilation + 1 : dilation] * weight).sum((1, 2)) for p in places]
            values = np.stack(made, axis=1) + bias
            np.testing.assert_allclose(features[:, column + k], (values > 0).mean(axis=1), atol=1e-6)
            np.testing.assert_allclose(features[:, column + len(biases) + k], values.max(axis=1), atol=1e-4)
        column += 2 * len(biases)


def test_accuracy_is_not_known_where_a_cluster_lies_in_one_place(rng: np.random.Generator) -> None:
    windows = rng.normal(size=(40, 2, 16)).astype(np.float32)
    labels = np.repeat([0, 1], 20)
    assert np.isnan(WindowClassifier(windows, labels, np.arange(40) // 10, 0).accuracy)
    # chance, since nothing tells the labels
    assert WindowClassifier(windows, rng.permutation(labels), np.arange(40), 0).accuracy < 0.8


def test_verdicts() -> None:
    assert [verdict(*limits) for limits in ((0.1, 0.2), (-0.1, 0.2), (-0.2, -0.1))] == [BETTER, EQUAL, WORSE]
    assert compared(EQUAL, "z") == "not told apart from z" and compared(WORSE, "z") == "worse than z"
