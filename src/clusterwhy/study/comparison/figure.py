"""Shares of relevance of matched clusters with their intervals, A beside B."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from clusterwhy.plots.names import shown
from clusterwhy.plots.saving import save
from clusterwhy.study.comparison import frames
from clusterwhy.study.comparison.comparing import Comparison

COLOURS = {"a": "#0072B2", "b": "#D55E00"}
MOST_CHANNELS, MOST_PAIRS, ACROSS = 8, 12, 4


def channels_figure(found: Comparison, stem: Path) -> Path | None:
    """One panel per pair with the channels that have the largest shares; None where no pair is explained twice.

    Returns:
        The PNG; the SVG is beside it.
    """
    groups = list(found.channels.groupby(["cluster_a", "cluster_b"], sort=True))[:MOST_PAIRS]
    if not groups:
        return None
    columns = min(ACROSS, len(groups))
    rows = -(-len(groups) // columns)
    n_lines = min(MOST_CHANNELS, max(len(own) for _, own in groups))
    figure = Figure(figsize=(3.2 * columns, rows * (0.8 + 0.26 * n_lines)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for ax, ((a, b), own) in zip(axes, groups, strict=False):
        _draw(ax, own)
        ax.set_title(f"A{a} and B{b}", fontsize=9)
    for ax in axes[len(groups) :]:
        ax.set_axis_off()
    lines = [Line2D([], [], color=colour, linewidth=2) for colour in COLOURS.values()]
    figure.legend(lines, [letter.upper() for letter in COLOURS], fontsize=8, frameon=False, loc="outside right upper")
    figure.supxlabel("signed share of relevance, 95 % interval", fontsize=8)
    return save(figure, stem)[0]


def _draw(ax: Axes, own: pd.DataFrame) -> None:
    size = own[["relevance_a", "relevance_b"]].abs().max(axis=1)
    own = own.loc[size.sort_values(ascending=False, kind="stable").index].head(MOST_CHANNELS)
    apart = own["verdict"].isin([frames.HIGHER, frames.LOWER]).to_numpy()
    for letter, offset in (("a", -0.17), ("b", 0.17)):
        colour, places = COLOURS[letter], np.arange(len(own)) + offset
        ax.hlines(places, own[f"low_{letter}"], own[f"high_{letter}"], color=colour, linewidth=1.4)
        values = own[f"relevance_{letter}"]
        faces = [colour if one else "white" for one in apart]
        ax.scatter(values, places, s=18, c=faces, edgecolors=colour, zorder=3, label=letter.upper())
    ax.axvline(0, color="#888888", linewidth=0.6)
    ax.set_yticks(range(len(own)), [shown(name, 20) for name in own["channel"]], fontsize=7)
    ax.set_ylim(len(own) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=7)
