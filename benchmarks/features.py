"""Kinds of features of windows that clusters are made from: the encoder's and those that need no training."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import kurtosis, skew
from sklearn.preprocessing import StandardScaler

from benchmarks.studies import Study
from clusterwhy.encoders.masked import embed
from clusterwhy.metrics.clusters import spectral_features

OURS = "trained encoder, standardised (ours)"


def standardised(features: np.ndarray) -> np.ndarray:
    """(window, feature) with mean 0 and standard deviation 1; what never changes or is not finite is left out."""
    kept = features[:, np.isfinite(features).all(axis=0)]
    return StandardScaler().fit_transform(kept[:, np.ptp(kept, axis=0) > 1e-9]).astype(np.float32)


def statistics(windows: np.ndarray) -> np.ndarray:
    """Mean, deviation, extremes, skewness, kurtosis and mean absolute step of each channel."""
    steps = np.abs(np.diff(windows, axis=2)).mean(axis=2)
    moments = [windows.mean(2), windows.std(2), windows.min(2), windows.max(2), skew(windows, 2), kurtosis(windows, 2)]
    return standardised(np.nan_to_num(np.concatenate([*moments, steps], axis=1)))


def catch22(windows: np.ndarray) -> np.ndarray:
    """catch22 of each channel, with its mean and deviation (Lubba et al. 2019)."""
    from pycatch22 import catch22_all

    rows = [[v for c in w for v in catch22_all(c.tolist(), catch24=True)["values"]] for w in windows.astype(float)]
    return standardised(np.array(rows))


def minirocket(windows: np.ndarray, seed: int) -> np.ndarray:
    """MiniRocket's 10 000 features (Dempster et al. 2021), tsai's implementation."""
    from tsai.models.MINIROCKET_Pytorch import MiniRocketFeatures

    network, inputs = MiniRocketFeatures(*windows.shape[1:], random_state=seed), torch.from_numpy(windows)
    network.fit(inputs)
    with torch.no_grad():
        return standardised(torch.cat([network(batch) for batch in inputs.split(128)]).numpy())


def untrained(made: Study) -> np.ndarray:
    """Embeddings by the encoder before training."""
    return embed(made.untrained, made.values, made.starts, made.length, 128)


FEATURES: dict[str, Callable[[Study], np.ndarray]] = {
    OURS: lambda made: standardised(made.embeddings),
    "trained encoder": lambda made: made.embeddings,
    "untrained encoder": untrained,
    "untrained encoder, standardised": lambda made: standardised(untrained(made)),
    "MiniRocket": lambda made: minirocket(made.windows, made.seed),
    "catch22": lambda made: catch22(made.windows),
    "statistics of channels": lambda made: statistics(made.windows),
    "spectral features": lambda made: spectral_features(made.windows),
    "spectral features, standardised": lambda made: standardised(spectral_features(made.windows)),
    "raw windows": lambda made: made.windows.reshape(len(made.windows), -1),
}
