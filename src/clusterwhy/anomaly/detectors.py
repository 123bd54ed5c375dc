"""Anomaly scores per window: higher is more anomalous. Everything is fitted on training windows only."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, DetectorInput, Fitted, Scores
from clusterwhy.compute.seeding import drawn
from clusterwhy.data.windows import windows_at
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


class Glosh(Detector):
    """GLOSH outlier scores (Campello et al. 2015) of embeddings; `space: projection` is for comparison only."""

    local: ClassVar[bool] = True
    space: Literal["embeddings", "projection"]
    min_cluster_share: float = Field(gt=0.0, lt=1.0)

    def score(self, inputs: DetectorInput) -> Scores:
        # duplicates have a core distance of zero, hence 0/0: such windows are no outliers
        return Scores(np.nan_to_num(self._model(inputs).outlier_scores_, nan=0.0))

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        import hdbscan

        model, points = self._model(study), np.asarray(getattr(inputs, self.space), dtype=np.float64)
        return Scores(np.nan_to_num(hdbscan.approximate_predict_scores(model, points), nan=0.0))

    def _model(self, inputs: DetectorInput) -> Any:
        import hdbscan

        points = np.asarray(getattr(inputs, self.space), dtype=np.float64)
        size = max(5, round(self.min_cluster_share * len(points)))
        return hdbscan.HDBSCAN(min_cluster_size=size, core_dist_n_jobs=1, prediction_data=True).fit(points)


class NearestNeighbours(Detector):
    """Distance to the k-th nearest training window in the embedding (Ramaswamy et al. 2000)."""

    k: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        return self.score_new(inputs, {}, inputs)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        from sklearn.neighbors import NearestNeighbors

        points = study.embeddings[study.train]
        # a training window finds itself first, so it is inputs one neighbour more
        k = min(self.k + 1, len(points))
        distances, _ = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(inputs.embeddings)
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
        from clusterwhy.encoders.masked import usual_errors

        errors = self._errors(inputs)
        return self._scores(errors, {"usual": usual_errors(errors[inputs.train])})

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        return self._scores(self._errors(inputs), fitted)

    def _errors(self, inputs: DetectorInput) -> FloatArray:
        from clusterwhy.encoders.masked import masked_errors

        errors = partial(
            masked_errors, length=inputs.length, n_parts=self.n_parts, block=self.block, batch_size=self.batch_size
        )
        return inputs.over_windows(errors)

    def _scores(self, errors: FloatArray, fitted: Fitted) -> Scores:
        channels = errors / fitted["usual"]
        return Scores(channels.mean(axis=1), channels, fitted)


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
        worst = self._worst(inputs)
        mean = worst[inputs.train].mean(axis=0)
        # a channel that is constant in training has an error near 0
        usual = np.maximum(mean, 1e-3 * max(float(mean.max()), 1e-12))
        limit = self.clip * np.maximum(np.quantile(worst[inputs.train] / usual, self.quantile, axis=0), 1.0)
        return self._scores(worst, {"usual": usual, "limit": limit})

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        return self._scores(self._worst(inputs), fitted)

    def _worst(self, inputs: DetectorInput) -> FloatArray:
        own = {name: getattr(self, name) for name in ("stretch", "n_parts", "block", "batch_size")}
        return inputs.over_windows(partial(worst_stretches, length=inputs.length, **own))

    def _scores(self, worst: FloatArray, fitted: Fitted) -> Scores:
        channels = np.minimum(worst / fitted["usual"], fitted["limit"])
        return Scores(channels.mean(axis=1), channels, fitted)


def worst_stretches(
    encoder: "MaskedEncoder",
    values: FloatArray,
    starts: IntArray,
    length: int,
    stretch: int,
    n_parts: int,
    block: int,
    batch_size: int,
) -> FloatArray:
    """(window, channel) greatest mean squared error, in predicting hidden values, of stretches of `stretch` samples."""
    from clusterwhy.compute.progress import progress
    from clusterwhy.encoders.masked import cell_errors

    firsts = np.arange(0, length, stretch)
    sizes = np.diff(np.append(firsts, length))
    found = []
    for first in progress(range(0, len(starts), batch_size), desc="predict", unit="batch"):
        windows = windows_at(values, starts[first : first + batch_size], length)
        cells = cell_errors(encoder, windows, n_parts, block, batch_size)
        found.append((np.add.reduceat(cells.astype(np.float64), firsts, axis=2) / sizes).max(axis=2))
    return np.concatenate(found)


class PcaError(Detector):
    """Reconstruction error of principal components fitted on training windows, on at most `sample` of them."""

    explained_share: float = Field(gt=0.0, lt=1.0)
    sample: int = Field(default=5000, ge=2)

    def score(self, inputs: DetectorInput) -> Scores:
        from sklearn.decomposition import PCA

        starts = inputs.starts[inputs.train]
        if len(starts) > self.sample:
            starts = starts[drawn(len(starts), self.sample, inputs.seed)]
        flat = windows_at(inputs.values, starts, inputs.length).reshape(len(starts), -1)
        if not np.ptp(flat, axis=0).any():  # nothing varies: what is left is the deviation from these equal windows
            return self.score_new(inputs, {"mean": flat[0], "components": np.zeros_like(flat[:1])}, inputs)
        model = PCA(n_components=self.explained_share, svd_solver="full").fit(flat)
        return self.score_new(inputs, {"mean": model.mean_, "components": model.components_}, inputs)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        channels = inputs.in_parts(lambda windows: self.errors(windows, **fitted))
        return Scores(channels.mean(axis=1), channels, fitted)

    @staticmethod
    def errors(windows: FloatArray, mean: FloatArray, components: FloatArray) -> FloatArray:
        """(window, channel) mean squared errors of windows (window, channel, time)."""
        centred = windows.reshape(len(windows), -1) - mean
        squared = (centred - (centred @ components.T) @ components) ** 2
        return squared.reshape(windows.shape).mean(axis=2).astype(np.float64)


class MeanAbsoluteZ(Detector):
    """Mean |z| of a window; the values are already standardised on the training span."""

    def score(self, inputs: DetectorInput) -> Scores:
        return self.score_new(inputs, {}, inputs)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        channels = inputs.in_parts(lambda windows: np.abs(windows).mean(axis=2).astype(np.float64))
        return Scores(channels.mean(axis=1), channels)


class Random(Detector):
    """Uniform random numbers: the score of chance."""

    local: ClassVar[bool] = True

    def score(self, inputs: DetectorInput) -> Scores:
        return Scores(np.random.default_rng(inputs.seed).random(len(inputs.starts)))

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        return self.score(inputs)
