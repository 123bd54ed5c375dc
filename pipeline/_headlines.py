"""The headline figures of a study, by the names that they have in W&B."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterwhy.artifacts.store import read_json

# name in W&B -> report, and the path of the metric in it; those that a study does not have are left out
HEADLINES: dict[str, tuple[str, ...]] = {
    "n_samples": ("prepare", "n_samples"),
    "n_channels": ("prepare", "n_channels"),
    "n_windows": ("prepare", "n_windows"),
    "train_loss": ("train", "train_loss"),
    "validation_loss": ("train", "validation_loss"),
    "n_parameters": ("train", "n_parameters"),
    "n_clusters": ("cluster", "n_clusters"),
    "noise_share": ("cluster", "noise_share"),
    "dbcv": ("cluster", "dbcv"),
    "silhouette": ("cluster", "silhouette_embeddings"),
    "stability": ("evaluate", "stability", "jaccard"),
    "stability_lowest": ("evaluate", "stability", "lowest"),
    "n_hidden_groups": ("evaluate", "n_hidden_groups"),
    "ami": ("evaluate", "clusters", "ours", "ami"),
    "ami_untrained": ("evaluate", "clusters", "untrained_encoder", "ami"),
    "ami_spectral": ("evaluate", "clusters", "spectral_features", "ami"),
    "ami_raw": ("evaluate", "clusters", "raw_windows", "ami"),
    "threshold": ("score", "threshold"),
    "n_anomalous_segments": ("score", "n_segments"),
    "anomalous_share": ("score", "anomalous_share"),
    "n_alarm_patterns": ("explain", "n_patterns"),
    "auroc": ("evaluate", "detection", "ours", "auroc"),
    "auroc_pca": ("evaluate", "detection", "pca_error", "auroc"),
    "average_precision": ("evaluate", "detection", "ours", "average_precision"),
    "n_explained_windows": ("explain_windows", "n_windows"),
    "explained_share": ("explain_windows", "covered_share"),
    "median_gap": ("explain", "median_abs_gap"),
    "anomaly_median_gap": ("explain", "anomaly_median_abs_gap"),
    "member_agreement": ("explain", "member_agreement"),
    "channel_deletion": ("explain", "channel_deletion", "relevance"),
    "channel_deletion_lrp": ("explain", "channel_deletion", "lrp"),
    "channel_deletion_z_score": ("explain", "channel_deletion", "z_score"),
    "channel_deletion_random": ("explain", "channel_deletion", "random"),
    "anomaly_channel_deletion": ("explain", "anomaly_channel_deletion", "relevance"),
    "anomaly_channel_deletion_z_score": ("explain", "anomaly_channel_deletion", "z_score"),
    "anomaly_channel_deletion_random": ("explain", "anomaly_channel_deletion", "random"),
    "flip_rate": ("explain", "flip_rate", "relevance"),
    "judged_accuracy": ("evaluate", "judged", "accuracy"),
    "randomised_similarity": ("evaluate", "faithfulness", "similarity", "randomised_100"),
    "balanced_accuracy": ("classify", "test", "network", "balanced_accuracy"),
    "temperature": ("classify", "temperature"),
}


def headline_figures(reports: Path) -> dict[str, float]:
    """The headline figures of a finished study, by their names in W&B; those that are undefined are left out."""
    found = {}
    read: dict[str, Any] = {}
    for name, (stage, *path) in HEADLINES.items():
        if stage not in read:
            file = reports / f"{stage}.json"
            read[stage] = read_json(file) if file.is_file() else {}
        value = read[stage]
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int | float):
            found[name] = value
    return found
