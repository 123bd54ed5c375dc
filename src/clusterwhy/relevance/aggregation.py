"""From relevance of windows to statements about a cluster, with its uncertainty."""

import numpy as np
import pandas as pd

from clusterwhy.types import FloatArray

N_BOOTSTRAP = 1000


def channel_importance(relevance: FloatArray, channels: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Mean share of each channel over the explained windows of one cluster, with 95 % intervals.

    Args:
        relevance: (window, channel, time), signed.

    Returns:
        One row per channel: `absolute` is its share of all |relevance|; `signed` its summed
        relevance over all |relevance|, so that supporting and opposing evidence stay apart. The
        limits are percentiles of 1000 bootstrap means over windows (Efron 1979). No shifting.
    """
    size = np.abs(relevance).sum(axis=(1, 2), keepdims=True)
    shares = relevance / np.where(size > 0, size, 1.0)
    columns: dict[str, object] = {"channel": list(channels)}
    draws = np.random.default_rng(seed).integers(0, len(relevance), (N_BOOTSTRAP, len(relevance)))
    for name, values in (("absolute", np.abs(shares).sum(axis=2)), ("signed", shares.sum(axis=2))):
        low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975], axis=0)
        columns |= {name: values.mean(axis=0), f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def time_map(relevance: FloatArray) -> FloatArray:
    """(channel, time) mean signed relevance, as a share of the mean summed |relevance|."""
    size = float(np.abs(relevance).sum(axis=(1, 2)).mean())
    return relevance.mean(axis=0) / (size or 1.0)
