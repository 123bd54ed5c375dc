"""Plots of a classifier: confusion matrix, training curves, reliability diagram."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest

from clusterwhy.errors import ShapeError
from clusterwhy.plots.figures import LINE, NOISE_COLOUR, cluster_colour
from clusterwhy.plots.names import shown
from clusterwhy.types import FloatArray, IntArray

DARK = 0.55  # from this share of a row, the text is white


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
    ax: Axes, epochs: IntArray, curves: Mapping[str, FloatArray], quantity: str, kept: int | None = None
) -> None:
    """A training quantity by epoch, one line per set of windows; `kept` marks the epoch of the selected weights."""
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(epochs, values, color=cluster_colour(i), linewidth=1.2, label=shown(name), marker=".", markersize=3)
    if kept is not None:
        ax.axvline(kept, color=LINE, linewidth=0.8, linestyle=":", label=f"selected: epoch {kept}")
    ax.set_xlabel("epoch", fontsize=7)
    ax.set_ylabel(quantity, fontsize=7)
    ax.tick_params(labelsize=6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=6, frameon=False)


def draw_reliability(ax: Axes, confidence: FloatArray, correct: FloatArray, counts: IntArray) -> None:
    """Reliability diagram: accuracy by confidence; calibrated probabilities lie on the diagonal.

    Args:
        ax: panel.
        confidence: (bin,) mean probability of the predicted class.
        correct: (bin,) share of correct predictions.
        counts: (bin,) number of windows; empty bins are skipped. Error bars are 95 % Wilson intervals.
    """
    kept = counts > 0
    sure, right, n = confidence[kept], correct[kept], counts[kept]
    limits = [
        binomtest(round(share * count), int(count)).proportion_ci(0.95, "wilson")
        for share, count in zip(right, n, strict=True)
    ]
    errors = np.array([[share - one.low, one.high - share] for share, one in zip(right, limits, strict=True)]).T
    ax.plot(
        [0, 100], [0, 100], color=NOISE_COLOUR, linewidth=1.0, linestyle="--", label="perfect calibration", zorder=0
    )
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
        ax.annotate(str(count), (x, y), xytext=(-4, -8), textcoords="offset points", ha="right", fontsize=6)
    ax.set_xlim(0, 102)
    ax.set_ylim(0, 102)
    ax.set_xlabel("probability of the predicted class (%)", fontsize=7)
    ax.set_ylabel("correct predictions (%)", fontsize=7)
    ax.tick_params(labelsize=6)
    ax.legend(fontsize=6, frameon=False, loc="upper left")
