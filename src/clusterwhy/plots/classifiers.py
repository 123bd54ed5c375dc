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
    best = history["epoch"].to_numpy()[history["validation_loss"].to_numpy().argmin()]
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
