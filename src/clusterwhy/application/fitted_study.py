"""What a finished study has learned, read from its artifacts."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clusterwhy.anomaly.base import DetectorInput, Fitted
from clusterwhy.anomaly.relative import read_usual
from clusterwhy.anomaly.storage import load_fitted
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.clustering.base import Clusters
from clusterwhy.config import build_settings
from clusterwhy.data.storage import Prepared
from clusterwhy.errors import ConfigError
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder
    from clusterwhy.explanations.anomaly_targets import Detection

STAGES = ("prepare", "train", "embed", "project", "cluster", "score", "explain", "explain_windows")


@dataclass(frozen=True)
class FittedStudy:
    """The artifacts of a finished study, loaded lazily.

    Attributes:
        artifacts: the folder with those of each stage of `STAGES`.
    """

    artifacts: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The choices of `conf/` that the study ran with, as plain values."""
        found: dict[str, Any] = {}
        for stage in STAGES:
            found |= read_json(self.artifacts / stage / "provenance.json")["config"]
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The same as settings objects, and `seed`."""
        return build_settings(self.config)

    @cached_property
    def data(self) -> Prepared:
        """The fitted recording and its windows."""
        return Prepared(self.artifacts / "prepare")

    @cached_property
    def embeddings(self) -> FloatArray:
        """(window, feature)."""
        return np.asarray(read_array(self.artifacts / "embed" / "embeddings.npy"))

    @cached_property
    def projection(self) -> FloatArray:
        """(window, 2)."""
        return np.asarray(read_array(self.artifacts / "project" / "projection.npy"))

    @cached_property
    def clusters(self) -> Clusters:
        """Of the fitted windows."""
        table = read_table(self.artifacts / "cluster" / "clusters.parquet")
        tree = read_table(self.artifacts / "cluster" / "condensed_tree.parquet")
        records = read_json(self.artifacts / "cluster" / "summary.json")["clusters"]
        persistence = np.array([record["persistence"] for record in records], dtype=np.float64)  # None is NaN
        return Clusters(table["cluster"].to_numpy(), table["strength"].to_numpy(), persistence, tree)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per fitted window: `score` and `anomalous`."""
        return read_table(self.artifacts / "score" / "scores.parquet")

    @property
    def threshold(self) -> float:
        """Windows with a higher score are anomalous."""
        return float(self._segments["threshold"])

    @property
    def thresholded(self) -> dict[str, Any]:
        """All that `segments.json` says but the segments: the threshold, and what scores are relative to."""
        return {key: value for key, value in self._segments.items() if key != "segments"}

    def usual(self, labels: IntArray) -> FloatArray | None:
        """(window,) what a detector's score is divided by, for windows of these clusters; None: nothing."""
        return read_usual(self._segments, labels)

    @cached_property
    def _segments(self) -> dict[str, Any]:
        return read_json(self.artifacts / "score" / "segments.json")

    @cached_property
    def learned(self) -> Fitted:
        """By the detector."""
        return load_fitted(self.artifacts / "score")

    @property
    def detection(self) -> "Detection":
        """What the detector says of the fitted windows."""
        from clusterwhy.explanations.anomaly_targets import Detection

        return Detection(
            scores=self.scores["score"].to_numpy(),
            anomalous=self.scores["anomalous"].to_numpy(),
            threshold=self.threshold,
            channels=None,
            detector=self.settings["detector"],
            fitted=self.learned,
            usual=self.usual(self.clusters.labels),
        )

    def encoder(self) -> "MaskedEncoder":
        """By whose embeddings the windows were clustered, in evaluation mode."""
        from clusterwhy.encoders.storage import load_encoder

        return load_encoder(self.artifacts / "train")

    def check_network(self) -> None:
        """Refuse a study that cannot embed windows of another recording.

        Raises:
            ConfigError: its vectors were given without a network.
        """
        from clusterwhy.encoders.without_network import WHY, lacks_network

        if lacks_network(self.encoder()):
            raise ConfigError("study", [f"there is no encoder for windows of another recording: its {WHY}"])

    @cached_property
    def detector_input(self) -> DetectorInput:
        """What the detector was fitted on."""
        return DetectorInput(
            values=self.data.scaled,
            starts=self.data.starts,
            length=self.data.length,
            train=self.data.index["train"].to_numpy(),
            embeddings=self.embeddings,
            projection=self.projection,
            load_encoder=self.encoder,
            seed=self.settings["seed"],
            segments=self.data.card.segments,
        )
