"""Explain every cluster of a study: the numbers behind its pages."""

import functools
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.aggregation import (
    channel_contrast,
    channel_importance,
    member_agreement,
    signed_shares,
    time_bins,
    time_map,
)
from clusterwhy.explanations.targets import MembershipTarget
from clusterwhy.metrics.faithfulness import replace_channels, statistics_z
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.attribution.base import Attributor
    from clusterwhy.encoders.masked import MaskedEncoder
    from clusterwhy.explanations.members import MemberSelection
    from clusterwhy.explanations.targets import TargetSettings
    from clusterwhy.propagation.canonizer import CanonizerSettings
    from clusterwhy.propagation.composites import CompositeSettings

log = logging.getLogger(__name__)
N_RANDOM_RANKINGS = 3
N_TIME_BINS = 8
JUDGE = MembershipTarget(n_prototypes=4, against="all", root="zero", sharpness=None)


@dataclass(frozen=True)
class HowToExplain:
    """The choices that make an explanation."""

    target: "TargetSettings"
    canonizer: "CanonizerSettings"
    composite: "CompositeSettings"
    attributor: "Attributor"
    members: "MemberSelection"
    seed: int


@dataclass(frozen=True)
class ClusterExplanations:
    """Relevance of the explained windows of all clusters and what follows from it.

    Attributes:
        relevance: (explained window, channel, time), signed.
        windows: one row per explained window: `window`, `cluster`, `target`, `relevance_sum`, `gap`,
            `bias_share`.
        importance: one row per cluster and channel, with intervals and the z-score baseline; `lrp` is the share
            by the composite, where the attributor has rules of its own.
        maps: (cluster, channel, time) mean signed relevance, in the order of `clusters`; NaN where windows
            that were aligned do not reach.
        clusters: the clusters that were explained.
        quality: one row per cluster and ranking (relevance, the composite's LRP, z-score, random):
            `replacement_area`, how slowly cluster membership falls, and `flip_rate`, how often a third of the
            channels undoes it; the same measures for every target.
        bins: one row per cluster, channel and stretch of time.
        agreements: for each cluster how alike the explanations of its windows are.
        facts: figures about the target (agreement of prototypes with the clusters).
        seconds: time spent in attribution.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    importance: pd.DataFrame
    maps: FloatArray
    clusters: list[int]
    quality: pd.DataFrame
    bins: pd.DataFrame
    agreements: dict[int, float]
    facts: dict[str, float]
    seconds: float


def explain_clusters(
    encoder: "MaskedEncoder",
    values: FloatArray,
    index: pd.DataFrame,
    embeddings: FloatArray,
    labels: IntArray,
    strengths: FloatArray,
    channels: tuple[str, ...],
    dt_s: float,
    how: HowToExplain,
    workers: Workers = HERE,
) -> ClusterExplanations:
    """Explain chosen members of each cluster; each cluster is a shard.

    Args:
        values: (time, channel), scaled as in training.
        index: the window index.
        embeddings: (window, feature).
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
        dt_s: seconds between samples.
        workers: where clusters are explained.
    """
    from clusterwhy.encoders.masked import best_device

    encoder = encoder.to(best_device())
    networks, facts = how.target.networks(encoder, np.asarray(embeddings), labels, how.seed)
    # rankings are judged by the same question, whatever was explained: is the window still in its cluster?
    judges, _ = JUDGE.networks(encoder, np.asarray(embeddings), labels, how.seed)
    length = int(index["stop"].iloc[0] - index["start"].iloc[0])
    starts = index["start"].to_numpy()
    box = np.asarray(values.min(axis=0)), np.asarray(values.max(axis=0))
    tasks = []
    for cluster, network in networks.items():
        chosen = how.members.choose(cluster, embeddings, labels, strengths, how.seed)
        rest = outside(values, starts, labels, cluster, length, how.seed)
        task = AttributionTask(network, how.composite, how.canonizer.name, box, rest)
        windows, ids = windows_at(values, starts[chosen], length), index["window"].to_numpy()[chosen]
        judge = judges.get(cluster)
        tasks.append(functools.partial(_explain, cluster, task, windows, ids, judge, channels, dt_s, how))
    found = dict(workers.map(tasks, "explain"))
    each = [found[position] for position in range(len(tasks))]
    relevances = [one.relevance for one in each]
    importances = []
    for i, one in enumerate(each):
        rest = np.concatenate([np.zeros((0, *relevances[i].shape[1:])), *relevances[:i], *relevances[i + 1 :]])
        importances.append(one.importance.assign(**channel_contrast(relevances[i], rest, how.seed)))
    n_channels = len(channels)
    return ClusterExplanations(
        relevance=np.concatenate(relevances) if relevances else np.zeros((0, n_channels, length), dtype=np.float32),
        windows=pd.concat([one.windows for one in each], ignore_index=True)
        if each
        else pd.DataFrame(columns=["window", "cluster", "target", "relevance_sum", "gap", "bias_share"]),
        importance=pd.concat(importances, ignore_index=True)
        if importances
        else pd.DataFrame(columns=["cluster", "channel", "absolute", "signed", "z_score"]),
        maps=np.stack([one.map for one in each]) if each else np.zeros((0, n_channels, length), dtype=np.float32),
        clusters=list(networks),
        quality=pd.DataFrame(
            [row for one in each for row in one.quality],
            columns=["cluster", "ranking", "replacement_area", "flip_rate"],
        ),
        bins=pd.concat([one.bins for one in each], ignore_index=True)
        if each
        else pd.DataFrame(columns=["cluster", "channel", "signed"]),
        agreements={cluster: one.agreement for cluster, one in zip(networks, each, strict=True)},
        facts=facts,
        seconds=sum(one.seconds for one in each),
    )


@dataclass(frozen=True)
class _Explained:
    """What `ClusterExplanations` joins, of one cluster."""

    relevance: FloatArray
    windows: pd.DataFrame
    importance: pd.DataFrame
    map: FloatArray
    bins: pd.DataFrame
    agreement: float
    quality: list[dict[str, Any]]
    seconds: float


def _explain(
    cluster: int,
    task: AttributionTask,
    windows: FloatArray,
    ids: IntArray,
    judge: Any,
    channels: tuple[str, ...],
    dt_s: float,
    how: HowToExplain,
) -> _Explained:
    from clusterwhy.encoders.masked import best_device

    task.network.to(best_device())
    rest = task.references
    began = time.monotonic()
    explained = how.attributor.explain(task, windows, how.seed)
    seconds = time.monotonic() - began
    rankings = {"relevance": explained.values.sum(axis=2), "z_score": statistics_z(windows, rest)}
    importance = channel_importance(explained.values, channels, how.seed)
    importance.insert(0, "cluster", cluster)
    if how.attributor.has_own_rules:
        # what the composite says is in the same tables
        by_rule = Lrp(batch_size=how.attributor.batch_size).explain(task, windows, how.seed).values
        rankings["lrp"] = by_rule.sum(axis=2)
        importance["lrp"] = signed_shares(by_rule).mean(axis=0)
    moved = how.members.align(windows, explained.values)
    bins = time_bins(moved, channels, N_TIME_BINS, dt_s, how.seed)
    bins.insert(0, "cluster", cluster)
    quality = []
    if judge is not None:
        quality = _quality(judge.to(best_device()), windows, rest, rankings, cluster, how.seed)
    table = pd.DataFrame(
        {
            "window": ids,
            "cluster": cluster,
            "target": explained.target,
            "relevance_sum": explained.values.sum(axis=(1, 2), dtype=np.float64),
            "gap": explained.gap,
            "bias_share": explained.bias_share,
        }
    )
    return _Explained(
        relevance=explained.values,
        windows=table,
        importance=importance.assign(z_score=rankings["z_score"].mean(axis=0)),
        map=time_map(moved),
        bins=bins,
        agreement=member_agreement(explained.values),
        quality=quality,
        seconds=seconds,
    )


def outside(values: FloatArray, starts: IntArray, labels: IntArray, cluster: int, length: int, seed: int) -> FloatArray:
    """Up to 256 windows outside a cluster, a seeded draw; the whole series where it is the only one."""
    outside = np.flatnonzero(labels != cluster)
    if not len(outside):
        outside = np.arange(len(labels))
    rng = np.random.default_rng([seed, cluster])
    return windows_at(values, starts[rng.permutation(outside)[:256]], length)


def fast_target(network: Any, example: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """The target, (window, channel, time) -> (window,), by the engine's forward pass, the fastest one."""
    import torch

    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.engine import Engine

    device = next(network.parameters()).device
    pair = torch.from_numpy(np.concatenate([example[:1], example[:1]]))
    engine = Engine(canonize(network, pair.to(device)))

    def target(batch: FloatArray) -> FloatArray:
        found: FloatArray = engine.run(torch.from_numpy(batch).to(device)).output.cpu().numpy()
        return found

    return target


_FOUND: dict[bytes, FloatArray] = {}


def remembered(network: Any, example: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """`fast_target` that computes a batch once in this process.

    The jobs of a sweep replace the same channels along z-score and random rankings, whatever composite is tried.
    """
    target = fast_target(network, example)
    parameters = b"".join(value.cpu().numpy().tobytes() for value in network.state_dict().values())
    key = hashlib.blake2b(repr(network).encode() + parameters).digest()

    def find(batch: FloatArray) -> FloatArray:
        digest = hashlib.blake2b(key + batch.tobytes()).digest()
        if digest not in _FOUND:
            _FOUND[digest] = target(batch)
        return _FOUND[digest]

    return find


def _quality(
    network: Any, windows: FloatArray, rest: FloatArray, rankings: dict[str, FloatArray], cluster: int, seed: int
) -> list[dict[str, Any]]:
    target = remembered(network, windows)
    rng = np.random.default_rng([seed, cluster, 1])
    others = rest[rng.integers(0, len(rest), len(windows))]
    order = np.tile(np.arange(windows.shape[1]), (len(windows), 1))
    orders = {name: [np.argsort(-values, axis=1, kind="stable")] for name, values in rankings.items()}
    orders["random"] = [rng.permuted(order, axis=1) for _ in range(N_RANDOM_RANKINGS)]
    found = replace_channels(target, windows, others, orders)
    return [
        {"cluster": cluster, "ranking": name, "replacement_area": one.area, "flip_rate": one.flip_rate}
        for name, one in found.items()
    ]
