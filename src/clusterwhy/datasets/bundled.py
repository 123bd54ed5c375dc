"""What the bundled and benchmark datasets share: a part of them may be read, as of users' files."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clusterwhy.data.series import Series
from clusterwhy.errors import Fault
from clusterwhy.readers.clock import TimeAxis
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.part import Part
from clusterwhy.readers.patterns import chosen
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.ranges import kept_rows
from clusterwhy.types import IntArray

PARTS = {"normal", "from_", "to", "include", "exclude", "sha256"}  # settings that do not say which recording it is


class Bundled(Part):
    """A dataset with a layout of its own."""

    def whole(self) -> Series:
        """Read and check all of the recording.

        Raises:
            DataError: lists every fault.
        """
        raise NotImplementedError

    def recording(self) -> Series:
        """The part that is chosen.

        Raises:
            DataError: lists every fault.
        """
        return _part_of(self.whole(), self)

    @property
    def source(self) -> str:
        """The settings that choose the recording."""
        return ", ".join(f"{name}: {value}" for name, value in self.model_dump(exclude=PARTS).items())


def _part_of(series: Series, part: Bundled) -> Series:
    """The samples of a series in the range, and its channels that the patterns choose; with notes of both.

    Windows never cross a boundary between samples that did not follow one another.

    Raises:
        DataError: lists every fault: a range outside the series or its training span, patterns without channel.
    """
    issues = Issues(series.name)
    names = chosen(series.channels, part.include, part.exclude, issues)
    if not names and not issues.faults:
        issues.fault("no-channel", "`include` and `exclude` leave no channel")
    kept = kept_rows(TimeAxis(series.time, 0.0), {}, part.span, Policies(timezone=part.zone), issues)
    if kept is not None:
        series = _cut(series, kept.rows, getattr(part, "train_share", None))
        if not series.train_stop and not part.normal:
            text = "`from` leaves out the training span: name what is known to be good by `normal`"
            issues.faults.append(Fault("no-training-span", text))
    issues.raise_any()
    kept_channels = [series.channels.index(name) for name in names]
    if len(names) < len(series.channels):
        issues.notes.append(f"{len(names)} of {len(series.channels)} channels are read")
    return replace(
        series,
        values=series.values[:, kept_channels] if len(names) < len(series.channels) else series.values,
        channels=tuple(names),
        units=tuple(series.units[i] for i in kept_channels),
        notes=(*series.notes, *issues.notes),
    )


def _cut(series: Series, rows: IntArray, train_share: float | None) -> Series:
    """The series at some samples, in order; a share of training samples counts among these."""
    firsts = np.isin(rows, series.segments) | (np.diff(rows, prepend=rows[0]) != 1)
    groups, group_names = _present(series.groups, series.group_names, rows)
    train_stop = int((rows < series.train_stop).sum()) if train_share is None else round(train_share * len(rows))
    return replace(
        series,
        values=series.values[rows],
        time=series.time[rows],
        train_stop=train_stop,
        segments=tuple(np.flatnonzero(firsts).tolist()),
        labels=None if series.labels is None else series.labels[rows],
        groups=groups,
        group_names=group_names,
        anomalous=None if series.anomalous is None else series.anomalous[rows],
    )


def _present(codes: IntArray | None, names: Sequence[str], rows: IntArray) -> tuple[IntArray | None, tuple[str, ...]]:
    """Groups at some samples, numbered without those that have none of these; -1 stays."""
    if codes is None:
        return None, tuple(names)
    there = np.unique(codes[rows][codes[rows] >= 0])
    number = np.full(len(names) + 1, -1)  # the last one is that of -1
    number[there] = np.arange(len(there))
    return number[codes[rows]], tuple(names[i] for i in there)
