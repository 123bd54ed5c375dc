"""Is a window unusual for its state? Scores over what is usual in the window's cluster."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Scores
from clusterwhy.config import Settings
from clusterwhy.types import BoolArray, FloatArray, IntArray

ELSEWHERE = -1  # stands for noise, and for clusters that have no usual score of their own


class RelativeTo(Settings, ABC):
    """A choice of `conf/relative_to`."""

    @abstractmethod
    def usual(self, scores: FloatArray, labels: IntArray, train: BoolArray) -> dict[int, float]:
        """The usual score of each cluster that has its own, and of `ELSEWHERE`; none: scores stay as they are.

        Args:
            scores: (window,) by the detector.
            labels: (window,) clusters.
            train: (window,) True where a window was fitted on.
        """

    @property
    @abstractmethod
    def says(self) -> str:
        """What a score is relative to, in words; "" for nothing."""


class Nothing(RelativeTo):
    """The detector's own score."""

    def usual(self, scores: FloatArray, labels: IntArray, train: BoolArray) -> dict[int, float]:
        return {}

    @property
    def says(self) -> str:
        return ""


class UsualInCluster(RelativeTo):
    """The score over the median score of the training windows of its cluster.

    A state that is hard to predict has higher scores than others, and none of its windows is unusual for that. What is
    rare is no state: clusters with less than `least_share` of the training windows, and noise, are compared with all
    training windows. No usual score is below `floor` times that of all: at rest, the least noise would be unusual.
    """

    least_share: float = Field(gt=0.0, le=1.0)
    floor: float = Field(gt=0.0, le=1.0)

    def usual(self, scores: FloatArray, labels: IntArray, train: BoolArray) -> dict[int, float]:
        known, own = scores[train], labels[train]
        every = float(np.median(known)) if len(known) else 0.0
        if not every > 0.0:
            return {}
        found = {ELSEWHERE: every}
        for cluster in np.unique(own[own >= 0]).tolist():
            inside = own == cluster
            if inside.mean() >= self.least_share:
                found[cluster] = max(float(np.median(known[inside])), self.floor * every)
        return found

    @property
    def says(self) -> str:
        return "over what is usual in its cluster"


def usual_scores(usual: Mapping[int, float], labels: IntArray) -> FloatArray | None:
    """(window,) what is usual for each window, by its cluster; None where scores are those of the detector itself.

    Args:
        usual: of `RelativeTo.usual`.
        labels: (window,) clusters.
    """
    if not usual:
        return None
    found = np.full(len(labels), usual[ELSEWHERE])
    for cluster, score in usual.items():
        found[labels == cluster] = score
    return found


def compared_with_all(usual: Iterable[int], clusters: Iterable[int], trained: IntArray) -> dict[str, list[int]]:
    """Why all training windows are what is usual for some clusters -> these clusters.

    Args:
        usual: clusters that have a usual score of their own.
        clusters: all clusters.
        trained: (training window,) their clusters.
    """
    found: dict[str, list[int]] = {"they hold too few of them": [], "they hold none of them": []}
    few, none = found.values()
    for cluster in clusters:
        if cluster not in usual:
            (few if cluster in trained else none).append(cluster)
    return {why: own for why, own in found.items() if own}


def read_usual(segments: Mapping[str, Any], labels: IntArray) -> FloatArray | None:
    """The same, from what a study wrote into `segments.json`."""
    return usual_scores({int(cluster): float(score) for cluster, score in segments.get("usual", {}).items()}, labels)


def relative(scores: Scores, usual: FloatArray | None) -> Scores:
    """Scores over what is usual (window,), of windows and of channels; None: over nothing."""
    if usual is None:
        return scores
    channels = None if scores.channels is None else scores.channels / usual[:, None]
    return Scores(scores.windows / usual, channels, scores.fitted)
