"""Plots of concepts: rankings, differences between groups, and reference windows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from clusterwhy.concepts.tables import ReferenceWindow
from clusterwhy.errors import ShapeError
from clusterwhy.plots.explanations import OPPOSES, SUPPORTS, Signals, draw_relevance, name_panels
from clusterwhy.plots.figures import LINE
from clusterwhy.plots.names import shown
from clusterwhy.types import FloatArray


def draw_references(
    axes: Any,
    signals: Signals,
    references: Sequence[ReferenceWindow],
    windows: FloatArray,
    relevance: FloatArray,
    limit: float,
) -> AxesImage:
    """Reference windows of a concept, with the relevance through it and the receptive field of its best position.

    Args:
        axes: (channel, reference) panels.
        signals: names and units.
        references: of `reference_windows`.
        windows: (reference, channel, time).
        relevance: (reference, channel, time) of `concept_relevance`.
        limit: colour limit of all panels.
    """
    expected = (windows.shape[1], len(references))
    if axes.shape != expected or windows.shape != relevance.shape or len(windows) != len(references):
        raise ShapeError(
            f"expected panels {expected} and windows and relevance ({len(references)} references, channel, time), got "
            f"{axes.shape}, {windows.shape} and {relevance.shape}"
        )
    for column, one, window, own in zip(axes.T, references, windows, relevance, strict=True):
        start, stop = signals.ends(one.start, one.stop)
        for ax, values, colours in zip(column, window, own, strict=True):
            image = draw_relevance(ax, signals, values, colours, limit)
            ax.axvspan(start, stop, facecolor="#000000", alpha=0.1, linewidth=0, zorder=1)
            for edge in (start, stop):
                ax.axvline(edge, color=LINE, linewidth=0.7, linestyle=(0, (3, 2)))
        column[0].set_title(f"window {one.window}: {one.value:.3g}", fontsize=7)
    name_panels(axes, signals)
    return image


def draw_concepts(ax: Axes, table: pd.DataFrame, n: int = 12) -> None:
    """Concepts of one layer and group with the greatest mean share of relevance, with bootstrap intervals."""
    own = table.sort_values("relevance_rank").head(n)
    values, low, high = (100.0 * own[f"relevance{end}"].to_numpy() for end in ("", "_low", "_high"))
    _draw_intervals(ax, own["concept"].astype(str).tolist(), values, low, high)
    ax.set_xlabel("share of relevance (% of the layer's)", fontsize=7)
    ax.set_ylabel(f"concept of layer {shown(own['layer'].iloc[0])}", fontsize=7)


def draw_concept_difference(ax: Axes, table: pd.DataFrame, first: str, second: str, n: int = 12) -> None:
    """Concepts whose share of relevance differs most between two groups; pale if the interval contains 0."""
    own = table.head(n)
    values, low, high = (100.0 * own[name].to_numpy() for name in ("difference", "low", "high"))
    names = [f"{shown(layer)} {concept}" for layer, concept in zip(own["layer"], own["concept"], strict=True)]
    bars = _draw_intervals(ax, names, values, low, high)
    for bar, apart in zip(bars, own["apart"], strict=True):
        bar.set_alpha(1.0 if apart else 0.35)
    ax.set_xlabel(f"share of relevance: {shown(first)} minus {shown(second)} (%)", fontsize=7)
    ax.set_ylabel("layer and concept", fontsize=7)


def _draw_intervals(ax: Axes, names: list[str], values: FloatArray, low: FloatArray, high: FloatArray) -> Any:
    bars = ax.barh(
        np.arange(len(names)),
        values,
        xerr=np.stack([values - low, high - values]).clip(min=0.0),
        color=np.where(values > 0, SUPPORTS, OPPOSES),
        error_kw={"linewidth": 0.8, "ecolor": LINE},
    )
    ax.axvline(0.0, color=LINE, linewidth=0.6)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=6)
    return bars
