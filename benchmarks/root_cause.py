"""Which channels made an anomaly? Rankings of channels against those that experts blame, on server machines.

For each labelled segment of SMD (3 machines) and ASD (4 servers) every method ranks the channels, from what it says of
the segment's cells (channel x time): their maximum, or their mean. Segments are those of the labels, or those that the
default detector finds. Needs ../shared/data. Three quarters of an hour on two cores:

    python -m benchmarks.root_cause
    python -m benchmarks.root_cause --keep FOLDER    # begun again with the same folder, it goes on from there
    python -m benchmarks.root_cause --tables    # the tables again, from results/root_cause.csv.gz
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.metrics import ndcg_score
from torch import nn
from tqdm import tqdm

from benchmarks.attributions import gradient_x_input, gradients, occlusion
from benchmarks.figures import dots
from benchmarks.kept import add_keep, kept
from benchmarks.record import Result, benchmark_data, mean_interval, read, record, runs, shown
from benchmarks.studies import Study, archive, chosen, study
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.thresholds import merge_segments
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import cell_errors, embed, usual_errors
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.score_modules import SquaredPredictionError
from clusterwhy.explanations.target_heads import ClusterMembership, Distance, prototypes
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.explainer import lrp

SERIES = {
    "smd": ("machine-1-6", "machine-2-1", "machine-2-7"),
    "asd": ("omi-6", "omi-8", "omi-9", "omi-12"),
}
CHOSEN_ON = ("machine-1-6", "omi-6", "omi-9")
SEEDS = 2
N_PARTS, BLOCK, N_REFERENCES, REACH, CONTEXT, MOST = 3, 4, 4, 0.3, 100, 8
N_CALIBRATION, N_NORMAL = 128, 512
OURS = "relevance against both references x prediction error"
TRIVIAL = (
    "|z|",
    "local difference",
    "PCA residual",
    "PCA residual / its training spread",
    "masked-prediction error",
)
FEW = (OURS, "difference, masked prediction, preceding references", *TRIVIAL, "random")
FIGURES = ("hit_100", "hit_150", "ndcg", "top_1")


@dataclass(frozen=True)
class Segments:
    """Anomalies of a study and the windows that show them.

    Attributes:
        study: the series.
        bounds: (segment, 2) first sample and the one after the last.
        blamed: channels of each.
    """

    study: Study
    bounds: np.ndarray
    blamed: list[list[int]]

    @cached_property
    def placed(self) -> tuple[np.ndarray, np.ndarray]:
        """First sample of each window, and its segment; a short segment lies in the middle of one window."""
        length, first, last = self.study.length, self.study.series.train_stop, len(self.study.values)
        starts, owners = [], []
        for i, (a, b) in enumerate(self.bounds):
            if b - a <= length // 2:
                at = np.array([(a + b - length) // 2])
            else:
                at = np.linspace(a - length // 8, b - length + length // 8, min(MOST, max(2, (b - a) // 16)))
            at = np.unique(np.clip(at.astype(int), first, last - length))
            starts += at.tolist()
            owners += [i] * len(at)
        return np.array(starts), np.array(owners)

    def of(self, cells: np.ndarray, how: str) -> np.ndarray:
        """(segment, channel) maximum or mean over the segment of what was said of windows' cells."""
        starts, owners = self.placed
        steps = starts[:, None] + np.arange(self.study.length)
        inside = (steps >= self.bounds[owners, :1]) & (steps < self.bounds[owners, 1:])
        rows = []
        for i in range(len(self.bounds)):
            own = [cells[w][:, inside[w]] for w in np.flatnonzero(owners == i)]
            joined = np.concatenate(own, axis=1)
            rows.append(joined.max(axis=1) if how == "maximum" else joined.mean(axis=1))
        return np.stack(rows)


def preceding_references(stops: np.ndarray, length: int, count: int, stride: int) -> np.ndarray:
    """Where the windows just before each anomaly start; the last one ends where it begins.

    Args:
        stops: (anomaly,) first sample of each.
        length: samples in one window.
        count: references of each.
        stride: samples between their starts.

    Returns:
        (anomaly, count) starts, the nearest first; at the beginning of the series the first window is repeated.
    """
    return np.maximum(np.asarray(stops)[:, None] - length - stride * np.arange(count), 0)


class Tools:
    """What is fitted on the training span of a study, once for all its segments."""

    def __init__(self, made: Study, few: bool) -> None:
        self.study, self.few = made, few
        self.normal = made.starts[made.train]
        rng = np.random.default_rng(made.seed)
        errors = cell_errors(made.encoder, made.windows[made.train], N_PARTS, BLOCK, 128)
        self.usual = usual_errors(errors.mean(axis=2))
        self.points = made.embeddings[made.train]
        some = rng.permutation(len(self.points))[:N_NORMAL]
        self.distance = nn.Sequential(made.encoder, Distance(self.points[some], 3)).eval()
        self.error = SquaredPredictionError(made.encoder, made.length, N_PARTS, BLOCK, self.usual).eval()
        self.prototypes = prototypes(self.points[some], 16, made.seed)
        self.allowed = allowed_starts(self.normal, made.length, np.array([], dtype=int), len(made.values))
        self.pca = PCA(n_components=0.95, svd_solver="full").fit(made.values[: made.series.train_stop])
        self.box = made.values.min(axis=0), made.values.max(axis=0)

    def at(self, starts: np.ndarray) -> np.ndarray:
        """(window, reference) starts -> (window, reference, channel, time)."""
        found = windows_at(self.study.values, starts.ravel(), self.study.length)
        return found.reshape(*starts.shape, *found.shape[1:])

    def fitted(self, windows: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """(window, reference, channel, time) near in the embedding, moved to where they fit."""
        made = self.study
        points = embed(made.encoder, made.values, starts, made.length, 128)
        distances = np.square(points[:, None] - self.points[None]).sum(axis=2)
        near = self.normal[np.argsort(distances, axis=1)[:, :16]]
        reach = round(REACH * made.length)
        return self.at(matching_starts(made.values, windows, near, self.allowed, N_REFERENCES, reach))


def _plain(tools: Tools, segments: Segments, windows: np.ndarray) -> dict[str, np.ndarray]:
    """What needs no attribution: (window, channel, time) each."""
    made = tools.study
    starts, owners = segments.placed
    before = [made.values[max(0, a - CONTEXT) : a].mean(axis=0) for a, _ in segments.bounds]
    residual = made.values - tools.pca.inverse_transform(tools.pca.transform(made.values))
    typical = residual[: made.series.train_stop].std(axis=0)
    scaled = residual / np.maximum(typical, 1e-3 * typical.max())
    rng = np.random.default_rng(made.seed)
    return {
        "|z|": np.abs(windows),
        "local difference": np.abs(windows - np.stack(before)[owners][:, :, None]),
        "PCA residual": windows_at(residual.astype(np.float32), starts, made.length) ** 2,
        "PCA residual / its training spread": windows_at(scaled.astype(np.float32), starts, made.length) ** 2,
        "masked-prediction error": cell_errors(made.encoder, windows, N_PARTS, BLOCK, 128) / tools.usual[None, :, None],
        "random": rng.random(windows.shape),
    }


def _membership(tools: Tools, segments: Segments, windows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Relevance for being in the cluster of the segment's windows, not in a normal one."""
    made, owners = tools.study, segments.placed[1]
    found = np.zeros(windows.shape, dtype=np.float32)
    with torch.no_grad():
        points = made.encoder(torch.from_numpy(windows)).numpy()
    for segment in np.unique(owners):
        own = owners == segment
        head = ClusterMembership(prototypes(points[own], 4, made.seed), tools.prototypes, "midpoint")
        network = nn.Sequential(made.encoder, head).eval()
        found[own] = explain_difference(network, windows[own], others[own]).values
    return found


def cells(tools: Tools, segments: Segments) -> dict[str, np.ndarray]:
    """(window, channel, time) of each method; the higher, the more the cell is to blame."""
    made = tools.study
    starts, owners = segments.placed
    windows = windows_at(made.values, starts, made.length)
    before = tools.at(preceding_references(segments.bounds[owners, 0], made.length, N_REFERENCES, made.length // 4))
    fitted = tools.fitted(windows, starts)
    found = _plain(tools, segments, windows)
    name = "difference, masked prediction"
    against = {
        "preceding": explain_difference(tools.error, windows, before).values,
        "fitted": explain_difference(tools.error, windows, fitted).values,
    }
    for kind, relevance in against.items():
        found[f"{name}, {kind} references"] = np.abs(relevance)
    found["both"] = np.minimum(np.abs(against["preceding"]), np.abs(against["fitted"]))
    if tools.few:
        return found
    found[f"{name}, preceding references, positive part"] = np.maximum(against["preceding"], 0)
    for kind, others in (("preceding", before), ("fitted", fitted)):
        found[f"difference, distance, {kind} references"] = np.abs(
            explain_difference(tools.distance, windows, others).values
        )
    found["difference, membership, preceding references"] = np.abs(_membership(tools, segments, windows, before))
    usually = _calibration(tools)
    found[f"{name}, preceding references, calibrated"] = np.abs(against["preceding"]) / usually[None, :, None]
    for target, network in (("masked prediction", tools.error), ("distance", tools.distance)):
        rules = ("epsilon_plus_norm",) if target == "masked prediction" else ("epsilon_plus", "epsilon_gamma_box")
        for rule in rules:
            found[f"LRP {rule}, {target}"] = np.abs(lrp(network, windows, None, COMPOSITES[rule], box=tools.box).values)
        zeros = np.zeros_like(windows)[:, None]
        found[f"gradient x input, {target}"] = np.abs(gradient_x_input(network, windows))
        found[f"integrated gradients, {target}"] = np.abs(gradients(network, windows, zeros, 16))
        found[f"expected gradients, {target}, preceding references"] = np.abs(gradients(network, windows, before, 4))
        found[f"occlusion, {target}, preceding references"] = np.broadcast_to(
            occlusion(network, windows, before)[:, :, None], windows.shape
        )
    return found


def _calibration(tools: Tools) -> np.ndarray:
    """(channel,) the 0.99 quantile of the greatest |relevance| that training windows have against those before."""
    made = tools.study
    rng = np.random.default_rng(made.seed)
    starts = tools.normal[tools.normal >= 2 * made.length]
    starts = rng.permutation(starts)[:N_CALIBRATION]
    before = tools.at(preceding_references(starts, made.length, N_REFERENCES, made.length // 4))
    relevance = explain_difference(tools.error, windows_at(made.values, starts, made.length), before).values
    usually = np.quantile(np.abs(relevance).max(axis=2), 0.99, axis=0)
    return usually + 1e-3 * usually.max()


def rankings(tools: Tools, segments: Segments) -> dict[tuple[str, str], np.ndarray]:
    """(method, how cells are joined) -> (segment, channel)."""
    said = cells(tools, segments)
    found = {}
    for how in ("maximum",) if tools.few else ("maximum", "mean"):
        for name, values in said.items():
            found[name, how] = segments.of(values, how)
        both, error = found.pop(("both", how)), found["masked-prediction error", how]
        found[OURS, how] = np.sqrt(np.maximum(both * error, 0))
        if not tools.few:
            found["relevance against both references", how] = both
            local = found["local difference", how]
            found["relevance against both references x local difference", how] = np.sqrt(np.maximum(both * local, 0))
    blamed = np.zeros_like(found["|z|", "maximum"])
    for i, channels in enumerate(segments.blamed):
        blamed[i, channels] = 1
    found["oracle", "maximum"] = blamed
    return found


def measures(ranking: np.ndarray, blamed: list[int]) -> dict[str, float]:
    """HitRate at 100 and 150 % of the blamed channels' number (Su et al. 2019), NDCG, and whether the first is one."""
    order, truth = np.argsort(-ranking, kind="stable"), set(blamed)
    hits = [len(truth & set(order[: int(share * len(truth))].tolist())) / len(truth) for share in (1.0, 1.5)]
    relevant = np.isin(np.arange(len(ranking)), blamed).astype(float)
    places = np.empty(len(ranking))
    places[order] = np.arange(len(ranking))[::-1]
    values = (*hits, float(ndcg_score(relevant[None], places[None])), float(order[0] in truth))
    return dict(zip(FIGURES, values, strict=True))


def labelled(folder: str, name: str, made: Study) -> Segments:
    """The segments of the labels."""
    listed = json.loads((benchmark_data() / folder / "segments.json").read_text())[name]
    first = made.series.train_stop
    bounds = np.array([[one["start"] + first, one["end"] + first] for one in listed])
    return Segments(made, bounds, [one["channels"] for one in listed])


def detected(truth: Segments) -> Segments:
    """What the default detector finds where a labelled segment lies, with that segment's channels."""
    made = truth.study
    points = made.embeddings
    inputs = DetectorInput(
        made.values, made.starts, made.length, made.train, points, points[:, :2], lambda: made.encoder, made.seed
    )
    scores = made.settings["detector"].score(inputs).windows
    threshold = made.settings["threshold"].fit(scores[made.train])
    alarms = merge_segments(scores, threshold, made.starts, made.length)
    bounds, blamed = [], []
    for (a, b), channels in zip(truth.bounds, truth.blamed, strict=True):
        over = [(min(b, s["stop"]) - max(a, s["start"]), s["start"], s["stop"]) for s in alarms]
        overlap, start, stop = max(over, default=(0, 0, 0))
        if overlap > 0:
            bounds.append((max(start, made.series.train_stop), stop))
            blamed.append(channels)
    return Segments(made, np.array(bounds).reshape(-1, 2), blamed)


def measured(folder: str, name: str, seed: int, keep: Path | None) -> tuple[float, pd.DataFrame]:
    """Seconds and rows of a run, from an earlier one in `keep` where there is one."""
    file = keep and keep / f"{folder.upper()}-{name}-{seed}.csv"
    return kept(file, lambda: pd.DataFrame(run(folder, name, seed, keep)))


def run(folder: str, name: str, seed: int, keep: Path | None = None) -> list[dict[str, Any]]:
    """One row per segment and ranking."""
    series = archive(folder, benchmark_data() / folder / f"{name}.npz")
    file = keep and keep / f"{folder.upper()}-{name}-{seed}.pt"
    made = study(series, chosen({"window": "short"}), seed, file)
    rows = []
    truth = labelled(folder, name, made)
    for kind in ("labelled", "detected"):
        tools = Tools(made, few=kind == "detected")
        segments = truth if kind == "labelled" else detected(truth)
        if not len(segments.bounds):
            continue
        for (method, how), ranking in rankings(tools, segments).items():
            for i, blamed in enumerate(segments.blamed):
                row = {"data": folder, "series": name, "seed": seed, "segments": kind, "segment": i}
                rows.append(row | {"method": method, "cells": how} | measures(ranking[i], blamed))
    return rows


def tables(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The figures: means over series of each data set, intervals by drawing segments; differences are paired."""
    rows, part = [], table[table["segments"] == "labelled"]
    for (method, how), own in part.groupby(["method", "cells"], sort=False):
        row: dict[str, Any] = {"method": method, "cells": how}
        for label, some in _parts(own):
            for figure in ("hit_150",) if label in ("chosen on", "others") else FIGURES:
                found = mean_interval(some[figure], some["series"])
                row |= _columns(f"{label} {figure}", found)
        rows.append(row)
    ranking = pd.DataFrame(rows)
    ranking["order"] = ranking["smd hit_150"] + ranking["asd hit_150"]
    ranking = ranking.sort_values("order", ascending=False).drop(columns="order")
    return {"ranking": ranking, "against": _against(part), "detected": _detected(table)}


def _parts(own: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    yield from ((folder, own[own["data"] == folder]) for folder in SERIES)
    first = own["series"].isin(CHOSEN_ON)
    yield from (("chosen on", own[first]), ("others", own[~first]))


def _columns(name: str, found: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name} low", f"{name} high"), found, strict=True))


def _against(part: pd.DataFrame) -> pd.DataFrame:
    """How much better our ranking is than each plain one, segment by segment."""
    keys, rows = ["data", "series", "seed", "segment"], []
    wide = part[part["cells"] == "maximum"].pivot_table(index=keys, columns="method", values="hit_150")
    for other in TRIVIAL:
        row: dict[str, Any] = {"ours less": other}
        gain = (wide[OURS] - wide[other]).rename("gain").reset_index()
        for label, some in _parts(gain):
            row |= _columns(label, mean_interval(some["gain"], some["series"]))
        rows.append(row)
    return pd.DataFrame(rows)


def _detected(table: pd.DataFrame) -> pd.DataFrame:
    rows, part = [], table[table["segments"] == "detected"]
    every = table[(table["segments"] == "labelled") & (table["method"] == "random") & (table["cells"] == "maximum")]
    for method, own in part.groupby("method", sort=False):
        row: dict[str, Any] = {"method": method}
        for folder in SERIES:
            some = own[own["data"] == folder]
            row[f"{folder} found"] = len(some) / (every["data"] == folder).sum()
            row |= _columns(f"{folder} hit_150", mean_interval(some["hit_150"], some["series"]))
        rows.append(row)
    return pd.DataFrame(rows).sort_values("smd hit_150", ascending=False)


def section(result: Result) -> str:
    """Markdown of docs/benchmarks.md."""
    ranking, against = result.table("ranking"), result.table("against")
    best = ranking[ranking["cells"] == "maximum"].set_index("method")
    plain = [name for name in TRIVIAL if name in best.index]
    lines = []
    for folder in SERIES:
        trivial = best.loc[plain, f"{folder} hit_150"]
        own = best.loc[OURS, f"{folder} hit_150"]
        word = "beats" if own > trivial.max() else "does not beat"
        gain = against.set_index("ours less").loc[trivial.idxmax()]
        low, high = gain[f"{folder} low"], gain[f"{folder} high"]
        told = "told apart" if low > 0 or high < 0 else "not told apart, segment by segment"
        lines.append(
            f"- {folder.upper()}: {own:.3f} {word} the best of the plain rankings, {trivial.max():.3f}"
            f" ({trivial.idxmax()}); {told}: {gain[folder]:.3f} ({low:.3f}, {high:.3f})."
        )
    short = {"chosen on hit_150": "chosen on", "others hit_150": "others"}
    names = {f"{f} {m}": f"{f} {m.replace('_', '@')}" for f in SERIES for m in ("hit_100", "hit_150")}
    columns = ["method", "cells", *[c for c in ranking if "hit_" in c]]
    more = ["method", "cells", *[c for c in ranking if "ndcg" in c or "top_1" in c]]
    return f"""HitRate@150 of `{OURS}`:

{chr(10).join(lines)}

Relevance is that of the masked-prediction error, less that of normal windows: those just before the segment, and those
of the training span that fit best. A cell counts as far as both agree (the smaller |relevance|); the channel's maximum
is multiplied by its maximal prediction error, and the root taken. It was chosen by the figures of
{", ".join(CHOSEN_ON)}; `others` are the rest. hit@100 and hit@150: share of the blamed channels among the first n and
1.5 n, n being how many are blamed.

{shown(ranking[columns], rename=short | names)}

Gain of ours in HitRate@150, segment by segment (maximum of cells):

{shown(against, 3)}

The same rankings on segments that the default detector and threshold find by themselves (`found`: share of labelled
segments):

{shown(result.table("detected"), rename=names)}

<details><summary>NDCG, and how often the first channel is one that is blamed</summary>

{shown(ranking[more])}

</details>
"""


def figure(result: Result, figure: Figure) -> None:
    """HitRate@150 of every ranking by maxima, one panel per data set."""
    ranking = result.table("ranking")
    shown_here = ranking[ranking["cells"] == "maximum"]
    figure.set_size_inches(11, 0.9 + 0.27 * len(shown_here))
    for axes, folder in zip(figure.subplots(1, len(SERIES), sharey=True), SERIES, strict=True):
        dots(axes, shown_here, "method", f"{folder} hit_150", {OURS})
        axes.set(title=folder.upper(), xlabel="HitRate@150 (95 % interval)", xlim=(0, 1.02))


def main() -> None:
    """Run all and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true", help="no runs, only the tables from results/root_cause.csv.gz")
    parser.add_argument("--quick", action="store_true", help="one server, quick training; prints, writes nothing")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    add_keep(parser)
    options = parser.parse_args()
    benchmark_data()
    if options.quick:
        rows = run("asd", "omi-9", 0)
        sys.stdout.write(tables(pd.DataFrame(rows))["ranking"].to_string() + "\n")
        return
    jobs = [(folder, name, seed) for seed in range(options.seeds) for folder, names in SERIES.items() for name in names]
    if options.tables:
        table, spent = runs("root_cause"), read("root_cause").seconds
    else:
        seconds, parts = zip(*(measured(*job, options.keep) for job in tqdm(jobs, unit="run")), strict=True)
        table, spent = pd.concat(parts, ignore_index=True), sum(seconds)
    n_seeds = table["seed"].nunique()
    setup = {"series": table["series"].nunique(), "seeds": n_seeds, "segments": _count(table)}
    arguments = "" if n_seeds == SEEDS else f"--seeds {n_seeds}"
    record("root_cause", arguments, time.monotonic() - spent, setup, tables(table), table)


def _count(table: pd.DataFrame) -> int:
    return len(table[table["segments"] == "labelled"][["series", "segment"]].drop_duplicates())


if __name__ == "__main__":
    main()
