"""Explain the most anomalous windows: which channels, and when, differ from normal windows."""

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.data.windows import wholly_inside, windows_at
from clusterwhy.explanations.anomaly_targets import N_NORMAL, AnomalySettings, AnomalyTarget, Detection
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.target_function import TargetCache, canonical_network
from clusterwhy.metrics.channel_deletion import deletion_table
from clusterwhy.metrics.shares import has_relevance, signed_shares
from clusterwhy.metrics.z_scores import CONSTANT, channel_z_scores
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.explainer import Relevance
    from clusterwhy.propagation.steps import Canonical

log = logging.getLogger(__name__)
N_RANDOM_RANKINGS = 8
# why a figure is undefined
NO_TARGET = "the target is 0: the window does not differ from its normal windows"
NO_RELEVANCE = "no relevance: the window does not differ from its normal windows"


@dataclass(frozen=True)
class AnomalyExplanations:
    """Relevance of the most anomalous windows, and tables made from it.

    Attributes:
        relevance: (explained window, channel, time), signed.
        windows: one row per explained window, the highest score first: `window`, `score`, `anomalous` (above the
            threshold), `target` (difference to its normal windows), `relevance_sum`, `gap`, `normal_windows` (first
            samples), and why a figure is `undefined`.
        channels: one row per explained window and channel: `share` (signed, of |relevance|), `z_score`, and
            `detector_share` where the detector has scores per channel; why they are `undefined`.
        quality: one row per ranking: `channel_deletion`, `flip_rate` (share of windows above the target's limit that
            fall below it with a third of the channels replaced by those of their best matching normal window; of a
            score the limit is its threshold), and why they are `undefined`.
        target: what is explained, in words; "" if nothing is.
        seconds: time spent in attribution.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    channels: pd.DataFrame
    quality: pd.DataFrame
    target: str
    seconds: float


def most_anomalous(scores: FloatArray, starts: IntArray, length: int, count: int) -> IntArray:
    """Positions of up to `count` windows with the highest scores that do not overlap, the highest first."""
    chosen: list[int] = []
    for window in np.argsort(-scores, kind="stable"):
        if all(abs(starts[window] - starts[other]) >= length for other in chosen):
            chosen.append(int(window))
            if len(chosen) == count:
                break
    return np.array(chosen, dtype=np.int64)


@dataclass(frozen=True)
class Scored:
    """A series whose windows have scores; `train` of its index says which of them the detector was fitted on."""

    series: EmbeddedSeries
    detection: Detection


def explain_anomalies(
    series: EmbeddedSeries, detection: Detection, settings: AnomalySettings, seed: int, new: Scored | None = None
) -> AnomalyExplanations:
    """Explain the windows with the highest scores by their difference to the nearest normal windows.

    Args:
        series: has the normal windows.
        detection: of its windows.
        settings: which windows, by what.
        seed: of the draws.
        new: another recording whose windows are explained in place of these.
    """
    from clusterwhy.encoders.masked import best_device

    starts, length, asked = series.starts, series.length, new or Scored(series, detection)
    if settings.count == 0:
        return _nothing(len(series.channels), length)
    own = most_anomalous(detection.scores, starts, length, settings.count)
    chosen = own if new is None else most_anomalous(new.detection.scores, new.series.starts, length, settings.count)
    excluded = starts[np.union1d(own, np.flatnonzero(detection.anomalous))]
    allowed = allowed_starts(starts, length, excluded, len(series.values))
    if series.fitted_spans:
        allowed &= wholly_inside(series.fitted_spans, np.arange(len(allowed)), length)
    normal = np.flatnonzero(allowed[starts] & series.index["train"].to_numpy())
    if len(normal) < settings.n_normal_windows:
        log.warning(
            "anomalies are not explained: only %d normal windows in training data do not overlap them, %d are needed",
            len(normal),
            settings.n_normal_windows,
        )
        return _nothing(len(series.channels), length)
    began = time.monotonic()
    series.encoder.to(best_device())
    rng = np.random.default_rng(seed)
    usual = np.sort(rng.permutation(normal)[:N_NORMAL])
    windows = asked.series.windows(chosen)
    matched = _matching_normal_windows(series, asked.series, chosen, normal, allowed, settings)
    normal_windows = windows_at(series.values, matched.ravel(), length).reshape(*matched.shape, *windows.shape[1:])
    wanted = settings.target(series, detection, normal, usual)
    canonical = canonical_network(wanted.network.to(best_device()), windows)
    seen = asked.series.index["train"].to_numpy()[chosen]
    explained = _explained(wanted, canonical, windows, normal_windows, seen, settings.batch_size)
    seconds = time.monotonic() - began
    parts = asked.detection.channels
    channel_scores = None if parts is None else parts[chosen]
    rankings = {"relevance": explained.values.sum(axis=2)}
    rankings |= {} if channel_scores is None else {"detector": channel_scores}
    rankings |= {"z_score": channel_z_scores(windows, series.windows(usual))}
    target = TargetCache().function(canonical, windows)
    return AnomalyExplanations(
        relevance=explained.values,
        windows=_window_table(asked, chosen, explained, matched),
        channels=_channel_table(asked.series, chosen, explained.values, rankings),
        quality=deletion_table(
            lambda batch: target(batch) - wanted.limit, windows, normal_windows[:, 0], rankings, N_RANDOM_RANKINGS, rng
        ),
        target=wanted.says,
        seconds=seconds,
    )


def _explained(
    wanted: AnomalyTarget,
    canonical: "Canonical",
    windows: FloatArray,
    normal_windows: FloatArray,
    seen: BoolArray,
    batch_size: int,
) -> "Relevance":
    """Relevance of windows; the score of those that the detector was fitted on (`seen`) can be another network."""
    from clusterwhy.attribution.differences import explain_difference
    from clusterwhy.encoders.masked import best_device

    if wanted.seen is wanted.network:
        return explain_difference(canonical, windows, normal_windows, None, batch_size)
    of_seen = canonical_network(wanted.seen.to(best_device()), windows)
    both = [explain_difference(one, windows, normal_windows, None, batch_size) for one in (canonical, of_seen)]
    unseen, own = both
    return replace(
        unseen,
        values=np.where(seen[:, None, None], own.values, unseen.values),
        target=np.where(seen, own.target, unseen.target),
    )


def _matching_normal_windows(
    series: EmbeddedSeries,
    asked: EmbeddedSeries,
    chosen: IntArray,
    normal: IntArray,
    allowed: BoolArray,
    settings: AnomalySettings,
) -> IntArray:
    """(chosen window, normal window) first samples of the normal windows that each is compared with."""
    near, every = asked.embeddings[chosen], series.embeddings[normal]
    distances = np.stack([np.square(one - every).sum(axis=1) for one in near])  # all at once would not fit
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : 4 * settings.n_normal_windows]
    return matching_starts(
        series.values,
        asked.windows(chosen),
        series.starts[normal][nearest],
        allowed,
        settings.n_normal_windows,
        round(settings.max_shift * series.length),
    )


def _window_table(asked: Scored, chosen: IntArray, explained: "Relevance", matched: IntArray) -> pd.DataFrame:
    series, detection = asked.series, asked.detection
    table = pd.DataFrame(
        {
            "window": series.window_ids(chosen),
            "score": detection.scores[chosen],
            "anomalous": detection.anomalous[chosen],
            "target": explained.target,
            "relevance_sum": explained.values.sum(axis=(1, 2), dtype=np.float64),
            "gap": explained.gap,
            "normal_windows": [row.tolist() for row in matched],
        }
    )
    return with_reasons(table, {"gap": NO_TARGET})


def _channel_table(
    series: EmbeddedSeries, chosen: IntArray, relevance: FloatArray, rankings: dict[str, FloatArray]
) -> pd.DataFrame:
    shares = np.where(has_relevance(relevance)[:, None], signed_shares(relevance), np.nan)
    table = pd.DataFrame(
        {
            "window": np.repeat(series.window_ids(chosen), len(series.channels)),
            "channel": np.tile(np.array(series.channels, dtype=object), len(chosen)),
            "share": shares.ravel(),
            "z_score": rankings["z_score"].ravel(),
        }
    )
    reasons = {"share": NO_RELEVANCE, "z_score": CONSTANT}
    if (parts := rankings.get("detector")) is not None:
        whole = parts.sum(axis=1, keepdims=True)
        table["detector_share"] = (parts / np.where(whole > 0, whole, np.nan)).ravel()
        reasons["detector_share"] = "the score is 0"
    return with_reasons(table, reasons)


def _nothing(n_channels: int, length: int) -> AnomalyExplanations:
    windows = ("window", "score", "anomalous", "target", "relevance_sum", "gap", "normal_windows")
    return AnomalyExplanations(
        relevance=np.zeros((0, n_channels, length), dtype=np.float32),
        windows=pd.DataFrame({name: [] for name in (*windows, REASONS)}),
        channels=pd.DataFrame({"window": [], "channel": [], "share": [], "z_score": [], REASONS: []}),
        quality=pd.DataFrame({"ranking": [], "channel_deletion": [], "flip_rate": [], REASONS: []}),
        target="",
        seconds=0.0,
    )
