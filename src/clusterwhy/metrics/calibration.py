"""Are probabilities calibrated? Reliability table, calibration errors, temperature scaling."""

import numpy as np
import pandas as pd

from clusterwhy.types import FloatArray, IntArray


def softmax(logits: FloatArray, temperature: float) -> FloatArray:
    """(window, class) float64 probabilities of logits divided by `temperature`."""
    from scipy.special import softmax as of_scipy

    return np.asarray(of_scipy(np.asarray(logits, dtype=np.float64) / temperature, axis=1))


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """The temperature in [0.05, 20] with the lowest cross-entropy on these windows (Guo et al. 2017).

    Labels are smoothed by one window of each class (as Platt 1999 does for two classes): without it, a few windows
    that are all classified correctly would push every probability to 1.

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
    """Accuracy of the predicted class by its predicted probability (its confidence).

    Args:
        probabilities: (window, class).

    Returns:
        One row per non-empty bin of confidence (low, high], in ascending order: `low`, `high`, `n_windows`, and the
        means over its windows, `confidence` and `accuracy`.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    rows = []
    for i in np.unique(place):
        inside = place == i
        rows.append((edges[i], edges[i + 1], int(inside.sum()), confidence[inside].mean(), correct[inside].mean()))
    return pd.DataFrame(rows, columns=["low", "high", "n_windows", "confidence", "accuracy"])


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean over windows of |accuracy - confidence| of their bin, from a table of `reliability`."""
    weights = table["n_windows"] / table["n_windows"].sum()
    return float((weights * (table["accuracy"] - table["confidence"]).abs()).sum())


def brier_score(probabilities: FloatArray, labels: IntArray) -> float:
    """Mean over windows of the squared distance to the true class's unit vector (Brier 1950): 0 to 2."""
    from sklearn.metrics import brier_score_loss

    codes = np.arange(probabilities.shape[1])
    return float(brier_score_loss(labels, probabilities, labels=codes, scale_by_half=False))
