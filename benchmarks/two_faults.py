"""Two faults of different kinds in different channels: does each explanation name its own?

Pairs of six faults, each in two of six pairs, are planted into every recording. As anomalies: each fault in a window of
its own, and both in one window at different times. As clusters: six windows with one fault, six with the other. The
encoder learned from the untouched recording. All methods get the same windows and the same references, which never
overlap the window that a fault was planted into. Watch recordings and basic motions come with the environment, the
others need `../shared/data`. Encoders and finished series are kept in `.tmp/two_faults`, so a run that was cut off goes
on. Ten minutes of one core:

    python -m benchmarks.two_faults
    python -m benchmarks.two_faults --series "watch 1" "motions"    # fewer; writes nothing
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from benchmarks.attributions import gradients
from benchmarks.figures import dots
from benchmarks.planted import squared_errors
from benchmarks.record import ROOT, Result, mean_interval, record, shown
from benchmarks.references import SERIES
from benchmarks.rules import options
from benchmarks.studies import Study, chosen, study
from benchmarks.two_faults_cases import FAULTS, LEAST, Planted, Planter, joined, named, pairs_of, placed
from clusterwhy.anomaly.detectors import DetectorInput
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import masked_errors, usual_errors
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.score_modules import SquaredPredictionError
from clusterwhy.explanations.score_networks import score_network
from clusterwhy.explanations.target_heads import ClusterMembership, prototypes
from clusterwhy.metrics.insertion_deletion import Cells
from clusterwhy.metrics.verdicts import BETTER, EQUAL, WORSE, verdict
from clusterwhy.metrics.z_scores import cell_z_scores, channel_z_scores
from clusterwhy.propagation.explainer import lrp
from clusterwhy.types import FloatArray, IntArray

RECORDED = ("watch 1", "watch 3", "motions", "skab valve")
N_WINDOWS, N_REFERENCES, N_WIDE, REACH, SEED = 6, 4, 32, 0.3, 0
DEFAULT, RANDOM, Z = "difference (default)", "random", "z-score, same references"
TASKS = {
    "alone": "each fault in a window of its own",
    "together": "both in one window, each in its own time",
    "clusters": "a group of windows with each",
}
TASK_WORDS = {
    "alone": "anomalies, each in a window of its own",
    "together": "anomalies, both in one window (channels ranked by their relevance in the fault's time)",
    "clusters": "clusters, a group of windows with each fault",
}
FIGURES = ("precision", "reciprocal", "confused")
Pairs = list[tuple[str, str]]
SHORT = ("alone", "both in one window", "clusters")
AHEAD, ERROR = "default ahead by", "masked prediction error"
FEW = (DEFAULT, "difference of masked prediction", ERROR, Z, RANDOM)
# share of the nearest windows in the embedding that are of a group's own: whether it could be a cluster at all
N_NEIGHBOURS, APART = 3, {"not told apart": (0.0, 1 / 3), "in part": (1 / 3, 2 / 3), "told apart": (2 / 3, 1.0)}
ALARM = 0.99  # quantile of the scores of untouched windows above which a window raises an alarm


class Said:
    """What a method says of windows.

    Attributes:
        cells: (window, channel, time) with sign, or None.
        z: windows and those that say what is usual of each (window, other, channel, time), for z-scores.
    """

    def __init__(self, cells: FloatArray, z: tuple[FloatArray, FloatArray] | None = None) -> None:
        self.cells, self.z = cells, z

    def of(self, window: int, span: IntArray, absolute: bool) -> FloatArray:
        """(channel,) ranking by a stretch of a window."""
        part = slice(*span)
        if self.z is None:
            cells = self.cells[window][:, part]
            return np.asarray((np.abs(cells) if absolute else cells).sum(axis=1))
        windows, usual = (one[window][..., part] for one in self.z)
        return np.nan_to_num(channel_z_scores(windows[None], usual)[0], nan=-1.0, posinf=1e9)


class Tools:
    """What is fitted on a recording, once for all faults."""

    def __init__(self, made: Study) -> None:
        self.made, self.encoder = made, made.encoder.cpu()
        detector, every = made.settings["detector"], made.embeddings
        inputs = DetectorInput(
            made.values, made.starts, made.length, made.train, every, every[:, :2], lambda: made.encoder, SEED
        )
        scores = detector.score(inputs)
        self.limit = float(np.quantile(scores.windows[made.train], ALARM))
        networks = score_network(detector, made.embedded, scores.fitted)
        if networks is None:
            raise TypeError(f"{type(detector).__name__} has no gradient")
        self.score = networks.unseen.eval()
        errors = masked_errors(made.encoder, made.values, made.starts[made.train], made.length, 3, 4, 128)
        self.usual = usual_errors(errors)
        self.error = SquaredPredictionError(made.encoder, made.length, 3, 4, self.usual).eval()
        self.box = made.values.min(axis=0), made.values.max(axis=0)

    def clear(self, origin: int) -> np.ndarray:
        """(window,) True where a window does not overlap that one."""
        starts = self.made.starts
        return np.asarray(np.abs(starts - starts[origin]) >= self.made.length)

    def fitting(self, faulty: FloatArray, origins: IntArray) -> tuple[FloatArray, FloatArray]:
        """Normal windows as the pipeline finds them (window, 4, channel, time), and more of them, not shifted."""
        made, found, wide = self.made, [], []
        with torch.no_grad():
            embedded = self.encoder(torch.from_numpy(faulty)).numpy()
        for window, point, origin in zip(faulty, embedded, origins, strict=True):
            normal = np.flatnonzero(self.clear(origin))
            order = np.argsort(np.square(made.embeddings[normal] - point).sum(axis=1), kind="stable")
            near = made.starts[normal][order]
            allowed = allowed_starts(made.starts, made.length, made.starts[[origin]], len(made.values))
            reach = round(REACH * made.length)
            found.append(matching_starts(made.values, window[None], near[None, :16], allowed, N_REFERENCES, reach)[0])
            wide.append(near[:N_WIDE])
        return self._at(np.array(found)), self._at(np.array(wide))

    def _at(self, starts: IntArray) -> FloatArray:
        flat = windows_at(self.made.values, starts.ravel(), self.made.length)
        return flat.reshape(*starts.shape, *flat.shape[1:])


def methods(
    tools: Tools, target: nn.Module, of: tuple[FloatArray, FloatArray, FloatArray], seed: int
) -> dict[str, Said]:
    """Each method, on the same windows and references.

    Args:
        target: of the default method.
        of: windows (window, channel, time), their references (window, reference, channel, time), and more windows for
            z-scores that need many (window, other, channel, time).
    """
    windows, references, wide = of
    rng, zeros = np.random.default_rng(seed), np.zeros_like(windows)[:, None]
    rule = "epsilon_plus_norm" if target is tools.score else "epsilon_plus"
    errors = squared_errors(tools.encoder, windows) / tools.usual[None, :, None]
    return {
        DEFAULT: Said(explain_difference(target, windows, references).values),
        "difference of masked prediction": Said(explain_difference(tools.error, windows, references).values),
        "integrated gradients, same references": Said(gradients(target, windows, references, 4)),
        "integrated gradients, zero": Said(gradients(target, windows, zeros, 16)),
        "LRP once": Said(lrp(target, windows, None, rule, box=tools.box).values),
        ERROR: Said(errors),
        "deviation from the same references": Said(np.abs(windows[:, None] - references).mean(axis=1)),
        Z: Said(_cell_z(windows, references), (windows, references)),
        f"z-score, {N_WIDE} windows": Said(_cell_z(windows, wide), (windows, wide)),
        RANDOM: Said(rng.random(windows.shape)),
    }


def _cell_z(windows: FloatArray, usual: FloatArray) -> FloatArray:
    """(window, channel, time) z-scores of sixteen stretches of each channel."""
    cells = Cells.of(windows.shape[2], 16)
    found = [
        np.nan_to_num(cell_z_scores(one[None], others, cells)[0], nan=0.0, posinf=0.0)
        for one, others in zip(windows, usual, strict=True)
    ]
    each = np.stack(found).reshape(len(windows), windows.shape[1], cells.n_stretches)
    return np.repeat(each, np.diff(cells.edges), axis=2)


def anomalies(tools: Tools, planter: Planter, pairs: Pairs) -> Iterator[dict[str, Any]]:
    """One row per pair of faults, fault and method: alone and together."""
    alone = [part for pair in pairs for part in planter.alone(pair)]
    kinds = [kind for pair in pairs for kind in pair]
    both = [planter.together(pair) for pair in pairs]
    every = joined([*alone, *both])
    fitted, wide = tools.fitting(every.windows, every.origins)
    said = methods(tools, tools.score, (every.windows, fitted, wide), SEED)
    with torch.no_grad():
        scores = torch.cat([tools.score(part) for part in torch.from_numpy(every.windows).split(32)]).numpy()
    asked = [("alone", i, part, kinds[i]) for i, part in enumerate(alone)]
    for j, (part, pair) in enumerate(zip(both, pairs, strict=True)):
        at = len(alone) + j
        asked += [("together", at, part, pair[0]), ("together", at, part.swapped(), pair[1])]
    for task, at, part, kind in asked:
        span = part.spans[0] if task == "together" else np.array([0, tools.made.length])
        for name, one in said.items():
            row = {"task": task, "fault": kind, "method": name, "alarm": bool(scores[at] > tools.limit)}
            row |= _named(one, [at], [span], part)
            if task == "together":
                row |= next(placed(one.cells[at : at + 1], part))
            yield row


def _named(said: Said, at: list[int], spans: list[IntArray], part: Planted) -> dict[str, float]:
    """Figures of the mean ranking of some windows, by signed sums and by sums of sizes."""
    row: dict[str, float] = {}
    for suffix, absolute in (("", False), (" by size", True)):
        mean = np.mean([said.of(i, span, absolute) for i, span in zip(at, spans, strict=True)], axis=0)
        row |= {f"{key}{suffix}": value for key, value in named(mean, part.own[0], part.other[0]).items()}
    return row


def clusters(tools: Tools, planter: Planter, pairs: Pairs) -> Iterator[dict[str, Any]]:
    """One row per pair of faults, fault and method: two groups of windows, told from the rest and from each other."""
    made, target = tools.made, options("target")["membership"]
    untouched = prototypes(made.embeddings, 16, SEED)
    for number, pair in enumerate(pairs):
        groups = planter.groups(pair, N_WINDOWS, made.embeddings)
        with torch.no_grad():
            points = [tools.encoder(torch.from_numpy(group.windows)).numpy() for group in groups]
        own = [prototypes(some, 4, SEED) for some in points]
        for i, (group, other) in enumerate((groups, groups[::-1])):
            rest = np.concatenate([untouched, own[1 - i]])
            network = nn.Sequential(tools.encoder, ClusterMembership(own[i], rest, target.root, target.sharpness))
            outside = [_outside(tools, at, group, other) for at in range(N_WINDOWS)]
            near = np.stack([one[:N_REFERENCES] for one in outside])
            wide = np.stack([one[:N_WIDE] for one in outside])
            said = methods(tools, network.eval(), (group.windows, near, wide), number)
            whole = [np.array([0, made.length])] * N_WINDOWS
            apart = _apart(tools, points[i], points[1 - i], group.origins)
            for name, one in said.items():
                size = np.abs(one.cells)
                true = (size * group.mask()).sum(axis=(1, 2)) / size.sum(axis=(1, 2)).clip(min=1e-30)
                row = {"task": "clusters", "fault": pair[i], "method": name, "true cells": true.mean(), "apart": apart}
                yield row | _named(one, list(range(N_WINDOWS)), whole, group)


def _apart(tools: Tools, own: FloatArray, others: FloatArray, origins: IntArray) -> float:
    """Mean share of a group's own among the nearest windows of each of its windows, in the embedding.

    Args:
        own, others: (window, feature) of the group, and of the other one.
        origins: (window,) positions of the untouched windows; what overlaps one is not its neighbour.
    """
    shares = []
    for at, (point, origin) in enumerate(zip(own, origins, strict=True)):
        rest = np.concatenate([np.delete(own, at, axis=0), others, tools.made.embeddings[tools.clear(origin)]])
        near = np.square(rest - point).sum(axis=1).argsort(kind="stable")[:N_NEIGHBOURS]
        shares.append((near < len(own) - 1).mean())
    return float(np.mean(shares))


def _outside(tools: Tools, at: int, group: Planted, other: Planted) -> FloatArray:
    """Windows outside the group that do not overlap one of it, the nearest first; some are of the other group."""
    window, clear = group.windows[at], tools.clear(group.origins[at])
    rest = np.concatenate([tools.made.windows[clear], other.windows[clear[other.origins]]])
    return rest[np.argsort(np.square(rest - window).mean(axis=(1, 2)), kind="stable")]


def runs_of(name: str) -> pd.DataFrame:
    """All rows of a recording."""
    read, length, stride = SERIES[name]
    kept = ROOT / ".tmp" / "two_faults" / f"{name}.pt"
    tools = Tools(study(read(), chosen(window={"length": length, "stride": stride}), SEED, kept))
    planter = Planter(tools.made.windows, np.random.default_rng(SEED))
    pairs = pairs_of(list(SERIES).index(name))
    rows = [*anomalies(tools, planter, pairs), *clusters(tools, planter, pairs)]
    return pd.DataFrame(rows).assign(series=name, channels=tools.made.windows.shape[1])


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means of recordings; intervals by drawing faults within their recording, of paired differences."""
    found = {task: _methods(runs[runs["task"] == task]) for task in TASKS}
    alone = runs[runs["task"] == "alone"].astype({"alarm": bool})
    raised = alone.groupby("series")["alarm"].mean()
    found["raised"] = pd.DataFrame([{"alarms": raised.mean(), "recordings with alarms": int((raised > 0).sum())}])
    found["alarms"] = _methods(alone[alone["alarm"]])
    some = runs[runs["method"].isin(FEW)]
    edges = [0.0, *(high for _, high in APART.values())]
    groups = runs[runs["task"] == "clusters"].assign(
        group=lambda one: pd.cut(one["apart"], edges, labels=list(APART), include_lowest=True)
    )
    found["apart"] = (
        groups.pivot_table("precision", "group", "method", sort=False, observed=True)[list(FEW)]
        .assign(groups=groups[groups["method"] == DEFAULT]["group"].value_counts())[["groups", *FEW]]
        .reindex(pd.CategoricalIndex(list(APART), list(APART), name="group"))
        .reset_index()
    )
    for name, by in (("faults", ["fault"]), ("series", ["task", "series"])):
        found[name] = some.pivot_table("precision", by, "method", sort=False)[list(FEW)].reset_index()
    return found


def _methods(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per method, the best first; `default ahead by` is paired, `ahead in` counts recordings."""
    keys, rows = ["series", "fault", "number"], []
    numbered = runs.assign(number=runs.groupby(["series", "fault", "method"]).cumcount())
    by_method = {str(method): part.set_index(keys) for method, part in numbered.groupby("method", sort=False)}
    if not by_method:
        return pd.DataFrame()
    ours = by_method[DEFAULT]["precision"]
    for method, own in by_method.items():
        series = own.index.get_level_values("series").to_series(index=own.index)
        row: dict[str, Any] = {"method": method}
        for figure in FIGURES:
            row |= _limits(figure, mean_interval(own[figure], series))
        others = ["precision by size", "true cells", "swapped cells", "in its time"]
        means = own[others].astype(float).groupby(level="series").mean().mean()
        row |= {name: means[name] for name in others}
        ahead = ours - own["precision"]
        row |= _limits(AHEAD, mean_interval(ahead, series))
        of_series = ahead.groupby(level="series").mean()
        row["ahead in"] = f"{(of_series > 0).sum()} of {len(of_series)}"
        rows.append(row)
    return pd.DataFrame(rows).sort_values("precision", ascending=False)


def _limits(name: str, found: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name} low", f"{name} high"), found, strict=True))


def _against(table: pd.DataFrame, verdict_of: str) -> str:
    """Methods that the default is better than, not told apart from, or worse than, in a sentence."""
    others = table[table["method"] != DEFAULT]
    found = [verdict(low, high) for low, high in zip(others[f"{AHEAD} low"], others[f"{AHEAD} high"], strict=True)]
    names = [f"`{name}`" for name, one in zip(others["method"], found, strict=True) if one == verdict_of]
    return ", ".join(names) or "none"


def section(result: Result) -> str:
    """The conclusion first, then a table of each task."""
    every = {task: result.table(task).set_index("method") for task in TASKS}
    rows = [
        f"- {words}: better than {_against(result.table(task), BETTER)}; worse than "
        f"{_against(result.table(task), WORSE)}; not told apart from {_against(result.table(task), EQUAL)}."
        for task, words in TASKS.items()
    ]
    columns = {"together": ["true cells", "swapped cells", "in its time"], "clusters": ["true cells"]}
    parts = []
    for task, words in TASK_WORDS.items():
        figures = [*FIGURES, *columns.get(task, []), AHEAD, "ahead in", "precision by size"]
        limits = [f"{name} {end}" for name in ("precision", AHEAD) for end in ("low", "high")]
        table = result.table(task)[["method", *figures, *limits]]
        parts.append(f"As {words}:\n\n{shown(table, 2, {'reciprocal': 'MRR'})}")
    return f"""
The default puts a fault's own channel first in {_shares(every, DEFAULT, "precision")}, and the other fault's in
{_shares(every, DEFAULT, "confused")}; the plain masked prediction error puts its own first in
{_shares(every, ERROR, "precision")}, a random order in {_shares(every, RANDOM, "precision")}. {_of_apart(result)}
The default is

{chr(10).join(rows)}

{result.setup["series"]} recordings ({result.setup["names"]}), six pairs of six faults in each
({", ".join(FAULTS)}; a change of {LEAST} standard deviations or more), {N_REFERENCES} references for each window,
the same for all methods that compare. `confused` is the share in which the *other* fault is first, `MRR` the mean
reciprocal rank. `true cells` is the share of |relevance| in the channel and time of the faults, `swapped cells` that in
the channel of one at the time of the other, `in its time` how often a fault's channel has more at its own time than at
the other's. Brackets: 95 % bootstrap intervals, faults drawn within their recording; `{AHEAD}` is paired, `ahead in`
counts recordings. `precision by size` ranks by sums of |relevance|. {_alarms(result)}

{(chr(10) * 2).join(parts)}

Clusters, by the share of a window's {N_NEIGHBOURS} nearest windows in the embedding that are of its own group (up to a
third, up to two thirds, more): a group that the encoder does not tell apart would not have become a cluster.

{shown(result.table("apart"))}

Precision by fault, all three tasks:

{shown(result.table("faults"))}

By recording:

{shown(result.table("series"))}
"""


def _shares(every: dict[str, pd.DataFrame], method: str, figure: str) -> str:
    """A figure of a method in each task, in a sentence."""
    found = [float(every[task][figure].astype(float)[method]) for task in TASKS]
    each = [f"{value:.0%} ({word})" for value, word in zip(found, SHORT, strict=True)]
    return f"{each[0]}, {each[1]} and {each[2]}"


def _of_apart(result: Result) -> str:
    """What the default names of groups that could be clusters, in a sentence."""
    table = result.table("apart").set_index("group")
    first, _, last = APART
    named = {group: f"{float(table[DEFAULT][group]):.0%}" for group in (last, first) if group in table.index}
    return (
        f"Of groups that the encoder tells apart, and that could be clusters therefore, the default names the channel "
        f"in {named.get(last, 'none')}; of those that it does not, in {named.get(first, 'none')}."
    )


def _alarms(result: Result) -> str:
    raised, alarms = result.table("raised").iloc[0], result.table("alarms")
    said = f"{raised['alarms']:.0%} of the windows with one fault score above the {ALARM} quantile of untouched windows"
    if alarms.empty:
        return f"{said}."
    ours, error = (float(alarms.set_index("method")["precision"].astype(float)[name]) for name in (DEFAULT, ERROR))
    return f"{said}; of these the default names the channel in {ours:.0%}, the prediction error in {error:.0%}."


def figure(result: Result, figure: Figure) -> None:
    """Precision of each task."""
    figure.set_size_inches(12, 3.6)
    order = result.table("alone")["method"]
    for axes, (task, words) in zip(figure.subplots(1, len(TASKS), sharey=True), TASKS.items(), strict=True):
        table = result.table(task).set_index("method").loc[order].reset_index()
        dots(axes, table, "method", "precision", {DEFAULT})
        at = np.arange(len(table))[::-1]
        axes.scatter(table["confused"], at, s=18, marker="x", color="0.4", label="other fault's channel first")
        axes.set_title(words, fontsize=10)
        axes.set(xlabel="share of faults (95 % interval)", xlim=(-0.02, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def main() -> None:
    """Plant, explain, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="*", default=RECORDED)
    arguments, began = parser.parse_args(), time.monotonic()
    kept, parts = ROOT / ".tmp" / "two_faults", []
    for name in tqdm(arguments.series, unit="series", disable=None):
        path = kept / f"{name}.csv"
        if not path.is_file():
            started = time.monotonic()
            found = runs_of(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            found.assign(seconds=time.monotonic() - started).to_csv(path, index=False)
        parts.append(pd.read_csv(path))
    runs = pd.concat(parts, ignore_index=True)
    began = time.monotonic() - runs.groupby("series")["seconds"].first().sum()
    runs = runs.drop(columns="seconds")
    found_tables = tables(runs)
    for table in found_tables.values():
        print(table.round(3).to_string(), end="\n\n")
    if list(arguments.series) == list(RECORDED):
        setup = {
            "series": len(RECORDED),
            "names": ", ".join(RECORDED),
            "pairs of faults in each": 6,
            "windows of a group": N_WINDOWS,
        }
        record("two_faults", "", began, setup, found_tables, runs)


if __name__ == "__main__":
    main()
