"""Anomalies: which windows are explained, compared with which normal windows, for which scalar."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from clusterwhy.anomaly.base import Detector, DetectorInput, Scores
from clusterwhy.anomaly.detectors import MeanAbsoluteZ
from clusterwhy.anomaly.relative import relative
from clusterwhy.anomaly.storage import load_fitted, save_fitted
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.config import build_settings
from clusterwhy.errors import ArtifactError, ShapeError
from clusterwhy.explanations.anomalies import explain_anomalies, most_anomalous, scores_without
from clusterwhy.explanations.anomaly_targets import (
    Detection,
    DetectorAnomalies,
    DistanceAnomalies,
    MaskedPredictionAnomalies,
)
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.leading import leading
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.score_modules import SquaredPredictionError
from clusterwhy.explanations.score_networks import score_network
from clusterwhy.propagation.explainer import lrp
from tests.conftest import ROOT
from tests.unit.propagation.test_relevance import made_encoder

LENGTH, STRIDE = 32, 8


@pytest.fixture
def encoder() -> Any:
    return made_encoder(3).float()


def a_study() -> dict[str, Any]:
    """A regular series with one channel that stops at sample 320, and its windows."""
    time = np.arange(640)
    values = np.stack([np.sin(time / 5), np.cos(time / 5), np.sin(time / 11)], axis=1).astype(np.float32)
    values[320:352, 1] = 4.0
    starts = np.arange(0, 640 - LENGTH + 1, STRIDE)
    index = pd.DataFrame({"window": np.arange(len(starts)), "start": starts, "stop": starts + LENGTH, "train": True})
    return {"values": values, "index": index, "starts": starts}


KINDS = [
    MaskedPredictionAnomalies(count=2, n_normal_windows=3, max_shift=0.3, batch_size=8, n_parts=3, block=4),
    DistanceAnomalies(count=2, n_normal_windows=3, max_shift=0.3, batch_size=8, k=2),
]


def embedded(encoder: Any, study: dict[str, Any]) -> EmbeddedSeries:
    windows = np.stack([study["values"][s : s + LENGTH].T for s in study["starts"]])
    with torch.no_grad():
        embeddings = encoder(torch.from_numpy(windows)).numpy()
    return EmbeddedSeries(encoder, study["values"], study["index"], embeddings, ("a", "b", "c"), 0.05)


def detection_of(scores: np.ndarray, anomalous: np.ndarray) -> Detection:
    return Detection(scores, anomalous, 16.0, None, MeanAbsoluteZ())


@pytest.mark.parametrize("how", KINDS, ids=["masked_prediction", "distance"])
def test_the_channel_that_stopped_is_named(encoder: Any, how: Any) -> None:
    study = a_study()
    starts, series = study["starts"], embedded(encoder, study)
    overlap = np.minimum(starts + LENGTH, 352) - np.maximum(starts, 320)
    scores = np.maximum(overlap, 0).astype(float)
    found = explain_anomalies(series, detection_of(scores, scores > 16), how, 0)
    assert found.windows["window"].iloc[0] == 320 // STRIDE
    assert found.windows["anomalous"].tolist() == [True, False]
    # no normal window overlaps the anomaly
    for first in found.windows["normal_windows"].iloc[0]:
        assert first + LENGTH <= 312 or first >= 360
    own = found.channels[found.channels["window"] == 40].set_index("channel")
    assert own["share"].idxmax() == "b"
    assert own["share"]["b"] > 2 * own["share"].drop("b").abs().max()
    np.testing.assert_allclose(found.windows["relevance_sum"], found.windows["target"], rtol=1e-3, atol=1e-4)
    assert found.relevance.shape == (2, 3, LENGTH)
    quality = found.quality.set_index("ranking")["channel_deletion"]
    assert quality["relevance"] < quality["random"]


def test_normal_windows_stay_inside_the_known_good_period_also_where_they_are_shifted(encoder: Any) -> None:
    study = a_study()
    starts = study["starts"]
    index = study["index"].assign(train=(starts >= 100) & (starts + LENGTH <= 180))
    series = embedded(encoder, study | {"index": index})
    overlap = np.minimum(starts + LENGTH, 352) - np.maximum(starts, 320)
    scores = np.maximum(overlap, 0).astype(float)
    firsts = {}
    for spans in ((), ((100, 180),)):
        limited = dataclasses.replace(series, fitted_spans=spans)
        found = explain_anomalies(limited, detection_of(scores, scores > 16), KINDS[1], 0)
        firsts[spans] = np.array(found.windows["normal_windows"].tolist())
    assert (firsts[()] < 100).any() or (firsts[()] + LENGTH > 180).any(), "the case needs no limit"
    inside = firsts[((100, 180),)]
    assert (inside >= 100).all() and (inside + LENGTH <= 180).all()


def test_every_alarm_is_explained_up_to_a_limit(encoder: Any) -> None:
    study = a_study()
    study["values"][100:120, 1] += 3.0  # the same fault three times, in one channel
    study["values"][500:520, 1] += 3.0
    series, starts = embedded(encoder, study), study["starts"]
    scores = np.zeros(len(starts))
    for middle, score in ((110, 8.0), (336, 9.0), (510, 7.0)):
        scores[np.abs(starts + LENGTH / 2 - middle) < LENGTH / 2] = score
        scores[np.abs(starts + LENGTH / 2 - middle).argmin()] += 0.5
    detection = Detection(scores, scores > 5.0, 5.0, None, MeanAbsoluteZ())
    how = KINDS[1].model_copy(update={"count": 1})
    found = explain_anomalies(series, detection, how, 0)
    peaks = [int(np.abs(starts + LENGTH / 2 - middle).argmin()) for middle in (336, 110, 510)]
    assert found.windows["window"].tolist() == peaks and found.n_alarms == 3
    assert found.relevance.shape[0] == 3 and found.patterns["n_alarms"].sum() == 3
    labels = found.windows["pattern"].tolist()
    assert labels[1] == labels[2] and len(found.channels) == 9
    some = explain_anomalies(series, detection, how.model_copy(update={"max_alarms": 2}), 0)
    assert some.windows["window"].tolist() == peaks[:2] and some.n_alarms == 3
    # the windows with the highest scores are explained, too, and are no alarms of their own
    more = explain_anomalies(series, detection, how.model_copy(update={"count": 5, "max_alarms": 0}), 0)
    assert len(more.windows) == 5 and (more.windows["pattern"] >= 0).sum() == len(
        set(peaks) & set(more.windows["window"])
    )


def test_without_normal_windows_nothing_is_explained(encoder: Any) -> None:
    study = a_study()
    n = len(study["starts"])
    how = DistanceAnomalies(count=2, n_normal_windows=3, max_shift=0.3, batch_size=8, k=2)
    series = EmbeddedSeries(encoder, study["values"], study["index"], np.zeros((n, 4)), ("a", "b", "c"), 0.05)
    found = explain_anomalies(series, detection_of(np.ones(n), np.ones(n, bool)), how, 0)
    assert len(found.windows) == len(found.relevance) == len(found.channels) == 0
    assert found.why_none == "only 0 normal windows in training data do not overlap them, 3 are needed"


def test_the_most_anomalous_windows_do_not_overlap() -> None:
    scores = np.array([1.0, 5.0, 4.0, 3.0, 2.0])
    assert most_anomalous(scores, np.array([0, 10, 20, 30, 40]), 20, 3).tolist() == [1, 3]
    assert most_anomalous(scores, np.array([0, 10, 20, 30, 40]), 10, 3).tolist() == [1, 2, 3]


def test_windows_may_start_between_overlapping_neighbours_of_one_recording_only() -> None:
    # a recording of 30 samples, then one that begins at 30: windows of 10 at a stride of 5
    starts = np.array([0, 5, 10, 15, 20, 30, 35])
    allowed = allowed_starts(starts, 10, np.array([], dtype=int), 60)
    assert np.flatnonzero(allowed).tolist() == [*range(21), *range(30, 36)]
    clear = allowed_starts(starts, 10, np.array([5]), 60)
    assert np.flatnonzero(clear).tolist() == [*range(15, 21), *range(30, 36)]
    # windows side by side do not say whether they belong to one recording
    assert np.flatnonzero(allowed_starts(np.array([0, 10, 20]), 10, np.array([0]), 40)).tolist() == [10, 20]


def test_normal_windows_are_shifted_to_where_they_fit_and_stay_apart() -> None:
    time = np.arange(400)
    values = np.stack([np.sin(time / 6.4), np.cos(time / 12.8)], axis=1)
    window = values[200:240].T[None]
    allowed = np.ones(400, dtype=bool)
    allowed[161:240] = False
    near = np.array([[118, 120, 285, 281, 40]])
    found = matching_starts(values, window, near, allowed, 2, 8)
    # one period of 80.4 samples away on both sides; two that move to one place count once
    np.testing.assert_allclose(found, [[120, 280]], atol=1)
    with pytest.raises(ShapeError, match="at least 6 candidates"):
        matching_starts(values, window, near, allowed, 6, 8)


def test_relevance_of_the_masked_prediction_error_is_conserved(encoder: Any, rng: np.random.Generator) -> None:
    windows, references = rng.normal(size=(2, 4, 3, LENGTH))
    target = SquaredPredictionError(encoder.double(), LENGTH, 3, 4, np.array([1.0, 2.0, 0.5])).double().eval()
    found = explain_difference(target, windows, references)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.target, rtol=1e-9, atol=1e-12)
    # by LRP, too, where residual sums share by contribution
    by_rule = lrp(target, windows, None, "epsilon_plus_norm")
    np.testing.assert_allclose(by_rule.gap, by_rule.bias_share + by_rule.lost_share, atol=1e-12)
    assert np.abs(by_rule.lost_share).max() < 0.2


DETECTORS = sorted(path.stem for path in (ROOT / "conf" / "detector").glob("*.yaml"))
WITHOUT_GRADIENT = ("glosh", "glosh_projection", "matrix_profile", "random")


def detected(name: str, encoder: Any) -> tuple[EmbeddedSeries, Detector, Scores]:
    """A series with noise and a fault, of which the first 50 windows are fitted on, and its scores."""
    study = a_study()
    study["values"] += np.random.default_rng(0).normal(0, 0.1, study["values"].shape).astype(np.float32)
    study["index"]["train"] = study["starts"] < 240
    series = embedded(encoder, study)
    plain = yaml.safe_load((ROOT / "conf" / "detector" / f"{name}.yaml").read_text())
    detector = build_settings({"detector": plain})["detector"]
    inputs = DetectorInput(
        values=series.values,
        starts=series.starts,
        length=LENGTH,
        train=series.index["train"].to_numpy(),
        embeddings=series.embeddings,
        projection=series.embeddings[:, :2],
        load_encoder=lambda: encoder,
        seed=0,
    )
    return series, detector, detector.score(inputs)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in WITHOUT_GRADIENT])
def test_a_detectors_network_gives_its_scores(name: str, encoder: Any, tmp_path: Path) -> None:
    series, detector, scores = detected(name, encoder)
    save_fitted(tmp_path, scores.fitted)
    networks = score_network(detector, series, load_fitted(tmp_path))
    assert networks is not None
    windows, train = torch.from_numpy(series.windows(np.arange(len(series.starts)))), series.index["train"].to_numpy()
    with torch.no_grad():
        found = np.where(train, networks.seen.eval()(windows), networks.unseen.eval()(windows))
    # the distance of equal embeddings, computed in other batches, is not exactly 0
    np.testing.assert_allclose(found, scores.windows, rtol=1e-4, atol=1e-3 if name == "nearest_neighbours" else 1e-6)


@pytest.mark.parametrize("relative_to", ["cluster", "nothing"])
@pytest.mark.parametrize("name", DETECTORS)
def test_relevance_of_an_anomaly_is_its_score_less_that_of_its_references(
    name: str, relative_to: str, encoder: Any
) -> None:
    series, detector, scores = detected(name, encoder)
    how = DetectorAnomalies(count=4, n_normal_windows=2, max_shift=0.0, batch_size=8, k=2)
    # two states, of which one has twice the usual score of the other
    divided = np.where(series.starts < 400, 0.5, 1.0) if relative_to == "cluster" else None
    scores = relative(scores, divided)
    threshold = float(np.quantile(scores.windows, 0.95))
    detection = Detection(
        scores.windows, scores.windows > threshold, threshold, scores.channels, detector, scores.fitted, divided
    )
    found = explain_anomalies(series, detection, how, 0)
    if name in WITHOUT_GRADIENT:
        assert found.target.startswith("the mean squared distance to the 2 nearest normal windows in the embedding")
        assert found.target.endswith(f"since the score of {type(detector).__name__} has no gradient")
        return
    said = "" if divided is None else " (over what is usual in its cluster)"
    assert found.target == f"the score of {type(detector).__name__} itself{said}"
    chosen, windows = found.windows["window"].to_numpy(), found.windows
    networks = score_network(detector, series, scores.fitted)
    assert networks is not None
    seen = series.index["train"].to_numpy()[chosen]
    for row, own, target in zip(windows.itertuples(), seen, windows["target"], strict=True):
        references = np.stack([series.values[first : first + LENGTH].T for first in row.normal_windows])
        with torch.no_grad():
            others = float((networks.seen if own else networks.unseen)(torch.from_numpy(references)).mean())
        others /= 1.0 if divided is None else divided[row.window]
        assert target == pytest.approx(row.score - others, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(windows["relevance_sum"], windows["target"], rtol=1e-3, atol=1e-4)
    # the score with the leading channels of the first normal window
    shares = found.channels.pivot(index="window", columns="channel", values="share").loc[chosen].to_numpy()
    for row, own, share in zip(windows.itertuples(), seen, shares, strict=True):
        leads = (share > 0) & (share >= 0.1 * share.max())
        replaced = np.where(
            leads[:, None],
            series.values[row.normal_windows[0] :][:LENGTH].T,
            series.values[row.window * STRIDE :][:LENGTH].T,
        )
        with torch.no_grad():
            left = float(networks.unseen(torch.from_numpy(replaced[None]))) / (
                divided[row.window] if divided is not None else 1.0
            )
        if own and networks.seen is not networks.unseen:
            assert np.isnan(row.without_leading)
        else:
            assert row.without_leading == pytest.approx(left, rel=1e-4, abs=1e-4)


def test_channels_lead_that_have_positive_relevance_not_far_below_the_first() -> None:
    relevance = np.array([[5.0, 4.0, 3.0, 2.0], [5.0, 0.4, 0.6, -9.0], [-1.0, -2.0, -3.0, 0.0]])
    expected = [[True, True, True, False], [True, False, True, False], [False] * 4]
    np.testing.assert_array_equal(leading(relevance), expected)
    # the score is the sum of a window, so that what is left is known
    windows, normal = np.arange(12.0).reshape(3, 4, 1) + 1.0, np.zeros((3, 4, 1))
    rankings = {"relevance": relevance, "z_score": np.array([[np.nan, 1.0, 2.0, 3.0]] * 3)}
    found = scores_without(lambda batch: batch.sum(axis=(1, 2)), windows, normal, rankings, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(found["without_leading"], [4.0, 14.0, np.nan])
    np.testing.assert_array_equal(found["without_highest_z"], [1.0, 11.0, np.nan])
    assert np.isfinite(found["without_random"]).tolist() == [True, True, False]


def test_scores_in_other_units_have_the_same_explanations(encoder: Any) -> None:
    series, detector, scores = detected("mean_abs_z", encoder)
    how = DetectorAnomalies(count=4, n_normal_windows=2, max_shift=0.0, batch_size=8, k=2)
    threshold, found = float(np.quantile(scores.windows, 0.9)), []
    for unit in (1.0, 8.0):
        units = np.full(len(scores.windows), unit)
        own = relative(scores, units)
        detection = Detection(
            own.windows, scores.windows > threshold, threshold / unit, own.channels, detector, own.fitted, units
        )
        found.append(explain_anomalies(series, detection, how, 0))
    plain, eighth = found
    np.testing.assert_allclose(8.0 * eighth.relevance, plain.relevance, rtol=1e-5)
    pd.testing.assert_frame_equal(eighth.quality, plain.quality)
    pd.testing.assert_frame_equal(eighth.channels, plain.channels)
    assert plain.quality["flip_rate"].between(0.0, 1.0).any()


@pytest.mark.parametrize("content", [None, b"not one", b""])
def test_what_a_detector_has_learned_is_read_or_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is None:
        with pytest.raises(ArtifactError, match="run the stage that writes it"):
            load_fitted(tmp_path)
        save_fitted(tmp_path, {"usual": np.array([1.0, np.nan])})
        with pytest.raises(ArtifactError, match="not finite: usual"):
            load_fitted(tmp_path)
        return
    (tmp_path / "detector.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match="is not a safetensors file"):
        load_fitted(tmp_path)
