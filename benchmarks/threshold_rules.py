"""Rules from training scores (window,) to the score above which a window is an alarm."""

from collections.abc import Callable

import numpy as np

from clusterwhy.anomaly.thresholds import ExtremeValueThreshold, HalvingTailThreshold, QuantileThreshold
from clusterwhy.types import FloatArray

Rule = Callable[[FloatArray], float]


def deviations(k: float, log: bool) -> Rule:
    """Median and `k` times the median absolute deviation (times 1.4826, as of a normal distribution)."""

    def rule(scores: FloatArray) -> float:
        values = np.log(np.maximum(scores, 1e-12)) if log else scores
        middle = np.median(values)
        limit = middle + k * 1.4826 * np.median(np.abs(values - middle))
        return float(np.exp(limit) if log else limit)

    return rule


def trimmed(k: float) -> Rule:
    """Mean and `k` standard deviations of the scores below that, until nothing changes."""

    def rule(scores: FloatArray) -> float:
        kept, limit = scores, np.inf
        while True:
            limit = kept.mean() + k * kept.std()
            if (smaller := kept[kept <= limit]).size == kept.size:
                return float(limit)
            kept = smaller

    return rule


def moments_tail(scores: FloatArray, quantile: float = 0.95, risk: float = 1e-3) -> float:
    """Generalised Pareto tail by probability-weighted moments (Hosking and Wallis 1987), its shape at most 0."""
    start = float(np.quantile(scores, quantile))
    excess = np.sort(scores[scores > start]) - start
    if len(excess) < 5 or np.ptp(excess) == 0:
        return float(scores.max())
    n, mean = len(excess), excess.mean()
    weighted = (excess * np.arange(n)[::-1]).sum() / (n * (n - 1))
    shape = min(2 - mean / (mean - 2 * weighted), 0.0)
    scale, times = mean * (1 - shape), max(n / len(scores) / risk, 1.0)
    return start + float(scale * np.log(times) if shape > -1e-9 else scale / shape * (times**shape - 1))


def exponential_tail(scores: FloatArray, quantile: float = 0.95, risk: float = 1e-3) -> float:
    """Exponential tail above a quantile, its scale the mean excess."""
    start = float(np.quantile(scores, quantile))
    excess = scores[scores > start] - start
    return start + float(excess.mean() * np.log((1 - quantile) / risk)) if len(excess) else float(scores.max())


RULES: dict[str, Rule] = {
    "halving tail above 0.8, every 100": HalvingTailThreshold(initial_quantile=0.8, every=100).fit,
    "halving tail above 0.8, every 50": HalvingTailThreshold(initial_quantile=0.8, every=50).fit,
    "halving tail above 0.8, every 400": HalvingTailThreshold(initial_quantile=0.8, every=400).fit,
    "halving tail above 0.9, every 100": HalvingTailThreshold(initial_quantile=0.9, every=100).fit,
    "halving tail above 0.7, every 100": HalvingTailThreshold(initial_quantile=0.7, every=100).fit,
    "halving tail above 0.6, every 100": HalvingTailThreshold(initial_quantile=0.6, every=100).fit,
    "halving tail above 0.5, every 100": HalvingTailThreshold(initial_quantile=0.5, every=100).fit,
    "extreme value, risk 0.001": ExtremeValueThreshold(initial_quantile=0.95, risk=1e-3).fit,
    "extreme value, risk 0.005": ExtremeValueThreshold(initial_quantile=0.95, risk=5e-3).fit,
    "extreme value, moments, shape at most 0": moments_tail,
    "exponential tail": exponential_tail,
    "quantile 0.98": QuantileThreshold(quantile=0.98).fit,
    "quantile 0.99": QuantileThreshold(quantile=0.99).fit,
    "quantile 0.995": QuantileThreshold(quantile=0.995).fit,
    "quantile 0.99, and a tenth": lambda scores: 1.1 * float(np.quantile(scores, 0.99)),
    "greatest training score (conformal)": lambda scores: float(scores.max()),
    "median + 8 deviations": deviations(8.0, log=False),
    "median + 4 deviations of the log": deviations(4.0, log=True),
    "mean + 4 deviations, trimmed": trimmed(4.0),
}
