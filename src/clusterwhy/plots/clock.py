"""In which unit times are told: seconds of a minute, days of a year."""

import math
from dataclasses import dataclass
from typing import Self, TypeVar

from clusterwhy.types import FloatArray

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
LEAST = 30  # of a unit are told in it; less, in a smaller one
Times = TypeVar("Times", float, FloatArray)


@dataclass(frozen=True)
class Clock:
    """A unit of time, and how finely times are told in it.

    Attributes:
        unit: its name.
        seconds: of one.
        digits: after the decimal point.
    """

    unit: str
    seconds: float
    digits: int

    @classmethod
    def of(cls, span_s: float, resolution_s: float) -> Self:
        """For times up to `span_s` that are told apart if `resolution_s` lies between them."""
        unit = [name for name, seconds in UNITS.items() if span_s >= LEAST * seconds or name == "s"][-1]
        return cls(unit, UNITS[unit], max(1, math.ceil(-math.log10(resolution_s / UNITS[unit]))))

    def scaled(self, seconds: Times) -> Times:
        """Seconds in this unit."""
        return seconds / self.seconds

    def number(self, seconds: float) -> str:
        """A time without its unit, for a range of them."""
        return f"{seconds / self.seconds:.{self.digits}f}"

    def text(self, seconds: float) -> str:
        """A time and its unit."""
        return f"{self.number(seconds)} {self.unit}"
