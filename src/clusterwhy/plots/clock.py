"""Units for displaying times: seconds for minutes, days for years; dates where the data have them."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from clusterwhy.types import FloatArray

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MIN_UNITS = 30  # shorter spans use a smaller unit
# differences in seconds -> characters of a date: minutes, seconds, milliseconds
DATE_DIGITS = {60.0: 16, 1.0: 19, 0.0: 23}
Dates = tuple[tuple[float, float], ...]
Times = TypeVar("Times", float, FloatArray)


@dataclass(frozen=True)
class Clock:
    """A time unit and a number of digits.

    Attributes:
        unit: its name.
        seconds: seconds per unit.
        digits: after the decimal point.
        dates: (time in seconds, that moment in milliseconds since 1970 UTC) where a recording begins, one after the
            other, so that texts are dates; empty without dates.
        date_digits: of a date such as 2024-03-01T12:05:30.250, as characters.
    """

    unit: str
    seconds: float
    digits: int
    dates: Dates = ()
    date_digits: int = 0

    @classmethod
    def of(cls, span_s: float, resolution_s: float, dates: Dates = ()) -> Self:
        """A unit for times up to `span_s`, with digits that resolve differences of `resolution_s`."""
        unit = [name for name, seconds in UNITS.items() if span_s >= MIN_UNITS * seconds or name == "s"][-1]
        digits = max(1, math.ceil(-math.log10(resolution_s / UNITS[unit])))
        characters = next(n for step, n in DATE_DIGITS.items() if resolution_s >= step)
        return cls(unit, UNITS[unit], digits, dates, characters)

    @property
    def since(self) -> str:
        """What times on axes count from."""
        if len(self.dates) > 1:
            return "the first sample, recordings one after the other"
        return self.text(0.0) if self.dates else "the first sample"

    def scaled(self, seconds: Times) -> Times:
        """Seconds in this unit."""
        return seconds / self.seconds

    def number(self, seconds: float) -> str:
        """A time without its unit, for ranges."""
        if not self.dates:
            return f"{seconds / self.seconds:.{self.digits}f}"
        begins, moment = self.dates[max(0, bisect_right(self.dates, seconds, key=lambda one: one[0]) - 1)]
        when = datetime.fromtimestamp(moment / 1000, UTC) + timedelta(seconds=float(seconds - begins))
        return when.isoformat(" ", "milliseconds")[: self.date_digits]

    def span(self, first: float, last: float) -> str:
        """Two times (seconds) and their unit or zone; the day of the second one only if it is another."""
        start, stop = self.number(first), self.text(last)
        same = bool(self.dates) and start[:10] == stop[:10]
        return f"{start} to {stop[11:] if same else stop}"

    def text(self, seconds: float) -> str:
        """A time and its unit, or its zone."""
        return f"{self.number(seconds)} {'UTC' if self.dates else self.unit}"
