"""How well scores find labelled anomalies."""

import numpy as np

from clusterwhy.types import BoolArray, FloatArray


def ranking_quality(anomalous: BoolArray, scores: FloatArray) -> dict[str, float]:
    """AUROC and average precision of per-sample scores.

    Args:
        anomalous: (time,) True inside labelled anomalies.
        scores: (time,) NaN where no window lies; such samples are left out.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    kept = np.isfinite(scores)
    truth = anomalous[kept]
    if truth.all() or not truth.any():
        return {}
    return {
        "auroc": float(roc_auc_score(truth, scores[kept])),
        "average_precision": float(average_precision_score(truth, scores[kept])),
        "anomalous_share": float(truth.mean()),
    }
