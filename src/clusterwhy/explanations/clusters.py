"""Explain every cluster of a study."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import NOT_TWO, REASONS, with_reasons
from clusterwhy.attribution.base import AttributionTask, Attributor
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.explanations.aggregation import (
    known_mean,
    mean_shares,
    member_agreement,
    time_bins,
    time_map,
)
from clusterwhy.explanations.cluster_tables import (
    ClusterExplanations,
    ExplainedCluster,
    joined,
    nothing,
    of_cluster,
)
from clusterwhy.explanations.embedded_series import Clustered, EmbeddedSeries
from clusterwhy.explanations.properties import COLUMNS, property_table
from clusterwhy.explanations.relevance_budget import conservation_table
from clusterwhy.explanations.replacements import COMPARED, fitting_windows
from clusterwhy.explanations.replicates import mean_relevance, target_sizes
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.target_function import TargetCache, with_canonical_network
from clusterwhy.explanations.targets import FAITHFULNESS_TARGET
from clusterwhy.metrics.channel_deletion import deletion_table
from clusterwhy.metrics.z_scores import channel_z_scores
from clusterwhy.propagation.losses import losses_in
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.propagation.relevance import Relevance

N_RANDOM_RANKINGS = 3
N_TIME_BINS = 8
# why a figure is undefined
NO_TARGET = "the target is 0"
NO_BIASES = f"{NO_TARGET}, or biases are not known"
UNDEFINED_SHARES = {"gap": NO_TARGET, "bias_share": NO_BIASES, "lost_share": NO_BIASES, "lrp_lost_share": NO_BIASES}


def explain_clusters(
    series: EmbeddedSeries,
    labels: IntArray,
    strengths: FloatArray,
    settings: ExplanationSettings,
    workers: Workers = HERE,
    cache: TargetCache | None = None,
    replicates: Sequence[EmbeddedSeries] = (),
    new: Clustered | None = None,
) -> ClusterExplanations:
    """Explain chosen members of each cluster; each cluster is a shard.

    Args:
        series: with the encoder by whose embeddings the windows were clustered and are chosen.
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
        workers: where clusters are explained.
        cache: targets known from earlier calls.
        replicates: the same series with encoders of other seeds; relevance is the mean over all encoders.
        new: windows of another recording to explain in place of these, which then tell what a cluster is and what lies
            outside it.

    Returns:
        Nothing where there is no network, or there are not two groups of windows.
    """
    from clusterwhy.encoders.without_network import WHY

    if not series.explainable:
        return nothing(len(series.channels), series.length, {}, WHY)
    each_of, facts = cluster_tasks(series, labels, settings, replicates)
    memberships, _ = FAITHFULNESS_TARGET.networks(series.encoder, series.embeddings, labels, settings.seed)
    asked, tasks = new or Clustered(series, labels, strengths), []
    for cluster, own in each_of.items():
        if cluster not in asked.labels:
            continue
        members = asked.series.embeddings, asked.labels, asked.strengths
        chosen = settings.members.choose(cluster, *members, settings.seed)
        task = _Task(
            cluster=cluster,
            tasks=own,
            windows=asked.series.windows(chosen),
            ids=asked.series.window_ids(chosen),
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
        return nothing(len(series.channels), series.length, facts, NOT_TWO)
    return joined(each, facts, series.channels, settings.seed)


def cluster_tasks(
    series: EmbeddedSeries, labels: IntArray, settings: ExplanationSettings, replicates: Sequence[EmbeddedSeries]
) -> tuple[dict[int, list[AttributionTask]], dict[str, float]]:
    """Cluster -> what is explained of its windows, by each encoder; and figures about the target.

    They are compared with windows outside the cluster.

    Raises:
        ConfigError: there is no network.
    """
    from clusterwhy.encoders.masked import best_device

    series.check_network()
    every = [series, *replicates]
    for one in every:
        one.encoder.to(best_device())
    (networks, facts), *others_of = (
        settings.target.networks(one.encoder, one.embeddings, labels, settings.seed) for one in every
    )
    found = {}
    for cluster, network in networks.items():
        others = series.windows_outside(labels, cluster, settings.seed)
        found[cluster] = [
            AttributionTask(one, settings.composite, settings.canonizer.name, series.box, others)
            for one in (network, *(of[cluster] for of, _ in others_of))
        ]
    return found, facts


@dataclass(frozen=True)
class _Task:
    """One cluster to explain.

    Attributes:
        tasks: one for each encoder, that of the clusters first.
        windows: (window, channel, time) to explain.
        ids: (window,) their ids.
        membership: network of the target by which rankings are compared; None where there is none.
    """

    cluster: int
    tasks: list[AttributionTask]
    windows: FloatArray
    ids: IntArray
    membership: "nn.Module | None"
    channels: tuple[str, ...]
    dt_s: float
    settings: ExplanationSettings
    cache: TargetCache

    def explain(self) -> ExplainedCluster:
        from clusterwhy.encoders.masked import best_device

        cluster, windows, attributor, seed = self.cluster, self.windows, self.settings.attributor, self.settings.seed
        for task in self.tasks:
            task.network.to(best_device())
        began = time.monotonic()
        tasks = [with_canonical_network(task, attributor, windows) for task in self.tasks]
        each = by_encoders(attributor, tasks, windows, seed)
        explained = mean_relevance(each)
        seconds = time.monotonic() - began
        z_scores = channel_z_scores(windows, tasks[0].references)
        rankings = {"relevance": explained.values.sum(axis=2), "z_score": z_scores}
        importance = pd.DataFrame(index=range(len(self.channels)))
        table = conservation_table(explained, self.ids, cluster)
        losses = [f"cluster {cluster}, {note}" for note in losses_in(explained.provenance)]
        if attributor.has_own_rules:
            by_rule = mean_relevance(by_encoders(Lrp(batch_size=attributor.batch_size), tasks, windows, seed))
            rankings["lrp"] = by_rule.values.sum(axis=2)
            importance["lrp"] = mean_shares(by_rule.values)
            table["lrp_lost_share"] = by_rule.lost_share
            losses += [f"cluster {cluster}, LRP of the composite, {note}" for note in losses_in(by_rule.provenance)]
        importance["z_score"] = np.where(np.isfinite(z_scores).all(axis=0), z_scores.mean(axis=0), np.nan)
        align = self.settings.members.align
        return ExplainedCluster(
            cluster=cluster,
            relevance=explained.values,
            by_encoder=[one.values for one in each],
            windows=with_reasons(table, {name: reason for name, reason in UNDEFINED_SHARES.items() if name in table}),
            importance=importance,
            map=time_map(align(windows, explained.values)),
            bins=[time_bins(align(windows, one.values), self.channels, N_TIME_BINS, self.dt_s, seed) for one in each],
            agreement=member_agreement(explained.values),
            target_sizes=target_sizes(each),
            losses=losses,
            quality=of_cluster(cluster, self._quality(rankings)),
            properties=of_cluster(cluster, self._properties(mean_shares(explained.values))),
            seconds=seconds,
        )

    def _quality(self, rankings: dict[str, FloatArray]) -> pd.DataFrame:
        """Channel deletion of each ranking, with channels of windows outside the cluster that fit.

        The channels of all windows are replaced in the order of the cluster's mean, which is what the tables show.

        Args:
            rankings: name -> (window, channel), NaN where unknown.
        """
        from clusterwhy.encoders.masked import best_device

        if self.membership is None:
            return pd.DataFrame(columns=["ranking", "channel_deletion", "flip_rate", REASONS])
        windows, others = self.windows, fitting_windows(self.windows, self.tasks[0].references)[:, 0]
        rng = np.random.default_rng([self.settings.seed, self.cluster, 1])
        target = self.cache.function(self.membership.to(best_device()), windows)
        means = {name: np.broadcast_to(known_mean(each), each.shape) for name, each in rankings.items()}
        return deletion_table(target, windows, others, means, N_RANDOM_RANKINGS, rng)

    def _properties(self, ranking: FloatArray) -> pd.DataFrame:
        """How the leading channels differ from the most similar windows outside the cluster."""
        from clusterwhy.encoders.masked import best_device

        if self.membership is None:
            return pd.DataFrame(columns=COLUMNS)
        target = self.cache.function(self.membership.to(best_device()), self.windows)
        similar = fitting_windows(self.windows, self.tasks[0].references, COMPARED)
        return property_table(target, self.windows, similar, ranking, self.channels)


def by_encoders(
    attributor: Attributor, tasks: Sequence[AttributionTask], windows: FloatArray, seed: int
) -> "list[Relevance]":
    """Relevance by each encoder, with random numbers of its own."""
    return [attributor.explain(task, windows, seed + i) for i, task in enumerate(tasks)]
