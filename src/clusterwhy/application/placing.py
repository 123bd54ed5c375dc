"""New windows in the projection and the clusters of a study, and how far each lies from anything known."""

import hashlib
from dataclasses import dataclass

import numpy as np

from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.clustering.base import NOISE
from clusterwhy.compute.seeding import drawn
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.projection import Projection
from clusterwhy.types import BoolArray, FloatArray, IntArray

PART = 4096  # windows at a time
K = 5  # the neighbour whose distance says how far a window lies from known ones
MOST_KNOWN = 10_000  # fitted windows among which neighbours are searched
NONE = -1


@dataclass(frozen=True)
class Placed:
    """Where new windows lie.

    Attributes:
        projection: (window, 2).
        labels: (window,) cluster of the study, -1 where a window belongs to none.
        strengths: (window,) membership strength in [0, 1]; 0 for noise.
        distances: (window,) how far it lies from known windows: the distance to the `K`-th nearest fitted window, as a
            multiple of the one that all but a share `risk` of the fitted windows of its cluster keep.
        unknown: (window,) True where it lies further away than `reach`.
        twins: (window,) position of a fitted window with the same values, -1 where there is none.
    """

    projection: FloatArray
    labels: IntArray
    strengths: FloatArray
    distances: FloatArray
    unknown: BoolArray
    twins: IntArray


def place(study: FittedStudy, embeddings: FloatArray, twins: IntArray, limits: ApplicationSettings) -> Placed:
    """Places and clusters of new windows.

    A window has the place that UMAP gives to windows outside its sample, and the cluster that HDBSCAN predicts there. A
    projection has a place for any window, also where the embedding has never been: such windows are noise. A twin of a
    fitted window has its place, cluster and strength.

    Args:
        embeddings: (window, feature) of the new windows.
        twins: of `twins_of`.
        limits: of what still counts as known.
    """
    settings, clusters, seed = study.settings, study.clusters, study.settings["seed"]
    projecting: Projection = settings["projection"]
    twin, own = twins != NONE, twins[twins != NONE]
    projection = projecting.place(embeddings, study.embeddings, study.projection, seed)
    projection[twin] = study.projection[own]
    in_projection = settings["clusterer"].space == "projection"
    new, points = (projection, study.projection) if in_projection else (embeddings, study.embeddings)
    labels, strengths = settings["clusterer"].assign(new, points, clusters, study.embeddings)
    labels[twin], strengths[twin] = clusters.labels[own], clusters.strengths[own]
    distances = _relative_distances(study, embeddings, labels, limits.risk)
    unknown = (distances > limits.reach) & ~twin
    labels[unknown], strengths[unknown] = NOISE, 0.0
    return Placed(projection, labels, strengths, distances, unknown, twins)


def twins_of(data: Prepared, study: Prepared) -> IntArray:
    """(window,) position of the first window of the study with the same scaled values, -1 where there is none."""
    known: dict[bytes, int] = {}
    for position, digest in enumerate(_digests(study)):
        known.setdefault(digest, position)
    return np.array([known.get(digest, NONE) for digest in _digests(data)], dtype=np.int64)


def _digests(data: Prepared) -> list[bytes]:
    found = []
    for first in range(0, len(data.starts), PART):
        windows = windows_at(data.scaled, data.starts[first : first + PART], data.length)
        found += [hashlib.blake2b(window.tobytes(), digest_size=16).digest() for window in windows]
    return found


def _relative_distances(study: FittedStudy, embeddings: FloatArray, labels: IntArray, risk: float) -> FloatArray:
    from sklearn.neighbors import NearestNeighbors

    fitted = study.embeddings
    settings: Projection = study.settings["projection"]
    kept = drawn(len(fitted), min(MOST_KNOWN, len(fitted)), study.settings["seed"])
    points, starts = settings.points(fitted)[kept], study.data.starts[kept]
    search = NearestNeighbors().fit(points)
    k = min(K, len(points))
    new = settings.points(embeddings, fitted)
    parts = [new[first : first + PART] for first in range(0, len(new), PART)]
    distances = np.concatenate([search.kneighbors(part, n_neighbors=k)[0][:, -1] for part in parts])
    usual = apart_distances(points, starts, study.data.length, k)
    return distances / _limits(usual, study.clusters.labels[kept], risk)[labels]


def apart_distances(points: FloatArray, starts: IntArray, length: int, k: int) -> FloatArray:
    """(window,) distance to the k-th nearest window that shares no samples; infinite where there are not so many.

    Args:
        points: (window, feature).
        starts: (window,) first samples.
        length: samples in a window.
    """
    from sklearn.neighbors import NearestNeighbors

    search, ordered, found = NearestNeighbors().fit(points), np.sort(starts), []
    overlapping = int((np.searchsorted(ordered, ordered + length) - np.arange(len(ordered))).max())
    asked = min(len(points), k + 2 * overlapping + 1)
    for first in range(0, len(points), PART):
        part = slice(first, first + PART)
        distances, nearest = search.kneighbors(points[part], n_neighbors=asked)
        near = np.abs(starts[nearest] - starts[part, None]) < length
        found.append(np.sort(np.where(near, np.inf, distances), axis=1)[:, min(k, asked) - 1])
    return np.concatenate(found)


def _limits(usual: FloatArray, labels: IntArray, risk: float) -> FloatArray:
    """(cluster + 1,) distance that all but a share `risk` of a cluster keep; the last one is that of all windows."""
    known = np.isfinite(usual)
    every = float(np.quantile(usual[known], 1.0 - risk)) if known.any() else np.inf
    found = np.full(int(labels.max(initial=NOISE)) + 2, every)
    for cluster in range(len(found) - 1):
        own = usual[known & (labels == cluster)]
        if len(own):
            found[cluster] = np.quantile(own, 1.0 - risk)
    return np.maximum(found, np.finfo(np.float32).tiny)
