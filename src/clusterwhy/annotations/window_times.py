"""When the windows of each cluster were, as a study has them and as `annotations.yaml` keeps them.

Overlapping windows share samples. A sample belongs to the window whose centre is nearest, so that each sample that any
window covers belongs to one cluster, or to noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator

from clusterwhy.annotations.spans import Spans, spans_of_text, text_of_spans
from clusterwhy.artifacts.store import read_array
from clusterwhy.config import Settings
from clusterwhy.data.moments import EPOCH, dated
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray, IntArray


def _stamp(text: str) -> str:
    nanoseconds_of(text)
    return text


class WindowTimes(Settings):
    """When the windows of a cluster were in one recording, to find them again after a refit.

    Attributes:
        recording: its name; "" for one recording with dates, whose file may get another name.
        since: the moment that seconds count from (ISO 8601, UTC); "" if they count as the recording does.
        within: when the study had windows, in seconds.
        spans: when those of the cluster were.
    """

    recording: str = ""
    since: Annotated[str, AfterValidator(lambda text: text and _stamp(text))] = ""
    within: Spans
    spans: Spans


def nanoseconds_of(stamp: str) -> int:
    """Nanoseconds since 1970 of a time stamp (ISO 8601, to the microsecond); UTC without an offset."""
    moment = datetime.fromisoformat(stamp)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1) * 1000


def stamp_of(nanoseconds: int) -> str:
    """A time stamp (ISO 8601, to the microsecond, UTC) at or before a moment in nanoseconds since 1970."""
    return (EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)).isoformat()


def own_samples(starts: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """(window,) first sample, and sample after the last, of those whose nearest window centre is that of each window.

    Only samples of the window itself, so that none lies in a gap, in which no window is.

    Args:
        starts: (window,) first sample, increasing.
        length: of a window, in samples.
    """
    begins, ends = np.array(starts, dtype=np.int64), np.asarray(starts, dtype=np.int64) + length
    joined = np.flatnonzero(starts[1:] <= ends[:-1])
    middle = (begins[joined] + ends[joined + 1]) // 2
    ends[joined] = begins[joined + 1] = middle
    return begins, ends


@dataclass(frozen=True)
class Cells:
    """The windows of one recording: samples that are their own, clusters and segments, all (window,)."""

    begins: IntArray
    ends: IntArray
    labels: IntArray
    segments: IntArray


@dataclass(frozen=True)
class Lane:
    """One recording of a study: when it has windows, and when those of each cluster are.

    Attributes:
        origin: nanoseconds since 1970 that seconds count from, None for a recording without dates.
        within: (span, 2) seconds in which there are windows.
        clusters: cluster -> (span, 2) seconds of its windows.
    """

    origin: int | None
    within: FloatArray
    clusters: dict[int, FloatArray]

    def of(self, cluster: int) -> FloatArray:
        """(span, 2) of a cluster, which may have none here."""
        return self.clusters.get(cluster, np.empty((0, 2)))

    def stored(self, recording: str, cluster: int) -> WindowTimes:
        """What `annotations.yaml` keeps of a cluster."""
        return WindowTimes(
            recording=recording,
            since="" if self.origin is None else stamp_of(self.origin),
            within=text_of_spans(self.within),
            spans=text_of_spans(self.of(cluster)),
        )

    def here(self, stored: WindowTimes) -> tuple[FloatArray, FloatArray] | None:
        """`within` and `spans` of what was kept, by the clock of this recording; None if one has dates, one has not."""
        if (self.origin is None) != (not stored.since):
            return None
        apart = 0.0 if self.origin is None else (nanoseconds_of(stored.since) - self.origin) / 1e9
        return spans_of_text(stored.within) + apart, spans_of_text(stored.spans) + apart


@dataclass(frozen=True)
class ClusterTimes:
    """When the windows of each cluster of a study are.

    Attributes:
        lanes: recording -> its spans.
        clusters: numbers of the clusters.
    """

    lanes: dict[str, Lane]
    clusters: tuple[int, ...]

    @classmethod
    def of(cls, data: Prepared, labels: IntArray, clusters: Sequence[int]) -> Self:
        """Those of a study: its recording, (window,) clusters, and their numbers."""
        time = read_array(data.folder / "time.npy")
        begins, ends = own_samples(data.starts, data.length)
        parted = np.searchsorted(np.asarray(data.card.segments), data.starts, side="right")
        codes = np.zeros(len(labels), dtype=np.int64) if data.groups is None else np.asarray(data.groups)
        names = recording_names(data)
        found = {}
        for code in np.unique(codes):
            own = codes == code
            cells = Cells(begins[own], ends[own], np.asarray(labels)[own], parted[own])
            found[names[code]] = _lane(time, cells, data.card.rate_hz)
        return cls(found, tuple(clusters))

    def stored(self, cluster: int) -> list[WindowTimes]:
        """What `annotations.yaml` keeps of a cluster, for each recording."""
        return [lane.stored(name, cluster) for name, lane in self.lanes.items()]


def recording_names(data: Prepared) -> list[str]:
    """By what a recording is found again: group names; for one recording without dates its own name, else ""."""
    if data.groups is not None:
        return list(data.card.group_names or [])
    return ["" if dated(read_array(data.folder / "time.npy")) else data.card.name]


def _lane(time: FloatArray | IntArray, cells: Cells, rate_hz: float) -> Lane:
    origin = nanoseconds_of(stamp_of(int(time[cells.begins[0]]))) if dated(time) else None

    def seconds(samples: IntArray) -> FloatArray:
        recorded = time[samples]
        return np.asarray(recorded, dtype=np.float64) if origin is None else (recorded - origin) / 1e9

    first, last = seconds(cells.begins), seconds(cells.ends - 1) + 1.0 / rate_hz
    # two cells that touch are one span, also where the clock jitters
    touching = (cells.begins[1:] == cells.ends[:-1]) & (cells.segments[1:] == cells.segments[:-1])
    last[:-1] = np.where(touching, first[1:], last[:-1])
    clusters = {}
    for cluster in np.unique(cells.labels[cells.labels >= 0]).tolist():
        clusters[cluster] = _merged(first, last, np.flatnonzero(cells.labels == cluster), touching)
    return Lane(origin, _merged(first, last, np.arange(len(first)), touching), clusters)


def _merged(first: FloatArray, last: FloatArray, own: IntArray, touching: np.ndarray) -> FloatArray:
    """(span, 2) of some cells, where those that follow one another are one span."""
    new = np.flatnonzero(~((np.diff(own) == 1) & touching[own[:-1]])) + 1
    heads, tails = own[np.concatenate([[0], new])], own[np.concatenate([new - 1, [len(own) - 1]])]
    # a step that is shorter than usual must not make a span begin before the one before it ends
    return np.stack([first[heads], np.minimum(last[tails], np.append(first[heads[1:]], np.inf))], axis=1)
