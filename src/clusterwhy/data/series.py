"""A recorded multivariate series, and checks that it is usable."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Reading:
    """Counts from reading a user's file, for the data report.

    Attributes:
        n_rows: rows of the file.
        missing: cells of each channel that were empty, infinite or listed in `missing_values`.
        filled: interpolated cells of each channel, including those of missing rows.
        policies: the policies for faults.
    """

    n_rows: int
    missing: dict[str, int]
    filled: dict[str, int]
    policies: dict[str, Any]


@dataclass(frozen=True)
class Normal:
    """A known-good period.

    Attributes:
        spans: (first sample, sample after the last) of each of its parts, in order and without overlap.
        says: which period it is, in words.
    """

    spans: tuple[tuple[int, int], ...]
    says: str


@dataclass(frozen=True)
class Series:
    """A recording with its names and units.

    Attributes:
        name: shown in reports.
        values: (time, channel) float64, as recorded.
        time: (time,) float64 seconds, or int64 nanoseconds since 1970 for time stamps, as recorded; it goes back
            between two segments if groups share a clock.
        rate_hz: samples per second.
        channels: name of each channel.
        units: unit of each channel, "" where unknown.
        segments: first sample of each contiguous segment; no window crosses a boundary.
        train_stop: samples before this one fit the scaler, the encoder and the detectors, unless `normal` does.
        labels: (time,) index into `label_names`, or None. Only classifiers use them in training.
        label_ranks: one rank per label name: a window takes the label of the highest rank inside, such as its most
            abnormal beat. Empty: the most frequent label inside.
        groups: (time,) index into `group_names`, or None: units that a split keeps on one side, such as the person or
            the speed. -1 is between two groups; windows that contain -1 or two groups are dropped.
        anomalous: (time,) True where an expert labelled an anomaly, or None.
        notes: what the reader changed or noticed, for the data report.
        reading: counts from a user's file; None for other data.
        normal: the known-good period, whose samples fit the scaler, the encoder and the detectors; None: `train_stop`.
        beats: (beat,) samples of the annotated heart beats, in order; None without such annotations.
    """

    name: str
    values: FloatArray
    time: FloatArray | IntArray
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    train_stop: int
    segments: tuple[int, ...] = (0,)
    labels: IntArray | None = None
    label_names: tuple[str, ...] = ()
    label_ranks: tuple[int, ...] = ()
    groups: IntArray | None = None
    group_names: tuple[str, ...] = ()
    anomalous: BoolArray | None = None
    notes: tuple[str, ...] = field(default=())
    reading: Reading | None = None
    normal: Normal | None = None
    beats: IntArray | None = None

    @property
    def fitted_spans(self) -> tuple[tuple[int, int], ...]:
        """(first sample, sample after the last) of each part that fits the scaler, the encoder and the detectors."""
        return ((0, self.train_stop),) if self.normal is None else self.normal.spans

    @property
    def fitted_values(self) -> FloatArray:
        """(fitted sample, channel) values of `fitted_spans`; a view of one span."""
        parts = [self.values[start:stop] for start, stop in self.fitted_spans]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def time_s(self) -> FloatArray:
        """(time,) seconds since the first sample; recordings of one clock follow one another, see `end_to_end`."""
        return end_to_end(self.time)


def end_to_end(time: FloatArray | IntArray, follow: Sequence[int] = ()) -> FloatArray:
    """Seconds since the first sample, always increasing.

    Where time goes back, as between two machines that recorded at the same time, the later recording follows the
    earlier one after a median step.

    Args:
        time: (time,) float64 seconds, or int64 nanoseconds.
        follow: samples that follow the one before in any case.
    """
    elapsed: FloatArray = time - time[0]
    if np.issubdtype(time.dtype, np.integer):
        elapsed = elapsed / 1e9
    steps = np.diff(elapsed)
    back = steps <= 0
    back[np.asarray(follow, dtype=np.int64) - 1] = True
    if not back.any():
        return elapsed
    usual = float(np.median(steps[~back])) if not back.all() else 1.0
    return elapsed + np.append(0.0, np.cumsum(np.where(back, usual - steps, 0.0)))


def in_spans(spans: Sequence[Sequence[int]], n_samples: int) -> BoolArray:
    """(time,) True for samples of any of the spans (first sample, sample after the last)."""
    inside = np.zeros(n_samples, dtype=bool)
    for start, stop in spans:
        inside[start:stop] = True
    return inside


def spans_of(inside: BoolArray) -> tuple[tuple[int, int], ...]:
    """(first sample, sample after the last) of each run of True in (time,)."""
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))


def constant_channels(values: FloatArray) -> list[int]:
    """Indices of the constant channels of (time, channel)."""
    return [int(i) for i in np.flatnonzero(np.ptp(values, axis=0) == 0)]


def without_channels(series: Series, dropped: list[int]) -> Series:
    """The series without the channels that are constant in the training span.

    Raises:
        DataError: no channel would be left.
    """
    kept = [i for i in range(len(series.channels)) if i not in dropped]
    if not kept:
        names = ", ".join(series.channels)
        raise DataError(series.name, [f"all channels are constant in the training span: {names}"])
    return replace(
        series,
        values=series.values[:, kept],
        channels=tuple(series.channels[i] for i in kept),
        units=tuple(series.units[i] for i in kept),
    )


def _rows(mask: BoolArray, limit: int = 5) -> str:
    found = np.flatnonzero(mask)
    shown = ", ".join(str(row) for row in found[:limit])
    return f"{len(found)} rows, first at {shown}" + (" ..." if len(found) > limit else "")


def fill_missing(
    values: FloatArray, channels: tuple[str, ...], source: str, max_missing_share: float
) -> tuple[FloatArray, tuple[str, ...]]:
    """Interpolate missing or infinite values linearly over time.

    Args:
        values: (time, channel).
        max_missing_share: maximum share of missing values in a channel.

    Returns:
        The filled values, and one note per changed channel.

    Raises:
        DataError: lists every channel above `max_missing_share`.
    """
    missing = ~np.isfinite(values)
    faults, notes = [], []
    filled = values
    for i in np.flatnonzero(missing.any(axis=0)):
        share = float(missing[:, i].mean())
        where = f"channel {channels[i]!r}: {share:.2%} missing or infinite ({_rows(missing[:, i])})"
        if share > max_missing_share or share == 1.0:
            faults.append(f"{where}, above `max_missing_share` {max_missing_share:.2%}")
            continue
        if filled is values:
            filled = values.copy()
        rows, gaps = np.flatnonzero(~missing[:, i]), np.flatnonzero(missing[:, i])
        filled[gaps, i] = np.interp(gaps, rows, values[rows, i])
        notes.append(f"{where}, interpolated")
    if faults:
        raise DataError(source, faults)
    return filled, tuple(notes)
