"""Units for displaying times: seconds for minutes, days for years."""

import math
from dataclasses import dataclass
from typing import Self, TypeVar

from clusterwhy.types import FloatArray

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MIN_UNITS = 30  # shorter spans use a smaller unit
Times = TypeVar("Times", float, FloatArray)


@dataclass(frozen=True)
class Clock:
    """A time unit and a number of digits.

    Attributes:
        unit: its name.
        seconds: seconds per unit.
        digits: after the decimal point.
    """

    unit: str
    seconds: float
    digits: int

    @classmethod
    def of(cls, span_s: float, resolution_s: float) -> Self:
        """A unit for times up to `span_s`, with digits that resolve differences of `resolution_s`."""
        unit = [name for name, seconds in UNITS.items() if span_s >= MIN_UNITS * seconds or name == "s"][-1]
        return cls(unit, UNITS[unit], max(1, math.ceil(-math.log10(resolution_s / UNITS[unit]))))

    def scaled(self, seconds: Times) -> Times:
        """Seconds in this unit."""
        return seconds / self.seconds

    def number(self, seconds: float) -> str:
        """A time without its unit, for ranges."""
        return f"{seconds / self.seconds:.{self.digits}f}"

    def text(self, seconds: float) -> str:
        """A time and its unit."""
        return f"{self.number(seconds)} {self.unit}"
