"""Synthetic studies whose settings and condensed tree are known, for tests of what a served page tries."""

from typing import Any

import numpy as np

from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.config import build_settings
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.trials import Trials

HDBSCAN = {
    "_target_": "clusterwhy.clustering.density.Hdbscan",
    "space": "projection",
    "min_cluster_share": 0.05,
    "min_samples_share": 0.05,
    "selection": "eom",
    "cluster_selection_epsilon": 0.0,
}
UMAP = {
    "_target_": "clusterwhy.projection.Umap",
    "standardise": True,
    "n_neighbors": 10,
    "min_dist": 0.0,
    "metric": "euclidean",
}
STATES = {
    "_target_": "clusterwhy.clustering.states.States",
    "space": "embeddings",
    "penalty": 1.2,
    "components": 12,
    "min_windows": 5,
    "blocks": 2000,
}
PCA = {"_target_": "clusterwhy.projection.Pca", "standardise": True}
FILES = {"clusterer": "conf/clusterer/hdbscan.yaml", "projection": "conf/projection/umap.yaml"}


def trials_of(study: StudyResults, clusterer: dict[str, Any] = HDBSCAN, projection: dict[str, Any] = UMAP) -> Trials:
    """Write the settings of a study and the tree that they give; its labels stay."""
    for stage, group, config in (("cluster", "clusterer", clusterer), ("project", "projection", projection)):
        told = study.provenance(stage)
        write_json(
            study.folders[stage] / "provenance.json", told | {"config": told["config"] | {group: config, "seed": 0}}
        )
    embeddings, own = np.asarray(study.embeddings), build_settings({"clusterer": clusterer})["clusterer"]
    points = embeddings if own.space == "embeddings" else np.asarray(study.projection)
    found = own.fit(points, embeddings, study.data.index)
    write_table(study.folders["cluster"] / "condensed_tree.parquet", found.tree)
    return Trials(study, FILES)
