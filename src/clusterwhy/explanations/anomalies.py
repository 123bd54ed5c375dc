"""Explain the most anomalous windows: which channels, and when, differ from normal windows."""

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.anomaly_targets import N_NORMAL, AnomalySettings
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.target_function import TargetCache, canonical_network
from clusterwhy.metrics.channel_deletion import deletion_table
from clusterwhy.metrics.shares import has_relevance, signed_shares
from clusterwhy.metrics.z_scores import CONSTANT, channel_z_scores
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.explainer import Relevance

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
        quality: one row per ranking: `channel_deletion`, `flip_rate` (share of windows above the usual range whose
            target falls into it with a third of the channels replaced by those of their best matching normal window),
            and why they are `undefined`.
        seconds: time spent in attribution.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    channels: pd.DataFrame
    quality: pd.DataFrame
    seconds: float


@dataclass(frozen=True)
class WindowScores:
    """What a detector says of each window.

    Attributes:
        scores: (window,) anomaly scores, higher is more anomalous.
        anomalous: (window,) above the threshold.
        channels: (window, channel) contributions to the scores, where the detector has them.
    """

    scores: FloatArray
    anomalous: BoolArray
    channels: FloatArray | None = None


def most_anomalous(scores: FloatArray, starts: IntArray, length: int, count: int) -> IntArray:
    """Positions of up to `count` windows with the highest scores that do not overlap, the highest first."""
    chosen: list[int] = []
    for window in np.argsort(-scores, kind="stable"):
        if all(abs(starts[window] - starts[other]) >= length for other in chosen):
            chosen.append(int(window))
            if len(chosen) == count:
                break
    return np.array(chosen, dtype=np.int64)


def explain_anomalies(
    series: EmbeddedSeries, detected: WindowScores, settings: AnomalySettings, seed: int
) -> AnomalyExplanations:
    """Explain the windows with the highest scores by their difference to the nearest normal windows."""
    from clusterwhy.attribution.differences import explain_difference
    from clusterwhy.encoders.masked import best_device

    starts, length = series.starts, series.length
    if settings.count == 0:
        return _nothing(len(series.channels), length)
    chosen = most_anomalous(detected.scores, starts, length, settings.count)
    excluded = starts[np.union1d(chosen, np.flatnonzero(detected.anomalous))]
    allowed = allowed_starts(starts, length, excluded, len(series.values))
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
    windows = series.windows(chosen)
    matched = _matching_normal_windows(series, chosen, normal, allowed, settings)
    normal_windows = windows_at(series.values, matched.ravel(), length).reshape(*matched.shape, *windows.shape[1:])
    network, usual_targets = settings.network(series, normal, usual)
    canonical = canonical_network(network.to(best_device()), windows)
    explained = explain_difference(canonical, windows, normal_windows, None, settings.batch_size)
    seconds = time.monotonic() - began
    channel_scores = None if detected.channels is None else detected.channels[chosen]
    rankings = {"relevance": explained.values.sum(axis=2)}
    rankings |= {} if channel_scores is None else {"detector": channel_scores}
    rankings |= {"z_score": channel_z_scores(windows, series.windows(usual))}
    target, highest_usual = TargetCache().function(canonical, windows), float(np.quantile(usual_targets, 0.99))
    return AnomalyExplanations(
        relevance=explained.values,
        windows=_window_table(series, chosen, detected, explained, matched),
        channels=_channel_table(series, chosen, explained.values, rankings),
        quality=deletion_table(
            lambda batch: target(batch) - highest_usual, windows, normal_windows[:, 0], rankings, N_RANDOM_RANKINGS, rng
        ),
        seconds=seconds,
    )


def _matching_normal_windows(
    series: EmbeddedSeries, chosen: IntArray, normal: IntArray, allowed: BoolArray, settings: AnomalySettings
) -> IntArray:
    """(chosen window, normal window) first samples of the normal windows that each is compared with."""
    embeddings = series.embeddings
    near, every = embeddings[chosen], embeddings[normal]
    distances = np.stack([np.square(one - every).sum(axis=1) for one in near])  # all at once would not fit
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : 4 * settings.n_normal_windows]
    return matching_starts(
        series.values,
        series.windows(chosen),
        series.starts[normal][nearest],
        allowed,
        settings.n_normal_windows,
        round(settings.max_shift * series.length),
    )


def _window_table(
    series: EmbeddedSeries, chosen: IntArray, detected: WindowScores, explained: "Relevance", matched: IntArray
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "window": series.window_ids(chosen),
            "score": detected.scores[chosen],
            "anomalous": detected.anomalous[chosen],
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
        seconds=0.0,
    )
