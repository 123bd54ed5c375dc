"""Two-dimensional projections of embeddings."""

import warnings
from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field

from clusterwhy.compute.rounding import coincide, varies
from clusterwhy.compute.seeding import drawn
from clusterwhy.config import Settings
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray

PART = 10_000  # windows that are placed at a time


class Projection(Settings, ABC):
    """The base of every projection.

    `standardise` scales each feature of the embedding to mean 0 and variance 1 over all windows first: features with
    large values would dominate the others. Features that are constant up to the rounding of float32 become 0.
    `pca_components`: of which so many principal components are projected; None: all features.
    """

    standardise: bool = True
    pca_components: int | None = Field(default=None, ge=2)

    def fitted(self, n_windows: int, seed: int) -> BoolArray:
        """(window,) those that it is fitted on: all."""
        return np.ones(n_windows, dtype=bool)

    def points(self, embeddings: FloatArray, fitted: FloatArray | None = None) -> FloatArray:
        """(window, feature) embeddings as they are projected: standardised or not, all features or components.

        Args:
            fitted: (window, feature) embeddings whose moments standardise, and whose components are taken; None: the
                same.

        Raises:
            DataError: more components than windows or features.
        """
        known = embeddings if fitted is None else fitted
        scaled = self._scaled(embeddings, known)
        if self.pca_components is None:
            return scaled
        from sklearn.decomposition import PCA

        if self.pca_components > min(known.shape):
            what = f"{len(known)} windows x {known.shape[1]} features"
            raise DataError("projection", [f"{what}, but `projection.pca_components` is {self.pca_components}"])
        axes = PCA(self.pca_components, svd_solver="covariance_eigh").fit(self._scaled(known, known))
        return np.asarray(axes.transform(scaled), dtype=np.float32)

    def _scaled(self, embeddings: FloatArray, known: FloatArray) -> FloatArray:
        if not self.standardise:
            return embeddings
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(np.asarray(known, dtype=np.float64))
        scaled = scaler.transform(np.asarray(embeddings, dtype=np.float64))
        return np.where(varies(known), scaled, 0.0).astype(np.float32)

    @abstractmethod
    def fit(self, embeddings: FloatArray, seed: int) -> FloatArray:
        """(window, feature) -> (window, 2)."""

    @abstractmethod
    def place(self, new: FloatArray, embeddings: FloatArray, projection: FloatArray, seed: int) -> FloatArray:
        """(new window, 2) places of new windows in the projection of others.

        Args:
            new: (new window, feature) embeddings of windows that were not projected.
            embeddings: (window, feature) of the projected windows.
            projection: (window, 2) of these, by `fit` with this seed.
        """


class NeighbourProjection(Projection):
    """The base of projections that keep neighbours together, and have no function that places further windows.

    With more than `sample` windows it is fitted on that many, drawn at random, since its cost grows with each window;
    the others are placed at the median of their `n_neighbors` nearest neighbours among these. None fits on all.
    """

    n_neighbors: int = Field(ge=2)
    metric: Literal["euclidean", "cosine", "manhattan"]
    sample: int | None = Field(default=None, ge=100)

    def fitted(self, n_windows: int, seed: int) -> BoolArray:
        """(window,) those that it is fitted on."""
        if self.sample is None or n_windows <= self.sample:
            return super().fitted(n_windows, seed)
        return drawn(n_windows, self.sample, seed)

    def fit(self, embeddings: FloatArray, seed: int) -> FloatArray:
        """(window, feature) -> (window, 2).

        Raises:
            DataError: it would be fitted on fewer windows than `n_neighbors` + 1.
        """
        fitted = self.fitted(len(embeddings), seed)
        n_fitted = int(fitted.sum())
        if n_fitted <= self.n_neighbors:
            raise DataError(
                "projection",
                [f"{n_fitted} windows, but `projection.n_neighbors` is {self.n_neighbors}: more are needed"],
            )
        points = self.points(embeddings)
        projection = np.empty((len(points), 2), dtype=np.float32)
        projection[fitted] = self._of_sample(points[fitted], seed)
        if n_fitted < len(points):
            projection[~fitted] = self._placed(points[~fitted], points[fitted], projection[fitted])
        return projection

    def place(self, new: FloatArray, embeddings: FloatArray, projection: FloatArray, seed: int) -> FloatArray:
        """(new window, 2), as windows outside the sample are placed."""
        fitted = self.fitted(len(embeddings), seed)
        return self._placed(self.points(new, embeddings), self.points(embeddings)[fitted], projection[fitted])

    @abstractmethod
    def _of_sample(self, points: FloatArray, seed: int) -> FloatArray:
        """(window, feature) -> (window, 2)."""

    def _placed(self, points: FloatArray, sample: FloatArray, projection: FloatArray) -> FloatArray:
        """(window, 2) medians of neighbours: not between two clusters, where a mean would be."""
        from sklearn.neighbors import NearestNeighbors

        from clusterwhy.compute.progress import progress

        search, parts = NearestNeighbors(n_neighbors=self.n_neighbors, metric=self.metric).fit(sample), []
        for first in progress(range(0, len(points), PART), desc="project", unit="part"):
            nearest = search.kneighbors(points[first : first + PART], return_distance=False)
            parts.append(np.median(projection[nearest], axis=1))
        return np.concatenate(parts)


class Umap(NeighbourProjection):
    """UMAP (McInnes et al. 2018, arXiv 1802.03426), reproducible: seeded, one thread."""

    min_dist: float = Field(ge=0.0)

    def _of_sample(self, points: FloatArray, seed: int) -> FloatArray:
        from sklearn.neighbors import NearestNeighbors

        keep_compiled_kernels()
        import umap

        # exact neighbours from scikit-learn: UMAP's own search is compiled in every process
        distances, indices = (
            NearestNeighbors(n_neighbors=self.n_neighbors, metric=self.metric).fit(points).kneighbors(points)
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="precomputed_knn")
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            model = umap.UMAP(
                n_neighbors=self.n_neighbors,
                min_dist=self.min_dist,
                metric=self.metric,
                random_state=seed,
                n_jobs=1,
                precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32)),
            )
            return np.asarray(model.fit_transform(points), dtype=np.float32)


class Tsne(NeighbourProjection):
    """t-SNE (van der Maaten & Hinton 2008, JMLR 9), from the first two principal components on."""

    perplexity: float = Field(gt=1.0)

    def _of_sample(self, points: FloatArray, seed: int) -> FloatArray:
        from sklearn.manifold import TSNE

        if len(points) <= 3 * self.perplexity:
            raise DataError(
                "projection",
                [f"{len(points)} windows, but `projection.perplexity` is {self.perplexity:g}: expected three times it"],
            )
        model = TSNE(perplexity=self.perplexity, metric=self.metric, init="pca", random_state=seed, n_jobs=1)
        return np.asarray(model.fit_transform(points), dtype=np.float32)


class Pca(Projection):
    """The first two principal components."""

    def fit(self, embeddings: FloatArray, seed: int) -> FloatArray:
        """(window, feature) -> (window, 2)."""
        from sklearn.decomposition import PCA

        return np.asarray(
            PCA(n_components=2, random_state=seed).fit_transform(self.points(embeddings)), dtype=np.float32
        )

    def place(self, new: FloatArray, embeddings: FloatArray, projection: FloatArray, seed: int) -> FloatArray:
        """(new window, 2) by the axes of the others."""
        from sklearn.decomposition import PCA

        axes = PCA(n_components=2, random_state=seed).fit(self.points(embeddings))
        return np.asarray(axes.transform(self.points(new, embeddings)), dtype=np.float32)


def keep_compiled_kernels() -> None:
    """Let numba cache UMAP's kernels on disk; compiling them takes 9.8 s per process."""
    import pynndescent.pynndescent_
    import pynndescent.rp_trees
    import umap.distances
    import umap.layouts
    import umap.umap_
    import umap.utils

    kept = umap.umap_, umap.utils, umap.layouts, umap.distances, pynndescent.pynndescent_, pynndescent.rp_trees
    for module in kept:
        for function in vars(module).values():
            if type(getattr(function, "_cache", None)).__name__ == "NullCache":
                function.enable_caching()


def compile_kernels() -> None:
    """Compile UMAP's kernels into numba's cache, half a minute: `make` does so when it sets the environment up."""
    groups = np.random.default_rng(0).normal(size=(2, 32, 4)) + np.array([0.0, 100.0])[:, None, None]
    points = groups.reshape(-1, 4).astype(np.float32)  # two groups, which UMAP places by further kernels
    Umap(n_neighbors=5, min_dist=0.0, metric="euclidean").fit(points, 0)


def trustworthiness(
    embeddings: FloatArray, projection: FloatArray, n_neighbors: int, seed: int, limit: int = 3000
) -> float | None:
    """Share of projected neighbours that are neighbours in the embedding (Venna & Kaski 2001).

    On a random sample of at most `limit` windows, since it needs all pairs. None where all embeddings coincide: each
    window is as near as any other.
    """
    from sklearn.manifold import trustworthiness as measure

    if coincide(embeddings):
        return None
    chosen = np.arange(len(embeddings))
    if len(chosen) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, limit, replace=False))
    k = max(1, min(n_neighbors, (len(chosen) - 1) // 2))
    return float(measure(embeddings[chosen], projection[chosen], n_neighbors=k))
