"""Evaluate the explanations of clusters: insertion and deletion of cells, sanity checks, relevance budget."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.compute.seeding import drawn
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.config import Settings
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.relevance_budget import relevance_budget
from clusterwhy.explanations.replacements import fitting_windows
from clusterwhy.explanations.sanity_checks import CellExplainer, SanityChecks, cell_correlation
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.target_function import TargetCache, with_canonical_network
from clusterwhy.explanations.targets import FAITHFULNESS_TARGET
from clusterwhy.metrics.channel_deletion import NO_FALL, NONE_INSIDE
from clusterwhy.metrics.insertion_deletion import Cells, cell_baselines, insertion_deletion
from clusterwhy.metrics.z_scores import cell_z_scores
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

MEASURES = ("deletion", "insertion", "flip_rate")
CONSTANT_RELEVANCE = "the relevance of every cell is the same"  # why a rank correlation is undefined
FEWEST = 3  # windows of each cluster, whatever the budget
OTHER_TARGET = "other_target"
KEYS = ["measure", "baseline", "ranking"]
BUDGET = ["step", "category", "share"]


class EvaluationSettings(Settings):
    """A choice of `conf/evaluation`: how thoroughly clusters and their explanations are evaluated.

    `n_windows` of each cluster are explained, fewer where windows x channels of all clusters would exceed
    `max_window_channels`, but not fewer than `FEWEST`; `n_stretches` cut a window's time into cells; `randomise` are
    shares of the layers whose weights are redrawn, `draws` times for each cluster; `noise` is in units of each
    channel's standard deviation; `n_clustered` windows at most are projected and clustered again; `resamples` is the
    number of samples of them.
    """

    n_windows: int = Field(ge=1)
    max_window_channels: int = Field(ge=1)
    n_stretches: int = Field(ge=1)
    randomise: tuple[float, ...]
    draws: int = Field(ge=1)
    noise: float = Field(ge=0.0)
    n_clustered: int = Field(ge=100)
    resamples: int = Field(ge=0)

    def clustered(self, n_windows: int, seed: int) -> BoolArray:
        """(window,) those that are projected and clustered again."""
        if n_windows <= self.n_clustered:
            return np.ones(n_windows, dtype=bool)
        return drawn(n_windows, self.n_clustered, seed)

    def windows_of_each(self, n_clusters: int, n_channels: int) -> int:
        """Windows of each cluster that fit into the budget."""
        affordable = self.max_window_channels // max(1, n_clusters * n_channels)
        return min(self.n_windows, max(FEWEST, affordable))

    @property
    def sanity_checks(self) -> SanityChecks:
        """What is disturbed to see whether relevance follows."""
        return SanityChecks(self.randomise, self.draws, self.noise)


@dataclass(frozen=True)
class ClusterEvaluation:
    """How far the explanations of clusters can be trusted.

    Attributes:
        faithfulness: one row per cluster, `measure`, `baseline` and `ranking` with its `value`, `n_windows` that it is
            the mean over, and why it is `undefined`.
        budget: of the composite's LRP, one row per cluster, step and category with its `share` of the target.
    """

    faithfulness: pd.DataFrame
    budget: pd.DataFrame


def evaluate_clusters(
    series: EmbeddedSeries,
    labels: IntArray,
    strengths: FloatArray,
    settings: ExplanationSettings,
    evaluation: EvaluationSettings,
    replicates: Sequence[EmbeddedSeries],
    workers: Workers = HERE,
) -> ClusterEvaluation:
    """Evaluate the explanations of each cluster; each cluster is a shard.

    Args:
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
        replicates: the same series with encoders of other seeds, whose explanations should be alike.
        workers: where clusters are evaluated.
    """
    from clusterwhy.encoders.masked import best_device

    device = best_device()

    def networks_of(one: EmbeddedSeries) -> "dict[int, nn.Module]":
        found = settings.target.networks(one.encoder.to(device), one.embeddings, labels, settings.seed)[0]
        return {cluster: network.to(device) for cluster, network in found.items()}

    if not series.explainable:
        return _all([])
    networks, again = networks_of(series), [networks_of(one) for one in replicates]
    memberships, _ = FAITHFULNESS_TARGET.networks(series.encoder, series.embeddings, labels, settings.seed)
    tasks = []
    n_windows = evaluation.windows_of_each(len(networks), len(series.channels))

    def task_of(cluster: int) -> AttributionTask:
        others = series.windows_outside(labels, cluster, settings.seed)
        return AttributionTask(networks[cluster], settings.composite, settings.canonizer.name, series.box, others)

    for cluster in [cluster for cluster in networks if cluster in memberships]:
        chosen = settings.members.choose(cluster, series.embeddings, labels, strengths, settings.seed)[:n_windows]
        windows, other = series.windows(chosen), _another(networks, cluster)
        task = _Task(
            cluster=cluster,
            asked=task_of(cluster),
            windows=windows,
            inside=memberships[cluster],
            asked_other=None if other is None else task_of(other),
            retrained=[found[cluster] for found in again],
            settings=settings,
            evaluation=evaluation,
        )
        tasks.append(task.evaluate)
    found = dict(workers.map(tasks, "evaluate"))
    each = [found[position] for position in range(len(tasks))]
    return _all(each)


def _all(each: "Sequence[tuple[pd.DataFrame, pd.DataFrame | None]]") -> ClusterEvaluation:
    """Faithfulness and budgets of all clusters."""
    tables = [pd.DataFrame(columns=["cluster", *KEYS, "value", "n_windows", REASONS]), *(one for one, _ in each)]
    budgets = [pd.DataFrame(columns=["cluster", *BUDGET]), *(budget for _, budget in each if budget is not None)]
    return ClusterEvaluation(_joined(tables), _joined(budgets))


def _another(networks: "dict[int, nn.Module]", cluster: int) -> int | None:
    """The next cluster, unless the target is the same for all clusters."""
    clusters = list(networks)
    found = clusters[(clusters.index(cluster) + 1) % len(clusters)]
    return None if networks[found] is networks[cluster] else found


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables one below the other; the first is empty and has the order of the columns."""
    empty, *filled = tables
    return pd.concat(filled, ignore_index=True)[list(empty.columns)] if filled else empty


@dataclass(frozen=True)
class _Task:
    """One cluster to evaluate.

    Attributes:
        asked: what is explained.
        windows: (window, channel, time) of the cluster.
        inside: network of the target by which rankings are compared.
        asked_other: the explained target of another cluster, where it differs.
        retrained: networks of the explained target with encoders of other seeds.
    """

    cluster: int
    asked: AttributionTask
    windows: FloatArray
    inside: "nn.Module"
    asked_other: AttributionTask | None
    retrained: "list[nn.Module]"
    settings: ExplanationSettings
    evaluation: EvaluationSettings

    @functools.cached_property
    def task(self) -> AttributionTask:
        """Its network is in canonical form where the attributor can explain that."""
        return with_canonical_network(self.asked, self.settings.attributor, self.windows)

    def evaluate(self) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """Faithfulness and, of networks in canonical form, the relevance budget."""
        from clusterwhy.encoders.masked import best_device

        asked = [self.asked, *([self.asked_other] if self.asked_other else [])]
        for network in (*(one.network for one in asked), self.inside, *self.retrained):
            network.to(best_device())
        table = self.faithfulness().assign(cluster=self.cluster, n_windows=len(self.windows))
        if self.settings.canonizer.name != "auto":
            return table, None
        return table, relevance_budget(self.task, self.windows).assign(cluster=self.cluster)

    def faithfulness(self) -> pd.DataFrame:
        """One row per `measure`, `baseline` and `ranking` with its `value`, or why it is `undefined`."""
        cells = Cells.of(self.windows.shape[2], self.evaluation.n_stretches)
        explainer = CellExplainer(self.settings.attributor, cells, self.settings.seed)
        relevance = explainer.explain(self.task, self.windows)
        correlations = self.evaluation.sanity_checks.run(
            explainer, self.task, self.asked.network, self.windows, relevance
        )
        if self.asked_other is not None:
            other = with_canonical_network(self.asked_other, self.settings.attributor, self.windows)
            found = explainer.explain(replace(self.task, network=other.network), self.windows)
            correlations[OTHER_TARGET] = cell_correlation(relevance, found)
        for i, network in enumerate(self.retrained, start=1):
            found = explainer.explain(replace(self.task, network=network), self.windows)
            correlations[f"encoder_seed_{self.settings.seed + i}"] = cell_correlation(relevance, found)
        rows = [("similarity", "", name, value) for name, value in correlations.items()]
        similar = with_reasons(pd.DataFrame(rows, columns=[*KEYS, "value"]), {"value": CONSTANT_RELEVANCE})
        return pd.concat([self._curves(cells, relevance), similar])

    def _curves(self, cells: Cells, relevance: FloatArray) -> pd.DataFrame:
        """Insertion and deletion of the rankings, with those of the composite's LRP, z-scores and random orders."""
        others, attributor = self.task.references, self.settings.attributor
        rng = np.random.default_rng([self.settings.seed, self.cluster])
        rankings = {"relevance": relevance, "z_score": cell_z_scores(self.windows, others, cells)}
        if attributor.has_own_rules:
            by_rule = CellExplainer(Lrp(batch_size=attributor.batch_size), cells, self.settings.seed)
            rankings["lrp"] = by_rule.explain(self.task, self.windows)
        rankings["random"] = rng.random(relevance.shape)
        fitting = fitting_windows(self.windows, others)[:, 0]
        baselines = cell_baselines(self.windows, others, fitting, rng)
        membership = TargetCache().function(self.inside, self.windows)
        curves = insertion_deletion(membership, self.windows, baselines, rankings, cells)
        rows = [
            (measure, baseline, ranking, getattr(found, measure))
            for (baseline, ranking), found in curves.items()
            for measure in MEASURES
        ]
        table = pd.DataFrame(rows, columns=[*KEYS, "value"])
        of_areas = NO_FALL if relevance.shape[1] > 1 else "there is only one cell to rank"
        reasons = [NONE_INSIDE if measure == "flip_rate" else of_areas for measure in table["measure"]]
        return with_reasons(table, {"value": reasons})
