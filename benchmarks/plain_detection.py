"""Detectors that need no encoder: what do calibrated errors of channels, added up, find that each alone does not?

`relation_and_shape` and its baselines on SMD, ASD, NAB and SKAB (`benchmarks.detection`), fitted on the training span,
measured by VUS-PR on the rest, three seeds where one matters; then other ways to add up the same errors. Encoders are
not trained: figures of `clipped_prediction` are those that `benchmarks.detection` recorded. Twenty minutes of one core:

    python -m benchmarks.plain_detection
    python -m benchmarks.plain_detection --keep FOLDER    # begun again with the same folder, it goes on from there
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.detection_baselines import (
    isolation_forest,
    k_means,
    nearest_raw,
    pca_error,
    pca_error_over_mean,
)
from benchmarks.kept import add_keep, kept
from benchmarks.record import Result, record, shown, with_interval
from benchmarks.studies import chosen
from benchmarks.thresholds import inputs_of, series
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import MeanAbsoluteZ
from clusterwhy.anomaly.relation_and_shape import (
    nearest_shape,
    relation_errors,
    residual_errors,
    samples_inside,
    shape_distances,
)
from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.data.series import Series
from clusterwhy.data.windows import windows_at
from clusterwhy.metrics.detection import volume_under_pr
from clusterwhy.types import BoolArray, FloatArray

OURS, ENCODER = "relation and shape", "clipped prediction (recorded)"
SEEDS = (0, 1, 2)
DETECTOR = chosen({"detector": "relation_and_shape"})["detector"]
MEMBERS = ("relation", "shape", "PCA error", "|z|")
SETS = (
    ("relation",),
    ("shape",),
    ("PCA error",),
    ("relation", "shape"),
    ("relation", "PCA error"),
    ("shape", "PCA error"),
    ("relation", "shape", "PCA error"),
    MEMBERS,
)
Method = Callable[[DetectorInput], FloatArray]


def ours(inputs: DetectorInput) -> FloatArray:
    """(window,) scores of the detector of `conf/detector/relation_and_shape.yaml`."""
    return DETECTOR.score(inputs).windows


def mahalanobis_of_points(inputs: DetectorInput) -> FloatArray:
    """Mean over a window of the squared Mahalanobis distance of its samples, covariance shrunk."""
    from sklearn.covariance import LedoitWolf

    fitted = samples_inside(inputs.values, inputs.starts[inputs.train], inputs.length).astype(np.float64)
    samples = LedoitWolf().fit(fitted).mahalanobis(inputs.values.astype(np.float64))
    return windows_at(samples[:, None], inputs.starts, inputs.length).mean(axis=(1, 2))


# whether the seed matters
METHODS: dict[str, tuple[Method, bool]] = {
    OURS: (ours, True),
    "Mahalanobis of points": (mahalanobis_of_points, False),
    "PCA error": (pca_error, False),
    "PCA error, channels over their mean": (pca_error_over_mean, False),
    "k-NN, raw windows": (nearest_raw, False),
    "k-means": (k_means, True),
    "isolation forest, PCA": (isolation_forest, True),
    "mean abs. z": (lambda inputs: MeanAbsoluteZ().score(inputs).windows, False),
}


def members(inputs: DetectorInput) -> dict[str, FloatArray]:
    """(window, channel) errors that are added up."""
    fitted, plain = DETECTOR.score(inputs).fitted, MeanAbsoluteZ().score(inputs)
    assert plain.channels is not None
    return {
        "relation": inputs.in_parts(lambda windows: relation_errors(windows, fitted)),
        "shape": inputs.in_parts(lambda windows: nearest_shape(shape_distances(windows, fitted))),
        "PCA error": inputs.in_parts(lambda windows: residual_errors(windows, fitted)),
        "|z|": plain.channels,
    }


def log_ratio(errors: FloatArray, train: BoolArray) -> FloatArray:
    """Mean over channels of log(1 + error / its 95 % quantile in training)."""
    usual = np.quantile(errors[train], 0.95, axis=0)
    return np.asarray(np.log1p(errors / np.maximum(usual, 1e-3 * usual.max() + 1e-12)).mean(axis=1))


def clipped(errors: FloatArray, train: BoolArray) -> FloatArray:
    """As `clipped_prediction`: over the mean in training, each channel at most 3 times its 95 % quantile."""
    usual = errors[train].mean(axis=0)
    ratio = errors / np.maximum(usual, 1e-3 * usual.max() + 1e-12)
    limit = 3 * np.maximum(np.quantile(ratio[train], 0.95, axis=0), 1.0)
    return np.asarray(np.minimum(ratio, limit).mean(axis=1))


def tail(errors: FloatArray, train: BoolArray) -> FloatArray:
    """-log2 of the tail probability in training of the mean over channels; above the 90 % quantile an exponential."""
    scores = errors.mean(axis=1)
    order, start = np.sort(scores[train]), np.quantile(scores[train], 0.9)
    above = (len(order) - np.searchsorted(order, scores) + 1) / (len(order) + 1)
    halving = max(float(np.median(order[order > start] - start)) if (order > start).any() else 0.0, 1e-12)
    further = np.log2(10) + (scores - start) / halving
    return np.asarray(np.minimum(np.where(scores > start, further, -np.log2(above)), 30.0))


def log_total(errors: FloatArray, train: BoolArray) -> FloatArray:
    """Log of the mean over channels, above its median in training, over the distance of the 90 % quantile from that."""
    values = np.log(np.maximum(errors.mean(axis=1), 1e-9))
    middle, high = np.quantile(values[train], [0.5, 0.9])
    return np.asarray((values - middle) / max(float(high - middle), 1e-9))


WAYS: dict[str, Callable[[FloatArray, BoolArray], FloatArray]] = {
    "log of channels over their quantile": log_ratio,
    "channels over their mean, clipped": clipped,
    "tail probability of the sum": tail,
    "log of the sum": log_total,
}


def rows(dataset: str, one: Series) -> Iterator[dict[str, Any]]:
    """One row per method or idea, and seed."""
    assert one.anomalous is not None
    inputs, truth = inputs_of(dataset, one, None, encoder=False), one.anomalous[one.train_stop :]

    def quality(scores: FloatArray) -> float:
        samples = sample_scores(scores, inputs.starts, inputs.length, len(inputs.values))
        return volume_under_pr(truth, samples[one.train_stop :])

    for method, (score, seeded) in METHODS.items():
        for seed in SEEDS if seeded else SEEDS[:1]:
            found = quality(score(replace(inputs, seed=seed)))
            yield {"kind": "method", "method": method, "seed": seed, "vus_pr": found}
    errors = members(inputs)
    for errors_added in SETS:
        for way, calibrated in WAYS.items():
            found = quality(sum((calibrated(errors[name], inputs.train) for name in errors_added), np.zeros(1)))
            yield {"kind": "idea", "method": f"{' + '.join(errors_added)}: {way}", "seed": 0, "vus_pr": found}


def runs(keep: Path | None) -> Iterator[tuple[float, pd.DataFrame]]:
    """Seconds and rows of each series."""
    for dataset, name, on_choice, one in tqdm(list(series()), unit="series"):
        yield kept(keep and keep / f"plain-{dataset}-{name}.csv", partial(measured, dataset, name, on_choice, one))


def measured(dataset: str, name: str, on_choice: bool, one: Series) -> pd.DataFrame:
    """The rows of one series."""
    same = {"dataset": dataset, "series": name, "part": "chosen on" if on_choice else "not seen"}
    return pd.DataFrame(rows(dataset, one)).assign(**same)


def recorded() -> pd.DataFrame:
    """VUS-PR of the detector with an encoder, of `benchmarks.detection`, by dataset and series."""
    from benchmarks.record import runs as rows

    every = rows("detection")
    every = every[(every["kind"] == "method") & (every["method"] == "clipped prediction")]
    every = every.groupby(["dataset", "series"], sort=False)["vus_pr"].mean().reset_index()
    return every.assign(method=ENCODER)


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over seeds, then over series; of ideas by what was chosen on."""
    means = every.groupby(["kind", "part", "dataset", "series", "method"], sort=False)["vus_pr"].mean().reset_index()
    methods = pd.concat([means[means["kind"] == "method"], recorded()])
    seeds = every[every["method"] == OURS].groupby(["dataset", "seed"], sort=False)["vus_pr"].mean().reset_index()
    ideas = means[means["kind"] == "idea"].groupby(["part", "dataset", "method"], sort=False)["vus_pr"].mean()
    return {
        "methods": with_interval(methods, ["dataset", "method"], ["vus_pr"]),
        "seeds": seeds,
        "ideas": ideas.reset_index(),
    }


def left_out(ideas: pd.DataFrame) -> pd.DataFrame:
    """For each dataset the idea that is best on the three others, and its VUS-PR."""
    figures = ideas.groupby(["method", "dataset"], sort=False)["vus_pr"].mean().unstack()
    rows = []
    for dataset in figures:
        best = figures.drop(columns=dataset).mean(axis=1).idxmax()
        rows.append({"left out": dataset, "best on the others": best, "VUS-PR there": figures.loc[best, dataset]})
    return pd.DataFrame(rows)


def section(result: Result) -> str:
    """Its part of docs/benchmarks.md."""
    methods, ideas, seeds = result.table("methods"), result.table("ideas"), result.table("seeds")
    wide = methods.assign(
        cell=[f"{v:.2f} ({a:.2f}, {b:.2f})" for v, a, b in methods[["vus_pr", "vus_pr low", "vus_pr high"]].to_numpy()]
    )
    cells = wide.pivot(index="method", columns="dataset", values="cell")
    mean = methods.groupby("method")["vus_pr"].mean().sort_values(ascending=False)
    order = methods["dataset"].drop_duplicates().tolist()
    cells = cells.loc[mean.index, order].assign(mean=mean).reset_index()
    spread = seeds.pivot(index="seed", columns="dataset", values="vus_pr")[order].reset_index()
    sets = ideas.groupby(["method", "part"], sort=False)["vus_pr"].mean().unstack()
    sets = sets.sort_values("chosen on", ascending=False).reset_index().rename(columns={"method": "errors: way"})
    return "\n".join(
        [
            "VUS-PR by dataset, mean over series, brackets over the choice of series, the highest mean first; three "
            f"seeds of {OURS}, k-means and isolation forest. `{ENCODER}` is from the section above.",
            "",
            shown(cells),
            "",
            f"`{OURS}` by seed:",
            "",
            shown(spread),
            "",
            "Which errors to add up, and how; means over datasets, by the series that our detectors were chosen on "
            "(which hold none of NAB) and all others:",
            "",
            shown(sets),
            "",
            "The best of these on three datasets, measured on the fourth:",
            "",
            shown(left_out(ideas)),
        ]
    )


def figure(result: Result, drawing: Figure) -> None:
    """VUS-PR of every method, one panel per dataset, with its interval."""
    table = result.table("methods")
    order = table.groupby("method")["vus_pr"].mean().sort_values().index
    panels = drawing.subplots(1, table["dataset"].nunique(), sharey=True)
    for axes, (dataset, part) in zip(panels, table.groupby("dataset", sort=False), strict=True):
        part = part.set_index("method").reindex(order)
        at, value = np.arange(len(order)), part["vus_pr"].to_numpy()
        reach = np.abs(part[["vus_pr low", "vus_pr high"]].to_numpy().T - value)
        for mask, colour in ((order == OURS, "#D55E00"), (order != OURS, "#0072B2")):
            axes.errorbar(value[mask], at[mask], xerr=reach[:, mask], fmt="o", color=colour, markersize=4, linewidth=1)
        axes.set(title=dataset, xlabel="VUS-PR", xlim=(0, 1), yticks=at, yticklabels=order)
        axes.grid(axis="x", alpha=0.3)


def main() -> None:
    """Measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_keep(parser)
    seconds, parts = zip(*runs(parser.parse_args().keep), strict=True)
    every = pd.concat(parts)
    setup = {"series": int(every["series"].nunique()), "seeds": len(SEEDS), "ideas": len(SETS) * len(WAYS)}
    record("plain_detection", "", time.monotonic() - sum(seconds), setup, tables(every), every)


if __name__ == "__main__":
    main()
