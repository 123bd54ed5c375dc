"""Do two explanations rank the inputs of a window alike?"""

import numpy as np

from clusterwhy.types import FloatArray


def rank_correlation(first: FloatArray, second: FloatArray) -> float:
    """Mean over windows of Spearman's rank correlation of relevance.

    Args:
        first: (window, ...) relevance, with sign; pass |relevance| to compare sizes.
        second: the same shape.

    Returns:
        A value in [-1, 1]. Windows where either is constant are left out; NaN where no window is left.
    """
    from scipy.stats import spearmanr

    pairs = zip(first.reshape(len(first), -1), second.reshape(len(second), -1), strict=True)
    found = [float(spearmanr(a, b).statistic) for a, b in pairs if np.ptp(a) > 0 and np.ptp(b) > 0]
    return float(np.mean(found)) if found else float("nan")
