"""Every method of explanation on every network: does it work, does it add up, where does it point, what does it cost?

Classifiers of `conf/classifier` learn four made-up classes, each known by its channels and its stretch of time
(`benchmarks.planted_classes`); then every method explains the same windows of each class. Half an hour of one core:

    python -m benchmarks.methods
    python -m benchmarks.methods --quick    # one network, few windows; writes nothing
    python -m benchmarks.methods --only vargrad deconvnet    # of the others, rows of the last record stay
"""

import argparse
import time
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from benchmarks.planted_classes import LENGTH, N_CHANNELS, SUPPORT, PlantedClasses, planted_classes
from benchmarks.record import ROOT, Result, fastest, read, record, runs, shown, with_interval
from clusterwhy.attribution.registry import list_methods, method_of
from clusterwhy.classifiers.base import Classifier
from clusterwhy.classifiers.training import ClassifierTraining, LabelledWindows, logits_of
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.explanations.comparison import MethodSettings, compare
from clusterwhy.types import FloatArray

NETWORKS = ("ecg_cnn", "wide_cnn", "hybrid", "fcn_plus", "inception_time_plus", "resnet_plus", "xception_time_plus")
TRAIN, VALIDATION, TEST = 200, 40, 40  # windows per class
SEED, ROUNDS = 0, 3
# costs that matter are seconds: one round says enough
SLOW = ("shapley_sampling", "smooth", "smoothgrad", "vargrad", "integrated_gradients", "gradient_shap", "occlusion")
FIGURES = ["gap", "channels", "signed_channels", "leading", "support", "insertion"]
FIGURES += ["randomised", "randomised_absolute", "cost"]
# what does not ask the network: marked, never expected to change with its weights
BLIND = ("attention_weights",)


def option(group: str, name: str) -> Any:
    """A choice of conf/."""
    from omegaconf import OmegaConf

    from clusterwhy.config import build_settings

    values = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / group / f"{name}.yaml"))
    return build_settings({group: values})[group]


def labelled(of: PlantedClasses) -> LabelledWindows:
    """Windows as one series."""
    series = of.windows.transpose(0, 2, 1).reshape(-1, N_CHANNELS)
    return LabelledWindows(series, np.arange(len(of.labels)) * LENGTH, of.labels, LENGTH)


def trained(name: str, fit: ClassifierTraining) -> tuple[Classifier, float]:
    """A classifier of made-up windows, and its accuracy on others."""
    seed_torch(SEED)
    network = option("classifier", name).build(N_CHANNELS, LENGTH, len(SUPPORT))
    parts = [labelled(planted_classes(n, seed)) for seed, n in enumerate((TRAIN, VALIDATION, TEST))]
    fit.train(network, (parts[0], parts[1]), SEED, lambda row: None)
    logits = logits_of(network, parts[2], fit.batch_size)
    return network.cpu().eval(), float((logits.argmax(axis=1) == parts[2].labels).mean())


def forward_and_backward(network: nn.Module, windows: torch.Tensor) -> None:
    """The yardstick of costs."""
    for parameter in network.parameters():
        parameter.grad = None
    network(windows)[:, 0].sum().backward()


def costs(network: Classifier, windows: FloatArray, others: FloatArray, names: list[str]) -> dict[str, float]:
    """Seconds of each method as a ratio to one forward and backward pass of the same windows."""
    found: dict[str, float] = {}
    for rounds, part in ((ROUNDS, [n for n in names if n not in SLOW]), (1, [n for n in names if n in SLOW])):
        jobs: dict[str, Any] = {"yardstick": partial(forward_and_backward, network, torch.from_numpy(windows))}
        jobs |= {name: partial(method_of(name).explain, network, windows, 0, others, SEED) for name in part}
        best = fastest(jobs, max(rounds, 1))
        found |= {name: seconds / best["yardstick"] for name, seconds in best.items() if name != "yardstick"}
    return found


def run(name: str, per_class: int, names: list[str]) -> tuple[list[dict[str, Any]], dict[str, str], float]:
    """One row per method and class, why methods fail, and the accuracy."""
    network, accuracy = trained(name, option("classifier_training", "standard"))
    planted = planted_classes(per_class, 10)
    elsewhere = planted_classes(8, 11)
    others = {c: elsewhere.windows[elsewhere.labels != c] for c in SUPPORT}
    settings = MethodSettings(
        names=tuple(names),
        windows_per_class=per_class,
        n_references=24,
        n_stretches=16,
        n_concept_windows=1,
    )
    found = compare(network, planted.windows, planted.labels, others, settings, SEED)
    cost = costs(network, planted.windows, others[0], list(found.relevance))
    rows = []
    for row in found.quality.to_dict("records"):
        mine = planted.labels == row["class"]
        if (method := row["method"]) in found.relevance:
            cells, support = np.abs(found.relevance[method][mine]), planted.support[mine]
            of_channels = support.any(axis=2)
            total = cells.sum(axis=(1, 2)).clip(min=1e-30)
            row["channels"] = float(((cells.sum(axis=2) * of_channels).sum(axis=1) / total).mean())
            signed = np.abs(found.relevance[method][mine].sum(axis=2))
            row["signed_channels"] = float(((signed * of_channels).sum(axis=1) / signed.sum(axis=1).clip(1e-30)).mean())
            row["leading"] = float(of_channels[np.arange(len(signed)), signed.argmax(axis=1)].mean())
            row["support"] = float(((cells * support).sum(axis=(1, 2)) / total).mean())
            row["cost"] = cost[method]
        rows.append({"network": name, **row})
    return rows, found.failures, accuracy


def _pivot(table: pd.DataFrame, figure: str, failures: pd.DataFrame, digits: int) -> str:
    """Methods x networks; a number stands for why a method does not work."""
    wide = table.pivot_table(index="method", columns="network", values=figure, sort=False, dropna=False)
    measured = {*table["method"], *failures["method"]}
    wide = wide.reindex(index=[name for name in list_methods() if name in measured], columns=list(NETWORKS)).astype(
        object
    )
    for i, row in enumerate(failures.to_dict("records"), start=1):
        for network in row["networks"].split(", "):
            wide.loc[row["method"], network] = f"no ({i})"
    cells = wide.map(lambda v: v if isinstance(v, str) else "" if pd.isna(v) else f"{v:.{digits}f}")
    return shown(cells.reset_index())


def _listed(names: pd.Series) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


def _names(table: pd.DataFrame, figure: str, least: float) -> str:
    """Methods that reach a figure."""
    return _listed(table.loc[table[figure] >= least, "method"])


def section(result: Result) -> str:
    """What each method does on each network, in Markdown."""
    by_method, table, failures = result.table("methods"), result.table("networks"), result.table("failures")
    chance = result.setup["true channels, share of all"]
    reasons = "\n".join(f"{i}. `{row.method}`: {row.reason}" for i, row in enumerate(failures.itertuples(), start=1))
    rules = by_method[by_method["method"].str.startswith("lrp_")]
    same = by_method.loc[by_method["randomised"] >= 0.3, "method"]
    return f"""
Mean over {len(NETWORKS)} networks that all learned the same four made-up classes (accuracy on unseen windows
{result.table("accuracy")["accuracy"].min():.2f} or more). `gap` is |1 - sum of relevance / target|, of methods whose
relevance is to add up (median); `channels` and `support` are the shares of |relevance| on the channels, and on the
channels and moments, that make a class what it is ({chance:.2f} of all channels, so that is chance); `signed_channels`
is the same share after the relevance of each channel was summed over the window, as a ranking of channels does it, so
that what cancels out counts nothing; `leading` is how often the first channel of that ranking is a true one;
`insertion` is the area as cells of a window are put into a window of another class (higher is better); `randomised`
is the rank correlation with the relevance of the same network with all its weights drawn anew, `randomised_absolute`
the same of |relevance|: a method that explains the network has little of it; `cost` is in forward and backward passes
of the same windows.

{shown(by_method[["method", *FIGURES]])}

80 % or more on the true channels, of the LRP rules: by |relevance| of each cell {_names(rules, "channels", 0.8)}; by
the relevance of each channel {_names(rules, "signed_channels", 0.8)}. The first channel is a true one in 99 % or more
of the windows for {_names(rules, "leading", 0.99)}. Of all methods, relevance stays alike (rank correlation of 0.3 or
more) when all weights are drawn anew for {_listed(same)}.

Does relevance add up? Median gap of each method on each network; an empty cell belongs to a method that promises no
sum:

{_pivot(table, "gap", failures, 3)}

Cost in forward and backward passes:

{_pivot(table, "cost", failures, 1)}

What does not work, and why:

{reasons}
"""


def figure(result: Result, figure: Figure) -> None:
    """Where methods point, and whether they depend on the weights."""
    table = result.table("methods").iloc[::-1]
    table = table[table["channels"].notna()]
    left, right = figure.subplots(1, 2, sharey=True)
    figure.set_size_inches(9, 6)
    at = np.arange(len(table))
    left.scatter(table["channels"], at, s=22, color="#0072B2", label="true channels")
    left.scatter(table["signed_channels"], at, s=22, color="#009E73", marker="^", label="summed over time")
    left.scatter(table["support"], at, s=22, color="#D55E00", marker="s", label="true channels and moments")
    left.axvline(result.setup["true channels, share of all"], color="0.6", lw=1, label="channels by chance")
    left.set(yticks=at, yticklabels=table["method"], xlabel="share of |relevance|", xlim=(0, 1))
    right.scatter(table["randomised"], at, s=22, color="#0072B2", label="relevance")
    right.scatter(table["randomised_absolute"], at, s=22, color="#D55E00", marker="s", label="|relevance|")
    right.axvline(0.3, color="0.6", lw=1)
    right.set(xlabel="rank correlation with random weights", xlim=(-0.35, 1))
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def summarised(
    every: pd.DataFrame, failures: list[dict[str, str]], accuracy: dict[str, float]
) -> dict[str, pd.DataFrame]:
    """The tables."""
    order = [*list_methods(), "z_score", "random"]
    figures = [name for name in FIGURES if name in every]
    by_method = with_interval(every, ["method"], figures).set_index("method").reindex(order).dropna(how="all")
    networks = every.groupby(["network", "method"], sort=False)[["gap", "bias_share", "cost"]].median().reset_index()
    why = pd.DataFrame(failures, columns=["network", "method", "reason"])
    why = why.groupby(["method", "reason"], sort=False)["network"].agg(", ".join).rename("networks").reset_index()
    return {
        "methods": by_method.reset_index(),
        "networks": networks,
        "failures": why,
        "accuracy": pd.DataFrame([{"network": name, "accuracy": value} for name, value in accuracy.items()]),
    }


def with_record(
    made: pd.DataFrame, failures: list[dict[str, str]], names: list[str]
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Rows and failures of some methods beside those of the others in the last record."""
    # what a ranking by random numbers or z-scores gives is the same in every run
    rest = runs("methods")
    old = rest[~rest["method"].isin(names)]
    made = made[made["method"].isin(names)]
    kept = read("methods").table("failures")
    kept = kept[~kept["method"].isin(names)]
    before = [
        {"network": network, "method": row["method"], "reason": row["reason"]}
        for row in kept.to_dict("records")
        for network in row["networks"].split(", ")
    ]
    return pd.concat([old, made], ignore_index=True), [*before, *failures]


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, few windows; writes nothing")
    parser.add_argument("--only", nargs="+", metavar="METHOD", choices=list_methods(), help="run only these")
    options, began = parser.parse_args(), time.monotonic()
    quick, names = options.quick, options.only or list_methods()
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    accuracy: dict[str, float] = {}
    for name in tqdm(NETWORKS[2:3] if quick else NETWORKS, unit="network"):
        found, why, accuracy[name] = run(name, 2 if quick else 10, names)
        rows += found
        failures += [{"network": name, "method": method, "reason": reason} for method, reason in why.items()]
    made = pd.DataFrame(rows)
    if options.only and not quick:
        made, failures = with_record(made, failures, names)
    tables = summarised(made, failures, accuracy)
    if quick:
        print(shown(tables["methods"]), tables["failures"].to_string(), accuracy, sep="\n")
        return
    share = np.mean([len(channels) for channels, _ in SUPPORT.values()]) / N_CHANNELS
    setup = {"networks": len(NETWORKS), "windows per class": 10, "seed": SEED, "true channels, share of all": share}
    if options.only:
        setup["methods of this run"] = ", ".join(names)
        began -= read("methods").seconds
    record("methods", "", began, setup, tables, made)


if __name__ == "__main__":
    main()
