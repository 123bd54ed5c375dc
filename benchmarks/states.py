"""Are the states of a recording found? Clusters by density and states in time order, beside published methods.

94 series whose states are known (`benchmarks.states_series`), by features of windows that need no training. A sample
has the label of the window whose middle is nearest; where that is noise, of the nearest one that is not, since the
published methods have no noise. Windows are as long as a share of the recording, as its period, or as the authors of
the series suggest; how long, and what a change costs, was looked at on every second series of a suite only, and on none
of SKAB. Half an hour of one core:

    python -m benchmarks.states
    python -m benchmarks.states --keep FOLDER    # begun again with the same folder, it goes on from there
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.signal import lfilter
from sklearn.metrics import adjusted_mutual_info_score
from tqdm import tqdm

from benchmarks.features import minirocket
from benchmarks.kept import add_keep, kept
from benchmarks.record import Result, record, shown, with_interval
from benchmarks.states_series import SUITES, Recorded, published, series
from benchmarks.studies import chosen
from clusterwhy.clustering.base import NOISE
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.data.periods import SHORTEST, dominant_period
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import embed
from clusterwhy.metrics.clusters import covering
from clusterwhy.types import FloatArray, IntArray

ONE_COUNT, ONE_SAMPLES, ONE_LENGTH, ONE_CHANNELS = 20, 8000, 128, 3  # recordings of one state
SEED, MOST_WINDOWS = 0, 1000
FIGURES = ["ami", "covering"]
SETTINGS = chosen()
PER_RECORDING = chosen({"window": "parts"})["window"].parts
OURS = "MiniRocket, states"
TWO_PERIODS = "two periods (the authors' length where nothing repeats)"
AUTHORS = "authors' (five of theirs where they suggest parts)"


def untrained(windows: FloatArray) -> FloatArray:
    """(window, feature) of the default encoder before training."""
    seed_torch(SEED)
    encoder = SETTINGS["encoder"].build(windows.shape[1], windows.shape[2]).eval()
    one_after_the_other = np.ascontiguousarray(windows.transpose(0, 2, 1).reshape(-1, windows.shape[1]))
    starts = windows.shape[2] * np.arange(len(windows))
    with torch.no_grad():
        return embed(encoder, one_after_the_other, starts, windows.shape[2], 128)


FEATURES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "MiniRocket": lambda windows: minirocket(windows, SEED),
    "untrained encoder": untrained,
}


def by_density(points: FloatArray, index: pd.DataFrame) -> IntArray:
    """Labels of windows by the default projection and clusterer."""
    placed = SETTINGS["projection"].fit(points, SEED)
    labels: IntArray = SETTINGS["clusterer"].fit(placed, points, index).labels
    return labels


def in_time(**settings: float) -> Callable[[FloatArray, pd.DataFrame], IntArray]:
    """Labels of windows by `clusterer=states` with these settings."""
    clusterer = chosen({"clusterer": "states"}, clusterer=settings)["clusterer"]

    def labels(points: FloatArray, index: pd.DataFrame) -> IntArray:
        found: IntArray = clusterer.fit(points, points, index).labels
        return found

    return labels


def of_one_scale(differences: FloatArray) -> FloatArray:
    """One scale for all components in place of `whitening`: Euclidean distances of points of the mean variance 1."""
    dimensions = differences.shape[1]
    variance = float((differences**2).sum(axis=1).mean()) / dimensions
    return np.eye(dimensions) / max(variance, 1e-30) ** 0.5


def with_one_scale(points: FloatArray, index: pd.DataFrame) -> IntArray:
    """Labels of windows by `clusterer=states` with Euclidean distances."""
    with patch("clusterwhy.clustering.states.whitening", of_one_scale):
        return in_time()(points, index)


DEFAULT = chosen({"clusterer": "states"})["clusterer"]
CLUSTERERS = {"density (default)": by_density, "states": in_time()}
OTHERS = {f"states, penalty {penalty:g}": in_time(penalty=penalty) for penalty in (0.8, 1.0, 1.5, 2.0)}
OTHERS |= {f"states, {count} components": in_time(components=count) for count in (8, 20, 30)}
OTHERS |= {f"states, lasting {times:g}": in_time(lasting=times) for times in (1.0, 1.5, 3.0)}
OTHERS |= {"states, Euclidean distances": with_one_scale}


def lengths(values: FloatArray, suggested: int | None, suite: str) -> dict[str, int]:
    """Samples of a window, by how it was found; `suggested` by the authors of the series."""
    period = dominant_period(values)
    found = {f"1/{PER_RECORDING} of the recording": len(values) // PER_RECORDING}
    if period or suggested:
        found[TWO_PERIODS] = 2 * period.samples if period else int(suggested or 0)
    if suggested:
        found[AUTHORS] = suggested * (5 if suite in ("TSSB", "UTSA") else 1)
    return {name: int(np.clip(length, SHORTEST, len(values) // 6)) for name, length in found.items()}


def of_samples(labels: IntArray, middles: FloatArray, n_samples: int) -> IntArray:
    """(sample,) labels of the nearest window that is not noise; all 0 where all are."""
    kept = labels != NOISE
    if not kept.any():
        return np.zeros(n_samples, dtype=np.int64)
    between = (middles[kept][1:] + middles[kept][:-1]) / 2.0
    return labels[kept][np.searchsorted(between, np.arange(n_samples))]


def rows(values: FloatArray, truth: IntArray, suggested: int | None, suite: str) -> Iterator[dict[str, Any]]:
    """One row per length, kind of features and clusterer; other settings with the first length and features."""
    for number, (found_by, length) in enumerate(lengths(values, suggested, suite).items()):
        stride = max(1, length // 8, -(-len(values) // MOST_WINDOWS))
        starts = np.arange(0, len(values) - length + 1, stride)
        index = pd.DataFrame({"start": starts, "stop": starts + length})
        windows = np.ascontiguousarray(windows_at(values, starts, length))
        for kind, features in FEATURES.items() if number == 0 else list(FEATURES.items())[:1]:
            points = features(windows)
            clusterers = dict(CLUSTERERS) if number == 0 else {"states": CLUSTERERS["states"]}
            if number == 0 and kind == "MiniRocket":
                clusterers |= OTHERS
            for clusterer, cluster in clusterers.items():
                labels = cluster(points, index)
                samples = of_samples(labels, starts + length / 2.0, len(truth))
                yield {
                    "window": found_by,
                    "length": length,
                    "method": f"{kind}, {clusterer}",
                    "ami": adjusted_mutual_info_score(truth, samples),
                    "covering": covering(truth, samples),
                    "states": len(np.unique(samples)),
                    "true_states": len(np.unique(truth)),
                    "noise_share": float(np.mean(labels == NOISE)),
                }


def one_state() -> pd.DataFrame:
    """States that are found in made-up recordings of one state: noise that forgets within few or many samples."""
    penalties = (0.8, 1.0, DEFAULT.penalty, 1.5, 2.0)
    clusterers = {penalty: in_time(penalty=penalty) for penalty in penalties}
    starts = np.arange(0, ONE_SAMPLES - ONE_LENGTH + 1, ONE_LENGTH // 8)
    index, found = pd.DataFrame({"start": starts, "stop": starts + ONE_LENGTH}), []
    for kept_per_sample in (0.0, 0.9, 0.99):
        for seed in tqdm(range(ONE_COUNT), desc=f"one state, {kept_per_sample:g}", disable=None):
            shocks = np.random.default_rng([SEED, seed]).normal(size=(ONE_SAMPLES + ONE_LENGTH * 8, ONE_CHANNELS))
            values = lfilter([1.0], [1.0, -kept_per_sample], shocks, axis=0)[-ONE_SAMPLES:]
            scaled = ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)
            points = FEATURES["MiniRocket"](np.ascontiguousarray(windows_at(scaled, starts, ONE_LENGTH)))
            for penalty, cluster in clusterers.items():
                states = int(cluster(points, index).max()) + 1
                found.append({"kept per sample": kept_per_sample, "penalty": penalty, "states": states})
    return pd.DataFrame(found)


def runs(keep: Path | None) -> Iterator[tuple[float, pd.DataFrame]]:
    """Seconds and rows of each series."""
    for one in tqdm(list(series()), unit="series", disable=None):
        yield kept(keep and keep / f"states-{one.name}.csv", partial(measured, one))


def measured(one: Recorded) -> pd.DataFrame:
    """The rows of one series."""
    values, truth, suggested = one.load()
    scaled = ((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)).astype(np.float32)
    found = pd.DataFrame(rows(scaled, truth, suggested, one.suite))
    return found.assign(suite=one.suite, part=one.part, series=one.name)


def tables(every: pd.DataFrame, one: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over series: all methods with the first length, lengths, settings; how often one state is divided."""
    first = every[every["window"] == every["window"].iloc[0]]
    usual = first[first["method"].isin([f"{kind}, {clusterer}" for kind in FEATURES for clusterer in CLUSTERERS])]
    peers = published(set(every["series"]))
    parts = first[first["method"].str.startswith("MiniRocket, states")]
    return {
        "methods": with_interval(pd.concat([usual, peers]), ["suite", "method"], FIGURES),
        "ahead": ahead(usual, peers),
        "lengths": with_interval(every[every["method"] == OURS], ["window", "suite"], FIGURES),
        "settings": parts.groupby(["method", "part", "suite"], sort=False)[FIGURES].mean().reset_index(),
        "one_state": one.groupby(["kept per sample", "penalty"])["states"]
        .agg(divided=lambda states: (states > 1).mean(), states="mean")
        .reset_index(),
    }


def ahead(usual: pd.DataFrame, peers: pd.DataFrame) -> pd.DataFrame:
    """How far ours is ahead of each other method on the same series."""
    ours = usual[usual["method"] == OURS].set_index("series")
    rows = []
    for (suite, method), part in pd.concat([usual, peers]).groupby(["suite", "method"], sort=False):
        if method != OURS:
            part = part.set_index("series")
            both = part.index.intersection(ours.index)
            rows += [
                {"suite": suite, "method": method} | {f: ours.loc[name, f] - part.loc[name, f] for f in FIGURES}
                for name in both
            ]
    return with_interval(pd.DataFrame(rows), ["suite", "method"], FIGURES)


def section(result: Result) -> str:
    """Its part of docs/benchmarks.md."""
    methods, lengths, settings = (result.table(name) for name in ("methods", "lengths", "settings"))
    parts = []
    for suite, part in methods.groupby("suite", sort=False):
        part = part.sort_values("ami", ascending=False).drop(columns="suite")
        parts += [f"{suite}:", "", shown(part), ""]
    leads = result.table("ahead")
    first = lengths["window"].iloc[0]
    by_length = lengths.pivot(index="window", columns="suite", values=FIGURES)
    by_length.columns = [f"{suite} {figure}" for figure, suite in by_length.columns]
    by_setting = settings.pivot(index=["method", "part"], columns="suite", values=FIGURES)
    by_setting.columns = [f"{suite} {figure}" for figure, suite in by_setting.columns]
    by_penalty = result.table("one_state").pivot(index="kept per sample", columns="penalty", values="divided")
    by_penalty.columns = [f"penalty {penalty:g}" for penalty in by_penalty.columns]
    return "\n".join(
        [
            f"AMI and covering of samples, mean over series with intervals; windows are {first} long. Published "
            "figures are of the same series, by the authors of CLaP. `density (default)` is `projection=umap "
            "clusterer=hdbscan`, `states` is `clusterer=states`.",
            "",
            *parts,
            f"How far `{OURS}` is ahead, on the same series:",
            "",
            shown(leads),
            "",
            f"`{OURS}` by the length of windows:",
            "",
            shown(by_length.reset_index()),
            "",
            f"Other settings (default: penalty {DEFAULT.penalty:g}, lasting {DEFAULT.lasting:g}, {DEFAULT.components} "
            "components), on series that "
            "were looked at and others. With Euclidean distances a change hides behind whatever varies most within "
            "states:",
            "",
            shown(by_setting.reset_index()),
            "",
            f"How many of {ONE_COUNT} made-up recordings of one state are divided, by the penalty. They are noise that "
            "keeps so much of its value from sample to sample:",
            "",
            shown(by_penalty.reset_index()),
        ]
    )


def figure(result: Result, drawing: Figure) -> None:
    """AMI of every method, one panel per suite, with its interval."""
    table = result.table("methods")
    suites = [suite for suite in table["suite"].drop_duplicates() if suite in ("TSSB", "UTSA", "MoCap", "SKAB")]
    order = table[table["suite"].isin(suites)].groupby("method")["ami"].mean().sort_values().index
    panels = drawing.subplots(1, len(suites), sharey=True)
    for axes, suite in zip(panels, suites, strict=True):
        part = table[table["suite"] == suite].set_index("method").reindex(order)
        at, value = np.arange(len(order)), part["ami"].to_numpy()
        reach = np.abs(part[["ami low", "ami high"]].to_numpy().T - value)
        ours, theirs = order == OURS, order.str.endswith("(published)")
        for mask, colour in ((ours, "#D55E00"), (theirs, "#777777"), (~ours & ~theirs, "#0072B2")):
            axes.errorbar(value[mask], at[mask], xerr=reach[:, mask], fmt="o", color=colour, markersize=4, linewidth=1)
        axes.set(title=suite, xlabel="AMI", xlim=(0, 1), yticks=at, yticklabels=order)
        axes.grid(axis="x", alpha=0.3)


def main() -> None:
    """Measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_keep(parser)
    keep = parser.parse_args().keep
    one_s, one = kept(keep and keep / "one-state.csv", one_state)
    seconds, parts = zip(*runs(keep), strict=True)
    every = pd.concat(parts)
    setup = {"series": int(every["series"].nunique()), "suites": len(SUITES), "settings": len(OTHERS) + 1}
    spent = sum(seconds) + one_s
    record("states", "", time.monotonic() - spent, setup, tables(every, one), every)


if __name__ == "__main__":
    main()
