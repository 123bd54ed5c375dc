"""Scores of anomaly detection against labelled anomalies.

An event is an unbroken run of labelled samples. A sample without a score (NaN, no window lies there) raises no alarm:
its score counts as the lowest, except in `ranking_quality`, which leaves it out.
"""

import numpy as np

from clusterwhy.types import BoolArray, FloatArray, IntArray


def ranking_quality(anomalous: BoolArray, scores: FloatArray) -> dict[str, float]:
    """AUROC and average precision of per-sample scores.

    Args:
        anomalous: (time,) True inside labelled anomalies.
        scores: (time,) NaN where no window lies; such samples are left out.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    kept = np.isfinite(scores)
    truth = anomalous[kept]
    if truth.all() or not truth.any():
        return {}
    return {
        "auroc": float(roc_auc_score(truth, scores[kept])),
        "average_precision": float(average_precision_score(truth, scores[kept])),
        "anomalous_share": float(truth.mean()),
    }


def event_quality(anomalous: BoolArray, scores: FloatArray, false_alarms: float) -> dict[str, float]:
    """VUS-PR, best range-F1 and event recall; {} without an event or without a normal sample.

    Args:
        anomalous: (time,) True inside labelled anomalies.
        scores: (time,) higher is more anomalous, NaN where no window lies.
        false_alarms: greatest share of normal samples with an alarm, for the event recall.
    """
    if anomalous.all() or not anomalous.any():
        return {}
    return {
        "vus_pr": volume_under_pr(anomalous, scores),
        "range_f1": best_range_f1(anomalous, scores),
        "event_recall": event_recall(anomalous, scores, false_alarms),
        "n_events": float(len(events(anomalous)[0])),
    }


def events(mask: BoolArray) -> tuple[IntArray, IntArray]:
    """First and last sample (inclusive) of each unbroken run of True."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def _ranks(scores: FloatArray) -> FloatArray:
    """Scores with -inf for NaN: no alarm is raised there."""
    return np.where(np.isnan(scores), -np.inf, scores).astype(np.float64)


def volume_under_pr(
    anomalous: BoolArray, scores: FloatArray, greatest_buffer: int = 100, n_thresholds: int = 250
) -> float:
    """Volume under the range-PR surface (Paparrizos et al. 2022, VLDB 15(11), section 4).

    For each buffer l = 0 ... `greatest_buffer` samples, labels fade out over l // 2 samples on both sides of an event
    as sqrt(1 - d / l) at the distance d, and the average precision of these soft labels is taken, its recall times
    the share of (buffered) events with an alarm. As `RangeAUC_volume_opt` of the authors' package: a buffer sample
    counts for the recall only where there is an alarm, half; precision is not interpolated.

    Args:
        anomalous: (time,) True inside events; at least one.
        scores: (time,) higher is more anomalous.
        greatest_buffer: samples.
        n_thresholds: evenly spaced ranks of the scores, the first and the last sample among them.
    """
    ranks = _ranks(scores)
    descending = np.argsort(-ranks, kind="stable")
    thresholds = ranks[descending[np.linspace(0, len(ranks) - 1, n_thresholds).astype(int)]]
    n_alarms = np.searchsorted(-ranks[descending], -thresholds, side="right")
    first, last = events(anomalous)
    n_anomalous = int(anomalous.sum())
    core = _cumulated(anomalous[descending])[n_alarms]
    areas = []
    for buffer in range(greatest_buffer + 1):
        beside = _cumulated(_fading(first, last, anomalous, buffer)[descending])[n_alarms]
        reached = _reached(first, last, ranks, buffer // 2, thresholds)
        recall = reached * np.minimum((core + beside) / (n_anomalous + beside / 2), 1.0)
        precision = (core + beside) / n_alarms
        areas.append(float(np.diff(recall, prepend=0.0) @ precision))
    return float(np.mean(areas))


def _cumulated(values: FloatArray | BoolArray) -> FloatArray:
    """Sums of the first 0, 1, ... values."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _fading(first: IntArray, last: IntArray, anomalous: BoolArray, buffer: int) -> FloatArray:
    """(time,) soft labels beside the events and 0 inside; those of neighbouring events add up to at most 1."""
    soft = np.zeros(len(anomalous))
    for distance in range(1, buffer // 2 + 1):
        height = np.sqrt(1.0 - distance / buffer)
        for at in (first - distance, last + distance):
            np.add.at(soft, at[(at >= 0) & (at < len(soft))], height)
    return np.where(anomalous, 0.0, np.minimum(soft, 1.0))


def _reached(first: IntArray, last: IntArray, ranks: FloatArray, reach: int, thresholds: FloatArray) -> FloatArray:
    """(threshold,) share of the events, `reach` samples longer on both sides and joined, with a score that high."""
    apart = np.flatnonzero(first[1:] - last[:-1] > 2 * reach)
    starts = np.maximum(first[np.r_[0, apart + 1]] - reach, 0)
    stops = np.minimum(last[np.r_[apart, len(last) - 1]] + reach + 1, len(ranks))
    peaks = np.sort([ranks[a:b].max() for a, b in zip(starts, stops, strict=True)])
    share: FloatArray = 1.0 - np.searchsorted(peaks, thresholds, side="left") / len(peaks)
    return share


def range_f1(anomalous: BoolArray, alarms: BoolArray) -> float:
    """Harmonic mean of range-based precision and recall (Tatbul et al. 2018, eq. 1 to 12).

    Flat bias, existence weight 0, cardinality factor 1: recall is the mean share of an event that has alarms,
    precision the mean share of a run of alarms that lies in events.
    """
    recall, precision = _mean_overlap(anomalous, alarms), _mean_overlap(alarms, anomalous)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _mean_overlap(runs: BoolArray, other: BoolArray) -> float:
    """Mean over the runs of the share of their samples where `other` is True."""
    first, last = events(runs)
    if not len(first):
        return 0.0
    covered = _cumulated(other & runs)
    return float(np.mean((covered[last + 1] - covered[first]) / (last + 1 - first)))


def best_range_f1(anomalous: BoolArray, scores: FloatArray, n_thresholds: int = 250) -> float:
    """The best `range_f1` over thresholds at evenly spaced ranks of the scores: an upper bound, it uses labels."""
    ranks = _ranks(scores)
    ordered = np.sort(ranks)[::-1]
    thresholds = np.unique(ordered[np.linspace(0, len(ranks) - 1, n_thresholds).astype(int)])
    return max(range_f1(anomalous, ranks >= threshold) for threshold in thresholds)


def event_recall(anomalous: BoolArray, scores: FloatArray, false_alarms: float) -> float:
    """Share of events with an alarm at the lowest threshold with at most `false_alarms` of the normal samples above."""
    ranks = _ranks(scores)
    normal = np.sort(ranks[~anomalous])[::-1]
    alarms = ranks > normal[int(false_alarms * len(normal))]
    first, last = events(anomalous)
    return float(np.mean([alarms[a : b + 1].any() for a, b in zip(first, last, strict=True)]))
