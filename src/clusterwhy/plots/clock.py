"""Units for displaying times: seconds for minutes, days for years; dates where the data have them."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar

from clusterwhy.types import FloatArray

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MIN_UNITS = 30  # shorter spans use a smaller unit
# differences in seconds -> characters of a date: minutes, seconds, milliseconds
DATE_DIGITS = {60.0: 16, 1.0: 19, 0.0: 23}
Times = TypeVar("Times", float, FloatArray)


@dataclass(frozen=True)
class Clock:
    """A time unit and a number of digits.

    Attributes:
        unit: its name.
        seconds: seconds per unit.
        digits: after the decimal point.
        start_ms: when time 0 is, in milliseconds since 1970 UTC, so that texts are dates; None without dates.
        date_digits: of a date such as 2024-03-01T12:05:30.250, as characters.
    """

    unit: str
    seconds: float
    digits: int
    start_ms: float | None = None
    date_digits: int = 0

    @classmethod
    def of(cls, span_s: float, resolution_s: float, start_ms: float | None = None) -> Self:
        """A unit for times up to `span_s`, with digits that resolve differences of `resolution_s`."""
        unit = [name for name, seconds in UNITS.items() if span_s >= MIN_UNITS * seconds or name == "s"][-1]
        digits = max(1, math.ceil(-math.log10(resolution_s / UNITS[unit])))
        characters = next(n for step, n in DATE_DIGITS.items() if resolution_s >= step)
        return cls(unit, UNITS[unit], digits, start_ms, characters)

    @property
    def since(self) -> str:
        """What times on axes count from."""
        return "the first sample" if self.start_ms is None else self.text(0.0)

    def scaled(self, seconds: Times) -> Times:
        """Seconds in this unit."""
        return seconds / self.seconds

    def number(self, seconds: float) -> str:
        """A time without its unit, for ranges."""
        if self.start_ms is None:
            return f"{seconds / self.seconds:.{self.digits}f}"
        when = datetime.fromtimestamp(self.start_ms / 1000, UTC) + timedelta(seconds=float(seconds))
        return when.isoformat(" ", "milliseconds")[: self.date_digits]

    def span(self, first: float, last: float) -> str:
        """Two times (seconds) and their unit or zone; the day of the second one only if it is another."""
        start, stop = self.number(first), self.text(last)
        same = self.start_ms is not None and start[:10] == stop[:10]
        return f"{start} to {stop[11:] if same else stop}"

    def text(self, seconds: float) -> str:
        """A time and its unit, or its zone."""
        return f"{self.number(seconds)} {self.unit if self.start_ms is None else 'UTC'}"
