"""Which windows should a cluster be compared with, so that the order of its channels is right?

Two encoders of different seeds explain the central windows of each cluster; a third one and a classifier of raw windows
that know nothing of them judge the order of channels. Channels are replaced by those of other windows outside the
cluster: drawn at random, or near ones, which fit better; never by those that were compared with. Watch recordings and
basic motions come with the environment, the others need `../shared/data`. An hour and a half of one core; encoders and
finished series are kept in `.tmp/references`, so a run that was cut off goes on, and its minutes are those of the last
part:

    python -m benchmarks.references
    python -m benchmarks.references --series "watch 1" "motions"    # fewer; writes nothing
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from benchmarks.attributions import gradients
from benchmarks.figures import dots
from benchmarks.labelled import PUMP, motions, skab, watch
from benchmarks.record import ROOT, Result, benchmark_data, mean_interval, record, shown
from benchmarks.rules import options
from benchmarks.studies import Study, chosen, study
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.data.series import Series
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.metrics.channel_deletion import N_STEPS
from clusterwhy.metrics.channel_orders import all_sets, best_order, chain
from clusterwhy.metrics.window_classifier import WindowClassifier
from clusterwhy.metrics.z_scores import channel_z_scores
from clusterwhy.propagation.explainer import lrp

N_WINDOWS, N_REFERENCES, N_REPLACED, N_NEAREST, N_RANDOM, SEED = 8, 4, 2, 15, 8, 0
# first and length of the choice among near windows: what is compared with, and what replaces
COMPARED, REPLACED = slice(0, N_REFERENCES), slice(N_REFERENCES, N_REFERENCES + N_REPLACED)
DEFAULT, Z, NEAR = "difference, near", "z of simple statistics", "deviation from near"
JUDGES = ("k-NN in another encoder", "membership in another encoder", "classifier of raw windows")


def states(name: str) -> Series:
    """A recording of ../shared/data/states."""
    with np.load(benchmark_data() / "states" / f"{name}.npz") as found:
        values = found["values"].astype(np.float64)
    channels = tuple(f"c{i}" for i in range(values.shape[1]))
    return Series(name, values, np.arange(len(values), dtype=float), 1.0, channels, ("",) * len(channels), len(values))


# how it is read, length and stride of its windows
SERIES: dict[str, tuple[Callable[[], Series], int, int]] = {
    **{f"watch {i}": (lambda i=i: watch(i), 128, 25) for i in (1, 2, 3, 4)},
    "motions": (motions, 100, 100),
    **{f"MoCap {i}": (lambda i=i: states(f"MoCap_amc_86_{i}"), 256, 32) for i in ("01", "03", "08")},
    "skab pump": (lambda: skab({f"other_{i}": fault for i, fault in PUMP.items()}), 64, 16),
    "skab valve": (lambda: skab({f"valve2_{i}": "outlet valve closed" for i in range(4)}), 64, 16),
}


def studies(name: str) -> list[Study]:
    """One series with encoders of three seeds."""
    read, length, stride = SERIES[name]
    settings, series = chosen(window={"length": length, "stride": stride}), read()
    kept = ROOT / ".tmp" / "references"
    return [study(series, settings, seed, kept / f"{name}-{seed}.pt") for seed in range(3)]


class Judge:
    """Encoder that did not explain, its membership heads, and the classifier, as functions of windows."""

    def __init__(self, of: Study, labels: np.ndarray) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.encoder, self.classes = of.encoder, np.unique(labels).tolist()
        self.nearest = NearestNeighbors(n_neighbors=min(N_NEAREST, len(labels))).fit(of.embeddings)
        self.members = labels[:, None] == np.array(self.classes)
        self.heads = options("target")["membership"].networks(of.encoder, of.embeddings, labels, SEED)[0]
        self.raw = WindowClassifier(of.windows, labels, of.starts // (2 * of.length), SEED)

    @torch.inference_mode()
    def values(self, cluster: int, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Judge -> (window,) how much a window belongs to the cluster."""
        embedded = torch.cat([self.encoder(part) for part in torch.from_numpy(windows).float().split(128)])
        near = self.nearest.kneighbors(embedded.numpy(), return_distance=False)
        column = self.classes.index(cluster)
        each = (
            self.members[near].mean(axis=1)[:, column],
            self.heads[cluster][1:](embedded).numpy(),
            self.raw.margins(windows)[:, column],
        )
        return dict(zip(JUDGES, each, strict=True))


class Explained:
    """One cluster's windows with what they are compared with."""

    def __init__(self, made: list[Study], labels: np.ndarray, strengths: np.ndarray, cluster: int) -> None:
        first, members = made[0], options("members")["central"]
        rng = np.random.default_rng([SEED, cluster])
        central = members.choose(cluster, first.embeddings, labels, strengths, SEED)[:N_WINDOWS]
        self.windows, starts = first.windows[central], first.starts
        self.outside = np.flatnonzero(labels != cluster)
        far = [self.outside[np.abs(starts[self.outside] - starts[at]) >= first.length] for at in central]
        far = [own if len(own) >= REPLACED.stop else self.outside for own in far]
        pairs, flat = list(zip(central, far, strict=True)), first.windows.reshape(len(labels), -1)
        by_values = [self._nearest(flat, at, own) for at, own in pairs]
        by_embedding = [self._nearest(first.embeddings, at, own) for at, own in pairs]
        random = np.stack([rng.permutation(own)[: REPLACED.stop] for own in far])
        near, embedded = np.stack(by_values), np.stack(by_embedding)
        excluded = starts[labels == cluster]
        allowed = allowed_starts(starts, first.length, excluded, len(first.values))
        self.references = {
            "outside": first.windows[random[:, COMPARED]],
            "near": first.windows[near[:, COMPARED]],
            "near in the embedding": first.windows[embedded[:, COMPARED]],
            "near and shifted": self._shifted(first, starts[near], allowed),
        }
        half = N_REFERENCES // 2
        both = [self.references["near"][:, :half], self.references["outside"][:, :half]]
        self.references["half near, half outside"] = np.concatenate(both, axis=1)
        self.replacements = {"drawn": first.windows[random[:, REPLACED]], "near": first.windows[near[:, REPLACED]]}

    def _nearest(self, points: np.ndarray, at: int, own: np.ndarray) -> np.ndarray:
        order = np.argsort(np.square(points[own] - points[at]).sum(axis=1), kind="stable")
        return np.resize(own[order], max(len(own), REPLACED.stop))[: REPLACED.stop]

    def _shifted(self, of: Study, near: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        found = matching_starts(of.values, self.windows, near, allowed, N_REFERENCES, round(0.3 * of.length))
        views = np.lib.stride_tricks.sliding_window_view(of.values, of.length, axis=0)
        return np.ascontiguousarray(views[found], dtype=np.float32)

    def rankings(self, networks: list[nn.Module], rest: np.ndarray) -> dict[str, np.ndarray]:
        """Method -> (channel,) mean over windows and encoders."""
        windows, near = self.windows, self.references["near"]
        zeros = np.zeros_like(windows)[:, None]

        def by(method: Callable[[nn.Module], np.ndarray]) -> np.ndarray:
            each = [method(network).sum(axis=2) for network in networks]
            return np.mean([one.mean(axis=0) / max(np.abs(one).sum(axis=1).mean(), 1e-30) for one in each], axis=0)

        found = {
            f"difference, {name}": by(lambda network, r=r: explain_difference(network, windows, r).values)
            for name, r in self.references.items()
        }
        found |= {
            "gradients halfway to near": by(lambda network: gradients(network, windows, near, 1)),
            "expected gradients, outside": by(lambda n: gradients(n, windows, self.references["outside"], 4)),
            "expected gradients, near": by(lambda network: gradients(network, windows, near, 4)),
            "integrated gradients, zero": by(lambda network: gradients(network, windows, zeros, 16)),
            "LRP epsilon_plus": by(lambda network: lrp(network, windows, None, "epsilon_plus").values),
            "LRP epsilon_plus less that of near": by(lambda network: _less(network, windows, near)),
            Z: np.nan_to_num(channel_z_scores(windows, rest), posinf=1e9).mean(axis=0),
            "deviation from outside": np.abs(windows[:, None] - self.references["outside"]).mean(axis=(0, 1, 3)),
            NEAR: np.abs(windows[:, None] - near).mean(axis=(0, 1, 3)),
        }
        return found


def _less(network: nn.Module, windows: np.ndarray, references: np.ndarray) -> np.ndarray:
    flat = references.reshape(-1, *windows.shape[1:])
    usual = lrp(network, flat, None, "epsilon_plus").values.reshape(references.shape).mean(axis=1)
    return np.asarray(lrp(network, windows, None, "epsilon_plus").values - usual)


def areas(
    judge: Judge, cluster: int, windows: np.ndarray, others: np.ndarray, rankings: dict[str, np.ndarray]
) -> Iterator[dict[str, Any]]:
    """Area under each judge's curve, by ranking; the lowest of all orders where there are few channels."""
    n_channels = windows.shape[1]
    exact, rng = n_channels <= 8, np.random.default_rng([SEED, cluster, 1])
    counts = np.unique(np.linspace(0, n_channels, (n_channels if exact else N_STEPS) + 1).round().astype(int))
    chains = {name: [chain(np.argsort(-one, kind="stable"), counts)] for name, one in rankings.items()}
    chains["random"] = [chain(rng.permutation(n_channels), counts) for _ in range(N_RANDOM)]
    every = [mask for each in chains.values() for one in each for mask in one]
    masks = all_sets(n_channels) if exact else np.unique(every, axis=0)
    places = {mask.tobytes(): i for i, mask in enumerate(masks)}
    replaced = [np.where(masks[:, None, :, None], own[None], one) for one, own in zip(windows, others, strict=True)]
    values = judge.values(cluster, np.concatenate([part.reshape(-1, *windows.shape[1:]) for part in replaced]))
    for name, found in values.items():
        mean = found.reshape(len(windows), len(masks), -1).mean(axis=(0, 2))
        fall = mean[places[np.zeros(n_channels, bool).tobytes()]] - mean[places[np.ones(n_channels, bool).tobytes()]]
        if fall <= 1e-6 * np.abs(mean).max():
            continue
        if exact:
            chains["best"] = [chain(best_order(mean), counts)]
        for ranking, each in chains.items():
            curves = [mean[[places[mask.tobytes()] for mask in one]] for one in each]
            area = np.mean([np.trapezoid((curve - curve[-1]) / fall, counts / n_channels) for curve in curves])
            yield {"judge": name, "ranking": ranking, "area": float(area)}


def runs_of(name: str) -> pd.DataFrame:
    """One row per cluster, replacement, judge and ranking."""
    made, threads = studies(name), torch.get_num_threads()
    first, settings = made[0], made[0].settings
    found = settings["clusterer"].fit(settings["projection"].fit(first.embeddings, SEED))
    torch.set_num_threads(threads)  # UMAP's numba sets it to all cores
    if len(np.unique(found.labels)) < 2:
        return pd.DataFrame()
    target, rows = options("target")["membership"], []
    networks = [target.networks(one.encoder, one.embeddings, found.labels, SEED)[0] for one in made[:2]]
    judge = Judge(made[2], found.labels)
    for cluster in networks[0]:
        explained = Explained(made, found.labels, found.strengths, cluster)
        rest = first.embedded.windows_outside(found.labels, cluster, SEED)
        rankings = explained.rankings([own[cluster].eval() for own in networks], rest)
        for how, others in explained.replacements.items():
            for row in areas(judge, cluster, explained.windows, others, rankings):
                rows.append({"series": name, "cluster": cluster, "replaced by": how, **row})
    return pd.DataFrame(rows)


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over series, with intervals of paired differences over series."""
    keys = ["judge", "replaced by", "ranking"]
    of_series = runs.groupby(["series", *keys], as_index=False)["area"].mean()
    wide = of_series.pivot_table(index=["series", "judge", "replaced by"], columns="ranking", values="area")
    over = wide.groupby("series").mean()
    rows = []
    for ranking in wide:
        row: dict[str, Any] = {"ranking": ranking}
        row |= dict(zip(("area", "area low", "area high"), mean_interval(over[ranking].dropna()), strict=True))
        for name, other in (
            ("less z", Z),
            ("less IG", "integrated gradients, zero"),
            ("less deviation from near", NEAR),
        ):
            less = (over[ranking] - over[other]).dropna()
            row |= dict(zip((name, f"{name} low", f"{name} high"), mean_interval(less), strict=True))
        rows.append(row)
    few = wide.dropna(subset=["best"])
    closed = few.apply(lambda column: (few[Z] - column) / (few[Z] - few["best"]))
    each = wide.groupby(["judge", "replaced by"]).mean()
    by_series = over[[DEFAULT, "difference, outside", NEAR, Z, "random", "best"]].reset_index()
    return {
        "methods": pd.DataFrame(rows).sort_values("area"),
        "judges": each.set_axis([f"{judge}, {how}" for judge, how in each.index]).T.reset_index(names="ranking"),
        "closed": closed.groupby(["replaced by", "series"]).mean().groupby("replaced by").median().T.reset_index(),
        "series": by_series,
    }


def section(result: Result) -> str:
    """The conclusion first, then the tables."""
    methods = result.table("methods").set_index("ranking")
    ours = methods.loc[DEFAULT]
    closed = result.table("closed").set_index("ranking")
    fits, drawn = closed["near"], closed["drawn"]
    return f"""
Compared with the nearest windows outside the cluster, `{DEFAULT}` has a mean area of {ours["area"]:.3f}; less z-scores
{ours["less z"]:.3f} ({ours["less z low"]:.3f}, {ours["less z high"]:.3f}), less integrated gradients
{ours["less IG"]:.3f} ({ours["less IG low"]:.3f}, {ours["less IG high"]:.3f}), and less the plain deviation from the
same windows {ours["less deviation from near"]:.3f} ({ours["less deviation from near low"]:.3f},
{ours["less deviation from near high"]:.3f}). Of the room between z-scores and the best order of channels it takes
{fits[DEFAULT]:.0%} where channels are replaced by those of windows that fit, and {drawn[DEFAULT]:.0%} where these are
drawn at random; `difference, outside` {fits["difference, outside"]:.0%} and {drawn["difference, outside"]:.0%} (medians
over series). These are two questions: what sets a cluster apart from its neighbours, and what from everything else.

{result.setup["series"]} series, two encoders explain, {N_WINDOWS} central windows of each cluster, {N_REFERENCES}
references for each window. Areas under the curve of a judge while channels are replaced, the first of the cluster's
order first (lower is better); means over three judges and two kinds of replacement. Brackets: 95 % bootstrap intervals
over series, of paired differences.

{shown(result.table("methods"), 3)}

By judge and by what channels are replaced with:

{shown(result.table("judges"), 3)}

By series:

{shown(result.table("series"), 3)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Areas of all methods."""
    figure.set_size_inches(9, 5)
    axes = figure.subplots()
    dots(axes, result.table("methods"), "ranking", "area", [DEFAULT])
    axes.set_xlabel("channel deletion, judged by what did not explain (lower is better)")


def main() -> None:
    """Train, explain, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="*", default=list(SERIES))
    arguments, began = parser.parse_args(), time.monotonic()
    kept = ROOT / ".tmp" / "references"
    parts = []
    for name in tqdm(arguments.series, unit="series", disable=None):
        path = kept / f"{name}.csv"
        if not path.is_file():
            found = runs_of(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            found.to_csv(path, index=False)
        parts.append(pd.read_csv(path) if path.stat().st_size > 2 else pd.DataFrame())
    runs = pd.concat(parts, ignore_index=True)
    found_tables = tables(runs)
    for table in found_tables.values():
        print(table.round(3).to_string(), end="\n\n")
    if list(arguments.series) == list(SERIES):
        setup = {"series": runs["series"].nunique(), "windows of each cluster": N_WINDOWS, "references": N_REFERENCES}
        record("references", "", began, setup, found_tables, runs)


if __name__ == "__main__":
    main()
