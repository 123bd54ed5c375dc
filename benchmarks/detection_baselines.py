"""Detectors to compare with, fitted on training windows only, and ideas for our own that were not taken."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import MeanAbsoluteZ, NearestNeighbours, PcaError, Random
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import cell_errors, usual_errors

EXPLAINED_SHARE, N_NEIGHBOURS, N_CENTRES = 0.95, 10, 20

Method = Callable[[DetectorInput], np.ndarray]  # (window,) higher is more anomalous


def mahalanobis(points: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance, covariance shrunk (Ledoit and Wolf 2004)."""
    return np.asarray(LedoitWolf().fit(points[train]).mahalanobis(points))


def over_mean(errors: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(window, channel) errors over their mean in training, floored at 1/1000 of the greatest."""
    usual = errors[train].mean(axis=0)
    return errors / np.maximum(usual, 1e-3 * usual.max())


def flat(inputs: DetectorInput) -> np.ndarray:
    """(window, channel x time)."""
    return inputs.windows.reshape(len(inputs.starts), -1)


def nearest(inputs: DetectorInput) -> np.ndarray:
    """Distance to the k-th nearest training window in the embedding."""
    return NearestNeighbours(k=N_NEIGHBOURS).score(inputs).windows


def nearest_raw(inputs: DetectorInput) -> np.ndarray:
    """The same of raw windows."""
    return nearest(replace(inputs, embeddings=flat(inputs)))


def pca_error(inputs: DetectorInput) -> np.ndarray:
    """Reconstruction error of windows."""
    return PcaError(explained_share=EXPLAINED_SHARE).score(inputs).windows


def pca_error_over_mean(inputs: DetectorInput) -> np.ndarray:
    """The same, each channel over its mean in training."""
    channels = PcaError(explained_share=EXPLAINED_SHARE).score(inputs).channels
    return over_mean(np.asarray(channels), inputs.train).mean(axis=1)


def _per_window(samples: np.ndarray, inputs: DetectorInput) -> np.ndarray:
    """(window,) means of (time,) scores."""
    return windows_at(samples[:, None], inputs.starts, inputs.length).mean(axis=(1, 2))


def pca_error_of_points(inputs: DetectorInput) -> np.ndarray:
    """Reconstruction error of single samples (channel,)."""
    stop = int((inputs.starts[inputs.train] + inputs.length).max())
    values = inputs.values.astype(np.float64)
    model = PCA(EXPLAINED_SHARE, svd_solver="full").fit(values[:stop])
    return _per_window(((values - model.inverse_transform(model.transform(values))) ** 2).mean(axis=1), inputs)


def k_means(inputs: DetectorInput) -> np.ndarray:
    """Distance of the raw window to its nearest centre (KMeansAD, Yairi et al. 2001)."""
    points = flat(inputs)
    fitted = points[inputs.train]
    model = KMeans(min(N_CENTRES, len(fitted)), n_init=1, random_state=inputs.seed).fit(fitted)
    return np.asarray(model.transform(points).min(axis=1))


def isolation_forest(inputs: DetectorInput) -> np.ndarray:
    """Isolation forest (Liu et al. 2008) on principal components of windows."""
    points, train = flat(inputs), inputs.train
    reduced = PCA(EXPLAINED_SHARE, svd_solver="full").fit(points[train]).transform(points)
    return -IsolationForest(random_state=inputs.seed).fit(reduced[train]).score_samples(reduced)


def matrix_profile(inputs: DetectorInput) -> np.ndarray:
    """z-normalised distance to the nearest subsequence of the training span, mean over channels (Yeh et al. 2016).

    0 for training windows, which would find themselves.
    """
    import stumpy

    stop = int((inputs.starts[inputs.train] + inputs.length).max())
    later = inputs.starts >= stop
    first, found = int(inputs.starts[later].min()), np.zeros(len(inputs.starts))
    values = inputs.values.astype(np.float64)
    for channel in range(values.shape[1]):
        train, test = values[:stop, channel], values[first:, channel]
        distances = stumpy.stump(test, inputs.length, train, ignore_trivial=False)[:, 0].astype(np.float64)
        found[later] += distances[inputs.starts[later] - first] / values.shape[1]
    return found


def max_absolute_z(inputs: DetectorInput) -> np.ndarray:
    """Mean over time of the greatest |z| of a channel."""
    return _per_window(np.abs(inputs.values).max(axis=1), inputs)


BASELINES: dict[str, Method] = {
    "PCA error": pca_error,
    "PCA error, channels over their mean": pca_error_over_mean,
    "PCA error of points": pca_error_of_points,
    "k-NN, raw windows": nearest_raw,
    "k-means": k_means,
    "isolation forest, PCA": isolation_forest,
    "matrix profile": matrix_profile,
    "mean abs. z": lambda inputs: MeanAbsoluteZ().score(inputs).windows,
    "max abs. z": max_absolute_z,
    "random": lambda inputs: Random().score(inputs).windows,
}


def _hidden_channels(inputs: DetectorInput, n_groups: int = 4) -> np.ndarray:
    """(window, channel) mean squared error of predicting every fourth channel from the others."""
    import torch

    encoder, errors = inputs.load_encoder(), []
    group_of = torch.arange(inputs.values.shape[1]) % n_groups
    with torch.inference_mode():
        for batch in torch.from_numpy(inputs.windows).split(128):
            squared = torch.zeros_like(batch)
            for group in range(n_groups):
                hidden = group_of == group
                predicted = encoder.predict(batch.masked_fill(hidden[None, :, None], 0.0))
                squared[:, hidden] = (predicted - batch)[:, hidden] ** 2
            errors.append(squared.mean(dim=2).numpy())
    return np.concatenate(errors).astype(np.float64)


def ideas(inputs: DetectorInput) -> dict[str, np.ndarray]:
    """(window,) scores of other ways to judge the same encoder, by what they do."""
    train = inputs.train
    cells = cell_errors(inputs.load_encoder(), inputs.windows, 3, 4, 128).astype(np.float64)
    errors = cells.mean(axis=2)
    ratio, high = over_mean(errors, train), np.quantile(errors[train], 0.99, axis=0)
    order = np.sort(errors[train], axis=0)
    above = len(order) + 1 - np.stack([np.searchsorted(o, e) for o, e in zip(order.T, errors.T, strict=True)], axis=1)
    surprise = -np.log(above / (len(order) + 1))
    worst = over_mean(cells.reshape(*cells.shape[:2], 4, -1).mean(axis=3).max(axis=2), train)
    over_median = (errors / usual_errors(errors[train])).mean(axis=1)
    return {
        "mean of raw errors": errors.mean(axis=1),
        "over the training mean": ratio.mean(axis=1),
        "over the training mean, clipped at 8": np.minimum(ratio, 8.0).mean(axis=1),
        "worst quarter of the window, not clipped": worst.mean(axis=1),
        "worst quarter of the window, clipped at 8": np.minimum(worst, 8.0).mean(axis=1),
        "over the 99 % quantile, greatest channel": (errors / np.maximum(high, 1e-3 * high.max())).max(axis=1),
        "log of the ratio to the mean": np.log1p(ratio).mean(axis=1),
        "tail probability in training, three strangest channels": np.sort(surprise, axis=1)[:, -3:].mean(axis=1),
        "tail probability in training, mean": surprise.mean(axis=1),
        "Mahalanobis distance of the channels' errors": mahalanobis(np.sqrt(ratio), train),
        "every fourth channel hidden, over the mean": over_mean(_hidden_channels(inputs), train).mean(axis=1),
        "over the median, ranks added to PCA error's": rankdata(over_median) + rankdata(pca_error(inputs)),
        "over the mean, times PCA error over the mean": ratio.mean(axis=1) * pca_error_over_mean(inputs),
    }
