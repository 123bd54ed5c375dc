"""What explanations of anomalies consist of: relevance, and tables made from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.explanations.anomaly_targets import Detection
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.patterns import COLUMNS as PATTERN_COLUMNS
from clusterwhy.metrics.shares import has_relevance, signed_shares
from clusterwhy.metrics.z_scores import CONSTANT
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance

# why a figure is undefined
NO_TARGET = "the target is 0: the window does not differ from its normal windows"
NO_LEADING = "no channel leads, or the detector gives windows that it was fitted on another score"
NO_RELEVANCE = "no relevance: the window does not differ from its normal windows"


@dataclass(frozen=True)
class AnomalyExplanations:
    """Relevance of the most anomalous windows, and tables made from it.

    Attributes:
        relevance: (explained window, channel, time), signed.
        windows: one row per explained window, the highest score first: `window`, `score`, `anomalous` (above the
            threshold), `target` (difference to its normal windows), `relevance_sum`, `gap`, `normal_windows` (first
            samples), the `pattern` of an alarm (the peak of an anomalous segment; else -1), and why a figure is
            `undefined`. Where the score itself is explained, also what it is `without_leading` channels,
            `without_highest_z` and `without_random` ones (`anomalies.scores_without`).
        channels: one row per explained window and channel: `share` (signed, of |relevance|), `z_score`, and
            `detector_share` where the detector has scores per channel; why they are `undefined`.
        quality: one row per ranking: `channel_deletion`, `flip_rate` (share of windows above the target's limit that
            fall below it with a third of the channels replaced by those of their best matching normal window; of a
            score the limit is its threshold), and why they are `undefined`.
        patterns: alarms that are alike (`patterns.pattern_table`).
        target: what is explained, in words; "" if nothing is.
        n_alarms: anomalous segments, explained or not.
        seconds: time spent in attribution.
        why_none: why no anomaly is explained; "" if some are.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    channels: pd.DataFrame
    quality: pd.DataFrame
    patterns: pd.DataFrame
    target: str
    n_alarms: int
    seconds: float
    why_none: str = ""


@dataclass(frozen=True)
class Scored:
    """A series whose windows have scores; `train` of its index says which of them the detector was fitted on."""

    series: EmbeddedSeries
    detection: Detection


def window_table(
    asked: Scored, chosen: IntArray, explained: "Relevance", matched: IntArray, without: Mapping[str, FloatArray]
) -> pd.DataFrame:
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
            **without,
        }
    )
    return with_reasons(table, {"gap": NO_TARGET} | dict.fromkeys(without, NO_LEADING))


def channel_table(
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


def no_anomalies(n_channels: int, length: int, n_alarms: int, why: str) -> AnomalyExplanations:
    """What is found where no anomaly can be explained, and why none can."""
    windows = ("window", "score", "anomalous", "target", "relevance_sum", "gap", "normal_windows", "pattern")
    return AnomalyExplanations(
        relevance=np.zeros((0, n_channels, length), dtype=np.float32),
        windows=pd.DataFrame({name: [] for name in (*windows, REASONS)}),
        channels=pd.DataFrame({"window": [], "channel": [], "share": [], "z_score": [], REASONS: []}),
        quality=pd.DataFrame({"ranking": [], "channel_deletion": [], "flip_rate": [], REASONS: []}),
        patterns=pd.DataFrame(columns=PATTERN_COLUMNS),
        target="",
        n_alarms=n_alarms,
        seconds=0.0,
        why_none=why,
    )
