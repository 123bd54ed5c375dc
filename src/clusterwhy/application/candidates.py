"""Candidates for new states: dense groups among the windows that belong to no known one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.placing import K, apart_distances
from clusterwhy.clustering.base import NOISE
from clusterwhy.clustering.summary import central_order
from clusterwhy.compute.workers import Workers
from clusterwhy.projection import Projection
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.explanations.cluster_tables import ClusterExplanations
    from clusterwhy.explanations.embedded_series import EmbeddedSeries

N_MEDOIDS = 3
MOST = 256  # windows of a candidate that tell what it is


@dataclass(frozen=True)
class Candidates:
    """Groups of new windows that might be a state of their own.

    Attributes:
        labels: (window,) number of the candidate, counted on from the clusters of the study; -1 where there is none.
        records: of each: `candidate`, `n_windows`, `share`, `density` (the median distance between its windows as a
            multiple of the usual one of known windows) and `medoid_windows`.
    """

    labels: IntArray
    records: list[dict[str, Any]]


def candidates(
    study: FittedStudy, embeddings: FloatArray, outside: IntArray, starts: IntArray, risk: float
) -> Candidates:
    """Groups as large as the smallest cluster could be and as dense as known windows are (DBSCAN).

    Args:
        embeddings: (window, feature) of the new windows.
        outside: positions of those that belong to no known state.
        starts: (window,) first samples.
        risk: share of known windows that are not as dense.
    """
    from sklearn.cluster import DBSCAN

    projecting: Projection = study.settings["projection"]
    clusterer, labels, length = study.settings["clusterer"], np.full(len(embeddings), NOISE), study.data.length
    size, _ = clusterer.sizes(int(clusterer.fitted(len(study.embeddings)).sum()))
    usual = _distance(projecting.points(study.embeddings), study.data.starts, length, risk)
    if len(outside) < size or not usual > 0:
        return Candidates(labels, [])
    points = projecting.points(embeddings[outside], study.embeddings)
    groups = DBSCAN(eps=usual, min_samples=K).fit_predict(points)
    number, records = len(study.clusters.persistence), []
    for group in range(int(groups.max(initial=NOISE)) + 1):
        own = outside[groups == group]
        # windows that are alike because they share samples make no state
        density = _distance(points[groups == group], starts[own], length, 0.5) / usual
        if len(own) < size or _n_apart(starts[own], length) <= K or not density <= 1.0:
            continue
        central = own[central_order(embeddings[own])[:N_MEDOIDS]]
        labels[own] = number
        records.append(
            {
                "candidate": number,
                "n_windows": len(own),
                "share": len(own) / len(embeddings),
                "density": density,
                "medoid_windows": central.tolist(),
            }
        )
        number += 1
    return Candidates(labels, records)


def _n_apart(starts: IntArray, length: int) -> int:
    """How many of the windows, one after the other, share no samples."""
    count, stop = 0, -1
    for start in np.sort(starts).tolist():
        if start >= stop:
            count, stop = count + 1, start + length
    return count


def _distance(points: FloatArray, starts: IntArray, length: int, risk: float) -> float:
    """Distance to the `K`-th nearest window without common samples that all but a share `risk` keep; NaN if unknown."""
    distances = apart_distances(points, starts, length, K)
    known = distances[np.isfinite(distances)]
    return float(np.quantile(known, 1.0 - risk)) if 2 * len(known) >= len(distances) else float("nan")


def explain_candidates(
    study: FittedStudy,
    fitted: "Sequence[EmbeddedSeries]",
    new: "EmbeddedSeries",
    found: Candidates,
    workers: Workers,
) -> "ClusterExplanations":
    """What sets the windows of each candidate apart from those of the study.

    Args:
        fitted: the study's windows, by each of its encoders.
        new: the new windows, by the first of them.
        found: the candidates.
        workers: where candidates are explained.
    """
    from clusterwhy.explanations.clusters import explain_clusters
    from clusterwhy.explanations.embedded_series import Clustered
    from clusterwhy.explanations.settings import ExplanationSettings

    numbers = [record["candidate"] for record in found.records]
    chosen = np.concatenate([np.flatnonzero(found.labels == number)[:MOST] for number in numbers])
    first, *replicates = [_joined(one, new, chosen) for one in fitted]
    labels = np.concatenate([study.clusters.labels, found.labels[chosen]])
    strengths = np.concatenate([study.clusters.strengths, np.ones(len(chosen))])
    asked = Clustered(new, found.labels, np.ones(len(found.labels)))
    settings = ExplanationSettings.of(study.settings)
    return explain_clusters(first, labels, strengths, settings, workers, None, replicates, new=asked)


def _joined(fitted: "EmbeddedSeries", new: "EmbeddedSeries", chosen: IntArray) -> "EmbeddedSeries":
    """The fitted windows, and behind them some new ones, embedded by the same encoder."""
    from clusterwhy.encoders.masked import embed

    windows, length, end = new.windows(chosen), new.length, len(fitted.values)
    embeddings = embed(fitted.encoder, new.values, new.starts[chosen], length, MOST)
    starts = end + length * np.arange(len(chosen))
    ids = int(fitted.index["window"].max()) + 1 + np.arange(len(chosen))
    more = pd.DataFrame({"window": ids, "start": starts, "stop": starts + length, "train": False})
    return replace(
        fitted,
        values=np.concatenate([fitted.values, windows.transpose(0, 2, 1).reshape(-1, windows.shape[1])]),
        index=pd.concat([fitted.index[list(more.columns)], more], ignore_index=True),
        embeddings=np.concatenate([fitted.embeddings, embeddings]),
    )
