"""What a finished pipeline says: its artifacts, and what follows from them for a reader."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusterwhy.annotations.annotated import Annotated, Known, annotate_from
from clusterwhy.annotations.located import Place
from clusterwhy.annotations.window_times import ClusterTimes
from clusterwhy.anomaly.relative import compared_with_all
from clusterwhy.artifacts.counts import counted
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.plots.clock import Clock
from clusterwhy.report.news import Behind, PageNews
from clusterwhy.report.stored_results import STAGES, StoredResults
from clusterwhy.types import FloatArray, IntArray

MOST_DRAWN, MOST_PATTERNS = 8, 12  # anomalies with a picture
MOST_MEMBERS = 10_000  # of a cluster that a mean of its values is taken over


@dataclass(frozen=True)
class StudyResults(StoredResults):
    """The artifacts of a finished pipeline, with names, times and words."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Whose provenance is told."""
        return STAGES

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

    @cached_property
    def drawn_anomalies(self) -> list[int]:
        """Rows of `anomalies` that have a picture: the highest scores, and the most typical alarm of each pattern."""
        typical = self.patterns["window"].head(MOST_PATTERNS)
        drawn = np.array(self.anomalies["window"].isin(typical))
        drawn[:MOST_DRAWN] = True
        return np.flatnonzero(drawn).tolist()

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
