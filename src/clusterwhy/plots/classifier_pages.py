"""Figures of a classifier, written as PNG and SVG, without imports of explanations."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clusterwhy.plots.classifiers import draw_confusion, draw_curves, draw_reliability
from clusterwhy.plots.saving import save

Files = tuple[Path, Path]


def training_page(stem: Path, history: pd.DataFrame, kept: int) -> Files:
    """Loss and accuracy by epoch, in training and validation.

    Args:
        stem: path without suffix.
        history: of `ClassifierTraining.train`.
        kept: epoch of the selected weights.
    """
    figure = Figure(figsize=(9.0, 3.0), layout="constrained")
    quantities = {"loss": ("cross-entropy (nats)", 1.0), "accuracy": ("correct predictions (%)", 100.0)}
    for ax, (quantity, (label, factor)) in zip(figure.subplots(1, 2), quantities.items(), strict=True):
        curves = {part: factor * history[f"{part}_{quantity}"].to_numpy() for part in ("train", "validation")}
        draw_curves(ax, history["epoch"].to_numpy(), curves, label, kept)
    return save(figure, stem)


def evaluation_page(stem: Path, counts: pd.DataFrame, bins: pd.DataFrame) -> Files:
    """Confusion matrix and calibration of a classifier on the test windows.

    Args:
        stem: path without suffix.
        counts: of `metrics.classification.confusion`.
        bins: of `metrics.calibration.reliability`, with a column `probabilities` for their kind.
    """
    kinds = list(bins.groupby("probabilities", sort=False))
    size = 3.0 + 0.28 * len(counts)
    figure = Figure(figsize=(size + 0.6 + 3.2 * len(kinds), size + 0.5), layout="constrained")
    first, *rest = figure.subplots(1, 1 + len(kinds), width_ratios=[size, *[3.0] * len(kinds)])
    image = draw_confusion(first, counts.drop(columns="true").to_numpy(), counts["true"].tolist())
    bar = figure.colorbar(image, ax=first, shrink=0.8)
    bar.set_label("share of the true class (%)", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    for ax, (kind, rows) in zip(rest, kinds, strict=True):
        columns = (rows[name].to_numpy() for name in ("confidence", "accuracy", "n_windows"))
        draw_reliability(ax, *columns)
        ax.set_title(f"probabilities {kind}", fontsize=8)
        ax.set_box_aspect(1)
    return save(figure, stem)
