"""How far do explanations repeat? Channel shares of clusters by encoders that differ in their training seed.

Four encoders are trained on each series and the windows clustered by the first. Each choice of some encoders gives
intervals and leading channels, as the page shows them; the encoders that were left out tell whether they hold. Beside
that, channel deletion of the cluster's ranking, judged by an encoder that did not explain. Half an hour on one core;
encoders that were trained are kept in `.tmp/repeats`, so a run that was cut off goes on:

    python -m benchmarks.repeats
    python -m benchmarks.repeats --series "watch 1" --encoders 4    # fewer; writes nothing
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import dots
from benchmarks.record import ROOT, Result, benchmark_data, mean_interval, record, shown
from benchmarks.rules import options
from benchmarks.studies import Study, archive, chosen, study
from clusterwhy.attribution.base import AttributionTask
from clusterwhy.explanations.aggregation import channel_importance
from clusterwhy.explanations.replacements import fitting_windows
from clusterwhy.explanations.replicates import leading_channels, leads, over_encoders
from clusterwhy.explanations.target_function import target_function
from clusterwhy.metrics.channel_deletion import deletion_table
from clusterwhy.metrics.z_scores import channel_z_scores

N_ENCODERS, SHOWN, SEED, N_RANDOM = 4, (1, 2, 3), 0, 3
SERIES = ("watch 1", "watch 2", "watch 3", "watch 4", "motions")
OWN = "mean over 3 encoders"
ATTRIBUTOR, COMPOSITE = options("attributor")["difference"], options("composite")["epsilon_plus"]


def studies(name: str, n_encoders: int) -> list[Study]:
    """One series with encoders of several seeds."""
    kind, _, which = name.partition(" ")
    if kind == "watch":
        settings = chosen(dataset={"subject": int(which)})
        series = settings["dataset"].read()
    elif kind == "motions":
        settings = chosen({"dataset": "basic_motions", "window": "motion"})
        series = settings["dataset"].read()
    else:
        settings, series = chosen(), archive("asd", benchmark_data() / "asd" / f"{which}.npz")
    kept = ROOT / ".tmp" / "repeats"
    return [study(series, settings, seed, kept / f"{name}-{seed}.pt") for seed in range(n_encoders)]


class Clusters:
    """The clusters of a series by its first encoder, explained by each.

    Attributes:
        tables: for each cluster, for each encoder: shares of its channels.
        deletion: one row per cluster, ranking and judging encoder.
    """

    def __init__(self, made: list[Study]) -> None:
        first, threads = made[0], torch.get_num_threads()
        settings, embedded = first.settings, [one.embedded for one in made]
        found = settings["clusterer"].fit(settings["projection"].fit(first.embeddings, SEED))
        torch.set_num_threads(threads)  # UMAP's numba sets it to all cores
        target, members = options("target")["membership"], options("members")["central"]
        networks = [target.networks(one.encoder, one.embeddings, found.labels, SEED)[0] for one in embedded]
        self.tables: list[list[pd.DataFrame]] = []
        self.deletion: list[dict[str, Any]] = []
        for cluster in networks[0]:
            central = members.choose(cluster, first.embeddings, found.labels, found.strengths, SEED)
            windows, rest = embedded[0].windows(central), embedded[0].windows_outside(found.labels, cluster, SEED)
            relevance = []
            for seed, own in enumerate(networks):
                task = AttributionTask(own[cluster], COMPOSITE, "auto", embedded[0].box, rest)
                relevance.append(ATTRIBUTOR.explain(task, windows, seed).values)
            channels = first.series.channels
            self.tables.append([channel_importance(one, channels, SEED) for one in relevance])
            means = np.stack([one.sum(axis=2).mean(axis=0) / np.abs(one).sum(axis=(1, 2)).mean() for one in relevance])
            z_score = np.nan_to_num(channel_z_scores(windows, rest), posinf=1e9).mean(axis=0)
            judge = target_function(networks[-1][cluster], windows)
            rankings = {OWN: means[:3].mean(axis=0), "one encoder": means[0], "z-score": z_score}
            rankings |= {"the judge's own": means[-1]}
            rng = np.random.default_rng([SEED, cluster])
            others = fitting_windows(windows, rest)[:, 0]
            scores = {name: np.broadcast_to(one, (len(windows), len(one))) for name, one in rankings.items()}
            table = deletion_table(judge, windows, others, scores, N_RANDOM, rng)
            self.deletion += table.assign(cluster=cluster).to_dict("records")


def repeats(tables: list[list[pd.DataFrame]], n_encoders: int) -> Iterator[dict[str, Any]]:
    """One row per choice of some of the encoders: whether those left out agree."""
    for count in SHOWN:
        if count >= n_encoders:
            continue
        for some in itertools.combinations(range(n_encoders), count):
            known = [[of_cluster[i] for i in some] for of_cluster in tables]
            merged, lead = over_encoders(known, ["signed"]), leads(known)
            names = [leading_channels(pd.concat(pair, axis=1)) for pair in zip(merged, lead, strict=True)]
            inside, width, same, alone = [], [], [], [len(one) == 1 for one in names]
            for other in set(range(n_encoders)) - set(some):
                for of_cluster, table, named in zip(tables, merged, names, strict=True):
                    value = of_cluster[other]["signed"]
                    inside += ((value >= table["signed_low"]) & (value <= table["signed_high"])).tolist()
                    width += (table["signed_high"] - table["signed_low"]).tolist()
                    if len(named) == 1:
                        same.append(of_cluster[other]["channel"][value.argmax()] == named[0])
            yield {
                "encoders": count,
                "covered": np.mean(inside),
                "width": np.mean(width),
                "named alone": np.mean(alone),
                "same": np.mean(same) if same else np.nan,
            }


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Figures with intervals over series."""
    figures = ["covered", "width", "named alone", "same"]
    of_series = runs[runs["what"] == "repeats"].groupby(["encoders", "series"], as_index=False)[figures].mean()
    rows = []
    for count, part in of_series.groupby("encoders"):
        row: dict[str, Any] = {"encoders": int(count)}
        for figure in figures:
            row |= dict(zip((figure, f"{figure} low", f"{figure} high"), mean_interval(part[figure]), strict=True))
        rows.append(row)
    areas = runs[runs["what"] == "deletion"].pivot_table(index=["series", "cluster"], columns="ranking", values="area")
    deletion = []
    for ranking in areas:
        found, less = mean_interval(areas[ranking]), mean_interval(areas[ranking] - areas["z-score"])
        row = {"ranking": ranking} | dict(zip(("area", "area low", "area high"), found, strict=True))
        deletion.append(row | dict(zip(("less z", "less z low", "less z high"), less, strict=True)))
    by_series = of_series[of_series["encoders"] == 3].drop(columns="encoders")
    n_clusters = runs[runs["what"] == "deletion"].groupby("series")["cluster"].nunique()
    by_three = runs[(runs["what"] == "repeats") & (runs["encoders"] == 3)]
    named = by_three["named alone"] * by_three["series"].map(n_clusters)
    pooled = {"named alone": round(named.sum()), "same": round((named * by_three["same"]).sum())}
    return {
        "repeats": pd.DataFrame(rows),
        "deletion": pd.DataFrame(deletion).sort_values("area"),
        "series": by_series,
        "pooled": pd.DataFrame([pooled]),
    }


def section(result: Result) -> str:
    """The conclusion first, then both tables."""
    found = result.table("repeats").set_index("encoders")
    three, one = found.loc[3], found.loc[1]
    deletion = result.table("deletion").set_index("ranking")
    pooled = result.table("pooled").iloc[0]
    return f"""
The share of a channel by a further encoder lies in the interval of three in {three["covered"]:.0%} of cases; in the
interval of one encoder, which covers windows only, in {one["covered"]:.0%}. Three encoders name a leading channel alone
in {three["named alone"]:.0%} of clusters. A further encoder has the same one first in {pooled["same"]} of the
{pooled["named alone"]} cases; as a mean over series, of which one has a single case, in {three["same"]:.0%}.

{result.setup["series"]} series ({result.setup["names"]}), {result.setup["encoders"]} encoders each, every choice of
`encoders` of them, judged by the others: `covered` is the share of channel shares of these inside the interval, `width`
its width (shares are between -1 and 1), `named alone` the share of clusters with one leading channel, `same` how often
another encoder has that channel first. Brackets: 95 % bootstrap intervals over series.

{shown(result.table("repeats"))}

By three encoders, series by series:

{shown(result.table("series"))}

Channel deletion (lower is more faithful) of the cluster's order of channels, judged by membership in an encoder that
did not explain: `less z` is the paired difference to z-scores, its interval is over clusters. The mean over three
encoders: {deletion.loc[OWN, "area"]:.3f}.

{shown(result.table("deletion"), 3)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Coverage by number of encoders, and channel deletion."""
    figure.set_size_inches(9, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.2])
    found = result.table("repeats")
    for name, colour in (("covered", "#0072B2"), ("same", "#D55E00")):
        errors = np.abs(found[[f"{name} low", f"{name} high"]].to_numpy().T - found[name].to_numpy())
        label = {"covered": "shares inside the interval", "same": "same leading channel"}[name]
        left.errorbar(found["encoders"], found[name], errors, color=colour, marker="o", capsize=3, label=label)
    left.axhline(0.95, color="#666666", linewidth=0.8, linestyle="--")
    left.set(xlabel="encoders", ylabel="agreement of a further encoder", xticks=found["encoders"])
    left.legend(fontsize=8)
    dots(right, result.table("deletion"), "ranking", "area", [OWN])
    right.set_xlabel("channel deletion by another encoder (lower is better)")


def main() -> None:
    """Train, explain, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="*", default=SERIES)
    parser.add_argument("--encoders", type=int, default=N_ENCODERS, help="trained on each series")
    arguments, began = parser.parse_args(), time.monotonic()
    rows: list[dict[str, Any]] = []
    for name in tqdm(arguments.series, unit="series", disable=None):
        found = Clusters(studies(name, arguments.encoders))
        rows += [{"series": name, "what": "repeats", **row} for row in repeats(found.tables, arguments.encoders)]
        named = [{"area": row.pop("channel_deletion"), **row} for row in found.deletion]
        rows += [{"series": name, "what": "deletion", **row} for row in named]
    runs = pd.DataFrame(rows)
    found_tables = tables(runs)
    for table in found_tables.values():
        print(shown(table, 3), end="\n\n")
    if tuple(arguments.series) == SERIES and arguments.encoders == N_ENCODERS:
        setup = {"series": len(SERIES), "names": ", ".join(SERIES), "encoders": N_ENCODERS}
        record("repeats", "", began, setup, found_tables, runs)


if __name__ == "__main__":
    main()
