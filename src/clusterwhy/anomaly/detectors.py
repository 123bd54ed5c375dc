"""Anomaly scores per window: higher is more anomalous. Everything is fitted on training windows only."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
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

# what a detector has learned from training windows, by name
Fitted = dict[str, FloatArray]


@dataclass(frozen=True)
class DetectorInput:
    """What a detector may use.

    Attributes:
        values: (time, channel), scaled.
        starts: (window,) first sample of each window.
        length: samples in one window.
        train: (window,) True where a window may be fitted on.
        embeddings: (window, feature).
        projection: (window, 2).
        load_encoder: loads the trained encoder; called only by detectors that predict values.
        seed: for detectors that draw random numbers.
        map: computes `work(encoder, values, starts)` over shards of all windows; None computes all at once.
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
        """`work(encoder, values, starts)` for all windows."""
        if self.map is not None:
            return self.map(work)
        return work(self.load_encoder(), self.values, self.starts)

    @cached_property
    def windows(self) -> FloatArray:
        """(window, channel, time)."""
        return windows_at(self.values, self.starts, self.length)


@dataclass(frozen=True)
class Scores:
    """Scores of all windows.

    Attributes:
        windows: (window,) score.
        channels: (window, channel) its contributions, if the detector has them.
        fitted: what the detector has learned from training windows; the score of another window needs no more.
    """

    windows: FloatArray
    channels: FloatArray | None = None
    fitted: Fitted = field(default_factory=dict)


class Detector(Settings, ABC):
    """A choice of `conf/detector`."""

    @abstractmethod
    def score(self, inputs: DetectorInput) -> Scores:
        """A score for each window."""


class Glosh(Detector):
    """GLOSH outlier scores (Campello et al. 2015) of embeddings; `space: projection` is for comparison only."""

    space: Literal["embeddings", "projection"]
    min_cluster_share: float = Field(gt=0.0, lt=1.0)

    def score(self, inputs: DetectorInput) -> Scores:
        import hdbscan

        points = np.asarray(getattr(inputs, self.space), dtype=np.float64)
        size = max(5, round(self.min_cluster_share * len(points)))
        model = hdbscan.HDBSCAN(min_cluster_size=size, core_dist_n_jobs=1).fit(points)
        # duplicates have a core distance of zero, hence 0/0: such windows are no outliers
        return Scores(np.nan_to_num(model.outlier_scores_, nan=0.0))


class NearestNeighbours(Detector):
    """Distance to the k-th nearest training window in the embedding (Ramaswamy et al. 2000)."""

    k: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        from sklearn.neighbors import NearestNeighbors

        fitted = inputs.embeddings[inputs.train]
        # a training window finds itself first, so it is inputs one neighbour more
        k = min(self.k + 1, len(fitted))
        distances, _ = NearestNeighbors(n_neighbors=k).fit(fitted).kneighbors(inputs.embeddings)
        of_others = distances[:, max(k - 2, 0)]
        return Scores(np.where(inputs.train, distances[:, -1], of_others))


class MaskedPredictionError(Detector):
    """Error of predicting hidden values (`masked_errors`), per channel relative to its error in training.

    The window's score is the mean over channels.
    """

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)
    batch_size: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        from clusterwhy.encoders.masked import masked_errors, usual_errors

        errors = partial(
            masked_errors, length=inputs.length, n_parts=self.n_parts, block=self.block, batch_size=self.batch_size
        )
        channels = inputs.over_windows(errors)
        usual = usual_errors(channels[inputs.train])
        channels = channels / usual
        return Scores(channels.mean(axis=1), channels, {"usual": usual})


class ClippedPredictionError(Detector):
    """Prediction error in the worst stretch of a window, per channel relative to its mean in training, clipped.

    A channel that is constant most of the time has a tiny median error, so that any change in it dominates the score of
    `MaskedPredictionError`; dividing by the mean avoids this. No channel contributes more than `clip` times the
    `quantile` of its training errors. The window's score is the mean over channels.
    """

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)
    stretch: int = Field(ge=1)
    quantile: float = Field(gt=0.0, lt=1.0)
    clip: float = Field(ge=1.0)
    batch_size: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        worst = inputs.over_windows(partial(self._worst_stretch, inputs.length))
        mean = worst[inputs.train].mean(axis=0)
        # a channel that is constant in training has an error near 0
        usual = np.maximum(mean, 1e-3 * max(float(mean.max()), 1e-12))
        channels = worst / usual
        limit = self.clip * np.maximum(np.quantile(channels[inputs.train], self.quantile, axis=0), 1.0)
        channels = np.minimum(channels, limit)
        return Scores(channels.mean(axis=1), channels, {"usual": usual, "limit": limit})

    def _worst_stretch(self, length: int, encoder: "MaskedEncoder", values: FloatArray, starts: IntArray) -> FloatArray:
        """(window, channel) greatest mean squared error of neighbouring stretches of `stretch` samples."""
        from tqdm import tqdm

        from clusterwhy.encoders.masked import cell_errors

        firsts = np.arange(0, length, self.stretch)
        sizes = np.diff(np.append(firsts, length))
        found = []
        for first in tqdm(range(0, len(starts), self.batch_size), desc="predict", unit="batch", disable=None):
            windows = windows_at(values, starts[first : first + self.batch_size], length)
            cells = cell_errors(encoder, windows, self.n_parts, self.block, self.batch_size)
            found.append((np.add.reduceat(cells.astype(np.float64), firsts, axis=2) / sizes).max(axis=2))
        return np.concatenate(found)


class PcaError(Detector):
    """Reconstruction error of principal components fitted on training windows."""

    explained_share: float = Field(gt=0.0, lt=1.0)

    def score(self, inputs: DetectorInput) -> Scores:
        from sklearn.decomposition import PCA

        flat = inputs.windows.reshape(len(inputs.starts), -1)
        model = PCA(n_components=self.explained_share, svd_solver="full").fit(flat[inputs.train])
        squared = (flat - model.inverse_transform(model.transform(flat))) ** 2
        channels = squared.reshape(inputs.windows.shape).mean(axis=2).astype(np.float64)
        return Scores(channels.mean(axis=1), channels, {"mean": model.mean_, "components": model.components_})


class MeanAbsoluteZ(Detector):
    """Mean |z| of a window; the values are already standardised on the training span."""

    def score(self, inputs: DetectorInput) -> Scores:
        channels = np.abs(inputs.windows).mean(axis=2).astype(np.float64)
        return Scores(channels.mean(axis=1), channels)


class Random(Detector):
    """Uniform random numbers: the score of chance."""

    def score(self, inputs: DetectorInput) -> Scores:
        return Scores(np.random.default_rng(inputs.seed).random(len(inputs.starts)))
