"""A multivariate series as it was recorded, and the checks that it can be used."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Reading:
    """What a reader of a user's file saw, for the data report.

    Attributes:
        n_rows: of the file.
        missing: cells of each channel that were empty, infinite or stood for missing ones.
        filled: cells of each channel that were interpolated, those of missing rows among them.
        policies: what was to be done about faults.
    """

    n_rows: int
    missing: dict[str, int]
    filled: dict[str, int]
    policies: dict[str, Any]


@dataclass(frozen=True)
class Series:
    """A recording with the names and units it came with.

    Attributes:
        name: what it is called in reports.
        values: (time, channel) float64, as recorded.
        time: (time,) float64 seconds, or int64 nanoseconds since 1970 for time stamps.
        rate_hz: samples per second.
        channels: name of each channel.
        units: unit of each channel, "" where unknown.
        segments: first sample of each contiguous segment; windows never cross from one to the next.
        train_stop: samples before this one fit the scaler, the encoder and the detectors.
        labels: (time,) index into `label_names`, or None. Only classifiers see them in training.
        label_ranks: one for each label name: a window has the label with the highest rank inside, such as its most
            abnormal beat. Empty: the most frequent label inside.
        groups: (time,) index into `group_names`, or None: what must not be on both sides of a split, such as the
            person or the speed. -1 is between two groups; a window that touches it or two groups is left out.
        anomalous: (time,) True where an expert marked an anomaly, or None.
        notes: what the reader changed or noticed, for the data report.
        reading: what the reader of a user's file counted, None of other data.
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

    @property
    def time_s(self) -> FloatArray:
        """(time,) seconds since the first sample."""
        elapsed = self.time - self.time[0]
        return elapsed / 1e9 if np.issubdtype(self.time.dtype, np.integer) else elapsed


def constant_channels(values: FloatArray) -> list[int]:
    """The channels (second axis of (time, channel)) that never change."""
    return [int(i) for i in np.flatnonzero(np.ptp(values, axis=0) == 0)]


def without_channels(series: Series, dropped: list[int]) -> Series:
    """The series without some channels, which are constant where anything is fitted.

    Raises:
        DataError: none would be left.
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
    """Interpolate single missing or infinite values linearly over time.

    Args:
        values: (time, channel).
        max_missing_share: greatest accepted share of missing values in a channel.

    Returns:
        The filled values and one note per channel that was changed.

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
