"""Evidence that relevance is right: curves over cells, randomised networks, noisy windows, a ledger of losses."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.attribution.base import AttributionTask, Attributor
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.config import Settings
from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.clusters import JUDGE, HowToExplain, fast_target, outside
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.encoders.masked import MaskedEncoder

Target = Callable[[FloatArray], FloatArray]
N_RANDOM_RANKINGS = 1
N_CURVE = 6  # points of a curve; a forward pass of all windows each


class EvidenceSettings(Settings):
    """A choice of `conf/evidence`: how much of it is collected.

    `n_stretches` cut a window's time into cells; `randomise` are shares of the layers that are drawn anew;
    `noise` is in units of each channel's standard deviation; `encoder_seeds` further encoders are trained to see
    whether they say the same; `resamples` times clusters are sought in a part of the windows.
    """

    n_windows: int = Field(ge=1)
    n_stretches: int = Field(ge=1)
    randomise: tuple[float, ...]
    noise: float = Field(ge=0.0)
    encoder_seeds: int = Field(ge=0)
    resamples: int = Field(ge=0)


@dataclass(frozen=True)
class ClusterEvidence:
    """Evidence about the explanations of clusters.

    Attributes:
        measures: one row per cluster, `measure`, `fill` and `ranking` with its `value`.
        ledger: of the composite's LRP, one row per cluster, step and category with its `share`.
    """

    measures: pd.DataFrame
    ledger: pd.DataFrame


def cluster_evidence(
    encoder: "MaskedEncoder",
    values: FloatArray,
    index: pd.DataFrame,
    embeddings: FloatArray,
    labels: IntArray,
    strengths: FloatArray,
    how: HowToExplain,
    settings: EvidenceSettings,
    others: "Mapping[int, tuple[MaskedEncoder, FloatArray]]",
) -> ClusterEvidence:
    """Collect evidence about the explanations of each cluster.

    Args:
        values: (time, channel), scaled as in training.
        index: the window index.
        embeddings: (window, feature).
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
        others: further encoders by their seed, and their embeddings.
    """
    from tqdm import tqdm

    from clusterwhy.encoders.masked import best_device

    device = best_device()
    embeddings = np.asarray(embeddings)
    networks, _ = how.target.networks(encoder.to(device), embeddings, labels, how.seed)
    judges, _ = JUDGE.networks(encoder, embeddings, labels, how.seed)
    retrained = {
        seed: how.target.networks(other.to(device), points, labels, how.seed)[0]
        for seed, (other, points) in others.items()
    }
    length = int(index["stop"].iloc[0] - index["start"].iloc[0])
    starts, cells = index["start"].to_numpy(), Cells.of(length, settings.n_stretches)
    box = np.asarray(values.min(axis=0)), np.asarray(values.max(axis=0))
    rows: list[dict[str, Any]] = []
    books: list[pd.DataFrame] = []
    for cluster, network in tqdm(networks.items(), desc="evidence", unit="cluster", disable=None):
        if cluster not in judges:
            continue
        chosen = how.members.choose(cluster, embeddings, labels, strengths, how.seed)[: settings.n_windows]
        windows = windows_at(values, starts[chosen], length)
        rest = outside(values, starts, labels, cluster, length, how.seed)
        task = AttributionTask(network.to(device), how.composite, how.canonizer.name, box, rest)
        own = cells.sums(how.attributor.explain(task, windows, how.seed).values)
        rng = np.random.default_rng([how.seed, cluster])
        rankings = {"relevance": own, "z_score": cell_z(windows, rest, cells)}
        if how.attributor.has_own_rules:
            by_rule = Lrp(batch_size=how.attributor.batch_size).explain(task, windows, how.seed)
            rankings["lrp"] = cells.sums(by_rule.values)
        rankings |= {f"random {i}": rng.random(own.shape) for i in range(N_RANDOM_RANKINGS)}
        curves = insertion_deletion(
            fast_target(judges[cluster].to(device), windows), windows, fills(windows, rest, rng), rankings, cells
        )
        for (fill, ranking), found in curves.items():
            for measure in ("deletion", "insertion", "flip_rate"):
                name = ranking.split(" ")[0]
                row = {"cluster": cluster, "measure": measure, "fill": fill, "ranking": name}
                rows.append(row | {"value": getattr(found, measure)})
        alike = sanity(how.attributor, task, windows, cells, settings.randomise, settings.noise, how.seed)
        for seed, again in retrained.items():
            asked = AttributionTask(again[cluster].to(device), task.composite, task.canonizer, box, rest)
            alike[f"encoder_seed_{seed}"] = similarity(
                own, cells.sums(how.attributor.explain(asked, windows, how.seed).values)
            )
        rows += [
            {"cluster": cluster, "measure": "similarity", "fill": "", "ranking": name, "value": value}
            for name, value in alike.items()
        ]
        if how.canonizer.name == "auto":
            books.append(ledger(task, windows).assign(cluster=cluster))
    columns = ["cluster", "measure", "fill", "ranking"]
    # several random rankings are one, by their mean
    measures = pd.DataFrame(rows, columns=[*columns, "value"]).groupby(columns, sort=False)["value"].mean()
    return ClusterEvidence(
        measures=measures.reset_index(),
        ledger=pd.concat(books, ignore_index=True)[["cluster", "step", "category", "share"]]
        if books
        else pd.DataFrame(columns=["cluster", "step", "category", "share"]),
    )


def fills(windows: FloatArray, rest: FloatArray, rng: np.random.Generator) -> dict[str, FloatArray]:
    """What cells are replaced by, (window, channel, time) each, from windows outside the cluster.

    `mean` of each channel, `noise` with its mean and standard deviation, `windows` as they were recorded.
    """
    centre, spread = rest.mean(axis=(0, 2), keepdims=True), rest.std(axis=(0, 2), keepdims=True)
    noise = centre + spread * rng.standard_normal(windows.shape)
    return {
        "mean": np.broadcast_to(centre, windows.shape).astype(windows.dtype),
        "noise": noise.astype(windows.dtype),
        "windows": rest[rng.integers(0, len(rest), len(windows))],
    }


def cell_z(windows: FloatArray, rest: FloatArray, cells: "Cells") -> FloatArray:
    """(window, cell) |z| of each cell's sum and sum of squares against the same cell of other windows: the baseline."""

    def describe(batch: FloatArray) -> FloatArray:
        return np.stack([cells.sums(batch), cells.sums(batch**2)])

    usual = describe(rest)
    centre, spread = usual.mean(axis=1, keepdims=True), usual.std(axis=1, keepdims=True)
    return np.abs((describe(windows) - centre) / np.maximum(spread, 1e-9)).max(axis=0)


@dataclass(frozen=True)
class Cells:
    """Cells of a window: each channel cut into stretches of time.

    Attributes:
        edges: (stretch + 1,) samples where stretches begin and end.
    """

    edges: IntArray

    @classmethod
    def of(cls, length: int, n_stretches: int) -> "Cells":
        """Nearly equal stretches of windows of `length` samples."""
        return cls(np.linspace(0, length, min(n_stretches, length) + 1).round().astype(int))

    def sums(self, relevance: FloatArray) -> FloatArray:
        """(window, channel, time) -> (window, cell), signed sums."""
        return np.add.reduceat(relevance, self.edges[:-1], axis=2).reshape(len(relevance), -1)

    def masks(self, chosen: BoolArray) -> BoolArray:
        """(window, cell) truth -> (window, channel, time) truth."""
        n_stretches = len(self.edges) - 1
        cells = chosen.reshape(len(chosen), -1, n_stretches)
        return np.repeat(cells, np.diff(self.edges), axis=2)


@dataclass(frozen=True)
class Curves:
    """What replacing and restoring cells in the order of a ranking does.

    Attributes:
        deletion: mean height of the curve from 1 (window) to 0 (all replaced), the most relevant cells first;
            lower is more faithful.
        insertion: the same for putting cells of the window into what replaces it; higher is more faithful.
        flip_rate: share of windows whose target falls to 0 or below with the leading third replaced.
    """

    deletion: float
    insertion: float
    flip_rate: float


def insertion_deletion(
    target: Target,
    windows: FloatArray,
    fills: Mapping[str, FloatArray],
    rankings: Mapping[str, FloatArray],
    cells: Cells,
) -> dict[tuple[str, str], Curves]:
    """Insertion and deletion (Petsiuk et al. 2018) of cells, for each fill and ranking.

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time).
        fills: name -> what replaces cells, the same shape.
        rankings: name -> (window, cell), the highest first.
        cells: of the windows.

    Returns:
        (fill, ranking) -> curves; areas are NaN where the fill does not lower the mean target.
    """
    start = float(target(windows).mean())
    n_cells = windows.shape[1] * (len(cells.edges) - 1)
    third = max(1, round(n_cells / 3))
    counts = np.unique([*np.linspace(0, n_cells, min(n_cells, N_CURVE) + 1).round().astype(int), third])
    found = {}
    for fill, others in fills.items():
        end = float(target(others).mean())
        for name, ranking in rankings.items():
            places = np.argsort(np.argsort(-ranking, axis=1, kind="stable"), axis=1)
            deleted, inserted, flips = [1.0], [0.0], 0.0
            for count in counts[1:-1]:
                leading = cells.masks(places < count)
                after = target(np.where(leading, others, windows))
                deleted.append((float(after.mean()) - end) / (start - end))
                inserted.append((float(target(np.where(leading, windows, others)).mean()) - end) / (start - end))
                flips = float((after <= 0).mean()) if count == third else flips
            curves = [*deleted, 0.0], [*inserted, 1.0]
            low, high = (float(np.trapezoid(curve, counts / n_cells)) if start > end else np.nan for curve in curves)
            found[fill, name] = Curves(low, high, flips)
    return found


def similarity(first: FloatArray, second: FloatArray) -> float:
    """Mean rank correlation (Spearman) of |relevance| of windows (window, cell); NaN where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.abs(r), axis=1) for r in (first, second)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    sizes = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return float(np.mean((centred[0] * centred[1]).sum(axis=1) / np.where(sizes > 0, sizes, np.nan)))


def randomised(network: "nn.Module", share: float, seed: int) -> "nn.Module":
    """A copy whose last layers are drawn anew, as when they were made (cascading randomisation, Adebayo et al. 2018).

    Args:
        share: of the layers with parameters, from the output down; heads keep what makes the target.
    """
    import torch
    from torch import nn

    made = copy.deepcopy(network)
    layers: list[Any] = [m for m in made.modules() if isinstance(m, nn.Conv1d | nn.BatchNorm1d)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers[len(layers) - round(share * len(layers)) :]:
            layer.reset_parameters()
    return made.eval()


def ledger(task: AttributionTask, windows: FloatArray) -> pd.DataFrame:
    """Where relevance goes: one row per step and category, `share` of the target, mean over windows.

    The categories are those of `engine.Ledger`; the rows add up to what the input does not get.

    Raises:
        CompositeError: an operation has no rule.
    """
    import torch

    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.engine import Engine, Ledger

    device = next(task.network.parameters()).device
    batch = torch.from_numpy(windows).to(device)
    engine = Engine(canonize(task.network, batch[:2] if len(batch) > 1 else batch.repeat(2, 1, 1)))
    tape, book = engine.run(batch), Ledger()
    low, high = (torch.as_tensor(end).to(device, batch.dtype)[None, :, None] for end in task.box)
    engine.relevance(tape, tape.output, task.composite.rules(low, high), book)
    total = float(tape.output.abs().mean()) or 1.0
    rows = [{"step": step, "category": kind, "share": float(kept.mean()) / total} for step, kind, kept in book.entries]
    return pd.DataFrame(rows, columns=["step", "category", "share"])


def sanity(
    attributor: Attributor,
    task: AttributionTask,
    windows: FloatArray,
    cells: Cells,
    shares: tuple[float, ...],
    noise: float,
    seed: int,
) -> dict[str, float]:
    """How alike relevance stays when it should not, and when it should.

    Args:
        shares: of the layers that are randomised.
        noise: standard deviation of the noise, in units of each channel's own over all windows.

    Returns:
        `randomised_<per cent>` for each share and `noisy`: rank correlation of |relevance| per cell with that of
        the network and windows as they are.
    """

    def relevance(network: "nn.Module", batch: FloatArray) -> FloatArray:
        asked = AttributionTask(network, task.composite, task.canonizer, task.box, task.references)
        return cells.sums(attributor.explain(asked, batch, seed).values)

    own = relevance(task.network, windows)
    found = {
        f"randomised_{share:.0%}".rstrip("%"): similarity(
            own, relevance(randomised(task.network, share, seed), windows)
        )
        for share in shares
    }
    spread = task.references.std(axis=(0, 2), keepdims=True)
    shaken = windows + noise * spread * np.random.default_rng(seed).standard_normal(windows.shape)
    return found | {"noisy": similarity(own, relevance(task.network, shaken.astype(windows.dtype)))}
