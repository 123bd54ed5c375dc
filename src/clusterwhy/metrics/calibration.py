"""Do probabilities mean what they say? Reliability, its errors, and the temperature that mends them."""

import numpy as np
import pandas as pd

from clusterwhy.types import FloatArray, IntArray


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """(window, class) float64 probabilities of logits divided by `temperature`."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """The temperature with the least cross-entropy on these windows, between 0.05 and 20 (Guo et al. 2017).

    The truth is smoothed by one window of each class (as Platt 1999 does with two classes): otherwise a few windows
    without a mistake would make every probability 1.

    Args:
        logits: (window, class) of windows that the network was not fitted on.
    """
    from scipy.optimize import minimize_scalar

    n_windows, n_classes = logits.shape
    truth = (np.eye(n_classes)[labels] * n_windows + 1.0) / (n_windows + n_classes)

    def cross_entropy(log_temperature: float) -> float:
        probabilities = softmax(logits, float(np.exp(log_temperature)))
        return float(-(truth * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1).mean())

    found = minimize_scalar(cross_entropy, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def reliability(probabilities: FloatArray, labels: IntArray, n_bins: int) -> pd.DataFrame:
    """How often the most probable class is right, by how probable it is said to be.

    Args:
        probabilities: (window, class).

    Returns:
        One row per bin that is not empty, from low to high confidence (low, high]: `low`, `high`, `n_windows`,
        `confidence` and `accuracy`, means over its windows.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    rows = []
    for i in np.unique(place):
        inside = place == i
        rows.append((edges[i], edges[i + 1], int(inside.sum()), confidence[inside].mean(), right[inside].mean()))
    return pd.DataFrame(rows, columns=["low", "high", "n_windows", "confidence", "accuracy"])


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean over windows of |accuracy - confidence| of their bin, from a table of `reliability`."""
    weights = table["n_windows"] / table["n_windows"].sum()
    return float((weights * (table["accuracy"] - table["confidence"]).abs()).sum())


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean over windows of the squared distance to the true class's unit vector (Brier 1950): 0 to 2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())
