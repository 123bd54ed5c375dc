"""Bootstrap: the uncertainty of a mean over windows (Efron 1979)."""

import numpy as np

from clusterwhy.types import FloatArray

N_BOOTSTRAP = 1000


def bootstrap_means(values: FloatArray, seed: int | np.random.Generator, n_draws: int = N_BOOTSTRAP) -> FloatArray:
    """(draw, ...) means over windows drawn with replacement from values (window, ...).

    Args:
        values: (window, ...).
        seed: a seed, or a generator whose next numbers are used.
        n_draws: resamples.
    """
    count = len(values)
    drawn = np.random.default_rng(seed).integers(0, count, (n_draws, count))
    # how often each window is drawn: the product below needs no copies of the windows
    cells = drawn + count * np.arange(n_draws)[:, None]
    weights = np.bincount(cells.ravel(), minlength=n_draws * count).reshape(n_draws, count) / count
    means = weights @ np.asarray(values, dtype=np.float64).reshape(count, -1)
    return np.asarray(means.reshape(n_draws, *values.shape[1:]))


def percentile_limits(draws: FloatArray, confidence: float = 0.95) -> FloatArray:
    """(low and high, ...) limits of an interval, from bootstrap draws (draw, ...)."""
    return np.asarray(np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0))
