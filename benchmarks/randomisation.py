"""Does relevance depend on what a network learned, once the part that knows no weights is taken out?

Model parameter randomisation (Adebayo et al. 2018; Hedstroem et al. 2024): four small networks learn made-up classes,
all their weights are drawn anew, and |relevance| before and after is compared by rank. A method that multiplies by the
input, or by its difference to references, keeps that factor whatever the weights are. So similarity is also told of the
multipliers (|relevance| / factor) and as a partial rank correlation, given the factor. Random logit test (Sixt et al.
2020): the same for another class of the trained network. Some methods also on the default study's encoder and target.
Networks that are done are kept in `.tmp/randomisation`, so a run that was cut off goes on. Five minutes of one core:

    python -m benchmarks.randomisation
    python -m benchmarks.randomisation --quick    # one network, one draw; writes nothing
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from torch import nn
from tqdm import tqdm

from benchmarks.methods import TEST, TRAIN, VALIDATION, labelled, option
from benchmarks.planted_classes import LENGTH, N_CHANNELS, SUPPORT, PlantedClasses, planted_classes
from benchmarks.record import ROOT, Result, record, shown, with_interval
from benchmarks.rules import options
from benchmarks.studies import chosen, study
from clusterwhy.artifacts.store import write_json
from clusterwhy.attribution.baselines import nearest
from clusterwhy.attribution.registry import Method, list_methods, method_of
from clusterwhy.classifiers.base import Classifier
from clusterwhy.classifiers.training import logits_of
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.errors import CompositeError, MethodError
from clusterwhy.explanations.randomisation import randomised
from clusterwhy.types import FloatArray, IntArray

SEED, DRAWS, PER_CLASS, N_REFERENCES = 0, 4, 1, 24
N_NEAR = 4  # references of `difference`
LIMIT = 0.3  # of similarity, below which relevance is said to depend on the weights
TINY = 1e-6  # of a factor, in standard deviations of a channel: a cell whose multiplier is not known
PIPELINE = "encoder, membership"
ALL, HALF, LOGIT = "all weights", "top half", "another logit"
MEASURES = ("relevance", "multipliers", "given the factor")
SEGMENTS = {"occlusion": 16, "shapley_sampling": 16, "occlusion_channels": LENGTH}  # samples replaced together
# the gradient itself, and rules of the first layer that do not multiply with its input
WITHOUT_FACTOR: tuple[str, ...] = ("gradient", "smoothgrad", "guided_backprop", "grad_cam", "attention_weights")
WITHOUT_FACTOR += tuple(name for name in list_methods() if name.endswith(("_flat", "_box", "_w_square")))
# as many samples as rank correlations need
FEWER: dict[str, dict[str, Any]] = {
    "shapley_sampling": {"samples": 4},
    "smoothgrad": {"samples": 10},
    "smooth": {"n_samples": 5},
    "integrated_gradients": {"steps": 16},
}
SHOWN_OF_PIPELINE = ("difference", "lrp_epsilon_plus", "gradient", "gradient_x_input", "integrated_gradients")


class Recurrent(nn.Module):
    """LSTM, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_CHANNELS, 24, batch_first=True)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        found: torch.Tensor = self.lstm(windows.transpose(1, 2))[0].mean(dim=1)
        return found


class Attending(nn.Module):
    """Convolution, self-attention with a residual, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu = nn.Conv1d(N_CHANNELS, 24, 7, padding=3), nn.ReLU()
        self.attention = nn.MultiheadAttention(24, 2, batch_first=True)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        x = self.relu(self.first(windows)).transpose(1, 2)
        attended, _ = self.attention(x, x, x)
        found: torch.Tensor = (x + attended).mean(dim=1)
        return found


def _mlp() -> nn.Module:
    sizes = (N_CHANNELS * LENGTH, 64, 32)
    layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairwise(sizes)]
    return nn.Sequential(nn.Flatten(), *layers)


def _inception() -> nn.Module:
    return InceptionTime(n_filters=8, depth=3, kernel_size=20, head_dropout=0.0).build(N_CHANNELS, LENGTH)


# what makes the features, and how many there are
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "MLP": (_mlp, 32),
    "LSTM": (Recurrent, 24),
    "attention": (Attending, 24),
    "Inception": (_inception, 32),
}


@dataclass(frozen=True)
class Case:
    """A trained network with windows, the unit that is explained of each, and windows to compare with.

    Attributes:
        networks: unit -> network (window, channel, time) -> (window,) or (window, unit), and the unit's number there.
        units: (window,) unit of each window.
        references: unit -> (reference, channel, time).
    """

    networks: dict[int, tuple[nn.Module, int | None]]
    windows: FloatArray
    units: IntArray
    references: dict[int, FloatArray]

    def explain(self, method: Method, share: float, draw: int, shift: int = 0) -> FloatArray:
        """(window, channel, time) by a network with a share of its layers drawn anew; of another unit by `shift`."""
        found, names = np.zeros_like(self.windows), list(self.networks)
        for place, unit in enumerate(names):
            mine = self.units == unit
            network, number = self.networks[names[(place + shift) % len(names)]]
            made = network if share == 0 else randomised(network, self.windows, share, draw)
            relevance = method.explain(made, self.windows[mine], number, self.references[unit], SEED)
            found[mine] = relevance.values
        return found

    def factor(self, name: str) -> FloatArray:
        """(window, channel, time) size of what a method multiplies with, whatever the weights; 1 for nothing."""
        found = np.abs(self.windows)
        if name in WITHOUT_FACTOR:
            return np.ones_like(found)
        if (segment := SEGMENTS.get(name)) is not None:
            cells = found.reshape(*found.shape[:2], -1, min(segment, found.shape[2]))
            return np.asarray(np.broadcast_to(cells.mean(axis=3, keepdims=True), cells.shape).reshape(found.shape))
        if name != "difference":
            return found
        for unit, others in self.references.items():
            mine = self.units == unit
            own, count = torch.from_numpy(self.windows[mine]), N_NEAR
            near = others[nearest(own, torch.from_numpy(others), count).numpy()]
            found[mine] = np.abs(self.windows[mine][:, None] - near).mean(axis=1)
        return found


def classifier(name: str, made: Callable[[int, int], PlantedClasses] = planted_classes) -> tuple[Case, float]:
    """A small network that learned made-up classes, and its accuracy on others."""
    build, n_features = NETWORKS[name]
    seed_torch(SEED)
    network = Classifier(build(), nn.Linear(n_features, len(SUPPORT)))
    train, validation, test = (labelled(made(n, seed)) for seed, n in enumerate((TRAIN, VALIDATION, TEST)))
    fit = option("classifier_training", "standard")
    fit.train(network, (train, validation), SEED, lambda row: None)
    network = network.cpu().eval().requires_grad_(False)
    accuracy = float((logits_of(network, test, fit.batch_size).argmax(axis=1) == test.labels).mean())
    planted, elsewhere = made(PER_CLASS, 10), made(8, 11)
    references = {c: elsewhere.windows[elsewhere.labels != c][:N_REFERENCES] for c in SUPPORT}
    return Case({c: (network, c) for c in SUPPORT}, planted.windows, planted.labels, references), accuracy


def pipeline() -> Case:
    """The default study's encoder and target on one watch recording, four clusters of its embeddings."""
    settings = chosen()
    made = study(settings["dataset"].read(), settings, SEED, ROOT / ".tmp" / "randomisation" / "watch.pt")
    clusters = KMeans(4, n_init=4, random_state=SEED).fit(made.embeddings).labels_.astype(np.int64)
    networks, _ = options("target")["membership"].networks(made.encoder, made.embeddings, clusters, SEED)
    rng = np.random.default_rng(SEED)
    rows = np.concatenate([rng.permutation(np.flatnonzero(clusters == c))[:PER_CLASS] for c in networks])
    outside = {c: made.embedded.windows_outside(clusters, c, SEED) for c in networks}
    each: dict[int, tuple[nn.Module, int | None]] = {c: (network, None) for c, network in networks.items()}
    return Case(each, made.windows[rows], clusters[rows], outside)


def similarity(first: FloatArray, second: FloatArray, factor: FloatArray) -> dict[str, float]:
    """Mean rank correlations over windows (window, channel, time) of |relevance|: as it is, of multipliers, partial.

    Multipliers are |relevance| / factor where the factor is known; the partial one is given the factor's ranks.
    """
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    for a, b, f in zip(np.abs(first), np.abs(second), factor, strict=True):
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            continue
        known = f > TINY
        of_a, of_b, of_f = (rankdata(one.ravel()) for one in (a, b, f))
        found["relevance"].append(_correlation(of_a, of_b))
        found["multipliers"].append(_correlation(*(rankdata(one[known] / f[known]) for one in (a, b))))
        found["given the factor"].append(partial(of_a, of_b, of_f))
    return {name: float(np.mean(each)) if each else float("nan") for name, each in found.items()}


def partial(first: FloatArray, second: FloatArray, given: FloatArray) -> float:
    """Partial correlation of two vectors, given a third (of ranks: Spearman's)."""
    if np.ptp(given) == 0:
        return _correlation(first, second)
    ab, ac, bc = _correlation(first, second), _correlation(first, given), _correlation(second, given)
    left = (1.0 - ac**2) * (1.0 - bc**2)
    return float((ab - ac * bc) / np.sqrt(left)) if left > 1e-12 else float("nan")


def _correlation(first: FloatArray, second: FloatArray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def rows_of(case: Case, name: str, draws: int) -> Iterator[dict[str, Any]]:
    """One row per test, share and draw of a method."""
    method, factor = method_of(name, **FEWER.get(name, {})), case.factor(name)
    own = case.explain(method, 0.0, 0)
    for test, share, count in ((ALL, 1.0, draws), (HALF, 0.5, 1)):
        for draw in range(count):
            yield {"test": test, "draw": draw, **similarity(own, case.explain(method, share, draw), factor)}
    yield {"test": LOGIT, "draw": 0, **similarity(own, case.explain(method, 0.0, 0, shift=1), factor)}


def tables(runs: pd.DataFrame, failures: pd.DataFrame, accuracy: dict[str, float]) -> dict[str, pd.DataFrame]:
    """Means over networks with intervals over draws, and each network's own."""
    small = runs[runs["network"] != PIPELINE]
    all_of = small[small["test"] == ALL]
    methods = with_interval(all_of, ["method"], list(MEASURES), "network").set_index("method")
    worst = all_of.groupby(["method", "network"])[list(MEASURES)].mean().groupby("method").max()
    methods["highest"] = worst["relevance"]
    methods["highest, given the factor"] = worst["given the factor"]
    methods["top half redrawn"] = small[small["test"] == HALF].groupby("method")["relevance"].mean()
    logit = small[small["test"] == LOGIT].groupby("method")[["relevance", "given the factor"]].mean()
    methods["other logit"], methods["other logit, given the factor"] = logit["relevance"], logit["given the factor"]
    found = {"methods": methods.reindex([m for m in list_methods() if m in methods.index]).reset_index()}
    for measure, key in (("relevance", "networks"), ("given the factor", "residual")):
        wide = all_of.pivot_table(measure, "method", "network", sort=False).reindex(columns=list(NETWORKS))
        found[key] = wide.reindex(found["methods"]["method"]).reset_index()
    own = runs[(runs["network"] == PIPELINE) & (runs["test"] == ALL)]
    found["pipeline"] = with_interval(own, ["method"], list(MEASURES))
    found["failures"] = failures
    found["accuracy"] = pd.DataFrame([{"network": name, "accuracy": value} for name, value in accuracy.items()])
    return found


def _passing(table: pd.DataFrame, column: str) -> str:
    """Names of methods below the limit, in a sentence."""
    names = table.loc[table[column] < LIMIT, "method"]
    return ", ".join(f"`{name}`" for name in names) or "none"


def section(result: Result) -> str:
    """The conclusion first, then the tables."""
    methods, every = result.table("methods"), len(result.table("methods"))
    ours = result.table("pipeline").set_index("method").loc["difference"]
    told = {name: f"{ours[name]:.2f} ({ours[f'{name} low']:.2f}, {ours[f'{name} high']:.2f})" for name in MEASURES}
    left = int((methods["highest, given the factor"] < LIMIT).sum())
    reasons = "\n".join(
        f"- `{row.method}` ({row.networks}): {row.reason}" for row in result.table("failures").itertuples()
    )
    columns = [*MEASURES[:1], *(f"{MEASURES[0]} {end}" for end in ("low", "high")), *MEASURES[1:], "highest"]
    columns += [f"{MEASURES[2]} {end}" for end in ("low", "high")] + ["highest, given the factor"]
    fewer = ", ".join(f"`{name}` {value}" for name, own in FEWER.items() for value in own.values())
    accuracies = ", ".join(f"{row.network} {row.accuracy:.2f}" for row in result.table("accuracy").itertuples())
    return f"""
With all weights drawn anew, |relevance| as it is stays below a similarity of {LIMIT} on every network for
{_passing(methods, "highest")} only: the others multiply by the input or its difference to references, which no weights
change. Given that factor, {left} of {every} methods are below {LIMIT} on every network. The default study's
`difference` to near windows: {told["relevance"]} as it is, {told["multipliers"]} of its multipliers,
{told["given the factor"]} given the factor. For *another class* of the same network, |relevance| stays alike (0.5 or
more given the factor) for {_alike(methods)}: it says more about what the network looks at than about which class asks.

Trained on made-up classes (accuracy on unseen windows: {accuracies}); {result.setup["windows"]} windows, {DRAWS} draws
of weights. Mean rank correlation over windows, samples and channels of |relevance| with that of the network whose
weights were all drawn anew; brackets: 95 % bootstrap intervals over draws. `relevance` is as it is, `multipliers` is
|relevance| / factor, `given the factor` the partial rank correlation; of methods without a factor (gradients, `flat`,
`box` and `w_square` first layers, activations) the three are the same. `highest` is of the network where the mean is
highest. Samples or steps: {fewer}.

{shown(methods[["method", *columns]])}

With the top half of the layers redrawn (one draw), and for another class of the trained network (random logit test):

{shown(methods[["method", "top half redrawn", "other logit", "other logit, given the factor"]])}

|relevance| on each network:

{shown(result.table("networks"))}

Given the factor:

{shown(result.table("residual"))}

The default study's encoder, membership of one of four clusters (k-means) of a watch recording:

{shown(result.table("pipeline"))}

Not possible:

{reasons}
"""


def _alike(methods: pd.DataFrame) -> str:
    """How many methods hardly change with the class."""
    return f"{int((methods['other logit, given the factor'] >= 0.5).sum())} of {len(methods)}"


def figure(result: Result, figure: Figure) -> None:
    """Similarity as it is and given the factor."""
    table = result.table("methods").iloc[::-1]
    figure.set_size_inches(9, 6.5)
    axes, at = figure.subplots(), np.arange(len(table))
    styles = (("relevance", "#0072B2", "o", "|relevance|"), ("given the factor", "#D55E00", "s", "given the factor"))
    for column, colour, marker, words in styles:
        axes.hlines(at, table[f"{column} low"], table[f"{column} high"], colors=colour)
        axes.scatter(table[column], at, s=24, color=colour, marker=marker, label=words, zorder=3)
    axes.scatter(table["other logit"], at, s=24, color="#009E73", marker="^", label="|relevance|, another class")
    axes.axvline(LIMIT, color="0.5", linewidth=1, linestyle="--")
    axes.set(yticks=at, yticklabels=table["method"], xlabel="rank correlation with all weights redrawn (dashed: 0.3)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3)


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A row without NaN, which is no JSON."""
    return {key: None if value != value else value for key, value in row.items()}


def main() -> None:
    """Train, redraw, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, one draw; writes nothing")
    quick, began, spent = parser.parse_args().quick, time.monotonic(), 0.0
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    accuracy: dict[str, float] = {}
    kept = ROOT / ".tmp" / "randomisation"
    kept.mkdir(parents=True, exist_ok=True)
    for name in ["MLP"] if quick else [*NETWORKS, PIPELINE]:
        path = kept / f"{name}.json"
        if path.is_file() and not quick:
            stored = json.loads(path.read_text())
            rows, failures = rows + stored["rows"], failures + stored["failures"]
            accuracy |= stored["accuracy"]
            spent += stored["seconds"]
            continue
        started, first, failed = time.monotonic(), len(rows), len(failures)
        if name == PIPELINE:
            case, methods = pipeline(), list(SHOWN_OF_PIPELINE)
        else:
            (case, accuracy[name]), methods = classifier(name), list_methods()
        for method in tqdm(methods, desc=name, unit="method", disable=None):
            try:
                found = list(rows_of(case, method, 1 if quick else DRAWS))
            except (CompositeError, MethodError) as error:
                failures.append({"method": method, "network": name, "reason": str(error)})
                continue
            rows += [{"network": name, "method": method} | _known(row) for row in found]
        own = {"rows": rows[first:], "failures": failures[failed:], "seconds": time.monotonic() - started}
        own["accuracy"] = {name: accuracy[name]} if name in accuracy else {}
        if not quick:
            write_json(path, own)
    runs = pd.DataFrame(rows)
    why = pd.DataFrame(failures, columns=["method", "network", "reason"])
    why = why.groupby(["method", "reason"], sort=False)["network"].agg(", ".join).rename("networks").reset_index()
    if quick:
        print(runs.groupby(["method", "test"])[list(MEASURES)].mean().round(2).to_string(), why.to_string(), accuracy)
        return
    setup = {"networks": len(NETWORKS), "windows": PER_CLASS * len(SUPPORT), "draws": DRAWS}
    record("randomisation", "", began - spent, setup, tables(runs, why, accuracy), runs)


if __name__ == "__main__":
    main()
