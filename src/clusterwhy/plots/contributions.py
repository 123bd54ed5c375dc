"""Bar, beeswarm and waterfall plots of feature contributions, as in SHAP, for any explanation."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize

from clusterwhy.explanations.contributions import Contributions
from clusterwhy.plots.explanations import OPPOSES, SUPPORTS
from clusterwhy.plots.figures import LINE
from clusterwhy.plots.names import shown
from clusterwhy.types import FloatArray, IntArray

NEUTRAL = "#6e6e6e"
HALF_ROW = 0.38  # maximum height of a beeswarm


def strongest(found: Contributions, n: int) -> IntArray:
    """Positions of the n features with the greatest mean |contribution|, greatest first."""
    return np.argsort(-np.abs(found.values).mean(axis=0), kind="stable")[:n]


def draw_bars(ax: Axes, found: Contributions, n: int = 10, target: str = "target") -> None:
    """Mean |contribution| over windows; signed and in two colours for a single window."""
    order = strongest(found, n)
    if len(found.values) == 1:
        sizes, label = found.values[0, order], f"contribution to the {target}"
        colours = np.where(sizes > 0, SUPPORTS, OPPOSES).tolist()
    else:
        sizes = np.abs(found.values[:, order]).mean(axis=0)
        label, colours = f"mean |contribution| to the {target}", [NEUTRAL] * len(order)
    ax.barh(np.arange(len(order)), sizes, color=colours)
    ax.axvline(0.0, color=LINE, linewidth=0.6)
    _name_rows(ax, found, order, label)


def draw_beeswarm(
    ax: Axes, found: Contributions, n: int = 10, target: str = "target", bins: int = 60
) -> PathCollection:
    """One dot per window and feature: contribution on the x axis, rank of the input among windows as colour."""
    order = strongest(found, n)
    values, inputs = found.values[:, order], found.inputs[:, order]
    ranks = inputs.argsort(axis=0).argsort(axis=0) / max(len(inputs) - 1, 1)
    span = float(np.ptp(values)) or 1.0
    heights = np.stack([_heights(column, span / bins) for column in values.T], axis=1)
    rows = np.arange(len(order)) + heights * HALF_ROW / max(float(np.abs(heights).max()), 4.0)
    dots = ax.scatter(values, rows, c=ranks, cmap="cividis", norm=Normalize(0.0, 1.0), s=9, linewidths=0, zorder=2)
    ax.axvline(0.0, color=LINE, linewidth=0.6, zorder=1)
    _name_rows(ax, found, order, f"contribution to the {target}")
    return dots


def _heights(values: FloatArray, width: float) -> FloatArray:
    """(window,) dots of one bin stacked around 0: 0, 1, -1, 2, -2, ..."""
    which = np.floor(values / width).astype(int)
    heights = np.zeros(len(values))
    for one in np.unique(which):
        (own,) = np.nonzero(which == one)
        steps = np.arange(len(own))
        heights[own] = (steps + 1) // 2 * np.where(steps % 2, 1, -1)
    return heights


def draw_waterfall(ax: Axes, found: Contributions, n: int = 8, target: str = "target") -> None:
    """From the base to the target of one window, largest contribution first, the rest in one bar."""
    (values,), (base,), (reached,) = found.values, found.base, found.target
    order = strongest(found, n)
    steps = values[order].tolist()
    names = [shown(found.names[i], 28) for i in order]
    if len(order) < len(values):
        steps.append(float(values.sum() - values[order].sum()))
        names.append(f"{len(values) - len(order)} others")
    ends = base + np.cumsum([0.0, *steps])
    for row, (step, start, stop) in enumerate(zip(steps, ends[:-1], ends[1:], strict=True)):
        ax.barh(row, step, left=start, color=SUPPORTS if step > 0 else OPPOSES, height=0.7)
        ax.annotate(
            f"{step:+.3g}".replace("-", "−"),
            (max(start, stop), row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )
        ax.plot([stop, stop], [row - 0.35, min(row + 1.35, len(steps) - 0.65)], color=LINE, linewidth=0.5)
    for value, style in ((base, ":"), (reached, "--")):
        ax.axvline(value, color=NEUTRAL, linewidth=0.8, linestyle=style, zorder=0)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.invert_yaxis()
    ax.use_sticky_edges = False  # leave space for numbers at both ends
    ax.margins(x=0.28)
    label = f"{target} (dotted: base {base:.3g}, dashed: this window {reached:.3g})"
    ax.set_xlabel(label.replace("-", "−"), fontsize=7, loc="right")
    ax.tick_params(axis="x", labelsize=6)


def _name_rows(ax: Axes, found: Contributions, order: IntArray, label: str) -> None:
    ax.set_yticks(range(len(order)), [shown(found.names[i], 28) for i in order], fontsize=7)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlabel(label, fontsize=7)
    ax.tick_params(axis="x", labelsize=6)


def prediction_label(predicted: str, true: str | None = None, probability: float | None = None) -> str:
    """Predicted and true class of a window, in one line."""
    text = f"predicted {shown(predicted)}" + ("" if probability is None else f" ({probability:.0%})")
    return text if true is None else f"{text}, true {shown(true)}"
