"""Bootstrap: the uncertainty of a mean over windows."""

import numpy as np

from clusterwhy.types import FloatArray

N_BOOTSTRAP = 1000


def bootstrap_means(values: FloatArray, seed: int, n_draws: int = N_BOOTSTRAP) -> FloatArray:
    """(draw, ...) means over windows drawn with replacement from values (window, ...) (Efron 1979)."""
    count = len(values)
    # how often each window is drawn, which needs no copies of the windows
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), n_draws) / count
    means = weights @ np.asarray(values, dtype=np.float64).reshape(count, -1)
    return np.asarray(means.reshape(n_draws, *values.shape[1:]))
