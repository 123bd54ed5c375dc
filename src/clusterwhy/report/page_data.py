"""Data of the page's linked views: names and numbers as JSON, arrays encoded."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.data.windows import windows_at
from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots.figures import cluster_colour
from clusterwhy.report.array_encoding import Packed, envelope, pack, pack_for_drawing, packed_levels
from clusterwhy.report.naming import events_in_views, names_in_views
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.value_chunks import RelevanceChunks, ValueChunks
from clusterwhy.types import FloatArray, IntArray

N_NEIGHBORS = 5
MOST_NEAR = 20_000  # windows that each get nearest ones; of more, only those that are explained
MOST_MOMENTS = 8_000_000  # means and deviations of windows in the page; it does without where there are more


@dataclass(frozen=True)
class ViewData:
    """Metadata for the views as JSON values, and the arrays that `about["arrays"]` describes."""

    about: dict[str, Any]
    arrays: list[Packed]


def hex_colour(cluster: int) -> str:
    """The colour of a cluster, or of noise (-1), as #rrggbb."""
    return str(mpl.colors.to_hex(cluster_colour(cluster)))


def script_json(values: Any) -> str:
    """JSON that is safe inside a script element, whatever names it contains."""
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def view_data(study: StudyResults, chunks: ValueChunks | None, cells: RelevanceChunks | None) -> ViewData:
    """Everything that the views draw, except what is in chunk files beside the page."""
    arrays = [*_windows(study), *_series(study, chunks), *_relevance(study, cells)]
    about = _about(study) | {"chunks": chunks.about if chunks else None, "cells": cells.about if cells else None}
    return ViewData(about | {"arrays": {one.name: one.about for one in arrays}}, arrays)


def strongest(study: StudyResults, cluster: int, count: int) -> list[int]:
    """The explained windows of a cluster with the highest target, at most `count`."""
    own = study.explained[study.explained["cluster"] == cluster].sort_values("target", ascending=False, kind="stable")
    return [int(window) for window in own["window"].head(count)]


def _about(study: StudyResults) -> dict[str, Any]:
    data, card = study.data, study.data.card
    clusters = [
        {**record, "colour": hex_colour(record["cluster"]), "strongest_windows": strongest(study, record["cluster"], 5)}
        for record in study.summary["clusters"]
    ]
    return {
        "name": card.name,
        "channels": card.channels,
        "units": card.units,
        "rate_hz": card.rate_hz,
        "clock": asdict(study.clock),
        "window_clock": asdict(study.window_clock),
        "length": data.length,
        "n_samples": len(data.values),
        "breaks": card.segments[1:],
        "n_windows": len(data.starts),
        "label_names": card.label_names if data.labels is not None else [],
        "group_names": card.group_names if data.groups is not None else [],
        # as the scores are packed, so that none of them rises above a threshold that it equals
        "threshold": float(np.float32(study.threshold)),
        "ranges": drawing_ranges(data.values),
        "clusters": clusters,
        "noise_colour": hex_colour(-1),
        "named": names_in_views(study.annotated),
        "events": events_in_views(study.annotated),
        "why_none": study.why_none,
        "behind": study.behind.says if study.behind else None,
    }


def drawing_ranges(values: FloatArray) -> list[tuple[float, float]]:
    """Lower and upper drawing limit of each channel of (time, channel): the 0.2 % and 99.8 % quantiles."""
    few = values[:: max(1, len(values) // 20_000)]
    found = []
    for channel in few.T:
        known = channel[np.isfinite(channel)]
        low, high = np.quantile(known, [0.002, 0.998]) if len(known) else (0.0, 1.0)
        found.append((float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5))
    return found


def _windows(study: StudyResults) -> list[Packed]:
    """Arrays with one value per window."""
    data = study.data
    packed = [
        pack("start", data.starts),
        pack("x", study.projection[:, 0]),
        pack("y", study.projection[:, 1]),
        pack("cluster", study.labels),
        pack("strength", study.strengths),
        pack("score", study.scores["score"]),
        *_near(study),
    ]
    if 2 * len(data.channels) * len(data.starts) <= MOST_MOMENTS:
        # (channel, window), in standard deviations of the training span; to 1/65 534 of the range
        names = ("mean", "deviation")
        packed += [pack_for_drawing(name, array, turn=2) for name, array in zip(names, study.moments, strict=True)]
    if (behind := study.behind) is not None:
        x, y = behind.projection.T
        packed += [pack("behind_x", x), pack("behind_y", y), pack("behind_cluster", behind.labels)]
    if data.labels is not None:
        packed.append(pack("label", data.labels))
    if data.groups is not None:
        packed.append(pack("group", data.groups))
    if (marked := data.anomalous_samples) is not None:
        # starts and stops of expert-labelled anomalies, alternating
        packed.append(pack("marked", np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))))
    return packed


def explained_windows(study: StudyResults) -> IntArray:
    """Windows of clusters and anomalies that are explained, ascending."""
    return np.union1d(study.explained["window"], study.anomalies["window"]).astype(np.int64)


def _near(study: StudyResults) -> list[Packed]:
    """The nearest windows of each, or of each explained one."""
    if len(study.data.starts) <= MOST_NEAR:
        return [pack("near", study.nearest(N_NEIGHBORS, np.arange(len(study.data.starts))), turn=1)]
    asked = explained_windows(study)
    return [pack("near", study.nearest(N_NEIGHBORS, asked), turn=1), pack("near_of", asked, turn=1)]


def _series(study: StudyResults, chunks: ValueChunks | None) -> list[Packed]:
    """(channel, time) as recorded: all values if they fit, else the envelope and the explained windows."""
    data = study.data
    values, rate = data.values.T, data.card.rate_hz
    drift = data.time_s - np.arange(len(data.time_s)) / rate
    even = bool(np.all(np.abs(drift) < 0.1 / rate))
    n_buckets = chunks.n_buckets if chunks else len(drift)
    packed = [] if even else [pack("drift", drift[(np.arange(n_buckets) * len(drift)) // n_buckets])]
    if chunks is None:
        return [*packed, pack_for_drawing("values", values)]
    low, high = envelope(values, n_buckets)
    kept = explained_windows(study)
    windows = windows_at(data.values, data.starts[kept], data.length)
    return [
        *packed,
        pack_for_drawing("low", low),
        pack_for_drawing("high", high),
        pack("kept", kept),
        # one range per channel, as in the series
        pack_for_drawing("kept_values", windows.transpose(1, 0, 2), turn=1),
    ]


def _relevance(study: StudyResults, cells: RelevanceChunks | None) -> list[Packed]:
    table = study.explained_windows
    size = table["size"].to_numpy()
    per_window = 1.0 / np.where(size > 0, size, 1.0)
    step = per_window * table["step"].to_numpy()
    levels = study.levels if cells is None else study.levels[:0]
    return [
        *_of_windows("explained", table, per_window[:, None] * study.window_channels),
        pack("explained_cluster", table["explained_cluster"]),
        pack("explained_reference", table["reference"]),
        pack("explained_encoders", table["encoders"]),
        packed_levels("explained_relevance", levels, step, turn=1),
        *pack_relevance("anomaly", study.anomalies, study.anomaly_relevance),
    ]


def pack_relevance(name: str, windows: pd.DataFrame, relevance: FloatArray) -> list[Packed]:
    """Relevance as shares of each window's |relevance|: quantised cells for drawing, exact sums per channel.

    Args:
        name: prefix of the arrays' names.
        windows: one row per window with `window`, `target`, `gap`.
        relevance: (window, channel, time).
    """
    shares = relevance_shares(relevance)
    return [
        *_of_windows(name, windows, shares.sum(axis=2)),
        pack_for_drawing(f"{name}_relevance", shares, np.int8, turn=1),
    ]


def _of_windows(name: str, windows: pd.DataFrame, channels: FloatArray) -> list[Packed]:
    return [
        pack(f"{name}_window", windows["window"].astype(np.int64)),
        pack(f"{name}_target", windows["target"].astype(float)),
        pack(f"{name}_gap", windows["gap"].astype(float)),
        pack(f"{name}_channels", channels),
    ]
