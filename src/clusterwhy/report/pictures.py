"""The page's figures, each as PNG and SVG."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots import figures
from clusterwhy.plots.saving import save
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

MAX_CHANNELS, MAX_ALARMS = 12, 300  # in the overview
Files = tuple[Path, Path]


def overview(study: StudyResults, stem: Path) -> Files:
    """Series, clusters, labels, projection, and the shares of the channels in each cluster."""
    data, explained = study.data, study.explained_clusters
    shown = min(len(data.channels), MAX_CHANNELS)
    extra = 1 if data.labels is None else 2
    figure = Figure(figsize=(11, 1.4 + 0.55 * shown), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2, 1.25])[0]
    axes = left.subplots(shown + extra, 1, sharex=True, height_ratios=[1] * shown + [0.6] * extra)
    units, times = tuple(data.card.units)[:shown], study.clock.scaled(data.time_s)
    values, channels = data.values[:, :shown], data.channels[:shown]
    figures.draw_series(axes[:shown], times, values, channels, units, data.card.segments)
    figures.draw_alarm_spans(axes[:shown], study.segments[:MAX_ALARMS], times)
    figures.draw_timeline(axes[shown], study.runs, times)
    if data.labels is not None:
        figures.draw_labels(axes[-1], data.index, data.card.label_names, times, data.card.segments)
    axes[-1].set_xlabel(f"time since {study.clock.since} ({study.clock.unit})", fontsize=8)
    if explained:
        scatter, matrix = right.subplots(2, 1, height_ratios=[1.5, 1])
        image = figures.draw_matrix(matrix, study.importance, explained)
        bar = right.colorbar(image, ax=matrix)
        bar.set_label("share of |relevance|\n(red supports)", fontsize=8)
        bar.ax.tick_params(labelsize=6)
    else:
        scatter = right.subplots()
    if (behind := study.behind) is not None:
        figures.draw_behind(scatter, behind.projection, behind.labels)
    figures.draw_projection(scatter, study.projection, study.labels)
    figures.draw_alarms(scatter, study.projection[study.scores["anomalous"].to_numpy(dtype=bool)])
    return save(figure, stem)


def cluster(study: StudyResults, which: int, stem: Path) -> Files:
    """Channel shares of one cluster with intervals, and its mean relevance; same limits for all clusters."""
    data, importance, maps = study.data, study.importance, study.maps
    figure = Figure(figsize=(10, max(2.1, 0.22 * len(data.channels) + 1.0)), layout="constrained")
    bars, panel = figure.subplots(1, 2, width_ratios=[1, 2.2])
    ends = importance[["signed_low", "signed_high"]].fillna(0.0).to_numpy()
    figures.draw_importance(bars, importance, which)
    bars.set_xlim(min(0.0, ends.min()) * 1.05, max(0.0, ends.max()) * 1.05)
    bars.set_xlabel("relevance (share of |relevance|)", fontsize=8)
    relevance, clock = maps[study.explained_clusters.index(which)], study.window_clock
    image = figures.draw_map(panel, relevance, data.channels, clock.scaled(study.window_s), _limit(maps))
    panel.set_xlabel(f"time in window ({clock.unit})", fontsize=8)
    _colours(figure, image, panel, "mean relevance\n(% of |relevance|; red supports)")
    return save(figure, stem)


def anomaly(study: StudyResults, row: int, stem: Path) -> Files:
    """Relevance of one anomaly, and its leading channel over the nearest normal windows."""
    data, card, anomaly = study.data, study.data.card, study.anomalies.iloc[row]
    relevance = relevance_shares(study.anomaly_relevance)
    n_channels, length = relevance.shape[1:]
    figure = Figure(figsize=(11.5, max(2.1, 0.22 * n_channels + 1.1)), layout="constrained")
    bars, panel, lines = figure.subplots(1, 3, width_ratios=[1, 1.9, 1.6])
    own = study.anomaly_channels[study.anomaly_channels["window"] == anomaly["window"]]
    start, leading = int(data.starts[anomaly["window"]]), int(own["share"].to_numpy().argmax())
    figures.draw_shares(bars, own)
    bars.set_xlabel("relevance (% of |relevance|)", fontsize=8)
    clock = study.window_clock
    image = figures.draw_map(panel, relevance[row], data.channels, clock.scaled(study.window_s), _limit(relevance))
    panel.set_xlabel(f"time in window ({clock.unit})", fontsize=8)
    normal = study.normal.values
    references = np.stack([normal[first : first + length, leading] for first in anomaly["normal_windows"]])
    label = f"{data.channels[leading]} ({card.units[leading] or 'no unit'})"
    times = clock.scaled(np.arange(length) / card.rate_hz)
    figures.draw_beside_references(lines, times, data.values[start : start + length, leading], references, label)
    lines.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    lines.set_xlabel(f"time in window ({clock.unit}); leading channel", fontsize=8)
    _colours(figure, image, panel, "relevance\n(% of |relevance|; red: anomalous)")
    return save(figure, stem)


def _limit(maps: FloatArray) -> float:
    return float(np.nanquantile(np.abs(maps), 0.999)) or 1.0


def _colours(figure: Figure, image: Any, panel: Any, label: str) -> None:
    bar = figure.colorbar(image, ax=panel)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=6)
