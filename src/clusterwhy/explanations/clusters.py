"""Explain every cluster of a study."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.explanations.aggregation import (
    channel_contrast,
    channel_importance,
    known_mean,
    mean_shares,
    member_agreement,
    time_bins,
    time_map,
)
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.relevance_budget import CONSERVATION, conservation_table
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.target_function import TargetCache, with_canonical_network
from clusterwhy.explanations.targets import FAITHFULNESS_TARGET
from clusterwhy.metrics.channel_deletion import deletion_table
from clusterwhy.metrics.z_scores import CONSTANT, channel_z_scores
from clusterwhy.propagation.losses import losses_in
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

N_RANDOM_RANKINGS = 3
N_TIME_BINS = 8
# why a figure is undefined
NO_TARGET = "the target is 0"
NO_BIASES = f"{NO_TARGET}, or biases are not known"
UNDEFINED_SHARES = {"gap": NO_TARGET, "bias_share": NO_BIASES, "lost_share": NO_BIASES, "lrp_lost_share": NO_BIASES}
NO_RELEVANCE = "no window of the cluster has relevance"
NO_OTHER = "no relevance of other clusters to compare with"


@dataclass(frozen=True)
class ClusterExplanations:
    """Relevance of the explained windows of all clusters, and tables made from it.

    Attributes:
        relevance: (explained window, channel, time), signed.
        windows: one row per explained window: `window`, `cluster`, `target`, `relevance_sum`, `gap`,
            `bias_share`, `lost_share`; `lrp_lost_share` by the composite, where the attributor has rules of its own;
            why they are `undefined`.
        importance: one row per cluster and channel, with intervals and the z-score baseline; `lrp` is the share
            by the composite, where the attributor has rules of its own; why they are `undefined`.
        maps: (cluster, channel, time) mean signed relevance, in the order of `clusters`; NaN where aligned windows
            do not reach.
        clusters: the clusters that were explained.
        quality: one row per cluster and ranking (relevance, the composite's LRP, z-score, random): `channel_deletion`
            and `flip_rate` of cluster membership, whatever target is explained.
        bins: one row per cluster, channel and stretch of time.
        agreements: cluster -> agreement between the explanations of its windows.
        losses: where relevance is lost, one sentence per cluster.
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
    losses: list[str]
    facts: dict[str, float]
    seconds: float


def explain_clusters(
    series: EmbeddedSeries,
    labels: IntArray,
    strengths: FloatArray,
    settings: ExplanationSettings,
    workers: Workers = HERE,
    cache: TargetCache | None = None,
) -> ClusterExplanations:
    """Explain chosen members of each cluster; each cluster is a shard.

    Args:
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
        workers: where clusters are explained.
        cache: targets known from earlier calls.
    """
    from clusterwhy.encoders.masked import best_device

    series.encoder.to(best_device())
    networks, facts = settings.target.networks(series.encoder, series.embeddings, labels, settings.seed)
    memberships, _ = FAITHFULNESS_TARGET.networks(series.encoder, series.embeddings, labels, settings.seed)
    tasks = []
    for cluster, network in networks.items():
        chosen = settings.members.choose(cluster, series.embeddings, labels, strengths, settings.seed)
        others = series.windows_outside(labels, cluster, settings.seed)
        task = _Task(
            cluster=cluster,
            task=AttributionTask(network, settings.composite, settings.canonizer.name, series.box, others),
            windows=series.windows(chosen),
            ids=series.window_ids(chosen),
            membership=memberships.get(cluster),
            channels=series.channels,
            dt_s=series.dt_s,
            settings=settings,
            cache=cache or TargetCache(),
        )
        tasks.append(task.explain)
    found = dict(workers.map(tasks, "explain"))
    each = [found[position] for position in range(len(tasks))]
    if not each:
        return _nothing(series, facts)
    return _joined(each, facts, settings.seed)


@dataclass(frozen=True)
class _Explained:
    """The part of `ClusterExplanations` of one cluster."""

    cluster: int
    relevance: FloatArray
    windows: pd.DataFrame
    importance: pd.DataFrame
    map: FloatArray
    bins: pd.DataFrame
    agreement: float
    losses: list[str]
    quality: pd.DataFrame
    seconds: float


@dataclass(frozen=True)
class _Task:
    """One cluster to explain.

    Attributes:
        windows: (window, channel, time) to explain.
        ids: (window,) their ids.
        membership: network of the target by which rankings are compared; None where there is none.
    """

    cluster: int
    task: AttributionTask
    windows: FloatArray
    ids: IntArray
    membership: "nn.Module | None"
    channels: tuple[str, ...]
    dt_s: float
    settings: ExplanationSettings
    cache: TargetCache

    def explain(self) -> _Explained:
        from clusterwhy.encoders.masked import best_device

        cluster, windows, attributor, seed = self.cluster, self.windows, self.settings.attributor, self.settings.seed
        self.task.network.to(best_device())
        began = time.monotonic()
        task = with_canonical_network(self.task, attributor, windows)
        explained = attributor.explain(task, windows, seed)
        seconds = time.monotonic() - began
        z_scores = channel_z_scores(windows, self.task.references)
        rankings = {"relevance": explained.values.sum(axis=2), "z_score": z_scores}
        importance = channel_importance(explained.values, self.channels, seed)
        table = conservation_table(explained, self.ids, cluster)
        losses = [f"cluster {cluster}, {note}" for note in losses_in(explained.provenance)]
        if attributor.has_own_rules:
            by_rule = Lrp(batch_size=attributor.batch_size).explain(task, windows, seed)
            rankings["lrp"] = by_rule.values.sum(axis=2)
            importance["lrp"] = mean_shares(by_rule.values)
            table["lrp_lost_share"] = by_rule.lost_share
            losses += [f"cluster {cluster}, LRP of the composite, {note}" for note in losses_in(by_rule.provenance)]
        importance["z_score"] = np.where(np.isfinite(z_scores).all(axis=0), z_scores.mean(axis=0), np.nan)
        aligned = self.settings.members.align(windows, explained.values)
        return _Explained(
            cluster=cluster,
            relevance=explained.values,
            windows=with_reasons(table, {name: reason for name, reason in UNDEFINED_SHARES.items() if name in table}),
            importance=_of_cluster(cluster, importance),
            map=time_map(aligned),
            bins=_of_cluster(cluster, time_bins(aligned, self.channels, N_TIME_BINS, self.dt_s, seed)),
            agreement=member_agreement(explained.values),
            losses=losses,
            quality=_of_cluster(cluster, self._quality(rankings)),
            seconds=seconds,
        )

    def _quality(self, rankings: dict[str, FloatArray]) -> pd.DataFrame:
        """Channel deletion of each ranking, with channels of windows outside the cluster.

        The channels of all windows are replaced in the order of the cluster's mean, which is what the tables show.

        Args:
            rankings: name -> (window, channel), NaN where unknown.
        """
        from clusterwhy.encoders.masked import best_device

        if self.membership is None:
            return pd.DataFrame(columns=["ranking", "channel_deletion", "flip_rate", REASONS])
        outside, windows = self.task.references, self.windows
        rng = np.random.default_rng([self.settings.seed, self.cluster, 1])
        others = outside[rng.integers(0, len(outside), len(windows))]
        target = self.cache.function(self.membership.to(best_device()), windows)
        means = {name: np.broadcast_to(known_mean(each), each.shape) for name, each in rankings.items()}
        return deletion_table(target, windows, others, means, N_RANDOM_RANKINGS, rng)


def _of_cluster(cluster: int, table: pd.DataFrame) -> pd.DataFrame:
    table.insert(0, "cluster", cluster)
    return table


def _joined(each: list[_Explained], facts: dict[str, float], seed: int) -> ClusterExplanations:
    relevances = [one.relevance for one in each]
    importances = []
    for i, one in enumerate(each):
        others = np.concatenate([np.zeros((0, *relevances[i].shape[1:])), *relevances[:i], *relevances[i + 1 :]])
        table = one.importance.assign(**channel_contrast(relevances[i], others, seed))
        reasons = {"signed": NO_RELEVANCE, "lrp": NO_RELEVANCE, "contrast": NO_OTHER, "z_score": CONSTANT}
        importances.append(with_reasons(table, {name: reasons[name] for name in reasons if name in table}))
    # an empty table has no types of its own
    qualities = [one.quality for one in each if len(one.quality)] or [each[0].quality]
    return ClusterExplanations(
        relevance=np.concatenate(relevances),
        windows=pd.concat([one.windows for one in each], ignore_index=True),
        importance=pd.concat(importances, ignore_index=True),
        maps=np.stack([one.map for one in each]),
        clusters=[one.cluster for one in each],
        quality=pd.concat(qualities, ignore_index=True),
        bins=pd.concat([one.bins for one in each], ignore_index=True),
        agreements={one.cluster: one.agreement for one in each},
        losses=[sentence for one in each for sentence in one.losses],
        facts=facts,
        seconds=sum(one.seconds for one in each),
    )


def _nothing(series: EmbeddedSeries, facts: dict[str, float]) -> ClusterExplanations:
    no_relevance = np.zeros((0, len(series.channels), series.length), dtype=np.float32)
    return ClusterExplanations(
        relevance=no_relevance,
        windows=pd.DataFrame(columns=[*CONSERVATION, REASONS]),
        importance=pd.DataFrame(columns=["cluster", "channel", "absolute", "signed", "z_score", REASONS]),
        maps=no_relevance,
        clusters=[],
        quality=pd.DataFrame(columns=["cluster", "ranking", "channel_deletion", "flip_rate", REASONS]),
        bins=pd.DataFrame(columns=["cluster", "channel", "signed"]),
        agreements={},
        losses=[],
        facts=facts,
        seconds=0.0,
    )
