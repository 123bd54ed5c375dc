<<<<<<< HEAD
"""Pictures of a classifier: how it learned, what it confuses, whether its probabilities mean what they say."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRAIN_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"
MAX_CELLS_WITH_NUMBERS = 400


def draw_curve(ax: Axes, history: pd.DataFrame, quantity: str, label: str) -> None:
    """A quantity over the epochs, in training and validation; the kept epoch is marked.

    Args:
        history: as from `SupervisedFit.fit`.
        quantity: loss or accuracy.
        label: of the axis, with unit.
    """
    for part, colour in (("train", TRAIN_COLOUR), ("validation", VALIDATION_COLOUR)):
        ax.plot(history["epoch"], history[f"{part}_{quantity}"], color=colour, linewidth=1.4, label=part)
    best = history.loc[history["validation_loss"].idxmin(), "epoch"]
    ax.axvline(best, color="#333333", linewidth=0.8, linestyle=":", label=f"kept: epoch {best:.0f}")
    ax.set_xlabel("epoch", fontsize=8)
    ax.set_ylabel(label, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False)


def draw_confusion(ax: Axes, table: pd.DataFrame) -> None:
    """Share of each true class (row) that was predicted as each class (column); cells hold the windows.

    Args:
        table: as from `evaluation.classification.confusion`.
    """
    counts = table.drop(columns="true").to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal", interpolation="nearest")
    if counts.size <= MAX_CELLS_WITH_NUMBERS:
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.5 else "#333333"
            ax.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
    names = [_as_text(name) for name in table["true"]]
    ax.set_xticks(range(len(names)), names, fontsize=7, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xlabel("predicted class", fontsize=8)
    ax.set_ylabel("true class", fontsize=8)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def draw_reliability(ax: Axes, table: pd.DataFrame) -> None:
    """Accuracy over confidence, one line per kind of probability; points grow with their windows.

    Args:
        table: `probabilities` (the kind), and the columns of `evaluation.calibration.reliability`.
    """
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, label="perfect")
    colours = (TRAIN_COLOUR, VALIDATION_COLOUR)
    for colour, (kind, rows) in zip(colours, table.groupby("probabilities", sort=False), strict=False):
        ax.plot(rows["confidence"], rows["accuracy"], color=colour, linewidth=1.2, label=str(kind))
        sizes = 8 + 60 * rows["n_windows"] / table["n_windows"].max()
        ax.scatter(rows["confidence"], rows["accuracy"], s=sizes, color=colour, linewidths=0)
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("confidence (probability of the predicted class)", fontsize=8)
    ax.set_ylabel("accuracy (share of windows)", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, frameon=False, loc="upper left")


def training_figure(history: pd.DataFrame) -> Figure:
    """Loss and accuracy side by side."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    draw_curve(loss, history, "loss", "cross-entropy (nats)")
    draw_curve(accuracy, history, "accuracy", "accuracy (share of windows)")
    return figure


def verdict_figure(counts: pd.DataFrame, bins: pd.DataFrame) -> Figure:
    """Confusion and reliability of the test windows side by side."""
    size = 3.4 + 0.28 * len(counts)
    figure = Figure(figsize=(size + 4.2, size), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[size, 3.6])
    draw_confusion(left, counts)
    draw_reliability(right, bins)
    right.set_aspect("equal")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write `path` with the suffixes .png and .svg; the same figure gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "clusterwhy"}):
        figure.savefig(path.with_suffix(".png"), dpi=130, metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _as_text(name: str) -> str:
    # "$" starts mathematics in matplotlib
    return name.replace("$", r"\$")
=======
"""How well a classifier does: confusion matrix, training curves, reliability of its probabilities."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from scipy.stats import binomtest

from clusterwhy.errors import ShapeError
from clusterwhy.plots.explanations import LINE
from clusterwhy.plots.figures import NOISE_COLOUR, cluster_colour
from clusterwhy.plots.names import shown
from clusterwhy.types import FloatArray, IntArray

DARK = 0.55  # share of a row from which text on it is white


def draw_confusion(ax: Axes, counts: IntArray, classes: Sequence[str]) -> AxesImage:
    """Windows of each true class (rows) by predicted class: count and share of the row; empty cells are blank."""
    if counts.shape != (len(classes), len(classes)):
        raise ShapeError(f"expected counts (true, predicted) of {len(classes)} classes, got {counts.shape}")
    rows = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(rows > 0, rows, 1)
    image = ax.imshow(100.0 * share, cmap="Blues", vmin=0.0, vmax=100.0, interpolation="nearest")
    small = len(classes) > 8
    for (true, predicted), count in np.ndenumerate(counts):
        if count:
            colour = "white" if share[true, predicted] > DARK else LINE
            text = f"{count}" if small else f"{count}\n{share[true, predicted]:.0%}"
            ax.text(predicted, true, text, ha="center", va="center", fontsize=5 if small else 6, color=colour)
    names = [shown(name, 16) for name in classes]
    ax.set_xticks(range(len(names)), names, fontsize=7, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xlabel("predicted class", fontsize=7)
    ax.set_ylabel("true class", fontsize=7)
    return image


def draw_curves(
    ax: Axes, epochs: IntArray, curves: Mapping[str, FloatArray], quantity: str, best: int | None = None
) -> None:
    """A quantity of training by epoch, a line per set of windows; `best` marks the epoch whose weights were kept."""
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(epochs, values, color=cluster_colour(i), linewidth=1.2, label=shown(name), marker=".", markersize=3)
    if best is not None:
        ax.axvline(best, color=LINE, linewidth=0.8, linestyle=":", label=f"kept: epoch {best}")
    ax.set_xlabel("epoch", fontsize=7)
    ax.set_ylabel(quantity, fontsize=7)
    ax.tick_params(labelsize=6)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(fontsize=6, frameon=False)


def draw_reliability(ax: Axes, confidence: FloatArray, correct: FloatArray, counts: IntArray) -> None:
    """How often predictions are right, by how sure the network was; on the diagonal its probabilities are honest.

    Args:
        ax: panel.
        confidence: (bin,) mean probability of the predicted class.
        correct: (bin,) share of right predictions.
        counts: (bin,) windows; bins without any are left out. Bars are Wilson's 95 % intervals.
    """
    kept = counts > 0
    sure, right, n = confidence[kept], correct[kept], counts[kept]
    limits = [
        binomtest(round(share * count), int(count)).proportion_ci(0.95, "wilson")
        for share, count in zip(right, n, strict=True)
    ]
    errors = np.array([[share - one.low, one.high - share] for share, one in zip(right, limits, strict=True)]).T
    ax.plot([0, 100], [0, 100], color=NOISE_COLOUR, linewidth=1.0, linestyle="--", label="honest", zorder=0)
    ax.errorbar(
        100.0 * sure,
        100.0 * right,
        yerr=100.0 * errors.clip(min=0.0),
        fmt="o-",
        color=cluster_colour(0),
        markersize=4,
        linewidth=1.0,
        elinewidth=0.8,
        label="windows (95 % interval)",
    )
    for x, y, count in zip(100.0 * sure, 100.0 * right, n, strict=True):
        ax.annotate(str(count), (x, y), xytext=(4, -8), textcoords="offset points", fontsize=5, color=LINE)
    ax.set_xlim(0, 102)
    ax.set_ylim(0, 102)
    ax.set_xlabel("probability of the predicted class (%)", fontsize=7)
    ax.set_ylabel("right predictions (%)", fontsize=7)
    ax.tick_params(labelsize=6)
    ax.legend(fontsize=6, frameon=False, loc="upper left")
>>>>>>> part-c-b
