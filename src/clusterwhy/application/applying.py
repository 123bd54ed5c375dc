"""Embed, place, score and explain the windows of a new recording by a finished study, and write the artifacts."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.anomaly.base import DetectorInput, Scores
from clusterwhy.anomaly.relative import relative
from clusterwhy.anomaly.thresholds import merge_segments, sample_scores
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.placing import NONE, Placed, place, twins_of
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.store import read_array, write_array, write_json, write_table
from clusterwhy.clustering.base import Clusters
from clusterwhy.clustering.summary import summarise
from clusterwhy.compute.workers import Workers
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import timeline
from clusterwhy.encoders.shards import on_shard
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.encoders.shards import WindowWork
    from clusterwhy.explanations.anomaly_tables import AnomalyExplanations
    from clusterwhy.explanations.anomaly_targets import Detection
    from clusterwhy.explanations.cluster_tables import ClusterExplanations
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.every_window import WindowExplanations

BATCH_SIZE = 128  # of the stages `embed` and `score`


@dataclass(frozen=True)
class Application:
    """A study applied to a new recording.

    Attributes:
        study: the finished study.
        data: the new recording, of `save_recording`.
        out: folder of the artifacts: a subfolder for each stage, with what that stage writes.
        workers: where windows and clusters are computed.
        limits: of what still counts as known.
        masked: channels that the recording lacks.
    """

    study: FittedStudy
    data: Prepared
    out: Path
    workers: Workers
    limits: ApplicationSettings
    masked: tuple[str, ...] = ()

    @cached_property
    def embeddings(self) -> FloatArray:
        """(window, feature), which are written."""
        from clusterwhy.encoders.masked import embed

        path = self.out / "embed" / "embeddings.npy"
        self._over_windows(partial(embed, length=self.data.length, batch_size=BATCH_SIZE), path)
        write_array(self.out / "embed" / "window.npy", self.data.index["window"].to_numpy())
        return np.asarray(read_array(path))

    def _over_windows(self, work: "WindowWork", path: Path) -> None:
        shard = partial(on_shard, work, self.data.folder, self.study.artifacts / "train", True)
        self.workers.windows(shard, len(self.data.index), path, BATCH_SIZE, path.stem)

    @cached_property
    def placed(self) -> Placed:
        """Places and clusters, which are written."""
        placed = place(self.study, self.embeddings, twins_of(self.data, self.study.data), self.limits)
        x, y = placed.projection.T
        index, labels = self.data.index, placed.labels
        write_array(self.out / "project" / "projection.npy", placed.projection)
        write_table(self.out / "project" / "projection.csv", pd.DataFrame({"window": index["window"], "x": x, "y": y}))
        write_array(self.out / "cluster" / "labels.npy", labels)
        table = pd.DataFrame(
            {
                "window": index["window"],
                "cluster": labels,
                "strength": placed.strengths,
                "distance": placed.distances,
                "unknown": placed.unknown,
                "fitted_window": placed.twins,
            }
        )
        write_table(self.out / "cluster" / "clusters.parquet", table)
        known = self.study.clusters
        found = Clusters(labels, placed.strengths, known.persistence, known.tree)
        summary = {"clusters": summarise(found, self.embeddings, index), "timeline": timeline(labels, index)}
        write_json(self.out / "cluster" / "summary.json", summary)
        return placed

    @cached_property
    def scores(self) -> Scores:
        """By the study's detector, which are written with the segments above the study's threshold."""
        study, data = self.study, self.data
        inputs = DetectorInput(
            values=data.scaled,
            starts=data.starts,
            length=data.length,
            train=self._trained_on,
            embeddings=self.embeddings,
            projection=self.placed.projection,
            load_encoder=study.encoder,
            seed=study.settings["seed"],
            map=self._mapped,
            segments=data.card.segments,
        )
        own = study.settings["detector"].score_new(inputs, study.learned, study.detector_input)
        scores = relative(own, study.usual(self.placed.labels))
        self._write_scores(scores)
        return scores

    def _write_scores(self, scores: Scores) -> None:
        folder, data, threshold = self.out / "score", self.data, self.study.threshold
        table = {"window": data.index["window"], "score": scores.windows, "anomalous": scores.windows > threshold}
        write_table(folder / "scores.parquet", pd.DataFrame(table))
        if scores.channels is not None:
            write_array(folder / "channel_scores.npy", scores.channels)
        per_sample = sample_scores(scores.windows, data.starts, data.length, len(data.scaled))
        write_array(folder / "sample_scores.npy", per_sample)
        segments = merge_segments(scores.windows, threshold, data.starts, data.length)
        said = self.study.thresholded | {"segments": segments}
        write_json(folder / "segments.json", said)

    @property
    def _trained_on(self) -> np.ndarray:
        """(window,) True where the window equals one that the study was trained on."""
        twins, train = self.placed.twins, self.study.data.index["train"].to_numpy()
        return (twins != NONE) & train[np.maximum(twins, 0)]

    def _mapped(self, work: "WindowWork") -> FloatArray:
        path = self.out / ".shards.npy"
        self._over_windows(work, path)
        found = np.array(read_array(path))
        path.unlink()
        return found

    @cached_property
    def detection(self) -> "Detection":
        """What the study's detector says of the new windows."""
        from dataclasses import replace

        windows = self.scores.windows
        return replace(
            self.study.detection,
            scores=windows,
            anomalous=windows > self.study.threshold,
            channels=self.scores.channels,
            usual=self.study.usual(self.placed.labels),
        )

    def series(self, replicates: bool = False) -> "tuple[EmbeddedSeries, EmbeddedSeries, list[EmbeddedSeries]]":
        """The study's windows, the new windows, and the study's windows by its further encoders."""
        from dataclasses import replace

        from clusterwhy.explanations.embedded_series import EmbeddedSeries

        study, folder = self.study, self.study.artifacts
        fitted = EmbeddedSeries.of(study.data, study.encoder(), study.embeddings)
        new = EmbeddedSeries.of(self.data, fitted.encoder, self.embeddings)
        new = replace(new, index=self.data.index.assign(train=self._trained_on))
        return fitted, new, fitted.replicates(folder / "train", folder / "embed") if replicates else []

    def explain_clusters(self) -> "ClusterExplanations":
        """Why the new windows belong to their clusters; what lies outside a cluster are windows of the study."""
        from clusterwhy.explanations.clusters import explain_clusters
        from clusterwhy.explanations.embedded_series import Clustered
        from clusterwhy.explanations.settings import ExplanationSettings

        (fitted, new, replicates), known = self.series(replicates=True), self.study.clusters
        asked = Clustered(new, self.placed.labels, self.placed.strengths)
        settings = ExplanationSettings.of(self.study.settings)
        return explain_clusters(
            fitted, known.labels, known.strengths, settings, self.workers, None, replicates, new=asked
        )

    def explain_windows(self) -> "WindowExplanations":
        """Why each new window belongs to its cluster, or what keeps it out of the nearest one.

        As many as the study explains, after the explanations of clusters were written.
        """
        from clusterwhy.explanations.embedded_series import Clustered
        from clusterwhy.explanations.every_window import explain_every_window
        from clusterwhy.explanations.settings import ExplanationSettings
        from clusterwhy.explanations.storage import known_windows

        (fitted, new, replicates), study = self.series(replicates=True), self.study
        asked = Clustered(new, self.placed.labels, self.placed.strengths)
        settings, coverage = ExplanationSettings.of(study.settings), study.settings["coverage"]
        known = known_windows(self.out / "explain")
        return explain_every_window(
            fitted, study.clusters.labels, settings, coverage, known, self.workers, replicates, asked
        )

    def explain_anomalies(self) -> "AnomalyExplanations":
        """Why the new windows with the highest scores differ from normal windows of the study."""
        from clusterwhy.explanations.anomalies import explain_anomalies
        from clusterwhy.explanations.anomaly_tables import Scored

        fitted, new, _ = self.series()
        settings, asked = self.study.settings, Scored(new, self.detection)
        return explain_anomalies(fitted, self.study.detection, settings["anomalies"], settings["seed"], asked)
