"""Results of the stages, loaded lazily from their artifacts."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from clusterwhy.annotations.annotated import Annotated, Known, Sources, annotate_from
from clusterwhy.annotations.located import Place
from clusterwhy.annotations.window_times import ClusterTimes
from clusterwhy.anomaly.relative import compared_with_all
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.artifacts.undefined import NOT_TWO
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.plots.clock import Clock
from clusterwhy.report.news import Behind, PageNews
from clusterwhy.types import FloatArray, IntArray

MOST_DRAWN, MOST_PATTERNS = 8, 12  # anomalies with a picture
MOST_MEMBERS = 10_000  # of a cluster that a mean of its values is taken over
STAGES = ("prepare", "train", "embed", "project", "cluster", "score", "explain", "explain_windows", "evaluate")


@dataclass(frozen=True)
class StudyResults:
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

    @property
    def stages(self) -> tuple[str, ...]:
        """Whose provenance is told."""
        return STAGES

    @cached_property
    def data(self) -> Prepared:
        """The series and its windows."""
        return Prepared(self.folders["prepare"])

    @property
    def normal(self) -> Prepared:
        """The series whose normal windows anomalies are compared with."""
        return self.data

    @property
    def news(self) -> PageNews | None:
        """What is new in a recording that a study is applied to."""
        return None

    @property
    def behind(self) -> Behind | None:
        """Windows behind those of the series in the projection."""
        return None

    @cached_property
    def seconds(self) -> FloatArray:
        """(window,) start of each window, in seconds since the first sample."""
        return self.data.time_s[self.data.starts]

    @cached_property
    def clock(self) -> Clock:
        """For times of the series, fine enough to distinguish overlapping windows; dates if it has them."""
        return Clock.of(float(self.data.time_s[-1]), self.window_s / 20, self.data.dates)

    @cached_property
    def window_clock(self) -> Clock:
        """Unit and digits for times within a window."""
        return Clock.of(self.window_s, self.window_s / self.data.length)

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return float(self.data.length / self.data.card.rate_hz)

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (channel, window), in standard deviations of the training span."""
        data, parts = self.data, []
        for first in range(0, len(data.starts), 1024):
            windows = windows_at(data.scaled, data.starts[first : first + 1024], data.length)
            parts.append((windows.mean(axis=2, dtype=np.float64).T, windows.std(axis=2, dtype=np.float64).T))
        means, deviations = zip(*parts, strict=True)
        return np.concatenate(means, axis=1), np.concatenate(deviations, axis=1)

    def level(self, cluster: int) -> FloatArray:
        """(channel,) mean z of a cluster (deviations of the training span), over `MOST_MEMBERS` windows at most."""
        data, members = self.data, np.flatnonzero(self.labels == cluster)
        members = members[:: -(-len(members) // MOST_MEMBERS)]
        parts = np.split(data.starts[members], range(1024, len(members), 1024))
        found = [windows_at(data.scaled, part, data.length).mean(axis=2, dtype=np.float64) for part in parts]
        return np.asarray(np.concatenate(found).mean(axis=0))

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

    @property
    def trained(self) -> IntArray:
        """(training window,) clusters of the windows that were fitted on."""
        return self.labels[self.data.index["train"].to_numpy()]

    @property
    def clusters(self) -> list[int]:
        """Numbers of the clusters."""
        return [record["cluster"] for record in self.summary["clusters"]]

    @cached_property
    def known(self) -> Known:
        """When the windows of each cluster are, and the times of the samples, as names and events need them."""
        return Known(ClusterTimes.of(self.data, self.labels, self.clusters), self.place)

    @cached_property
    def place(self) -> Place:
        """The times of the samples."""
        dataset = self.provenance("prepare")["config"].get("dataset", {})
        return Place(self.data, dataset.get("timezone") or "UTC")

    @cached_property
    def annotated(self) -> Annotated:
        """Names and notes of clusters and segments, and events.

        Raises:
            DataError: lists every fault of their files.
        """
        return annotate_from(self.sources, self.known) if self.sources else Annotated()

    def cluster_name(self, cluster: int) -> str:
        """What a cluster is called in figures and tables: its name, or its number."""
        return self.annotated.name(cluster)

    def cluster_names(self, clusters: Iterable[int]) -> str:
        """What some clusters are called, in one line: names, then the numbers of those without."""
        found = {int(cluster): self.annotated.clusters.get(int(cluster)) for cluster in clusters}
        numbers = ", ".join(str(cluster) for cluster, own in found.items() if not (own and own.name))
        names = [own.name for own in found.values() if own and own.name]
        return ", ".join([*names, *([f"cluster {numbers}"] if numbers else [])])

    @cached_property
    def strengths(self) -> FloatArray:
        """(window,) membership strength in [0, 1]."""
        return read_table(self.folders["cluster"] / "clusters.parquet")["strength"].to_numpy()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """`clusters`: size, persistence, medoids; `timeline`: runs of consecutive windows of one cluster."""
        return read_json(self.folders["cluster"] / "summary.json")

    @cached_property
    def runs(self) -> list[dict[str, int]]:
        """When each cluster occurs: `cluster`, `start` and `stop` (samples) of its runs, none of them across a gap."""
        starts, length, labels = self.data.starts, self.data.length, np.asarray(self.labels)
        segment = np.searchsorted(self.data.card.segments, starts, side="right")
        new = np.flatnonzero((np.diff(labels) != 0) | (np.diff(segment) != 0)) + 1
        edges = np.concatenate([[0], new, [len(labels)]])
        return [
            {"cluster": int(labels[first]), "start": int(starts[first]), "stop": int(starts[stop - 1] + length)}
            for first, stop in itertools.pairwise(edges)
        ]

    @property
    def masked(self) -> tuple[str, ...]:
        """Channels that were not measured, and are at their mean."""
        return ()

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
    def score_says(self) -> str:
        """What scores are relative to, in sentences; "" where they are the detector's own."""
        usual, said = self._segments.get("usual", {}), self._segments.get("relative_to", "")
        if not usual:
            return ""
        found = f"A score is that of the detector {said}: 1 is usual."
        clusters = [record["cluster"] for record in self.summary["clusters"]]
        if own := compared_with_all([int(cluster) for cluster in usual], clusters):
            found += f" All training windows are what is usual for {self.cluster_names(own)}: none of them is there."
        return found

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
    def drawn_anomalies(self) -> list[int]:
        """Rows of `anomalies` that have a picture: the highest scores, and the most typical alarm of each pattern."""
        typical = self.patterns["window"].head(MOST_PATTERNS)
        drawn = np.array(self.anomalies["window"].isin(typical))
        drawn[:MOST_DRAWN] = True
        return np.flatnonzero(drawn).tolist()

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

    @property
    def headline(self) -> str:
        """Numbers of windows, clusters and anomalous segments, in one line."""
        n_clusters, n_segments = len(self.summary["clusters"]), len(self.segments)
        noise = f"{np.mean(self.labels < 0):.1%} are noise"
        alone = f" No cluster is explained: {self.why_none}."
        return (
            f"{counted(len(self.labels), 'window')} of {counted(self.data.length, 'sample')} form "
            f"{counted(n_clusters, 'cluster')}; {noise}; {counted(n_segments, 'segment')} "
            f"{'is' if n_segments == 1 else 'are'} anomalous.{'' if self.explained_clusters else alone}"
        )

    def provenance(self, stage: str) -> dict[str, Any]:
        """Settings, checksums of the inputs and versions of a stage."""
        return read_json(self.folders[stage] / "provenance.json")

    def nearest(self, count: int, windows: IntArray) -> IntArray:
        """(asked window, count) nearest windows in the embedding, nearest first; overlapping ones come last."""
        from sklearn.neighbors import NearestNeighbors

        starts, length = self.data.starts, self.data.length
        overlapping = int((np.searchsorted(starts, starts + length) - np.arange(len(starts))).max())
        asked = min(len(starts), count + 2 * overlapping + 1)
        _, found = NearestNeighbors(n_neighbors=asked).fit(self.embeddings).kneighbors(self.embeddings[windows])
        apart = np.abs(starts[found] - starts[windows, None]) >= length
        order = np.argsort(~apart, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(found, order, axis=1)
