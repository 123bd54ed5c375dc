"""What every clusterer takes and gives: a cluster for each window."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from clusterwhy.config import Settings
from clusterwhy.types import BoolArray, FloatArray, IntArray

NOISE = -1
UNKNOWN = -2  # a label that is not told


@dataclass(frozen=True)
class Clusters:
    """Clusters of windows.

    Attributes:
        labels: (window,) cluster of each window; -1 is noise.
        strengths: (window,) membership strength in [0, 1]; 0 for noise.
        persistence: (cluster,) stability of each cluster in the condensed tree; NaN where windows coincide.
        tree: the condensed tree, one row per edge.
    """

    labels: IntArray
    strengths: FloatArray
    persistence: FloatArray
    tree: pd.DataFrame


class Clusterer(Settings, ABC):
    """The base of every clusterer; `space` says what it clusters, places in the projection or embeddings."""

    space: Literal["projection", "embeddings"]

    @abstractmethod
    def fit(
        self, points: FloatArray, embeddings: FloatArray | None = None, index: pd.DataFrame | None = None
    ) -> Clusters:
        """Cluster windows.

        Args:
            points: (window, dimension), those of `space`.
            embeddings: (window, feature) that the points are a projection of; None: the points.
            index: of these windows, in order of time, with the columns `start` and `stop` in samples.

        Raises:
            DataError: too few windows.
        """

    @abstractmethod
    def assign(
        self, new: FloatArray, points: FloatArray, found: Clusters, embeddings: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """Clusters and membership strengths (new point,) of new points.

        Args:
            new: (new point, dimension).
            points: (window, dimension) that were clustered.
            found: clusters of these.
            embeddings: (window, feature) of these.
        """

    @abstractmethod
    def sizes(self, n_windows: int) -> tuple[int, int]:
        """Windows of the smallest cluster, and neighbours that a window of a dense place has, for this many windows."""

    def fitted(self, n_windows: int) -> BoolArray:
        """(window,) those that it is fitted on; the others are assigned."""
        return np.ones(n_windows, dtype=bool)
