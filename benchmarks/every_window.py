"""What does it cost to explain every window, and what does one encoder instead of three change?

Cost: windows of random values in two made-up clusters, encoders with random weights, since neither changes the time;
one thread, 38 channels x 64 samples, increasing numbers of windows. Agreement: clusters of recordings, with three
trained encoders; each window is explained by one of them and by all, and relevance compared as it is stored. Half an
hour on one core; encoders that were trained are kept in `.tmp/repeats`:

    python -m benchmarks.every_window
    python -m benchmarks.every_window --quick    # few windows, one recording; writes nothing
"""

import argparse
import resource
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.record import Result, mean_interval, record, shown
from benchmarks.repeats import studies
from benchmarks.rules import options
from benchmarks.studies import chosen
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.every_window import Coverage, KnownWindows, WindowExplanations, explain_every_window
from clusterwhy.explanations.settings import ExplanationSettings

CHANNELS, LENGTH, SEED = 38, 64, 0
SIZES, RECORDINGS, N_ENCODERS = (256, 512, 1024), ("watch 1", "watch 2", "motions"), 3
GOAL = 100_000  # windows
NOTHING_KNOWN = pd.DataFrame({"window": [], "cluster": [], "target": [], "gap": []}, dtype=int)


def settings() -> ExplanationSettings:
    """Those of the default study."""
    groups = {"target": "membership", "composite": "epsilon_plus", "attributor": "difference", "members": "central"}
    choices = {group: options(group)[option] for group, option in (groups | {"canonizer": "auto"}).items()}
    return ExplanationSettings(**choices, seed=SEED)


def coverage(encoders: int) -> Coverage:
    """All windows."""
    return Coverage(max_windows=GOAL, encoders=encoders, part=512)


def cost(n_windows: int) -> dict[str, Any]:
    """Seconds and memory of one encoder."""
    rng = np.random.default_rng(SEED)
    values = rng.standard_normal((n_windows * LENGTH, CHANNELS), dtype=np.float32)
    starts = np.arange(n_windows) * LENGTH
    index = pd.DataFrame({"window": np.arange(n_windows), "start": starts, "stop": starts + LENGTH, "train": True})
    seed_torch(SEED)
    encoder = chosen()["encoder"].build(CHANNELS, LENGTH).eval()
    labels = np.arange(n_windows) % 2
    n_features = encoder(torch.from_numpy(values[:LENGTH].T[None].copy())).shape[1]
    embeddings = (rng.standard_normal((n_windows, n_features)) + 3 * labels[:, None]).astype(np.float32)
    series = EmbeddedSeries(encoder, values, index, embeddings, tuple(map(str, range(CHANNELS))), 1.0)
    known = KnownWindows(NOTHING_KNOWN, np.zeros((0, CHANNELS, LENGTH)), {0: [1.0], 1: [1.0]})
    began = time.process_time()
    found = explain_every_window(series, labels, settings(), coverage(1), known)
    seconds = time.process_time() - began
    return {
        "windows": n_windows,
        "ms per window": 1000 * seconds / n_windows,
        "peak memory (MB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "bytes per window on disk": found.levels[0].nbytes + found.channels[0].nbytes,
    }


def shares(found: WindowExplanations) -> tuple[np.ndarray, np.ndarray]:
    """(window, cell) and (window, channel) relevance."""
    cells = found.levels * found.windows["step"].to_numpy()[:, None, None]
    return cells.reshape(len(cells), -1), found.channels


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Mean correlation of rows."""
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]))


def agreement(name: str) -> list[dict[str, Any]]:
    """How alike relevance by one and by two encoders is to that by three."""
    made = studies(name, N_ENCODERS)
    first, threads = made[0], torch.get_num_threads()
    found = first.settings["clusterer"].fit(first.settings["projection"].fit(first.embeddings, SEED))
    torch.set_num_threads(threads)  # UMAP's numba sets it to all cores
    series, replicates = made[0].embedded, [one.embedded for one in made[1:]]
    clusters = [int(c) for c in np.unique(found.labels) if c >= 0]
    sizes = {c: _sizes(series, replicates, found.labels, c) for c in clusters}
    known = KnownWindows(NOTHING_KNOWN, np.zeros((0, *first.windows.shape[1:])), sizes)
    each = [
        explain_every_window(series, found.labels, settings(), coverage(k), known, replicates=replicates)
        for k in range(1, N_ENCODERS + 1)
    ]
    cells, channels = shares(each[-1])
    rows = []
    for k, one in enumerate(each[:-1], start=1):
        own_cells, own_channels = shares(one)
        rows.append(
            {
                "series": name,
                "encoders": k,
                "cells": alike(own_cells, cells),
                "channels": alike(own_channels, channels),
                "same leading channel": float(np.mean(own_channels.argmax(axis=1) == channels.argmax(axis=1))),
            }
        )
    return rows


def _sizes(series: EmbeddedSeries, replicates: list[EmbeddedSeries], labels: np.ndarray, cluster: int) -> list[float]:
    """Mean target of each encoder over the cluster."""
    found = []
    for one in (series, *replicates):
        network = settings().target.networks(one.encoder, one.embeddings, labels, SEED)[0][cluster]
        points = torch.as_tensor(np.asarray(one.embeddings)[labels == cluster]).float()
        with torch.no_grad():
            found.append(float(network[-1](points).abs().mean()))  # type: ignore[index]
    return found


def section(result: Result) -> str:
    """The conclusion first, then both tables."""
    cost_table, alike_table = result.table("cost"), result.table("agreement").set_index("encoders")
    last = cost_table.iloc[-1]
    hours = last["ms per window"] * GOAL / 3.6e6
    disk = last["bytes per window on disk"] * GOAL / 1e9
    one = alike_table.loc[1]
    return f"""
One encoder explains a window of {CHANNELS} x {LENGTH} in {last["ms per window"]:.0f} ms of one core: {GOAL:,} windows
take {hours:.1f} core hours and {disk:.1f} GB of disk. Its relevance correlates with the mean over three encoders by
{one["cells"]:.2f} over cells and {one["channels"]:.2f} over channels; the leading channel is the same
in {one["same leading channel"]:.0%} of windows.

Cost, linear in the number of windows; peak memory is that of the whole process, in which sizes follow one another:

{shown(cost_table, 1)}

Agreement with the mean over three encoders, window by window, brackets over {result.setup["series"]} series
({result.setup["names"]}):

{shown(result.table("agreement"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Time per window, and agreement."""
    figure.set_size_inches(8, 2.6)
    left, right = figure.subplots(1, 2)
    found = result.table("cost")
    left.plot(found["windows"], found["ms per window"], marker="o", color="#0072B2")
    left.set(xlabel="windows", ylabel="ms per window, one core", xscale="log", xticks=found["windows"])
    left.set_xticklabels([str(n) for n in found["windows"]])
    left.minorticks_off()
    left.set_ylim(0, 1.2 * found["ms per window"].max())
    table = result.table("agreement")
    for i, name in enumerate(("cells", "channels", "same leading channel")):
        errors = np.abs(table[[f"{name} low", f"{name} high"]].to_numpy().T - table[name].to_numpy())
        right.errorbar(table["encoders"] + 0.06 * (i - 1), table[name], errors, marker="o", capsize=3, label=name)
    right.set(xlabel="encoders", ylabel="agreement with three", xticks=table["encoders"], xlim=(0.7, 2.3))
    right.legend(fontsize=7, loc="lower right")


def main() -> None:
    """Measure the cost, then the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick, began = parser.parse_args().quick, time.monotonic()
    torch.set_num_threads(1)
    costs = pd.DataFrame([cost(n) for n in tqdm(SIZES[: 1 if quick else None], unit="size", disable=None)])
    names = RECORDINGS[: 1 if quick else None]
    runs = pd.DataFrame([row for name in tqdm(names, unit="series", disable=None) for row in agreement(name)])
    rows = []
    for encoders, part in runs.groupby("encoders"):
        row: dict[str, Any] = {"encoders": int(str(encoders))}
        for name in ("cells", "channels", "same leading channel"):
            found = mean_interval(part[name])
            row |= dict(zip((name, f"{name} low", f"{name} high"), found, strict=True))
        rows.append(row)
    tables = {"cost": costs, "agreement": pd.DataFrame(rows)}
    for table in tables.values():
        print(shown(table, 3), end="\n\n")
    if not quick:
        record("every_window", "", began, {"series": len(names), "names": ", ".join(names)}, tables, runs)


if __name__ == "__main__":
    main()
