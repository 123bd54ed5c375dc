"""Explain some windows of one cluster, or of the noise near it, each on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.baselines import nearest
from clusterwhy.clustering.base import NOISE
from clusterwhy.errors import DataError
from clusterwhy.explanations.clusters import by_encoders, cluster_tasks
from clusterwhy.explanations.embedded_series import MOST_DRAWN, Clustered, EmbeddedSeries, outside
from clusterwhy.explanations.noise import nearest_clusters
from clusterwhy.explanations.replicates import mean_relevance
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.target_function import with_canonical_network
from clusterwhy.propagation.losses import losses_in
from clusterwhy.types import FloatArray, IntArray

NO_REFERENCE = -1


def compared_with(labels: IntArray, cluster: int, is_noise: bool, seed: int) -> IntArray:
    """Positions of windows outside the cluster; for noise, of those inside it."""
    if not is_noise:
        return outside(labels, cluster, seed)
    return np.random.default_rng([seed, cluster]).permutation(np.flatnonzero(labels == cluster))[:MOST_DRAWN]


@dataclass(frozen=True)
class SimilarWindows:
    """Windows to compare with: (window, channel, time) values, and ids."""

    windows: FloatArray
    ids: IntArray

    def most(self, windows: FloatArray) -> IntArray:
        """(window,) id of the most similar one to each window (window, channel, time)."""
        import torch

        return self.ids[nearest(torch.from_numpy(windows), torch.from_numpy(self.windows), 1)[:, 0].numpy()]


@dataclass(frozen=True)
class WindowPart:
    """Some windows of one cluster, or of the noise nearest to it.

    Attributes:
        windows: (window, channel, time).
        ids: (window,).
        tasks: one for each encoder.
    """

    cluster: int
    windows: FloatArray
    ids: IntArray
    tasks: list[AttributionTask]
    similar: SimilarWindows
    target_sizes: Sequence[float]
    settings: ExplanationSettings

    def relevance(self) -> tuple[pd.DataFrame, FloatArray, list[str]]:
        """One row per window, its relevance (window, channel, time), and where relevance is lost, in words."""
        from clusterwhy.encoders.masked import best_device

        for task in self.tasks:
            task.network.to(best_device())
        attributor, windows = self.settings.attributor, self.windows
        tasks = [with_canonical_network(task, attributor, windows) for task in self.tasks]
        each = by_encoders(attributor, tasks, windows, self.settings.seed)
        found = mean_relevance(each, self.target_sizes[: len(each)])
        table = pd.DataFrame({"window": self.ids, "explained_cluster": self.cluster})
        table = table.assign(reference=self.similar.most(windows), target=found.target, gap=found.gap)
        losses = [f"cluster {self.cluster}, {note}" for note in losses_in(found.provenance)]
        return table.assign(encoders=len(each)), found.values, losses


def explain_chosen(
    series: EmbeddedSeries,
    labels: IntArray,
    chosen: IntArray,
    settings: ExplanationSettings,
    target_sizes: Mapping[int, Sequence[float]],
    replicates: Sequence[EmbeddedSeries] = (),
    new: Clustered | None = None,
) -> tuple[pd.DataFrame, FloatArray]:
    """Explain chosen windows one by one, as the stage `explain_windows` does, without rounding.

    Args:
        series: with the encoder by whose embeddings the windows were clustered.
        labels: (window,) cluster, -1 is noise, which is explained by what keeps it from the nearest cluster.
        chosen: (chosen window,) positions.
        settings: `members` are not used.
        target_sizes: cluster -> mean size of its target by each encoder.
        replicates: the same series with encoders of other seeds.
        new: windows of another recording to choose from; those of `series` are what they are compared with, and
            `reference` is -1.

    Returns:
        One row per window (`window`, `explained_cluster`, `reference`, `target`, `gap`, `encoders`), and relevance
        (chosen window, channel, time), both in the order of `chosen`.

    Raises:
        DataError: a window belongs to a cluster that was not explained, or there are no two clusters.
    """
    tasks_of, _ = cluster_tasks(series, labels, settings, replicates)
    asked = new or Clustered(series, labels, np.ones(len(labels)))
    explained = np.array(asked.labels[chosen])
    is_noise = explained == NOISE
    if is_noise.any() and tasks_of:
        noise = np.asarray(asked.series.embeddings)[chosen[is_noise]]
        explained[is_noise] = nearest_clusters(series, labels, noise, settings.seed)
    if not tasks_of:
        raise DataError("windows", ["there are not two groups of windows to compare: no cluster is explained"])
    if unknown := sorted(set(explained.tolist()) - (tasks_of.keys() & target_sizes.keys())):
        raise DataError("windows", [f"of clusters {unknown}, which the study does not explain"])
    tables, relevance = [], np.empty((len(chosen), len(series.channels), series.length), dtype=np.float32)
    for cluster, of_noise in sorted(set(zip(explained.tolist(), is_noise.tolist(), strict=True))):
        rows = np.flatnonzero((explained == cluster) & (is_noise == of_noise))
        others = compared_with(labels, cluster, of_noise, settings.seed)
        reference = series.window_ids(others) if new is None else np.full(len(others), NO_REFERENCE)
        similar = SimilarWindows(series.windows(others), reference)
        tasks = [replace(task, references=similar.windows) for task in tasks_of[cluster]]
        windows, ids = asked.series.windows(chosen[rows]), asked.series.window_ids(chosen[rows])
        part = WindowPart(cluster, windows, ids, tasks, similar, target_sizes[cluster], settings)
        table, relevance[rows], _ = part.relevance()
        tables.append(table.set_index(rows))
    return pd.concat(tables).sort_index(), relevance
