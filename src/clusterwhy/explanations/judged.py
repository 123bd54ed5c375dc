"""Orders of channels, judged by what took no part in the explanation.

The membership by which `explain` compares rankings belongs to an encoder that also explains. Here channels are replaced
by those of windows outside the cluster that fit but that the explanation did not compare with, and two judges say
whether a window still belongs to its cluster: a classifier of raw windows that has never seen an encoder, and the
nearest windows in the embedding of an encoder whose own relevance is left out of the ranking. The lowest area that any
order of channels can reach, and the order by Shapley values of the judge itself, tell how much room a ranking leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.compute.rounding import ROUNDING
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.replacements import fitting_windows
from clusterwhy.explanations.replicates import BY_ENCODER
from clusterwhy.explanations.target_function import TargetFunction, target_function
from clusterwhy.metrics.bootstrap import bootstrap_means, percentile_limits
from clusterwhy.metrics.channel_deletion import N_STEPS
from clusterwhy.metrics.channel_orders import MOST_CHANNELS, all_sets, best_order, chain, shapley_values
from clusterwhy.metrics.verdicts import verdict
from clusterwhy.metrics.window_classifier import WindowClassifier
from clusterwhy.types import BoolArray, FloatArray, IntArray

N_RANDOM, N_NEAREST = 4, 15  # random orders; neighbours of a window
COLUMNS = ["judge", "cluster", "ranking", "area", "ahead", "ahead_low", "ahead_high", "verdict", "n_windows"]
NO_FALL = "replacing all channels does not make the judge less certain, or there is only one"
CLASSIFIER, OTHER_ENCODER = "classifier of raw windows", "encoder that did not explain"
RANKED_BY = {"relevance": "signed", "|relevance|": "absolute", "lrp": "lrp", "z_score": "z_score"}


class Judge(Protocol):
    """Says how much a window belongs to each cluster.

    Attributes:
        classes: the clusters, -1 is noise.
    """

    classes: list[int]

    def margins(self, windows: FloatArray) -> FloatArray:
        """(window, class) of windows (window, channel, time); the higher, the more it belongs."""


class Neighbours:
    """Which clusters the nearest windows in an embedding belong to.

    Args:
        series: with the encoder that judges.
        labels: (window,) cluster, -1 is noise.
    """

    def __init__(self, series: EmbeddedSeries, labels: IntArray) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.encoder, self._example = series.encoder, series.windows(np.array([0]))
        self.classes: list[int] = np.unique(labels).tolist()
        self.members = np.asarray(labels)[:, None] == np.array(self.classes)
        self.nearest = NearestNeighbors(n_neighbors=min(N_NEAREST, len(labels))).fit(series.embeddings)

    @cached_property
    def _embed(self) -> TargetFunction:
        """Made in the process that calls it."""
        from clusterwhy.encoders.masked import best_device

        return target_function(self.encoder.to(best_device()), self._example)

    def margins(self, windows: FloatArray) -> FloatArray:
        """(window, class) shares of the nearest windows."""
        near = self.nearest.kneighbors(self._embed(np.asarray(windows, dtype=np.float32)), return_distance=False)
        return np.asarray(self.members[near].mean(axis=1))


@dataclass(frozen=True)
class Judged:
    """What the judges say.

    Attributes:
        table: one row per judge, cluster and ranking: `area` under the curve of the judge's margin while channels are
            replaced; `ahead`: how much lower it is than that of the z-score, with 95 % limits over windows, and the
            `verdict` from them. Rankings: those of the explanation, `z_score`, `random`; of the classifier, where there
            are few channels, `best` (no order has a lower area) and `shapley` (of the judge's margin), too.
        accuracy: balanced accuracy of the classifier in cross-validation, NaN where it is not known.
    """

    table: pd.DataFrame
    accuracy: float


def judge(
    series: EmbeddedSeries,
    replicates: Sequence[EmbeddedSeries],
    labels: IntArray,
    explained: pd.DataFrame,
    importance: pd.DataFrame,
    part: BoolArray,
    n_windows: int,
    seed: int,
    workers: Workers = HERE,
) -> Judged:
    """Judge the rankings of all explained clusters; each cluster is a shard.

    Args:
        replicates: the same series with encoders of other seeds; the last one judges.
        labels: (window,) cluster, -1 is noise.
        explained: `window` and `cluster` of the explained windows.
        importance: one row per cluster and channel with the figures of `RANKED_BY`, and those of each encoder.
        part: (window,) those that the classifier learns from.
        n_windows: of each cluster, at most.
        seed: of the explanation, by which the windows to compare with were drawn.
        workers: where clusters are judged.
    """
    learned = np.flatnonzero(part)
    if not len(explained) or len(np.unique(labels[learned])) < 2:
        return Judged(pd.DataFrame(columns=[*COLUMNS, REASONS]), float("nan"))
    blocks = series.starts[learned] // (2 * series.length)
    classifier = WindowClassifier(series.windows(learned), labels[learned], blocks, seed)
    judges: list[tuple[str, Judge, pd.DataFrame]] = [(CLASSIFIER, classifier, importance)]
    if replicates:
        others = [f"{BY_ENCODER}{i + 1}" for i in range(len(replicates))]  # all but the last one
        own = importance.assign(signed=importance[others].mean(axis=1)).drop(columns="absolute")
        judges.append((OTHER_ENCODER, Neighbours(replicates[-1], labels), own))
    position = {window: i for i, window in enumerate(series.index["window"].tolist())}
    tasks: list[Callable[[], list[dict[str, Any]]]] = []
    for cluster in [c for c in dict.fromkeys(explained["cluster"].tolist()) if c in classifier.classes]:
        chosen = np.array([position[w] for w in explained.loc[explained["cluster"] == cluster, "window"]])
        windows, outside = series.windows(chosen[:n_windows]), series.windows_outside(labels, cluster, seed)
        fitting = fitting_windows(windows, outside)
        of_cluster = [(name, one, table[table["cluster"] == cluster]) for name, one, table in judges]
        tasks.append(partial(_judge_cluster, cluster, windows, fitting, of_cluster, seed))
    found = dict(workers.map(tasks, "judge"))
    table = pd.DataFrame([row for position in range(len(tasks)) for row in found[position]], columns=COLUMNS)
    return Judged(with_reasons(table, dict.fromkeys(("area", "ahead"), NO_FALL)), classifier.accuracy)


def _judge_cluster(
    cluster: int,
    windows: FloatArray,
    fitting: FloatArray,
    judges: Sequence[tuple[str, Judge, pd.DataFrame]],
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of one cluster, from each judge and its own importance of the channels."""
    rows: list[dict[str, Any]] = []
    for name, one, importance in judges:
        rankings = {key: importance[column].to_numpy() for key, column in RANKED_BY.items() if column in importance}
        exact = name == CLASSIFIER and windows.shape[1] <= MOST_CHANNELS
        rng = np.random.default_rng([seed, cluster])
        found = _Deletion(one, cluster, windows, fitting, exact, rng).areas(rankings)
        rows += [{"judge": name, "cluster": cluster, **row} for row in found]
    return rows


@dataclass(frozen=True)
class _Deletion:
    """Channels of one cluster's windows, replaced in the order of several rankings.

    Attributes:
        windows: (window, channel, time).
        fitting: (window, replacement, channel, time).
        exact: replace every set of channels, so that the best order is known.
    """

    judge: Judge
    cluster: int
    windows: FloatArray
    fitting: FloatArray
    exact: bool
    rng: np.random.Generator

    def areas(self, rankings: Mapping[str, FloatArray]) -> list[dict[str, Any]]:
        """One row for each ranking (channel,), NaN where unknown."""
        n_channels = self.windows.shape[1]
        orders: dict[str, list[IntArray]] = {
            name: [np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")] for name, values in rankings.items()
        }
        orders["random"] = [self.rng.permutation(n_channels) for _ in range(N_RANDOM)]
        n_steps = n_channels if self.exact else min(n_channels, N_STEPS)
        counts = np.unique(np.linspace(0, n_channels, n_steps + 1).round().astype(int))
        chains = {name: [chain(order, counts) for order in each] for name, each in orders.items()}
        replaced = [mask for each in chains.values() for one in each for mask in one]
        masks = all_sets(n_channels) if self.exact else np.unique(replaced, axis=0)
        values = self._margins(masks)
        if self.exact:
            mean = values.mean(axis=0)
            by_judge = {"best": best_order(mean), "shapley": np.argsort(-shapley_values(mean), kind="stable")}
            chains |= {name: [chain(order, counts)] for name, order in by_judge.items()}
        known = {mask.tobytes(): i for i, mask in enumerate(masks)}
        curves = {
            name: np.mean([values[:, [known[mask.tobytes()] for mask in one]] for one in each], axis=0)
            for name, each in chains.items()
        }
        return self._compared(curves, counts / n_channels)

    def _margins(self, masks: BoolArray) -> FloatArray:
        """(window, mask) mean margin of the cluster with the channels of a mask replaced."""
        column, found = self.judge.classes.index(self.cluster), []
        for window, others in zip(self.windows, self.fitting, strict=True):
            replaced = np.where(masks[:, None, :, None], others[None], window)
            margins = self.judge.margins(replaced.reshape(-1, *window.shape))[:, column]
            found.append(margins.reshape(len(masks), -1).mean(axis=1))
        return np.stack(found)

    def _compared(self, curves: Mapping[str, FloatArray], at: FloatArray) -> list[dict[str, Any]]:
        """Areas of curves (window, step), each from 1 to 0 in the mean over windows, beside that of the z-score."""
        one = next(iter(curves.values()))
        # (window, ranking and at last the fall): areas above the end
        above = [np.trapezoid(curve - curve[:, -1:], at, axis=1) for curve in curves.values()]
        every = np.stack([*above, one[:, 0] - one[:, -1]], axis=1)
        fall, draws = every[:, -1].mean(), bootstrap_means(every, self.rng)
        falls = len(at) > 2 and fall > ROUNDING * np.abs(one).max() and (draws[:, -1] > 0).all()
        reference, rows = list(curves).index("z_score"), []
        for i, name in enumerate(curves):
            row = {"ranking": name, "n_windows": len(one), "verdict": ""}
            if falls:
                row["area"] = float(every[:, i].mean() / fall)
                row["ahead"] = float((every[:, reference] - every[:, i]).mean() / fall)
                low, high = percentile_limits((draws[:, reference] - draws[:, i]) / draws[:, -1]).tolist()
                row |= {"ahead_low": low, "ahead_high": high}
                if name != "z_score":
                    row["verdict"] = verdict(low, high)
            rows.append(row)
        return rows
