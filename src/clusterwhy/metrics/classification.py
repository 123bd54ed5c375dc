"""Classification of held-out windows: scores, confusion, and baselines on spectra."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.metrics.calibration import brier_score, expected_calibration_error, reliability
from clusterwhy.metrics.clusters import spectral_features
from clusterwhy.types import FloatArray, IntArray

N_BINS = 10


def measures(probabilities: FloatArray, labels: IntArray) -> dict[str, float]:
    """Accuracy, its mean over classes, macro F1 and AUROC (one against the rest), log loss, Brier score, ECE.

    Args:
        probabilities: (window, class).
        labels: (window,) codes; each class occurs.
    """
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score

    predicted, codes = probabilities.argmax(axis=1), np.arange(probabilities.shape[1])
    areas = [roc_auc_score(labels == code, probabilities[:, code]) for code in codes]
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro", labels=codes, zero_division=0.0)),
        "macro_auroc": float(np.mean(areas)),
        "log_loss": float(log_loss(labels, probabilities, labels=codes)),
        "brier": brier_score(probabilities, labels),
        "ece": expected_calibration_error(reliability(probabilities, labels, N_BINS)),
    }


def confusion(labels: IntArray, predicted: IntArray, names: tuple[str, ...]) -> pd.DataFrame:
    """Windows by class: a row per true class (`true`), a column per predicted one."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predicted, labels=np.arange(len(names)))
    return pd.concat([pd.Series(names, name="true"), pd.DataFrame(counts, columns=list(names))], axis=1)


def report(labels: IntArray, predicted: IntArray, names: tuple[str, ...]) -> pd.DataFrame:
    """`class`, `precision`, `recall`, `f1`, `n_windows` of each class, then their plain and weighted means."""
    from sklearn.metrics import classification_report

    # by number: a class may be called "accuracy"
    codes = list(range(len(names)))
    found: dict[str, Any] = classification_report(labels, predicted, labels=codes, output_dict=True, zero_division=0.0)
    rows = {name: found[str(code)] for code, name in enumerate(names)}
    means = {"mean of classes": found["macro avg"], "mean of windows": found["weighted avg"]}
    table = pd.DataFrame([*rows.values(), *means.values()]).rename(columns={"f1-score": "f1", "support": "n_windows"})
    table.insert(0, "class", [*rows, *means])
    return table.astype({"n_windows": int})


def baselines(train: FloatArray, labels: IntArray, test: FloatArray, seed: int) -> dict[str, FloatArray]:
    """Predictions of a random forest and a logistic regression on log spectra for the test windows.

    Args:
        train, test: (window, channel, time), scaled alike.
        labels: (window,) of the training windows; each class occurs.

    Returns:
        Baseline -> probabilities (window, class).
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = {
        "random_forest": RandomForestClassifier(200, class_weight="balanced", random_state=seed),
        # weakly regularised it does not converge on hundreds of correlated spectral lines
        "logistic_regression": make_pipeline(
            StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
        ),
    }
    features, unseen = spectral_features(train), spectral_features(test)
    return {name: model.fit(features, labels).predict_proba(unseen) for name, model in models.items()}
