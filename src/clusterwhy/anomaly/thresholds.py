"""From scores to anomalous segments."""

from typing import Any, Protocol

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray, IntArray


class Threshold(Protocol):
    """A choice of `conf/threshold`."""

    def fit(self, scores: FloatArray) -> float:
        """The score above which a window is anomalous, from scores (window,) of training windows."""


class QuantileThreshold(Settings):
    """A quantile of the training scores."""

    quantile: float = Field(gt=0.0, lt=1.0)

    def fit(self, scores: FloatArray) -> float:
        return float(np.quantile(scores, self.quantile))


class ExtremeValueThreshold(Settings):
    """Peaks over threshold (Siffer et al. 2017, eq. 1): a generalised Pareto tail above a quantile.

    The excesses are scaled by their median before the fit, so that it does not depend on units.
    """

    initial_quantile: float = Field(gt=0.5, lt=1.0)
    risk: float = Field(gt=0.0, lt=0.1)

    def fit(self, scores: FloatArray) -> float:
        """The score that a normal window exceeds with probability `risk`."""
        from scipy.stats import genpareto

        start = float(np.quantile(scores, self.initial_quantile))
        excess = scores[scores > start] - start
        if len(excess) < 5 or np.ptp(excess) == 0:
            return float(np.max(scores))
        unit = float(np.median(excess))
        shape, _, scale = genpareto.fit(excess / unit, floc=0.0)
        share = self.risk * len(scores) / len(excess)
        return start + unit * float(genpareto.isf(min(share, 1.0), shape, 0.0, scale))


def sample_scores(scores: FloatArray, starts: IntArray, length: int, n_samples: int) -> FloatArray:
    """(time,) the mean score of the windows over each sample; NaN where no window lies."""
    total, count = np.zeros(n_samples + 1), np.zeros(n_samples + 1)
    np.add.at(total, starts, scores)
    np.add.at(total, starts + length, -scores)
    np.add.at(count, starts, 1.0)
    np.add.at(count, starts + length, -1.0)
    covered = np.round(np.cumsum(count)[:-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(covered > 0, np.cumsum(total)[:-1] / covered, np.nan)


def merge_segments(scores: FloatArray, threshold: float, starts: IntArray, length: int) -> list[dict[str, Any]]:
    """Anomalous windows that overlap or touch, merged into segments, the highest score first (stop exclusive)."""
    segments: list[dict[str, Any]] = []
    for window in np.flatnonzero(scores > threshold):
        start, score = int(starts[window]), float(scores[window])
        if segments and start <= segments[-1]["stop"]:
            last = segments[-1]
            last["stop"] = start + length
            last["n_windows"] += 1
            if score > last["peak_score"]:
                last |= {"peak_score": score, "peak_window": int(window)}
        else:
            segments.append(
                {
                    "start": start,
                    "stop": start + length,
                    "n_windows": 1,
                    "peak_score": score,
                    "peak_window": int(window),
                }
            )
    return sorted(segments, key=lambda segment: -segment["peak_score"])
