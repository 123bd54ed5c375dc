"""Whole figures of concepts: how they rank in each class, and which of them set two groups apart."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clusterwhy.artifacts.counts import counted
from clusterwhy.plots.concepts import draw_concept_difference, draw_concepts
from clusterwhy.plots.names import shown
from clusterwhy.plots.pages import Files
from clusterwhy.plots.saving import save

N_CONCEPTS = 8  # per panel


def concepts_page(stem: Path, table: pd.DataFrame) -> Files:
    """The concepts of one layer with the most relevance, one panel per class, from a table of `concept_table`."""
    names = list(pd.unique(table["group"]))
    figure, axes = _bars(len(names))
    for ax, name in zip(axes, names, strict=True):
        own = table[table["group"] == name]
        draw_concepts(ax, own, N_CONCEPTS)
        ax.set_title(f"{shown(name)} ({counted(own['n_windows'].iloc[0], 'window')})", fontsize=8)
        ax.set_ylabel("concept", fontsize=7)
    figure.suptitle(f"layer {shown(table['layer'].iloc[0], 60)}", fontsize=8)
    return save(figure, stem)


def concept_differences_page(stem: Path, tables: Mapping[tuple[str, str], pd.DataFrame]) -> Files:
    """Concepts that set two groups of windows apart, one panel per pair, from tables of `concept_difference`."""
    figure, axes = _bars(len(tables))
    for ax, ((first, second), table) in zip(axes, tables.items(), strict=True):
        draw_concept_difference(ax, table, first, second, N_CONCEPTS)
        # long names would not fit below a panel
        ax.set_title(f"{shown(first)} minus {shown(second)}", fontsize=8)
        ax.set_xlabel("share of relevance (%)", fontsize=7)
    return save(figure, stem)


def _bars(count: int) -> tuple[Figure, list[Axes]]:
    """So many panels of bars, at most three in a row."""
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.6 * columns, 0.4 + 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, list(axes[:count])
