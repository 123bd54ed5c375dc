"""Explain windows one by one: why each is in its cluster, or what keeps it from the nearest one."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.clustering.base import NOISE
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.config import Settings
from clusterwhy.explanations.clusters import cluster_tasks
from clusterwhy.explanations.embedded_series import Clustered, EmbeddedSeries
from clusterwhy.explanations.noise import nearest_clusters
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.single_windows import NO_REFERENCE, SimilarWindows, WindowPart, compared_with
from clusterwhy.types import FloatArray, IntArray

LEVELS = 127  # of int8 on each side of 0
COLUMNS = ["window", "cluster", "explained_cluster", "reference", "target", "gap", "encoders", "size", "step"]


class Coverage(Settings):
    """How many windows are explained one by one: a choice of `conf/coverage`.

    All of them up to `max_windows`; beyond, a draw of each cluster and of noise in proportion to its size, beside those
    that were explained for their cluster. Relevance is the mean over the first `encoders` of those that were trained.
    `part` windows at a time are a task of a worker.
    """

    max_windows: int = Field(ge=0)
    encoders: int = Field(ge=1)
    part: int = Field(ge=1)

    def choose(self, labels: IntArray, known: IntArray, seed: int) -> IntArray:
        """Positions of the windows, in ascending order, without those of windows that are known."""
        rest = np.setdiff1d(np.arange(len(labels)), known)
        count = min(len(rest), max(0, self.max_windows - len(known)))
        order = rest[np.lexsort((np.random.default_rng(seed).permutation(len(rest)), labels[rest]))]
        return np.sort(order[(np.arange(count) * len(rest)) // max(1, count)])


@dataclass(frozen=True)
class KnownWindows:
    """What the explanations of clusters tell of single windows (`ClusterExplanations`).

    Attributes:
        windows: one row per explained window: `window`, `cluster`, `target`, `gap`.
        relevance: (explained window, channel, time), the mean over all encoders.
        target_sizes: cluster -> mean size of its target by each encoder; other clusters are not explained.
    """

    windows: pd.DataFrame
    relevance: FloatArray
    target_sizes: Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class WindowExplanations:
    """Relevance of single windows, in 254 levels.

    Attributes:
        windows: one row per explained window, in order of time: `window`, its `cluster` (-1 is noise),
            `explained_cluster` (its own, or of noise the nearest one, to which relevance refers), `reference` (the most
            similar of the windows that it is compared with: outside its cluster, or of noise inside the nearest one),
            `target`, `gap`, `encoders` (over which relevance is the mean), `size` (sum of |relevance|), `step`
            (relevance of one level).
        levels: (explained window, channel, time) int8; times `step` it is relevance, within half a step.
        channels: (explained window, channel) relevance, before it was rounded.
        losses: where relevance is lost, in words.
    """

    windows: pd.DataFrame
    levels: np.ndarray
    channels: FloatArray
    losses: list[str]


def explain_every_window(
    series: EmbeddedSeries,
    labels: IntArray,
    settings: ExplanationSettings,
    coverage: Coverage,
    known: KnownWindows,
    workers: Workers = HERE,
    replicates: Sequence[EmbeddedSeries] = (),
    new: Clustered | None = None,
) -> WindowExplanations:
    """Explain windows one by one, with the target and the references of their clusters.

    Args:
        series: with the encoder by whose embeddings the windows were clustered.
        labels: (window,) cluster, -1 is noise.
        settings: those of the clusters; `members` are not used.
        known: what was found for clusters; their explained windows are taken over.
        workers: where parts of the windows are explained.
        replicates: the same series with encoders of other seeds.
        new: windows of another recording to explain in place of these, with which they are compared; `reference` is
            then -1, since it would be a window of the other recording.
    """
    if not series.explainable:
        return _nothing(series)
    tasks_of, _ = cluster_tasks(series, labels, settings, replicates[: coverage.encoders - 1])
    tasks_of = {cluster: tasks for cluster, tasks in tasks_of.items() if cluster in known.target_sizes}
    if not tasks_of:
        return _nothing(series)
    asked = new or Clustered(series, labels, np.ones(len(labels)))
    row_of = pd.Series(np.arange(len(asked.labels)), index=asked.series.index["window"])
    positions = row_of[known.windows["window"]].to_numpy()
    chosen = coverage.choose(asked.labels, positions, settings.seed)
    is_noise, explained = asked.labels[chosen] == NOISE, np.array(asked.labels[chosen])
    if is_noise.any():
        noise = np.asarray(asked.series.embeddings)[chosen[is_noise]]
        explained[is_noise] = nearest_clusters(series, labels, noise, settings.seed)
    taken, parts = [], []
    for cluster, of_noise in itertools.product(tasks_of, (False, True)):
        others = compared_with(labels, cluster, of_noise, settings.seed)
        ids = series.window_ids(others) if new is None else np.full(len(others), NO_REFERENCE)
        similar = SimilarWindows(series.windows(others), ids)
        rows = np.flatnonzero(known.windows["cluster"] == cluster)
        if len(rows) and not of_noise:
            taken.append(_taken(asked.series.windows(positions[rows]), known, rows, similar, 1 + len(replicates)))
        tasks = [replace(task, references=similar.windows) for task in tasks_of[cluster]]
        own = chosen[(explained == cluster) & (is_noise == of_noise)]
        for some in np.split(own, range(coverage.part, len(own), coverage.part)) if len(own) else ():
            windows, ids = asked.series.windows(some), asked.series.window_ids(some)
            part = WindowPart(cluster, windows, ids, tasks, similar, known.target_sizes[cluster], settings)
            parts.append(partial(_explained, part))
    found = dict(workers.map(parts, "explain windows"))
    made = [*taken, *(found[i] for i in range(len(parts)))]
    return _joined(made, asked) if made else _nothing(series)


def _explained(part: WindowPart) -> WindowExplanations:
    table, relevance, losses = part.relevance()
    return _rounded(table, relevance, losses)


def _taken(
    windows: FloatArray, known: KnownWindows, rows: IntArray, similar: SimilarWindows, n_encoders: int
) -> WindowExplanations:
    """Windows (window, channel, time) that are known already, in these rows."""
    table = known.windows.iloc[rows][["window", "cluster", "target", "gap"]]
    table = table.rename(columns={"cluster": "explained_cluster"}).reset_index(drop=True)
    table.insert(2, "reference", similar.most(windows))
    return _rounded(table.assign(encoders=n_encoders), np.asarray(known.relevance[rows]), [])


def _rounded(table: pd.DataFrame, relevance: FloatArray, losses: list[str]) -> WindowExplanations:
    """Relevance (window, channel, time) in levels."""
    step = np.abs(relevance).max(axis=(1, 2), initial=0.0) / LEVELS
    levels = np.round(relevance / np.where(step > 0, step, 1.0)[:, None, None])
    size = np.abs(relevance).sum(axis=(1, 2), dtype=np.float64)
    return WindowExplanations(table.assign(size=size, step=step), levels.astype(np.int8), relevance.sum(axis=2), losses)


def _joined(parts: Sequence[WindowExplanations], asked: Clustered) -> WindowExplanations:
    """All parts, in order of time."""
    table = pd.concat([part.windows for part in parts], ignore_index=True)
    order = np.argsort(table["window"].to_numpy(), kind="stable")
    cluster = pd.Series(asked.labels, index=asked.series.index["window"])
    table = table.iloc[order].reset_index(drop=True)
    table.insert(1, "cluster", cluster[table["window"]].to_numpy())
    levels = np.empty((len(table), *parts[0].levels.shape[1:]), dtype=np.int8)
    # one part at a time: a second copy of all of them would be the largest array there is
    places = np.split(np.argsort(order), np.cumsum([len(part.windows) for part in parts])[:-1])
    for part, own in zip(parts, places, strict=True):
        levels[own] = part.levels
    return WindowExplanations(
        windows=with_reasons(table, {"gap": "the target is 0"}),
        levels=levels,
        channels=np.concatenate([part.channels for part in parts])[order],
        losses=list(dict.fromkeys(loss for part in parts for loss in part.losses)),
    )


def _nothing(series: EmbeddedSeries) -> WindowExplanations:
    shape = (0, len(series.channels), series.length)
    table = pd.DataFrame(columns=[*COLUMNS, REASONS])
    return WindowExplanations(table, np.zeros(shape, np.int8), np.zeros(shape[:2], np.float32), [])
