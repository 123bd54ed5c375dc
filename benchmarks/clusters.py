"""Do clusters find what people labelled? The trained encoder beside six other kinds of features of the same windows.

Every kind goes through the projection and the clusterer of params.yaml. Watch recordings and basic motions come with
the environment; SKAB's series need ../shared/data and are left out without it. About an hour of one core,
nearly all of it for training:

    python -m benchmarks.clusters
    python -m benchmarks.clusters --keep FOLDER    # keeps what was trained: begun again, it goes on from there
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

from benchmarks.cluster_ideas import DEVELOPED_ON, tried
from benchmarks.features import FEATURES, OURS
from benchmarks.labelled import SERIES, SHARED
from benchmarks.record import DATA, Result, record, shown, with_interval
from benchmarks.studies import Study, chosen, study
from clusterwhy.clustering.summary import density_validity
from clusterwhy.metrics.clusters import label_agreement

SEEDS = 3
QUICK = {"train": "quick", "encoder": "inception_time_small"}
FIGURES = ["covering", "noise_share", "n_clusters", "dbcv", "stability", "ami without projection"]


def made(name: str, seed: int, keep: Path | None = None, choices: dict[str, str] | None = None) -> Study:
    """The default study of one of the series, with its windows."""
    source, length, stride, _ = SERIES[name]
    # each kind of features says itself whether it is standardised
    settings = chosen(choices, window={"length": length, "stride": stride}, projection={"standardise": False})
    return study(source(), settings, seed, keep and keep / f"{name.replace(' ', '_')}_{seed}.pt")


def clustered(of: Study, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Projection and labels by the study's projection and clusterer."""
    placed = of.settings["projection"].fit(points, of.seed)
    return placed, of.settings["clusterer"].fit(placed).labels


def run(name: str, of: Study) -> list[dict[str, Any]]:
    """One row for each kind of features; `labels` are the clusters, for the stability over seeds."""
    truth, rows = of.index["label"].to_numpy(), []
    in_features = chosen({"clusterer": "hdbscan_embeddings"})["clusterer"]
    for method, features in FEATURES.items():
        points = features(of)
        placed, labels = clustered(of, points)
        # the same distances in fewer dimensions
        n = min(points.shape)
        direct = in_features.fit(PCA(n, random_state=0).fit_transform(points) if n < points.shape[1] else points).labels
        row = {"series": name, "data": name.rstrip(" 0123456789"), "seed": of.seed, "method": method}
        row |= {"n_windows": len(truth), "n_states": len(set(truth.tolist()))}
        row |= label_agreement(truth, labels) | {"dbcv": density_validity(placed, labels, of.seed) or np.nan}
        row |= {f"{figure} without projection": label_agreement(truth, direct)[figure] for figure in ("ami", "ari")}
        row["covering"] = row["covering"] if SERIES[name][3] else np.nan
        rows.append(row | {"labels": " ".join(map(str, labels))})
    return rows


def with_stability(every: pd.DataFrame) -> pd.DataFrame:
    """Labels replaced by `stability`: mean ARI between the clusters of each two seeds of a series and method."""

    def mean_ari(texts: pd.Series) -> float:
        labels = [np.array(text.split(), dtype=int) for text in texts]
        pairs = [adjusted_rand_score(a, b) for a, b in itertools.combinations(labels, 2)]
        return float(np.mean(pairs)) if pairs else float("nan")

    found = every.groupby(["series", "method"], sort=False)["labels"].transform(mean_ari)
    return every.drop(columns="labels").assign(stability=found.astype(float))


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over data sets, AMI and stability of each data set, and how far ours is ahead."""
    methods = with_interval(every, ["method"], ["ami", "ari"], "data")
    over_data = every.groupby(["method", "data"], sort=False)[FIGURES]
    rest = over_data.mean().groupby("method", sort=False).mean().reset_index()
    lowest = every.groupby("method", sort=False)["ami"].min().rename("lowest ami").reset_index()
    methods = methods.merge(lowest, on="method").merge(rest, on="method").sort_values("ami", ascending=False)
    data = pd.concat([with_interval(part, ["data", "method"], ["ami"], "series") for _, part in every.groupby("data")])
    paired = every.pivot_table("ami", ["data", "series", "seed"], "method")
    ahead = (-paired.drop(columns=OURS)).add(paired[OURS], axis=0)
    ahead = ahead.melt(var_name="method", value_name="ours ahead by", ignore_index=False).reset_index()
    ahead = with_interval(ahead, ["method"], ["ours ahead by"], "data")
    truth = every.groupby("series", sort=False)[["n_windows", "n_states"]].first().reset_index()
    return {"methods": methods, "data": data, "ahead": ahead.sort_values("ours ahead by"), "series": truth}


def section(result: Result) -> str:
    """Which features make clusters that people labelled, in Markdown."""
    methods, ahead, tried = result.table("methods"), result.table("ahead"), result.table("tried")
    best, ours = methods.iloc[0], methods.set_index("method").loc[OURS]
    verdict = f"{OURS} has the best mean AMI, {ours['ami']:.2f}."
    if best["method"] != OURS:
        verdict = f"{best['method']} has the best mean AMI, {best['ami']:.2f}; {OURS} has {ours['ami']:.2f}."
    sure = ahead[ahead["ours ahead by low"] > 0]["method"]
    behind = ahead[ahead["ours ahead by high"] < 0]["method"]
    words = {column: column.replace("_", " ") for column in methods.columns}
    left_out = result.setup["left out"]
    return f"""
Windows of series that people labelled are clustered without the labels. Each kind of features goes through the same
projection and clusterer, those of `params.yaml`; noise counts as a label of its own. AMI and ARI are 1 where clusters
are the labelled states, 0 by chance. The mean gives each data set the same weight; *covering* (Arbelaez et al. 2011)
where windows are in time order; *stability*: mean ARI between the clusters of two seeds; *dbcv*: density validity in
the projection. Truth: watch, the exercise; basic motions, the motion; skab pump, normal or which of four faults was put
into the pump circuit (experiments other_5 to other_14, one operating point); skab valve, outlet valve open or closed
(valve2_0 to valve2_3). Features with units of their own (MiniRocket, catch22, statistics) are standardised.
Left out: {left_out}.

{shown(methods, 2, words)}

{verdict} Ahead of it is told apart from chance for {_listed(behind)}; it is ahead of {_listed(sure)}.

{shown(ahead, 3)}

AMI of each data set, mean over its series and seeds:

{by_data(result, 2)}

What was tried for ours, chosen on {", ".join(DEVELOPED_ON)} with seed 0 (mean AMI there):

{shown(tried, 3)}

Segmentation by ClaSP is no row: claspy and aeon need an older numpy than the lock holds.
"""


def _listed(names: pd.Series) -> str:
    return ", ".join(names) or "none"


def by_data(result: Result, digits: int) -> str:
    """AMI of each method on each data set, and its mean, in Markdown."""
    table = result.table("data").pivot_table("ami", "method", "data", sort=False)
    mean = result.table("methods").set_index("method")["ami"]
    return shown(table.assign(mean=mean).sort_values("mean", ascending=False).reset_index(), digits)


def short(result: Result) -> str:
    """The table of README.md."""
    return by_data(result, 2)


def figure(result: Result, figure: Figure) -> None:
    """AMI of each method on each data set: means and 95 % intervals."""
    table, order = result.table("data"), list(result.table("methods")["method"])[::-1]
    sets = list(dict.fromkeys(table["data"]))
    figure.set_size_inches(2.4 + 2.1 * len(sets), 0.9 + 0.32 * len(order))
    for ax, data in zip(figure.subplots(1, len(sets), sharey=True), sets, strict=True):
        rows = table[table["data"] == data].set_index("method").loc[order]
        at = np.arange(len(rows))
        colours = ["#d55e00" if method == OURS else "#0072b2" for method in order]
        ax.hlines(at, rows["ami low"], rows["ami high"], colors=colours, linewidth=2)
        ax.scatter(rows["ami"], at, c=colours, s=28, zorder=3)
        ax.set(title=data, xlabel="AMI", yticks=at, yticklabels=order, xlim=(-0.03, 1.03))
        ax.grid(axis="x", alpha=0.3)


def main() -> None:
    """Run all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a miniature in a minute that writes nothing")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep trained encoders here, and use those there")
    options, began = parser.parse_args(), time.monotonic()
    if options.quick:
        rows = [row for seed in (0, 1) for row in run("basic motions", made("basic motions", seed, None, QUICK))]
        for name, table in tables(with_stability(pd.DataFrame(rows))).items():
            print(f"{name}\n{table.to_string()}\n")
        return
    here = [name for name in SERIES if DATA.is_dir() or name not in SHARED]
    rows, developed = [], {}
    for seed, name in tqdm([(seed, name) for seed in range(options.seeds) for name in here], unit="run"):
        of = made(name, seed, options.keep)
        rows += run(name, of)
        if seed == 0 and name in DEVELOPED_ON:
            developed[name] = of
    every = with_stability(pd.DataFrame(rows))
    setup = {
        "series": len(here),
        "seeds": options.seeds,
        "left out": ", ".join(name for name in SERIES if name not in here) or "no series",
    }
    arguments = "" if options.seeds == SEEDS else f"--seeds {options.seeds}"
    record("clusters", arguments, began, setup, tables(every) | {"tried": tried(developed)}, every)


if __name__ == "__main__":
    main()
