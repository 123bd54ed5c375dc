"""Whole figures of explanations, written as PNG and SVG."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from clusterwhy.artifacts.counts import counted
from clusterwhy.concepts.tables import ReferenceWindow
from clusterwhy.explanations.contributions import Contributions
from clusterwhy.plots import contributions, explanations
from clusterwhy.plots.concepts import draw_references
from clusterwhy.plots.explanations import (
    NO_REASONS,
    SHARE,
    IntervalName,
    Signals,
    limit_of,
    name_panels,
    name_time,
    shares,
)
from clusterwhy.plots.names import shown
from clusterwhy.plots.saving import save
from clusterwhy.types import FloatArray, IntArray

MAX_CHANNELS = 12  # per figure
COLUMNS = 6  # methods or windows side by side
Files = tuple[Path, Path]


def methods_page(
    stem: Path,
    signals: Signals,
    window: FloatArray,
    maps: Mapping[str, FloatArray],
    title: str = "",
    why: Mapping[str, str] = NO_REASONS,
) -> Files:
    """One window (channel, time) with the relevance of several methods side by side, each as shares of its total.

    Args:
        stem: path without suffix.
        signals: names and units.
        window: (channel, time).
        maps: name of a method -> relevance (channel, time).
        title: such as `prediction_label`.
        why: name of a method -> why its relevance is 0 everywhere.
    """
    return save(methods_figure(signals, window, maps, title, why), stem)


def methods_figure(
    signals: Signals,
    window: FloatArray,
    maps: Mapping[str, FloatArray],
    title: str = "",
    why: Mapping[str, str] = NO_REASONS,
) -> Figure:
    """The figure of `methods_page`."""
    windows, relevance = np.stack([window] * len(maps)), np.stack(list(maps.values()))
    return _side_by_side(signals, windows, relevance, [shown(name) for name in maps], title, list(map(why.get, maps)))


def windows_page(
    stem: Path, signals: Signals, windows: FloatArray, relevance: FloatArray, titles: Sequence[str], title: str = ""
) -> Files:
    """Windows side by side, each with its relevance as shares of its total.

    Args:
        stem: path without suffix.
        signals: names and units.
        windows: (window, channel, time); a window may occur twice, with its relevance for two classes.
        relevance: (window, channel, time).
        titles: of the windows, with names as by `shown`.
        title: above all panels.
    """
    return save(_side_by_side(signals, windows, relevance, titles, title), stem)


def _side_by_side(
    signals: Signals,
    windows: FloatArray,
    relevance: FloatArray,
    titles: Sequence[str],
    title: str,
    why: Sequence[str | None] = (),
) -> Figure:
    """Panels (channel, window), in several bands of rows if there are many windows."""
    maps = shares(relevance)
    kept, limit = leading_channels(maps), limit_of(maps)
    n_bands = -(-len(maps) // COLUMNS)
    columns = -(-len(maps) // n_bands)
    figure, axes = _grid(len(kept) * n_bands, columns)
    for band, panels in enumerate(np.split(axes, n_bands)):
        part = slice(band * columns, (band + 1) * columns)
        own, shown_here = windows[part][:, kept], maps[part][:, kept]
        beside = panels[:, : len(own)]
        image = explanations.draw_windows(beside, _only(signals, kept), own, shown_here, titles[part], limit, why[part])
        for ax in beside[-1]:
            ax.tick_params(labelbottom=True)
        for ax in panels[:, len(own) :].flat:
            ax.set_axis_off()
    _finish(figure, axes, image, title, windows.shape[1] - len(kept))
    return figure


def averages_page(
    stem: Path,
    signals: Signals,
    groups: Mapping[str, tuple[FloatArray, FloatArray]],
    interval: IntervalName = "bootstrap",
    confidence: float = 0.95,
) -> Files:
    """The average window of each class with a confidence band, and its mean relevance below.

    Args:
        stem: path without suffix.
        signals: names and units.
        groups: class -> its windows and their relevance, (window, channel, time) each.
        interval: of the mean, as in `draw_average`.
        confidence: of each sample's interval.
    """
    maps = np.stack([shares(relevance).mean(axis=0) for _, relevance in groups.values()])
    kept, limit = leading_channels(maps), limit_of(maps)
    own = _only(signals, kept)
    figure, axes = _grid(2 * len(kept), len(groups), (3, 1), height=0.5)
    for column, (name, (windows, _)), means in zip(axes.T, groups.items(), maps, strict=True):
        for above, below, channel in zip(column[::2], column[1::2], kept, strict=True):
            explanations.draw_average(above, own, windows[:, channel], interval, confidence)
            image = explanations.draw_colours(below, own, means[channel], limit)
            below.set_yticks([])
            for ax in (above, below) if below is not column[-1] else (above,):
                ax.tick_params(bottom=False)
        column[0].set_title(f"{shown(name)} ({counted(len(windows), 'window')})", fontsize=8)
    name_panels(axes[::2], own)
    for ax in axes[-2]:
        ax.set_xlabel("")
    name_time(axes[-1])
    figure.set_layout_engine("constrained", h_pad=0.025)
    title = f"mean of each sample with its {confidence:.0%} interval ({interval}); below: mean relevance"
    _finish(figure, axes, image, title, maps.shape[1] - len(kept))
    return save(figure, stem)


def references_page(
    stem: Path,
    signals: Signals,
    references: Sequence[ReferenceWindow],
    windows: FloatArray,
    relevance: FloatArray,
    title: str = "",
    ids: IntArray | None = None,
) -> Files:
    """Reference windows of a concept, coloured by the relevance through it: see `draw_references`.

    Args:
        stem: path without suffix.
        signals: names and units.
        references: of `reference_windows`.
        windows: (reference, channel, time).
        relevance: (reference, channel, time) of `concept_relevance`.
        title: above all panels.
        ids: (reference,) what the windows are called; None: their positions.
    """
    maps = shares(relevance)
    kept = leading_channels(maps)
    named = references if ids is None else [replace(one, window=int(i)) for one, i in zip(references, ids, strict=True)]
    figure, axes = _grid(len(kept), len(references), width=1.7)
    image = draw_references(axes, _only(signals, kept), named, windows[:, kept], maps[:, kept], limit_of(maps))
    _finish(figure, axes, image, title, windows.shape[1] - len(kept))
    return save(figure, stem)


def time_bins_page(stem: Path, signals: Signals, table: pd.DataFrame) -> Files:
    """Signed share of relevance per channel and time bin, from a table of `time_bins_of_width`."""
    sizes = table.groupby("channel")["signed"].apply(lambda share: share.abs().sum())
    order = np.argsort([-sizes[channel] for channel in signals.channels], kind="stable")
    kept = np.sort(order[:MAX_CHANNELS])
    figure, axes = _grid(len(kept), 1, width=5.0)
    explanations.draw_time_bins(axes[:, 0], _only(signals, kept), table)
    figure.supylabel("share of relevance (% of the window's), 95 % bootstrap intervals", fontsize=7)
    _finish(figure, axes, None, "", len(order) - len(kept))
    return save(figure, stem)


def attention_page(stem: Path, heads: Mapping[str, FloatArray], seconds: float, title: str = "") -> Files:
    """Attention maps (time, time) side by side with one colour limit."""
    figure, axes = _grid(1, len(heads), width=2.2, height=2.2)
    limit = max(float(weights.max()) for weights in heads.values())
    for ax, (name, weights) in zip(axes[0], heads.items(), strict=True):
        image = explanations.draw_attention(ax, weights, seconds, limit)
        ax.set_title(shown(name), fontsize=8)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    _finish(figure, axes, image, title, 0, "attention (each row sums to 1)", "neither")
    return save(figure, stem)


def heads_page(stem: Path, weights: FloatArray, titles: Sequence[str], seconds: float, title: str = "") -> Files:
    """Attention maps of windows (rows) and heads (columns) with one colour limit.

    Args:
        stem: path without suffix.
        weights: (window, head, step, step), rows sum to 1.
        titles: of the windows, with names as by `shown`.
        seconds: length of a window.
        title: above all panels.
    """
    figure, axes = _grid(len(weights), weights.shape[1], width=2.2, height=2.2)
    for row, window, name in zip(axes, weights, titles, strict=True):
        for ax, own in zip(row, window, strict=True):
            image = explanations.draw_attention(ax, own, seconds, float(weights.max()))
            ax.set_ylabel("" if ax is not row[0] else f"{name}\ntime in window (s)", fontsize=7)
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    for number, ax in enumerate(axes[0]):
        ax.set_title(f"head {number}", fontsize=8)
    _finish(figure, axes, image, title, 0, "attention (each row sums to 1)", "neither")
    return save(figure, stem)


def contributions_page(
    stem: Path, found: Contributions, window: int, title: str, n: int = 10, target: str = "target"
) -> Files:
    """Contributions to the target: over all windows (bars and beeswarm) and for one window (waterfall).

    Args:
        stem: path without suffix.
        found: contributions of the windows.
        window: position of the window in the waterfall.
        title: of the waterfall, such as `prediction_label`.
        n: number of features.
        target: what is explained, such as `logit of running`.
    """
    figure = Figure(figsize=(11.5, 1.3 + 0.24 * n), layout="constrained")
    bars, swarm, waterfall = figure.subplots(1, 3)
    contributions.draw_bars(bars, found, n, target)
    dots = contributions.draw_beeswarm(swarm, found, n, target)
    bar = figure.colorbar(dots, ax=swarm, ticks=[0.0, 1.0])
    bar.ax.set_yticklabels(["lowest", "highest"], fontsize=6)
    bar.set_label("input, rank among windows", fontsize=7)
    contributions.draw_waterfall(waterfall, found.of([window]), n - 2, target)
    bars.set_title(counted(len(found.values), "window"), fontsize=8)
    swarm.set_title("each window", fontsize=8)
    waterfall.set_title(textwrap.fill(title, 44), fontsize=8, loc="right")
    return save(figure, stem)


def leading_channels(relevance: FloatArray, n: int = MAX_CHANNELS) -> IntArray:
    """Positions of the n channels of (..., channel, time) with the most |relevance|, in channel order."""
    sizes = np.abs(relevance).sum(axis=-1).reshape(-1, relevance.shape[-2]).sum(axis=0)
    return np.sort(np.argsort(-sizes, kind="stable")[:n])


def _only(signals: Signals, kept: IntArray) -> Signals:
    names, units = (tuple(words[i] for i in kept) for words in (signals.channels, signals.units))
    return Signals(names, units, signals.dt_s)


def _grid(
    rows: int, columns: int, ratios: tuple[int, ...] = (1,), width: float = 1.9, height: float = 0.75
) -> tuple[Figure, Any]:
    """Panels (row, column) whose rows share their y axis."""
    figure = Figure(figsize=(2.2 + width * columns, 0.9 + height * rows), layout="constrained")
    heights = {"height_ratios": list(ratios) * (rows // len(ratios))}
    axes = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False, gridspec_kw=heights)
    return figure, axes


def _finish(
    figure: Figure,
    axes: Any,
    image: AxesImage | None,
    title: str,
    n_omitted: int,
    label: str = SHARE,
    extend: str = "both",
) -> None:
    """Add the colour bar, the title, and the number of omitted channels."""
    if image is not None:
        bar = figure.colorbar(image, ax=axes, extend=extend, shrink=min(1.0, 2.6 / figure.get_figheight()), aspect=25)
        bar.set_label(label, fontsize=7)
        bar.ax.tick_params(labelsize=6)
    omitted = (
        f"{counted(n_omitted, 'channel')} with less relevance {'is' if n_omitted == 1 else 'are'} omitted"
        if n_omitted
        else ""
    )
    text = "\n".join(line for line in (title, omitted) if line)
    if text:
        figure.suptitle(text, fontsize=8)
