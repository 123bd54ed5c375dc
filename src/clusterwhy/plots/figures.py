"""Plots of a study; each function draws on the given axes."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from clusterwhy.plots.names import shown, with_unit
from clusterwhy.types import FloatArray, IntArray

NOISE_COLOUR = "#b5b5b5"
ALARM = "#c1121f"
LINE = "#222222"  # signals, and text on colours
INTERVALS = ("#d9e2ec", "#ece3d4", "#dfeadb", "#eadbe6")  # of named intervals
PLACES = 1_000  # along a series that a strip of intervals tells apart
LETTERS_ACROSS, LEAST_LETTERS = 130, 3  # that fit along a series; of a name that is written
MOST_POINTS = 20_000  # windows drawn in a projection
MOST_RUNS = 2_000  # places along a series that a picture tells apart


def cluster_colour(cluster: int) -> Any:
    """Colour-blind safe colours of Okabe-Ito and Paul Tol first, then spread over a colour map."""
    if cluster < 0:
        return NOISE_COLOUR
    first = (
        "#0072B2",
        "#E69F00",
        "#009E73",
        "#CC79A7",
        "#56B4E9",
        "#D55E00",
        "#F0E442",
        "#332288",
        "#882255",
        "#44AA99",
    )
    return first[cluster] if cluster < len(first) else mpl.colormaps["turbo"]((cluster * 0.618) % 1.0)


def cluster_name(cluster: int) -> str:
    """What a cluster without a name is called in figures and tables."""
    return "noise" if cluster < 0 else f"cluster {cluster}"


def _in_legend(name: str) -> str:
    """A name as a label of a legend, which leaves out those that begin with `_`."""
    text = shown(name, 16)
    return f" {text}" if text.startswith("_") else text


def draw_projection(
    ax: Axes, projection: FloatArray, labels: IntArray, name: Callable[[int], str] = cluster_name
) -> None:
    """Windows (window, 2) coloured by cluster; noise is grey and behind. Of more than `MOST_POINTS`, every n-th.

    Args:
        name: what a cluster is called in the legend.
    """
    step = -(-len(labels) // MOST_POINTS) or 1
    projection, labels = projection[::step], labels[::step]
    for cluster in sorted(set(labels.tolist())):
        chosen = labels == cluster
        ax.scatter(
            projection[chosen, 0],
            projection[chosen, 1],
            s=9,
            color=cluster_colour(cluster),
            label=_in_legend(name(cluster)),
            zorder=1 + (cluster >= 0),
            linewidths=0,
        )
    ax.set_xlabel("projection 1", fontsize=8)
    ax.set_ylabel("projection 2", fontsize=8)
    ax.tick_params(labelsize=6)
    # beside the windows: where there is no room, "best" covers some
    ax.legend(fontsize=7, markerscale=1.6, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def draw_alarms(ax: Axes, places: FloatArray) -> None:
    """Rings around anomalous windows (window, 2) of a projection."""
    ax.scatter(places[:, 0], places[:, 1], s=60, facecolors="none", edgecolors=ALARM, zorder=3, linewidths=1.4)


def draw_behind(ax: Axes, projection: FloatArray, labels: IntArray) -> None:
    """Windows (window, 2) of a fitted recording, pale, behind those drawn later."""
    colours = [cluster_colour(cluster) for cluster in labels.tolist()]
    ax.scatter(projection[:, 0], projection[:, 1], s=5, c=colours, alpha=0.2, zorder=0, linewidths=0)


def draw_series(
    axes: Any,
    times: FloatArray,
    values: FloatArray,
    channels: tuple[str, ...],
    units: tuple[str, ...],
    segments: Sequence[int] = (0,),
    limit: int = 4000,
) -> None:
    """One panel per channel: the recorded values, thinned to about `limit` points for drawing only.

    Args:
        segments: first sample of each contiguous segment; no line joins two of them.
    """
    step = max(1, len(values) // limit)
    parts = [slice(*ends, step) for ends in itertools.pairwise([*segments, len(values)])]
    for ax, channel, unit, column in zip(axes, channels, units, values.T, strict=True):
        for part in parts:
            ax.plot(times[part], column[part], linewidth=0.4, color="#333333")
        ax.set_ylabel(with_unit(channel, unit), rotation=0, ha="right", va="center", fontsize=7)
        ax.tick_params(labelsize=6)
        ax.margins(x=0)


def visible_runs(runs: list[dict[str, int]], places: int = MOST_RUNS) -> list[dict[str, int]]:
    """Runs of clusters as they are seen at so many places along the series, each in the colour of its middle.

    Args:
        runs: `cluster`, `start` and `stop` (samples) of each, in order; returned as they are if there are not more.
    """
    if len(runs) <= places:
        return runs
    starts, clusters = (np.array([run[name] for run in runs]) for name in ("start", "cluster"))
    edges = np.linspace(starts[0], runs[-1]["stop"], places + 1).astype(int)
    seen = clusters[np.searchsorted(starts, (edges[:-1] + edges[1:]) // 2, side="right") - 1]
    ends = [0, *(np.flatnonzero(np.diff(seen)) + 1), places]
    return [
        {"cluster": int(seen[a]), "start": int(edges[a]), "stop": int(edges[b])} for a, b in itertools.pairwise(ends)
    ]


def draw_timeline(ax: Axes, runs: list[dict[str, int]], times: FloatArray) -> None:
    """When each cluster occurs."""
    for run in visible_runs(runs):
        start, stop = times[run["start"]], times[run["stop"] - 1]
        ax.axvspan(start, stop, color=cluster_colour(run["cluster"]), linewidth=0)
    ax.set_yticks([])
    ax.set_ylabel("cluster", rotation=0, ha="right", va="center", fontsize=7)
    ax.tick_params(labelsize=6)
    ax.set_xlim(times[0], times[-1])


def draw_alarm_spans(axes: Any, segments: Sequence[Mapping[str, Any]], times: FloatArray) -> None:
    """Anomalous segments (`start` and `stop` in samples) across panels of a series."""
    for ax in axes:
        for one in segments:
            ax.axvspan(times[one["start"]], times[one["stop"] - 1], color=ALARM, alpha=0.3, linewidth=1)


def draw_intervals(ax: Axes, intervals: Sequence[tuple[int, int, str]], times: FloatArray, label: str) -> None:
    """Named intervals (first sample, sample after the last, name) over time; names where they fit.

    Where some overlap, the shorter one is in front.
    """
    names = list(dict.fromkeys(name for *_, name in intervals))
    numbers = {name: number for number, name in enumerate(names)}
    edges = np.linspace(times[0], times[-1], PLACES + 1)
    seen = np.full(PLACES, -1)
    for first, stop, name in sorted(intervals, key=lambda one: one[0] - one[1]):
        own = slice(*np.searchsorted(edges, [times[first], times[stop - 1]], side="right") - [1, 0])
        seen[own] = numbers[name]
    changes = np.flatnonzero(np.diff(seen)) + 1
    for a, b in itertools.pairwise([0, *changes, PLACES]):
        if seen[a] < 0:
            continue
        ax.axvspan(edges[a], edges[b], color=INTERVALS[seen[a] % len(INTERVALS)], linewidth=0)
        if (letters := int((b - a) / PLACES * LETTERS_ACROSS)) >= LEAST_LETTERS:
            middle = (edges[a] + edges[b]) / 2
            ax.text(middle, 0.5, shown(names[seen[a]], letters), ha="center", va="center", fontsize=6)
    ax.set_yticks([])
    ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)
    ax.tick_params(labelsize=6)
    ax.set_xlim(times[0], times[-1])


def draw_labels(
    ax: Axes, index: pd.DataFrame, names: list[str], times: FloatArray, segments: Sequence[int] = (0,)
) -> None:
    """The held-out labels over time, names where they fit; none reaches across the start of a segment (samples)."""
    labels = index["label"].to_numpy()
    segment = np.searchsorted(np.asarray(segments), index["start"].to_numpy(), side="right")
    change = np.flatnonzero((np.diff(labels) != 0) | (np.diff(segment) != 0)) + 1
    runs = [
        (int(index["start"].iloc[first]), int(index["stop"].iloc[last - 1]), names[labels[first]])
        for first, last in zip([0, *change], [*change, len(labels)], strict=True)
    ]
    draw_intervals(ax, runs, times, "label")


def draw_importance(ax: Axes, table: pd.DataFrame, cluster: int) -> None:
    """Signed share of relevance of each channel, with 95 % intervals."""
    own = table[table["cluster"] == cluster]
    positions = np.arange(len(own))
    errors = np.abs(np.stack([own["signed"] - own["signed_low"], own["signed_high"] - own["signed"]]))
    ax.barh(positions, own["signed"], xerr=errors, color=cluster_colour(cluster), error_kw={"linewidth": 0.8})
    ax.axvline(0, color="#333333", linewidth=0.6)
    ax.set_yticks(positions, [shown(name) for name in own["channel"]], fontsize=7)
    ax.set_ylim(len(own) - 0.5, -0.5)  # same order as in the map
    ax.tick_params(axis="x", labelsize=6)


def draw_map(ax: Axes, relevance: FloatArray, channels: tuple[str, ...], length: float, limit: float) -> Any:
    """Channel x time map of mean signed relevance; zero is white, `limit` shared by compared panels."""
    ax.set_facecolor(NOISE_COLOUR)  # shown where the map is NaN
    image = ax.imshow(
        relevance * 100,
        cmap="RdBu_r",
        vmin=-limit * 100,
        vmax=limit * 100,
        aspect="auto",
        interpolation="nearest",
        extent=(0, length, len(channels) - 0.5, -0.5),
    )
    ax.set_yticks(range(len(channels)), [shown(name) for name in channels], fontsize=7)
    ax.tick_params(axis="x", labelsize=6)
    return image


def draw_matrix(ax: Axes, table: pd.DataFrame, clusters: list[int], name: Callable[[int], str] = cluster_name) -> Any:
    """Signed share of relevance, cluster x channel; zero is white.

    Args:
        name: what a cluster is called; a cluster without a name has its number.
    """
    shares = table.pivot(index="cluster", columns="channel", values="signed")
    shares = shares.loc[clusters, table["channel"].unique()]
    ax.set_facecolor(NOISE_COLOUR)  # shown where a share is undefined
    limit = float(np.abs(shares.to_numpy()).max(where=shares.notna().to_numpy(), initial=0.0)) or 1.0
    image = ax.imshow(shares, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    names = [shown(name) for name in shares.columns]
    ax.set_xticks(range(len(names)), names, fontsize=7, rotation=90 if len(names) > 10 else 0)
    rows = [str(one) if name(one) == cluster_name(one) else shown(name(one), 12) for one in clusters]
    ax.set_yticks(range(len(clusters)), rows, fontsize=7)
    ax.set_xlabel("channel", fontsize=8)
    ax.set_ylabel("cluster", fontsize=8)
    return image
