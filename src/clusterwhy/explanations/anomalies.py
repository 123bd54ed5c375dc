"""Explain alarms and the most anomalous windows: which channels, and when, differ from normal windows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.anomaly.thresholds import merge_segments
from clusterwhy.data.windows import wholly_inside, windows_at
from clusterwhy.explanations.anomaly_tables import (
    AnomalyExplanations,
    Scored,
    channel_table,
    no_anomalies,
    window_table,
)
from clusterwhy.explanations.anomaly_targets import N_NORMAL, AnomalySettings, AnomalyTarget, Detection
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.leading import COLUMNS, leading
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.patterns import NO_PATTERN, pattern_table, patterns_of
from clusterwhy.explanations.target_function import TargetCache, canonical_network
from clusterwhy.metrics.channel_deletion import deletion_table, targets_of_replaced
from clusterwhy.metrics.z_scores import channel_z_scores
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance
    from clusterwhy.propagation.steps import Canonical

N_RANDOM_RANKINGS = 8
EXPLAINED_WITHOUT = "scores of `pca_error`, `relation_and_shape` and `mean_abs_z` are explained without one"


def most_anomalous(scores: FloatArray, starts: IntArray, length: int, count: int) -> IntArray:
    """Positions of up to `count` windows with the highest scores that do not overlap, the highest first."""
    chosen: list[int] = []
    for window in np.argsort(-scores, kind="stable"):
        if len(chosen) == count:
            break
        if all(abs(starts[window] - starts[other]) >= length for other in chosen):
            chosen.append(int(window))
    return np.array(chosen, dtype=np.int64)


def alarms(detection: Detection, starts: IntArray, length: int) -> IntArray:
    """Positions of the windows with the highest score of each anomalous segment, the highest first."""
    segments = merge_segments(detection.scores, detection.threshold, starts, length)
    return np.array([segment["peak_window"] for segment in segments], dtype=np.int64)


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
    from clusterwhy.encoders.without_network import WHY, lacks_network

    starts, length, asked = series.starts, series.length, new or Scored(series, detection)
    peaks = alarms(asked.detection, asked.series.starts, length)
    nothing = partial(no_anomalies, len(series.channels), length, len(peaks))
    if settings.count == 0:
        return nothing("`anomalies.count` is 0")
    own = most_anomalous(detection.scores, starts, length, settings.count)
    highest = own if new is None else most_anomalous(new.detection.scores, new.series.starts, length, settings.count)
    chosen = np.union1d(highest, peaks[: settings.max_alarms])
    chosen = chosen[np.argsort(-asked.detection.scores[chosen], kind="stable")]
    excluded = starts[np.union1d(own, np.flatnonzero(detection.anomalous))]
    allowed = allowed_starts(starts, length, excluded, len(series.values))
    if series.fitted_spans:
        allowed &= wholly_inside(series.fitted_spans, np.arange(len(allowed)), length)
    normal = np.flatnonzero(allowed[starts] & series.index["train"].to_numpy())
    if len(normal) < settings.n_normal_windows:
        return nothing(
            f"only {len(normal)} normal windows in training data do not overlap them, {settings.n_normal_windows} are "
            "needed"
        )
    began = time.monotonic()
    series.encoder.to(best_device())
    rng = np.random.default_rng(seed)
    usual = np.sort(rng.permutation(normal)[:N_NORMAL])
    windows = asked.series.windows(chosen)
    matched = _matching_normal_windows(series, asked.series, chosen, normal, allowed, settings)
    normal_windows = windows_at(series.values, matched.ravel(), length).reshape(*matched.shape, *windows.shape[1:])
    wanted = settings.target(series, detection, normal, usual)
    if lacks_network(wanted.network):
        return nothing(f"{wanted.says} needs the network: {WHY}; {EXPLAINED_WITHOUT}")
    canonical = canonical_network(wanted.network.to(best_device()), windows)
    seen = asked.series.index["train"].to_numpy()[chosen]
    explained = _explained(wanted, canonical, windows, normal_windows, seen, settings.batch_size)
    unit = _units(wanted, asked.detection)[chosen]
    explained = replace(explained, values=explained.values / unit[:, None, None], target=explained.target / unit)
    seconds = time.monotonic() - began
    parts = asked.detection.channels
    channel_scores = None if parts is None else parts[chosen]
    rankings = {"relevance": explained.values.sum(axis=2)}
    rankings |= {} if channel_scores is None else {"detector": channel_scores}
    rankings |= {"z_score": channel_z_scores(windows, series.windows(usual))}
    is_alarm = np.isin(chosen, peaks)
    labels, typical = np.full(len(chosen), NO_PATTERN), np.ones(len(chosen))
    deviation = windows - normal_windows.mean(axis=1)
    labels[is_alarm], typical[is_alarm] = patterns_of(explained.values[is_alarm], deviation[is_alarm])
    ids = asked.series.window_ids(chosen)
    some = slice(0, settings.count)  # enough to judge an order of channels by
    judged = {name: ranking[some] for name, ranking in rankings.items()}
    target = TargetCache().function(canonical, windows[some])
    without: dict[str, FloatArray] = {}
    if wanted.of_score:
        score = TargetCache().function(canonical, windows)

        def in_units(batch: FloatArray) -> FloatArray:
            return score(batch) / np.resize(unit, len(batch))

        draws = np.random.default_rng([seed, len(chosen)])
        left = scores_without(in_units, windows, normal_windows[:, 0], rankings, N_RANDOM_RANKINGS, draws)
        # the score of a window that the detector was fitted on may be another function
        same = np.isclose(in_units(windows), asked.detection.scores[chosen], rtol=1e-3)
        without = {name: np.where(same, values, np.nan) for name, values in left.items()}
    return AnomalyExplanations(
        relevance=explained.values,
        windows=window_table(asked, chosen, explained, matched, without).assign(pattern=labels),
        channels=channel_table(asked.series, chosen, explained.values, rankings),
        quality=deletion_table(
            # a batch holds the windows one or several times
            lambda batch: target(batch) / np.resize(unit[some], len(batch)) - wanted.limit,
            windows[some],
            normal_windows[some, 0],
            judged,
            N_RANDOM_RANKINGS,
            rng,
        ),
        patterns=pattern_table(ids, labels, typical),
        target=wanted.says,
        n_alarms=len(peaks),
        seconds=seconds,
    )


def scores_without(
    score: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    normal: FloatArray,
    rankings: Mapping[str, FloatArray],
    n_random: int,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Scores with channels replaced by those of a normal window: the leading ones, and as many others.

    Args:
        score: (window, channel, time) -> (window,).
        windows, normal: (window, channel, time), and the normal window of each.
        rankings: `relevance` (window, channel), signed, and `z_score` (window, channel), NaN where unknown.
        n_random: random choices of channels whose mean is taken.

    Returns:
        (window,) each: `without_leading`, `without_highest_z` (the same number of channels, the highest z-scores),
        `without_random`; NaN where no channel leads.
    """
    own, z_scores = leading(rankings["relevance"]), rankings["z_score"]
    count = own.sum(axis=1, keepdims=True)
    by_z = np.argsort(np.argsort(-np.nan_to_num(z_scores, nan=-np.inf), axis=1, kind="stable"), axis=1) < count
    drawn = [np.argsort(rng.random(own.shape), axis=1) < count for _ in range(n_random)]
    found = targets_of_replaced(score, windows, normal, [mask[:, :, None] for mask in (own, by_z, *drawn)])
    found = np.where(count[:, 0] > 0, found, np.nan)
    return dict(zip(COLUMNS, (found[0], found[1], found[2:].mean(axis=0)), strict=True))


def _units(wanted: AnomalyTarget, detection: Detection) -> FloatArray:
    """(window,) what the explained scalar is told in: 1, or what is usual for a window."""
    if detection.usual is None or not wanted.of_score:
        return np.ones(len(detection.scores), dtype=np.float32)
    return detection.usual.astype(np.float32)


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
