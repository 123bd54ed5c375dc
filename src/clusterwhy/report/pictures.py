"""The page's figures, each as PNG and SVG."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clusterwhy.data.windows import windows_at
from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots import figures
from clusterwhy.plots.lanes import Lanes, draw_bars, draw_lanes
from clusterwhy.plots.names import shown
from clusterwhy.plots.saving import save
from clusterwhy.report.page_data import drawing_ranges
from clusterwhy.report.shown_windows import central_relevance, cluster_lanes, recorded
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

MAX_CHANNELS, MAX_ALARMS = 12, 300  # in the overview
MOST_LANES = 10
Files = tuple[Path, Path]


def overview(study: StudyResults, stem: Path) -> Files:
    """Series, clusters, labels, projection, and the shares of the channels in each cluster."""
    data, explained = study.data, study.explained_clusters
    shown = min(len(data.channels), MAX_CHANNELS)
    strips = _interval_strips(study)
    extra = (1 if data.labels is None else 2) + len(strips)
    figure = Figure(figsize=(11, 1.4 + 0.55 * shown + 0.3 * len(strips)), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2, 1.25])[0]
    axes = left.subplots(shown + extra, 1, sharex=True, height_ratios=[1] * shown + [0.6] * extra)
    units, times = tuple(data.card.units)[:shown], study.clock.scaled(data.time_s)
    values, channels = data.values[:, :shown], data.channels[:shown]
    figures.draw_series(axes[:shown], times, values, channels, units, data.card.segments)
    figures.draw_alarm_spans(axes[:shown], study.segments[:MAX_ALARMS], times)
    figures.draw_timeline(axes[shown], study.runs, times)
    for ax, (label, intervals) in zip(axes[shown + 1 :], strips, strict=False):
        figures.draw_intervals(ax, intervals, times, label)
    if data.labels is not None:
        figures.draw_labels(axes[-1], data.index, data.card.label_names, times, data.card.segments)
    axes[-1].set_xlabel(f"time since {study.clock.since} ({study.clock.unit})", fontsize=8)
    if explained:
        scatter, matrix = right.subplots(2, 1, height_ratios=[1.5, 1])
        image = figures.draw_matrix(matrix, study.importance, explained, study.cluster_name)
        bar = right.colorbar(image, ax=matrix)
        bar.set_label("share of |relevance|\n(red supports)", fontsize=8)
        bar.ax.tick_params(labelsize=6)
    else:
        scatter = right.subplots()
    if (behind := study.behind) is not None:
        figures.draw_behind(scatter, behind.projection, behind.labels)
    figures.draw_projection(scatter, study.projection, study.labels, study.cluster_name)
    figures.draw_alarms(scatter, study.projection[study.scores["anomalous"].to_numpy(dtype=bool)])
    return save(figure, stem)


def _interval_strips(study: StudyResults) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Label and intervals (first sample, sample after the last, name) of the strips below the clusters."""
    own = study.annotated
    strips = (("note", own.segments), ("event", own.events))
    return [
        (label, [(*span, one.name or one.note) for one in intervals for span in one.spans])
        for label, intervals in strips
        if intervals
    ]


def cluster(study: StudyResults, which: int, stem: Path) -> Files:
    """Leading channels of one cluster with intervals, and its most central window; same colours for all clusters."""
    own = _leading(study.importance[study.importance["cluster"] == which], "signed")
    errors = np.abs(np.stack([own["signed"] - own["signed_low"], own["signed_high"] - own["signed"]]))
    limit = _limit(np.stack([central_relevance(study, one) for one in study.explained_clusters]))
    figure, bars = _bars_and_lanes(study, own["channel"].tolist(), cluster_lanes(study, which), limit)
    draw_bars(bars, own["signed"].to_numpy(), errors, figures.cluster_colour(which))
    return save(figure, stem)


def anomaly(study: StudyResults, row: int, stem: Path) -> Files:
    """Leading channels of one anomaly, and its window over the nearest normal ones; same colours for all anomalies."""
    data, record = study.data, study.anomalies.iloc[row]
    window = int(record["window"])
    own = _leading(study.anomaly_channels[study.anomaly_channels["window"] == window], "share")
    normal = windows_at(study.normal.values, np.asarray(record["normal_windows"], dtype=np.int64), data.length)
    shares = relevance_shares(study.anomaly_relevance)
    lanes = Lanes(recorded(study, window), normal, shares[row], np.array(drawing_ranges(data.values)))
    figure, bars = _bars_and_lanes(study, own["channel"].tolist(), lanes, _limit(shares))
    draw_bars(bars, own["share"].to_numpy(), None, np.where(own["share"] > 0, "#b2182b", "#2166ac"))
    return save(figure, stem)


def _leading(table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.sort_values(column, ascending=False, kind="stable").head(MOST_LANES)


def _bars_and_lanes(study: StudyResults, channels: list[str], lanes: Lanes, limit: float) -> tuple[Figure, Axes]:
    """A figure with channels in lanes, and axes for their bars on its left."""
    figure = Figure(figsize=(11, 0.27 * len(channels) + 0.8), layout="constrained")
    bars, panel = figure.subplots(1, 2, width_ratios=[1, 2.4])
    card, clock = study.data.card, study.window_clock
    positions = [study.data.channels.index(channel) for channel in channels]
    image = draw_lanes(panel, lanes.of(positions), clock.scaled(study.window_s), limit)
    panel.set_xlabel(f"time in window ({clock.unit})", fontsize=8)
    bars.set_xlabel("relevance (% of |relevance|)", fontsize=8)
    named = [(card.channels[i], card.units[i]) for i in positions]
    texts = [shown(f"{name} ({unit})" if unit else name, 30) for name, unit in named]
    bars.set_yticks(range(len(texts)), texts, fontsize=8)
    _colours(figure, image, panel, "relevance\n(% of |relevance|)")
    return figure, bars


def _limit(maps: FloatArray) -> float:
    return float(np.nanquantile(np.abs(maps), 0.999)) or 1.0


def _colours(figure: Figure, image: Any, panel: Any, label: str) -> None:
    bar = figure.colorbar(image, ax=panel)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=6)
