"""Anomaly scores per window: higher is stranger. Everything is fitted on training windows only."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.data.windows import windows_at
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

    WindowWork = Callable[[MaskedEncoder, FloatArray, IntArray], FloatArray]


@dataclass(frozen=True)
class Evidence:
    """What detectors may look at.

    Attributes:
        values: (time, channel), scaled.
        starts: (window,) first sample of each window.
        length: samples in one window.
        train: (window,) True where a window may be fitted on.
        embeddings: (window, feature).
        projection: (window, 2).
        load_encoder: opens the trained encoder; only detectors that predict call it.
        seed: for detectors that draw.
        map: computes `work(encoder, values, starts)` over shards of all windows; None does so at once.
    """

    values: FloatArray
    starts: IntArray
    length: int
    train: BoolArray
    embeddings: FloatArray
    projection: FloatArray
    load_encoder: Callable[[], "MaskedEncoder"]
    seed: int
    map: "Callable[[WindowWork], FloatArray] | None" = None

    def over_windows(self, work: "WindowWork") -> FloatArray:
        """What `work` gives for all windows."""
        if self.map is not None:
            return self.map(work)
        return work(self.load_encoder(), self.values, self.starts)

    @cached_property
    def windows(self) -> FloatArray:
        """(window, channel, time)."""
        return windows_at(self.values, self.starts, self.length)


@dataclass(frozen=True)
class Scores:
    """`windows`: (window,) score; `channels`: (window, channel) its parts where the detector has them."""

    windows: FloatArray
    channels: FloatArray | None = None


class Detector(Settings, ABC):
    """A choice of `conf/detector`."""

    @abstractmethod
    def score(self, evidence: Evidence) -> Scores:
        """A score for each window."""


class Glosh(Detector):
    """GLOSH outlier scores (Campello et al. 2015) of embeddings; of the projection only as the notebook did."""

    space: Literal["embeddings", "projection"]
    min_cluster_share: float = Field(gt=0.0, lt=1.0)

    def score(self, evidence: Evidence) -> Scores:
        import hdbscan

        points = np.asarray(getattr(evidence, self.space), dtype=np.float64)
        size = max(5, round(self.min_cluster_share * len(points)))
        model = hdbscan.HDBSCAN(min_cluster_size=size, core_dist_n_jobs=1).fit(points)
        # duplicates have zero core distance, which leaves 0/0: such windows are not outliers
        return Scores(np.nan_to_num(model.outlier_scores_, nan=0.0))


class NearestNeighbours(Detector):
    """Distance to the k-th nearest training window in the embedding (Ramaswamy et al. 2000)."""

    k: int = Field(ge=1)

    def score(self, evidence: Evidence) -> Scores:
        from sklearn.neighbors import NearestNeighbors

        fitted = evidence.embeddings[evidence.train]
        # a training window finds itself first, so it is given one neighbour more
        k = min(self.k + 1, len(fitted))
        distances, _ = NearestNeighbors(n_neighbors=k).fit(fitted).kneighbors(evidence.embeddings)
        outside = distances[:, max(k - 2, 0)]
        return Scores(np.where(evidence.train, distances[:, -1], outside))


class MaskedPredictionError(Detector):
    """How badly hidden values are predicted (`masked_errors`), per channel over its training error.

    The window's score is the mean over channels.
    """

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)
    batch_size: int = Field(ge=1)

    def score(self, evidence: Evidence) -> Scores:
        from clusterwhy.encoders.masked import masked_errors, usual_errors

        errors = partial(
            masked_errors, length=evidence.length, n_parts=self.n_parts, block=self.block, batch_size=self.batch_size
        )
        channels = evidence.over_windows(errors)
        channels = channels / usual_errors(channels[evidence.train])
        return Scores(channels.mean(axis=1), channels)


class ClippedPredictionError(Detector):
    """How badly the worst stretch of a window is predicted, per channel over its training mean and clipped.

    A channel that rests most of the time has a tiny median error, so that `MaskedPredictionError` lets its every
    move outshine the others; over the mean it counts for what it is. No channel can add more than `clip` times what
    is high for it in training, the `quantile` of its training errors; the window's score is the mean over channels.
    """

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)
    stretch: int = Field(ge=1)
    quantile: float = Field(gt=0.0, lt=1.0)
    clip: float = Field(ge=1.0)
    batch_size: int = Field(ge=1)

    def score(self, evidence: Evidence) -> Scores:
        errors = partial(
            _worst_stretch,
            length=evidence.length,
            n_parts=self.n_parts,
            block=self.block,
            stretch=self.stretch,
            batch_size=self.batch_size,
        )
        worst = evidence.over_windows(errors)
        usual = worst[evidence.train].mean(axis=0)
        # a channel that is constant in training has an error near 0
        channels = worst / np.maximum(usual, 1e-3 * max(float(usual.max()), 1e-12))
        high = np.maximum(np.quantile(channels[evidence.train], self.quantile, axis=0), 1.0)
        channels = np.minimum(channels, self.clip * high)
        return Scores(channels.mean(axis=1), channels)


def _worst_stretch(
    encoder: "MaskedEncoder",
    values: FloatArray,
    starts: IntArray,
    length: int,
    n_parts: int,
    block: int,
    stretch: int,
    batch_size: int,
) -> FloatArray:
    """(window, channel) greatest mean squared error of neighbouring stretches of `stretch` samples."""
    from tqdm import tqdm

    from clusterwhy.encoders.masked import cell_errors

    firsts = np.arange(0, length, stretch)
    sizes = np.diff(np.append(firsts, length))
    found = []
    for first in tqdm(range(0, len(starts), batch_size), desc="predict", unit="batch", disable=None):
        windows = windows_at(values, starts[first : first + batch_size], length)
        cells = cell_errors(encoder, windows, n_parts, block, batch_size)
        found.append((np.add.reduceat(cells.astype(np.float64), firsts, axis=2) / sizes).max(axis=2))
    return np.concatenate(found)


class PcaError(Detector):
    """Reconstruction error of principal components fitted on training windows."""

    explained_share: float = Field(gt=0.0, lt=1.0)

    def score(self, evidence: Evidence) -> Scores:
        from sklearn.decomposition import PCA

        flat = evidence.windows.reshape(len(evidence.starts), -1)
        model = PCA(n_components=self.explained_share, svd_solver="full").fit(flat[evidence.train])
        squared = (flat - model.inverse_transform(model.transform(flat))) ** 2
        channels = squared.reshape(evidence.windows.shape).mean(axis=2).astype(np.float64)
        return Scores(channels.mean(axis=1), channels)


class MeanAbsoluteZ(Detector):
    """Mean |z| of a window: the values are already standardised on the training span."""

    def score(self, evidence: Evidence) -> Scores:
        channels = np.abs(evidence.windows).mean(axis=2).astype(np.float64)
        return Scores(channels.mean(axis=1), channels)


class Random(Detector):
    """Uniform noise: what chance looks like in every table."""

    def score(self, evidence: Evidence) -> Scores:
        return Scores(np.random.default_rng(evidence.seed).random(len(evidence.starts)))
