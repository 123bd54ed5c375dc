"""Is a window unusual for its state? Scores over what is usual in the window's cluster."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
    """The score over what is usual in the window's cluster.

    A state that is hard to predict has higher scores than others, and none of its windows is unusual for that. What is
    rare is less of a state: the median m of the training windows of a cluster counts by the weight w = min(1, share of
    training windows / `full_share`), beside that M of all: m^w M^(1 - w). What is usual is no higher, and no lower,
    than what `common_share` of the training windows reach, and at least `floor` times M: at rest, the least noise would
    be unusual. Noise, and clusters without training windows, are compared with all.
    """

    full_share: float = Field(gt=0.0, le=1.0)
    common_share: float = Field(ge=0.0, lt=0.5)
    floor: float = Field(gt=0.0, le=1.0)

    def usual(self, scores: FloatArray, labels: IntArray, train: BoolArray) -> dict[int, float]:
        known, own = scores[train], labels[train]
        every = float(np.median(known)) if len(known) else 0.0
        if not every > 0.0:
            return {}
        found = {ELSEWHERE: every}
        for cluster in np.unique(own[own >= 0]).tolist():
            inside = own == cluster
            weight = min(1.0, float(inside.mean()) / self.full_share)
            inner = max(float(np.median(known[inside])), self.floor * every)
            found[cluster] = inner**weight * every ** (1.0 - weight)
        each = np.array([found[max(label, ELSEWHERE)] for label in own.tolist()])
        low = np.quantile(each, self.common_share, method="higher")
        high = np.quantile(each, 1.0 - self.common_share, method="lower")
        return {cluster: float(np.clip(score, low, high)) for cluster, score in found.items()}

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


def compared_with_all(usual: Iterable[int], clusters: Iterable[int]) -> list[int]:
    """The clusters for which all training windows are what is usual, since they hold none.

    Args:
        usual: clusters that have a usual score of their own.
        clusters: all clusters.
    """
    return sorted(set(clusters) - set(usual))


def read_usual(segments: Mapping[str, Any], labels: IntArray) -> FloatArray | None:
    """The same, from what a study wrote into `segments.json`."""
    return usual_scores({int(cluster): float(score) for cluster, score in segments.get("usual", {}).items()}, labels)


def relative(scores: Scores, usual: FloatArray | None) -> Scores:
    """Scores over what is usual (window,), of windows and of channels; None: over nothing."""
    if usual is None:
        return scores
    channels = None if scores.channels is None else scores.channels / usual[:, None]
    return replace(scores, windows=scores.windows / usual, channels=channels)
