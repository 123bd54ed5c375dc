"""Pictures that several benchmarks draw."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

OURS_COLOUR, OTHER_COLOUR = "#D55E00", "#0072B2"  # told apart by colour-blind readers too (Okabe and Ito 2008)


def dots(axes: Axes, table: pd.DataFrame, name: str, figure: str, own: Collection[str]) -> None:
    """One row per method, the first on top: its figure and, where the table has one, the interval around it."""
    at = np.arange(len(table))[::-1]
    value = table[figure].to_numpy(dtype=float)
    ours = table[name].isin(own).to_numpy()
    for mask, colour in ((ours, OURS_COLOUR), (~ours, OTHER_COLOUR)):
        if f"{figure} low" in table:
            axes.hlines(at[mask], table[f"{figure} low"][mask], table[f"{figure} high"][mask], colors=colour)
        axes.scatter(value[mask], at[mask], s=22, color=colour, zorder=3)
    axes.set(yticks=at, yticklabels=table[name])
    axes.grid(axis="x", alpha=0.3)


def bars(axes: Axes, table: pd.DataFrame, name: str, kinds: dict[str, str]) -> None:
    """Grouped horizontal bars: one group per row, one bar per kind (column -> what the legend says)."""
    high = 0.8 / len(kinds)
    at = np.arange(len(table))[::-1]
    for i, (column, words) in enumerate(kinds.items()):
        axes.barh(at + 0.4 - high * (i + 0.5), table[column].to_numpy(dtype=float), high, label=words, color=f"C{i}")
    axes.set(yticks=at, yticklabels=table[name])
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
