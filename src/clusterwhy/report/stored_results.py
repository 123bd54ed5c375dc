"""The artifacts of the stages as they are stored, loaded when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from clusterwhy.annotations.annotated import Sources
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.artifacts.undefined import NOT_TWO
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray, IntArray

STAGES = ("prepare", "train", "embed", "project", "cluster", "score", "explain", "explain_windows", "evaluate")


@dataclass(frozen=True)
class StoredResults:
    """The artifacts of a finished pipeline.

    Attributes:
        folders: stage -> the folder of its artifacts.
        sources: names, notes and events that people wrote; None for none.
    """

    folders: Mapping[str, Path]
    sources: Sources | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, artifacts: Path | str, sources: Sources | None = None) -> Self:
        """The results of `dvc repro` in one folder."""
        return cls({stage: Path(artifacts) / stage for stage in STAGES}, sources=sources)

    @cached_property
    def data(self) -> Prepared:
        """The series and its windows."""
        return Prepared(self.folders["prepare"])

    @cached_property
    def embeddings(self) -> FloatArray:
        """(window, feature)."""
        return read_array(self.folders["embed"] / "embeddings.npy")

    @cached_property
    def projection(self) -> FloatArray:
        """(window, 2)."""
        return read_array(self.folders["project"] / "projection.npy")

    @cached_property
    def labels(self) -> IntArray:
        """(window,) cluster; -1 is noise."""
        return read_array(self.folders["cluster"] / "labels.npy")

    @cached_property
    def strengths(self) -> FloatArray:
        """(window,) membership strength in [0, 1]."""
        return read_table(self.folders["cluster"] / "clusters.parquet")["strength"].to_numpy()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`clusters`: size, persistence, medoids; `timeline`: runs of consecutive windows of one cluster."""
        return read_json(self.folders["cluster"] / "summary.json")

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per window: score, whether it is anomalous, and the baselines' scores."""
        return read_table(self.folders["score"] / "scores.parquet")

    @cached_property
    def _segments(self) -> dict[str, Any]:
        return read_json(self.folders["score"] / "segments.json")

    @property
    def threshold(self) -> float:
        """Windows with a higher score are anomalous."""
        return float(self._segments["threshold"])

    @property
    def threshold_says(self) -> str:
        """What the threshold is, in words; "" in studies that were scored before this was written."""
        return str(self._segments.get("says", ""))

    @property
    def segments(self) -> list[dict[str, Any]]:
        """Anomalous segments (runs of overlapping or adjacent anomalous windows), highest score first."""
        found: list[dict[str, Any]] = self._segments["segments"]
        return found

    @cached_property
    def modules(self) -> pd.DataFrame | None:
        """Modules of the encoder (`encoders.modules.module_table`); None where it has no network."""
        path = self.folders["train"] / "modules.csv"
        return read_table(path) if path.exists() else None

    @cached_property
    def motifs(self) -> pd.DataFrame | None:
        """Motifs and discords of each channel (`anomaly.motifs.motif_table`); None where the detector finds none."""
        path = self.folders["score"] / "motifs.csv"
        return read_table(path) if path.exists() else None

    @cached_property
    def explained_clusters(self) -> list[int]:
        """The explained clusters."""
        found: list[int] = read_json(self.folders["explain"] / "clusters.json")["clusters"]
        return found

    @property
    def why_none(self) -> str:
        """Why no cluster is explained, where none is; artifacts from before it was written had one reason."""
        return str(read_json(self.folders["explain"] / "clusters.json").get("why_none") or NOT_TWO)

    @property
    def why_no_anomaly(self) -> str:
        """Why no anomaly is explained; "" if some are."""
        return str(read_json(self.folders["explain"] / "anomalies.json").get("why_none", ""))

    @cached_property
    def losses(self) -> list[str]:
        """Sentences about relevance that is lost on its way to the input."""
        found: list[str] = read_json(self.folders["explain"] / "clusters.json").get("losses", [])
        return found

    @cached_property
    def explained(self) -> pd.DataFrame:
        """One row per explained window: cluster, target, sum of relevance, gap, bias share, lost share."""
        return read_table(self.folders["explain"] / "explained.parquet")

    @cached_property
    def relevance(self) -> FloatArray:
        """(explained window, channel, time)."""
        return read_array(self.folders["explain"] / "relevance.npy")

    @cached_property
    def explained_windows(self) -> pd.DataFrame:
        """One row per window that is explained on its own, in order of time (`WindowExplanations`)."""
        return read_table(self.folders["explain_windows"] / "explained_windows.parquet")

    @cached_property
    def levels(self) -> np.ndarray:
        """(explained window, channel, time) int8; times the window's `step` it is relevance."""
        return read_array(self.folders["explain_windows"] / "levels.npy")

    @cached_property
    def window_channels(self) -> FloatArray:
        """(explained window, channel) relevance."""
        return read_array(self.folders["explain_windows"] / "channels.npy")

    @cached_property
    def noise(self) -> pd.DataFrame:
        """What keeps noise from the nearest cluster, one row per cluster and channel."""
        return read_table(self.folders["explain_windows"] / "noise.csv")

    @cached_property
    def maps(self) -> FloatArray:
        """(explained cluster, channel, time) mean relevance of aligned windows."""
        return read_array(self.folders["explain"] / "maps.npy")

    @cached_property
    def importance(self) -> pd.DataFrame:
        """One row per cluster and channel."""
        return read_table(self.folders["explain"] / "importance.csv")

    @cached_property
    def quality(self) -> pd.DataFrame:
        """Channel deletion and flip rate of each cluster by ranking."""
        return read_table(self.folders["explain"] / "quality.csv")

    @cached_property
    def properties(self) -> pd.DataFrame:
        """How leading channels differ from the most similar windows outside their cluster."""
        return read_table(self.folders["explain"] / "properties.csv")

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Areas and verdicts of judges that took no part in the explanation, by cluster and ranking."""
        return read_table(self.folders["evaluate"] / "judged.csv")

    @cached_property
    def anomalies(self) -> pd.DataFrame:
        """One row per explained anomaly, highest score first."""
        return read_table(self.folders["explain"] / "anomalies.parquet")

    @cached_property
    def anomaly_target(self) -> str:
        """What is explained of anomalies, in words."""
        return str(read_json(self.folders["explain"] / "anomalies.json")["target"])

    @cached_property
    def anomaly_channels(self) -> pd.DataFrame:
        """One row per explained anomaly and channel."""
        return read_table(self.folders["explain"] / "anomaly_channels.csv")

    @cached_property
    def patterns(self) -> pd.DataFrame:
        """Alarms that are alike, the most frequent pattern first (`explanations.patterns.pattern_table`)."""
        return read_table(self.folders["explain"] / "anomaly_patterns.csv")

    @cached_property
    def anomaly_relevance(self) -> FloatArray:
        """(explained anomaly, channel, time)."""
        return read_array(self.folders["explain"] / "anomaly_relevance.npy")

    @cached_property
    def results(self) -> pd.DataFrame:
        """Metrics of clusters, scores and explanations, compared with baselines."""
        return read_table(self.folders["evaluate"] / "results.csv")

    @cached_property
    def faithfulness(self) -> pd.DataFrame:
        """Insertion, deletion, flip rate and similarity, by cluster."""
        return read_table(self.folders["evaluate"] / "faithfulness.csv")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """`jaccard` overlap of each `cluster` with its best match in each `resample`."""
        return read_table(self.folders["evaluate"] / "stability.csv")

    @property
    def looked_inside(self) -> bool:
        """Whether groups inside clusters were looked for: studies that were made before have none."""
        return (self.folders["evaluate"] / "hidden_groups.csv").exists()

    @cached_property
    def hidden_groups(self) -> pd.DataFrame:
        """Groups inside clusters that single channels tell apart (`explanations.hidden_groups`)."""
        if not self.looked_inside:
            return pd.DataFrame(columns=["group", "cluster"])
        return read_table(self.folders["evaluate"] / "hidden_groups.csv")

    @cached_property
    def hidden_windows(self) -> pd.DataFrame:
        """The `window`s of each `group`."""
        return read_table(self.folders["evaluate"] / "hidden_windows.csv")

    @cached_property
    def relevance_budget(self) -> pd.DataFrame:
        """Where relevance is lost between target and input, by layer."""
        return read_table(self.folders["evaluate"] / "relevance_budget.csv")

    def provenance(self, stage: str) -> dict[str, Any]:
        """Settings, checksums of the inputs and versions of a stage."""
        return read_json(self.folders[stage] / "provenance.json")
