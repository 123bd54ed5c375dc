"""Where segments and events lie in a prepared series."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clusterwhy.artifacts.store import read_array
from clusterwhy.data.moments import TOLERANCE, Range, dated, range_faults
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray, IntArray

Span = tuple[int, int]


@dataclass(frozen=True)
class Interval:
    """A named interval of a series.

    Attributes:
        name, note: as given.
        spans: (first sample, sample after the last) in each recording; gaps may lie within.
    """

    name: str
    note: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Asked:
    """An interval as a person gave it.

    Attributes:
        where: it, for messages.
        name, note: shown.
        range: when it is.
        recording: that it is in; "" for any with these dates.
    """

    where: str
    name: str
    note: str
    range: Range
    recording: str = ""


@dataclass(frozen=True)
class Place:
    """The samples of a series by their times.

    Attributes:
        data: the series.
        zone: time zone of dates without an offset.
    """

    data: Prepared
    zone: str

    @cached_property
    def time(self) -> FloatArray | IntArray:
        """(sample,) as recorded."""
        return read_array(self.data.folder / "time.npy")

    @property
    def dated(self) -> bool:
        """Whether times are dates."""
        return dated(self.time)

    @cached_property
    def parts(self) -> list[tuple[str, int, int]]:
        """Name of the recording, first sample and sample after the last of each part in which time increases."""
        data, names, n_samples = self.data, self.data.card.group_names or [], len(self.time)
        back = np.flatnonzero(np.diff(self.time) <= 0) + 1
        if data.groups is None:
            return [(data.card.name, int(a), int(b)) for a, b in itertools.pairwise([0, *back, n_samples])]
        starts, groups = data.starts, data.groups
        new = np.flatnonzero((np.diff(groups) != 0) | (np.diff(np.searchsorted(back, starts, side="right")) != 0)) + 1
        runs = itertools.pairwise([0, *new, len(starts)])
        return [(names[groups[a]], int(starts[a]), int(starts[b - 1]) + data.length) for a, b in runs]

    def spans(self, asked: Range, recording: str = "") -> tuple[Span, ...]:
        """(first sample, sample after the last) of each part of the series that lies in a range."""
        low, high = asked.limits(self.zone)
        if not self.dated:
            slack = TOLERANCE / self.data.card.rate_hz
            low, high = low - slack, np.nextafter(high + slack, np.inf)
        found = []
        for name, first, stop in self.parts:
            if recording in ("", name):
                a, b = np.searchsorted(self.time[first:stop], [low, high], side="left")
                if a < b:
                    found.append((first + int(a), first + int(b)))
        return tuple(found)

    def faults(self, asked: Asked) -> Iterator[tuple[str, str]]:
        """Kind and text of what is wrong with an interval: `wrong-clock`, `backward-span`, `span-outside`."""
        names = {name for name, *_ in self.parts}
        if asked.recording and asked.recording not in names:
            yield "span-outside", f"{asked.where}: the study has no recording {asked.recording!r}"
            return
        for fault in range_faults(asked.range, self.time, self.zone, asked.where):
            yield fault.kind, fault.text


def located(place: Place, asked: Iterable[Asked]) -> tuple[list[Interval], list[str], list[str]]:
    """The intervals that lie in a series, what is wrong with the others, and which of them lie outside it."""
    found, faults, outside = [], [], []
    for one in asked:
        wrong = list(place.faults(one))
        outside += [text for kind, text in wrong if kind == "span-outside"]
        faults += [text for kind, text in wrong if kind != "span-outside"]
        if not wrong:
            spans = place.spans(one.range, one.recording)
            if spans:
                found.append(Interval(one.name, one.note, spans))
            else:
                outside.append(f"{one.where}: the recording has no sample there")
    return found, faults, outside


def overlapping(intervals: Sequence[Interval]) -> list[str]:
    """Pairs of intervals that share samples, in words."""
    spans = sorted((first, stop, one.name or one.note[:30]) for one in intervals for first, stop in one.spans)
    return [
        f"segments {before[2]!r} and {after[2]!r} overlap"
        for before, after in itertools.pairwise(spans)
        if after[0] < before[1]
    ]
