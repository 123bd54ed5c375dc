"""A score without a network: does a channel agree with the others, and does the window look like usual ones?"""

import warnings

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, DetectorInput, Fitted, Scores
from clusterwhy.anomaly.detectors import PcaError
from clusterwhy.compute.seeding import drawn
from clusterwhy.data.windows import windows_at
from clusterwhy.types import FloatArray

LEAST = 1e-3  # usual value of a channel, as a share of the greatest: one that is constant in training has none


class RelationAndShape(Detector):
    """Three errors for each channel, each over its usual size, on a log scale, added.

    `relation`: the greatest squared error of a sample in predicting a channel from all others at that moment, in
    standard deviations of that error. A Gaussian model with a shrunk covariance (Ledoit and Wolf 2004) gives it in
    closed form, as (P (x - mean))_c ^ 2 / P_cc with the precision P. `shape`: the mean squared distance to the nearest
    of `n_shapes` typical windows (k-means). `residual`: what principal components of windows leave (`PcaError`). The
    usual size is the `quantile` of the training windows; with log(1 + error / usual) one wild channel does not hide all
    others. The score is the mean over channels of the sum.
    """

    n_shapes: int = Field(ge=1)
    explained_share: float = Field(gt=0.0, lt=1.0)
    quantile: float = Field(gt=0.0, lt=1.0)
    sample: int = Field(default=5000, ge=2)

    def score(self, inputs: DetectorInput) -> Scores:
        starts = inputs.starts[inputs.train]
        if len(starts) > self.sample:
            starts = starts[drawn(len(starts), self.sample, inputs.seed)]
        windows = windows_at(inputs.values, starts, inputs.length)
        fitted = relation_model(samples_inside(inputs.values, starts, inputs.length))
        fitted |= {"shapes": self._shapes(windows, inputs.seed)}
        relation = relation_errors(windows, fitted)
        shape = nearest_shape(shape_distances(windows, fitted))
        residual = PcaError(explained_share=self.explained_share, sample=self.sample).score(inputs)
        fitted |= {f"residual_{name}": values for name, values in residual.fitted.items()}
        left = residual_errors(windows, fitted)
        fitted["usual"] = np.stack([usual_sizes(errors, self.quantile) for errors in (relation, shape, left)])
        return self.score_new(inputs, fitted, inputs)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        channels = inputs.in_parts(lambda windows: _parts(windows, fitted))
        return Scores(channels.mean(axis=1), channels, fitted)

    def _shapes(self, windows: FloatArray, seed: int) -> FloatArray:
        """(shape, channel, time)."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            # fewer different windows than shapes
            warnings.simplefilter("ignore", ConvergenceWarning)
            clusters = KMeans(min(self.n_shapes, len(windows)), n_init=1, random_state=seed)
            clusters.fit(windows.reshape(len(windows), -1))
        shapes: FloatArray = clusters.cluster_centers_.reshape(-1, *windows.shape[1:])
        return shapes


def relation_model(samples: FloatArray) -> Fitted:
    """`mean` (channel,) and `relation` (channel, channel) of samples (sample, channel), for `relation_errors`."""
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf().fit(samples.astype(np.float64))
    precision = covariance.precision_
    return {
        "mean": covariance.location_,
        "relation": precision / np.sqrt(np.maximum(np.diag(precision), 1e-12)),
    }


def usual_sizes(errors: FloatArray, quantile: float) -> FloatArray:
    """(channel,) of errors (window, channel): a quantile, or a small share of the greatest one."""
    usual = np.quantile(errors, quantile, axis=0)
    floored: FloatArray = np.maximum(usual, LEAST * usual.max() + 1e-12)
    return floored


def samples_inside(values: FloatArray, starts: np.ndarray, length: int) -> FloatArray:
    """(sample, channel) values inside the windows, each once."""
    inside = np.zeros(len(values) + 1)
    np.add.at(inside, starts, 1)
    np.add.at(inside, starts + length, -1)
    found: FloatArray = values[np.cumsum(inside)[:-1] > 0]
    return found


def relation_errors(windows: FloatArray, fitted: Fitted) -> FloatArray:
    """(window, channel) greatest squared error, in standard deviations of the prediction."""
    wrong = (windows.transpose(0, 2, 1) - fitted["mean"]) @ fitted["relation"]
    worst: FloatArray = (wrong**2).max(axis=1)
    return worst


def shape_distances(windows: FloatArray, fitted: Fitted) -> FloatArray:
    """(window, shape, channel) mean squared distances."""
    return np.stack([((windows - shape) ** 2).mean(axis=2) for shape in fitted["shapes"]], axis=1)


def nearest_shape(distances: FloatArray) -> FloatArray:
    """(window, channel) of the shape with the least mean over channels, from (window, shape, channel)."""
    found: FloatArray = distances[np.arange(len(distances)), distances.mean(axis=2).argmin(axis=1)]
    return found


def residual_errors(windows: FloatArray, fitted: Fitted) -> FloatArray:
    """(window, channel) mean squared errors of principal components."""
    return PcaError.errors(windows, fitted["residual_mean"], fitted["residual_components"])


def _parts(windows: FloatArray, fitted: Fitted) -> FloatArray:
    """(window, channel)."""
    usual_relation, usual_shape, usual_residual = fitted["usual"]
    shape = nearest_shape(np.log1p(shape_distances(windows, fitted) / usual_shape))
    relation = np.log1p(relation_errors(windows, fitted) / usual_relation)
    return relation + shape + np.log1p(residual_errors(windows, fitted) / usual_residual)
