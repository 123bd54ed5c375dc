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

    @property
    def says(self) -> str:
        """What the threshold is, in words."""


class QuantileThreshold(Settings):
    """A quantile of the training scores."""

    quantile: float = Field(gt=0.0, lt=1.0)

    def fit(self, scores: FloatArray) -> float:
        return float(np.quantile(scores, self.quantile))

    @property
    def says(self) -> str:
        return f"the score that {1 - self.quantile:.3g} of the training windows exceed"


class HalvingTailThreshold(Settings):
    """The return level of an exponential tail whose scale comes from a median, so that a few faults do not stretch it.

    Half of the peaks above `initial_quantile` are less than one `halving` above it. A tail that goes on like this loses
    half of its peaks with every further `halving`; one is left where about one peak in `every` windows lies. A peak is
    the highest score of neighbouring windows above the quantile: windows that overlap are no separate events.

    Scores that cannot grow for ever end below such a tail. The threshold is therefore at most the greatest of the n
    training scores, which a further window exceeds with probability 1 / (n + 1).
    """

    initial_quantile: float = Field(ge=0.5, lt=1.0)
    every: int = Field(ge=2)

    def fit(self, scores: FloatArray) -> float:
        """The score that normal windows exceed about once in `every` of them; with fewer than 3 peaks the greatest."""
        start, greatest = float(np.quantile(scores, self.initial_quantile)), float(np.max(scores))
        peaks = _peaks(scores, start)
        if len(peaks) < 3:
            return greatest
        halving, expected = float(np.median(peaks - start)), len(peaks) * self.every / len(scores)
        return min(start + halving * float(np.log2(max(expected, 1.0))), greatest)

    @property
    def says(self) -> str:
        return f"the score that windows like the training windows exceed about once in {self.every}"


def _peaks(scores: FloatArray, level: float) -> FloatArray:
    """The highest score of each unbroken run of windows above a level."""
    first = np.flatnonzero(np.diff((scores > level).astype(np.int8), prepend=0) == 1)
    return np.maximum.reduceat(scores, first) if len(first) else np.empty(0)


class ExtremeValueThreshold(Settings):
    """Peaks over threshold (Siffer et al. 2017, eq. 1): a generalised Pareto tail above a quantile.

    The excesses are scaled by their median before the fit, so that it does not depend on units. Where the training
    windows hold faults, the fitted tail reaches beyond them (`python -m benchmarks.thresholds`).
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

    @property
    def says(self) -> str:
        return f"the score that a window like the training windows exceeds with probability {self.risk:.3g}"


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
