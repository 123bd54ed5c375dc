"""Ideas for better clusters, held against the default on a few series: from other embeddings to other cluster sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.preprocessing import normalize
from tqdm import tqdm

from benchmarks.features import catch22, standardised
from benchmarks.studies import Study
from clusterwhy.clustering.density import Hdbscan
from clusterwhy.metrics.clusters import spectral_features
from clusterwhy.projection import Umap

DEVELOPED_ON = ("watch 1", "watch 2", "basic motions")
PROJECTION_SEEDS = (0, 1, 2)


class UmapInto:
    """UMAP as `conf/projection/umap.yaml` into more than two dimensions."""

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    def fit(self, points: np.ndarray, seed: int) -> np.ndarray:
        """(window, feature) -> (window, component)."""
        from umap import UMAP

        network = UMAP(n_neighbors=15, min_dist=0.0, n_components=self.n_components, random_state=seed, n_jobs=1)
        return np.asarray(network.fit_transform(points))


def mean_and_deviation(made: Study) -> np.ndarray:
    """Mean and standard deviation over time of the encoder's feature maps."""
    with torch.no_grad():
        maps = torch.cat([made.encoder.backbone(batch) for batch in torch.from_numpy(made.windows).split(128)])
    return standardised(torch.cat([maps.mean(2), maps.std(2)], dim=1).numpy())


def layers(made: Study) -> np.ndarray:
    """Mean over time of the feature maps of every inception module."""
    from tsai.models.InceptionTimePlus import InceptionModulePlus

    kept: list[torch.Tensor] = []
    modules = [module for module in made.encoder.backbone.modules() if isinstance(module, InceptionModulePlus)]
    handles = [module.register_forward_hook(lambda *call: kept.append(call[2].mean(2))) for module in modules]
    try:
        with torch.no_grad():
            made.encoder(torch.from_numpy(made.windows))
    finally:
        for handle in handles:
            handle.remove()
    return standardised(torch.cat(kept, dim=1).numpy())


def beside(made: Study, others: np.ndarray) -> np.ndarray:
    """The embedding beside other features, both standardised, each with the same total variance."""
    parts = standardised(made.embeddings), standardised(others)
    return np.concatenate([part / np.sqrt(part.shape[1]) for part in parts], axis=1)


def whitened(made: Study, n_components: int) -> np.ndarray:
    """Principal components of the embedding, with the same variance each."""
    return PCA(min(n_components, len(made.windows) - 1), whiten=True, random_state=0).fit_transform(made.embeddings)


def default(made: Study) -> np.ndarray:
    """The embedding as it is."""
    return made.embeddings


def scaled(made: Study) -> np.ndarray:
    """The embedding with standardised features."""
    return standardised(made.embeddings)


def umap(n_neighbors: int, min_dist: float = 0.0) -> Umap:
    """UMAP with another neighbourhood."""
    return Umap(n_neighbors=n_neighbors, min_dist=min_dist, metric="euclidean", standardise=False)


def sizes(share: float, selection: Any = "eom") -> Hdbscan:
    """HDBSCAN with another share of windows in the smallest cluster."""
    return Hdbscan(space="projection", min_cluster_share=share, min_samples_share=share / 4, selection=selection)


# idea: points, projection (None: that of params.yaml), clusterer (None: likewise)
IDEAS: dict[str, tuple[Callable[[Study], np.ndarray], Any, Any]] = {
    "embedding as it is": (default, None, None),
    "standardised": (scaled, None, None),
    "unit length (cosine)": (lambda made: normalize(made.embeddings), None, None),
    "standardised, unit length": (lambda made: normalize(scaled(made)), None, None),
    "square root": (lambda made: np.sqrt(np.maximum(made.embeddings, 0.0)), None, None),
    "whitened, 8 components": (lambda made: whitened(made, 8), None, None),
    "whitened, 32 components": (lambda made: whitened(made, 32), None, None),
    "mean and deviation over time, standardised": (mean_and_deviation, None, None),
    "all six layers, standardised": (layers, None, None),
    "beside spectral features": (lambda made: beside(made, spectral_features(made.windows)), None, None),
    "beside catch22": (lambda made: beside(made, catch22(made.windows)), None, None),
    "UMAP of 8 neighbours": (default, umap(8), None),
    "UMAP of 30 neighbours": (default, umap(30), None),
    "UMAP with min_dist 0.1": (default, umap(15, 0.1), None),
    "UMAP into 5 dimensions": (default, UmapInto(5), None),
    "UMAP into 10 dimensions": (default, UmapInto(10), None),
    "standardised, UMAP of 8 neighbours": (scaled, umap(8), None),
    "standardised, UMAP of 30 neighbours": (scaled, umap(30), None),
    "standardised, UMAP into 5 dimensions": (scaled, UmapInto(5), None),
    "clusters of 3 % at least": (default, None, sizes(0.03)),
    "clusters of 8 % at least": (default, None, sizes(0.08)),
    "leaves of the tree": (default, None, sizes(0.05, "leaf")),
}


def tried(studies: dict[str, Study]) -> pd.DataFrame:
    """AMI of each idea on each series, means over three seeds of the projection; the best idea first."""
    rows = []
    for idea, (features, projection, clusterer) in tqdm(IDEAS.items(), unit="idea", disable=None):
        row: dict[str, Any] = {"idea": idea}
        for name, made in studies.items():
            points, truth, found = features(made), made.index["label"].to_numpy(), []
            for seed in PROJECTION_SEEDS:
                placed = (projection or made.settings["projection"]).fit(points, seed)
                labels = (clusterer or made.settings["clusterer"]).fit(placed).labels
                found.append(adjusted_mutual_info_score(truth, labels))
            row[name] = float(np.mean(found))
        rows.append(row | {"mean": float(np.mean([row[name] for name in studies]))})
    return pd.DataFrame(rows).sort_values("mean", ascending=False)
