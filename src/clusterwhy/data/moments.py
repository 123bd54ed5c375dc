"""Ranges of time in settings: calendar dates and time stamps where a recording has them, seconds elsewhere."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BeforeValidator, Field

from clusterwhy.config import Settings
from clusterwhy.errors import Fault
from clusterwhy.types import BoolArray, FloatArray, IntArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOLERANCE = 1e-3  # of a step: seconds are compared despite rounding
CALENDAR = re.compile(r"\d{4}-\d\d-\d\d")
EXPECTED = "expected a date such as 2024-03-01, a time stamp such as 2024-03-01T12:00, or seconds"


def _moment(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        raise ValueError(EXPECTED)
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(EXPECTED) from None
        if not CALENDAR.match(value):  # weeks, such as 2024-W09, would be their first day
            raise ValueError(EXPECTED)
    return value


Moment = Annotated[float | str, BeforeValidator(_moment)]


class Range(Settings):
    """A range of time, both ends included; None is open.

    Attributes:
        from_: `from` in YAML: seconds as the recording counts them, or a date or time stamp (ISO 8601).
        to: likewise; a date is the whole day.
    """

    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has no end at all."""
        return self.from_ is None and self.to is None

    @property
    def ends(self) -> list[float | str]:
        """The ends that are given."""
        return [end for end in (self.from_, self.to) if end is not None]

    @property
    def range_says(self) -> str:
        """In words; "" if it is open at both ends."""
        if self.is_open:
            return ""
        first = "the first sample" if self.from_ is None else _text(self.from_)
        return f"{first} to {'the last sample' if self.to is None else _text(self.to)}"

    def wrong_clock(self, dated: bool) -> str:
        """What to give instead, if the ends are dates and the recording has none, or the other way round."""
        if all(isinstance(end, str) == dated for end in self.ends):
            return ""
        return "give dates such as 2024-03-01" if dated else "the recording has no dates: give seconds"

    def limits(self, zone: str) -> tuple[float | int, float | int]:
        """First moment inside and first moment after it: seconds, or nanoseconds since 1970.

        Args:
            zone: time zone of dates and of time stamps without an offset.
        """
        low = -np.inf if self.from_ is None else _moments(self.from_, zone)[0]
        high = np.inf if self.to is None else _moments(self.to, zone)[1]
        return low, high

    def inside(self, time: FloatArray | IntArray, zone: str, step_s: float) -> BoolArray:
        """(time,) whether samples lie in the range; its ends are of the recording's kind (`wrong_clock`).

        Args:
            time: of each sample, as in `Series`.
            zone: of dates and of time stamps without an offset.
            step_s: between samples, in seconds.
        """
        low, high = self.limits(zone)
        if dated(time):
            return (time >= low) & (time < high)
        return (time >= low - TOLERANCE * step_s) & (time <= high + TOLERANCE * step_s)


def range_faults(span: Range, time: FloatArray | IntArray, zone: str, where: str) -> list[Fault]:
    """Why a range holds nothing of a recording: other kinds of moments, backwards, or outside; at most one fault.

    Args:
        time: of each sample, as in `Series`.
        zone: time zone of dates.
        where: which range, for messages.
    """
    with_dates, first, last = dated(time), time.min(), time.max()
    runs = f"the recording runs from {shown(first, with_dates)} to {shown(last, with_dates)}"
    if wrong := span.wrong_clock(with_dates):
        return [Fault("wrong-clock", f"{where}: {wrong}; {runs}")]
    low, high = span.limits(zone)
    if low > high or (with_dates and low == high):
        return [Fault("backward-span", f"{where}: it begins after it ends")]
    if low > last or high < first or (with_dates and high == first):
        return [Fault("span-outside", f"{where}: outside the recording; {runs}")]
    return []


def dated(time: FloatArray | IntArray) -> bool:
    """Whether times are dates (int64 nanoseconds), not seconds."""
    return bool(np.issubdtype(time.dtype, np.integer))


def shown(time: float | np.number, with_date: bool) -> str:
    """A recorded time for messages."""
    if not with_date:
        return f"{float(time):g} s"
    text = str(np.datetime64(int(time), "ns"))
    return f"{text[:19] if text.endswith('.000000000') else text} UTC"


def _text(end: float | str) -> str:
    return end if isinstance(end, str) else f"{end:g} s"


def _moments(end: float | str, zone: str) -> tuple[float | int, float | int]:
    """When the moment, or the day, begins and ends."""
    if isinstance(end, float):
        return end, end
    first = datetime.fromisoformat(end)
    day = len(end) <= len("2024-03-01")
    last = first + (timedelta(days=1) if day else timedelta(microseconds=1))
    return _nanoseconds(first, zone), _nanoseconds(last, zone)


def _nanoseconds(moment: datetime, zone: str) -> int:
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone))
    return (known - EPOCH) // timedelta(microseconds=1) * 1000
