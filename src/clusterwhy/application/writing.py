"""What an application writes beside embeddings, places and scores: explanations, as the stages of a study do."""

from typing import Any

from clusterwhy.application.applying import Application
from clusterwhy.explanations.noise import noise_table
from clusterwhy.explanations.storage import (
    anomaly_figures,
    cluster_figures,
    save_anomalies,
    save_clusters,
    save_windows,
)
from clusterwhy.explanations.units import Units


def write_explanations(applied: Application) -> dict[str, Any]:
    """Explain clusters, anomalies and single windows into the folder of the application.

    Returns:
        Figures that sum them up, for the metrics, with the numbers `n_clusters` and `n_anomalies` that were explained.
    """
    card, out = applied.study.data.card, applied.out
    units = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz)
    clusters, anomalies = applied.explain_clusters(), applied.explain_anomalies()
    save_clusters(out / "explain", clusters, units)
    save_anomalies(out / "explain", anomalies)
    windows = applied.explain_windows()
    noise = noise_table(windows.windows, windows.channels, card.channels)
    save_windows(out / "explain_windows", windows, noise, len(applied.data.index))
    counts = {"n_clusters": len(clusters.clusters), "n_anomalies": len(anomalies.windows)}
    return counts | cluster_figures(clusters) | anomaly_figures(anomalies)
