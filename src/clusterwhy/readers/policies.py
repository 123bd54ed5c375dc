"""Policies for faults in user files; nothing is repaired unless a policy says so."""

import zoneinfo
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from clusterwhy.config import Settings
from clusterwhy.readers.numeric_time import TimeUnit


class Policies(Settings):
    """Options for repairable faults; all other faults end the run.

    Attributes:
        gaps: missing rows, and empty, infinite or `missing_values` cells. "error": each is a fault. "interpolate": runs
            up to `max_gap` are filled linearly, longer runs are faults. "split": the same, but longer runs are removed
            and cut the series into segments, which no window crosses.
        max_gap: longest run that is filled, in samples.
        max_missing_share: maximum share of filled cells in a channel.
        duplicates: rows with equal time stamps: a fault, or replaced by their mean or the last of them.
        unsorted: rows that go back in time: a fault, or sorted.
        irregular: steps that differ from the usual step and are not gaps: a fault, or resampled to `resample_hz`.
            With "resample" every file gets this rate, and a gap is more than `max_gap` usual steps, whatever `gaps`.
        rate_tolerance: maximum deviation of a step, as a share of the usual step.
        missing_values: numbers and texts that mark missing cells, such as -9999 and "Bad".
        max_abs: larger absolute values are faults.
        timezone: of time stamps without offset, such as "Europe/Berlin"; None: UTC.
        time_unit: of numbers in the time column: "s", "ms", "us", "ns", "min", "h", "d", or "excel" for the days that
            Excel counts; None: guessed from their size, steps and name, and noted.
        time_format: of time stamps that are not ISO 8601, such as "%d.%m.%Y %H:%M" (strftime codes).
        memory_share: maximum size of the unpacked file, as a share of the free memory.
    """

    gaps: Literal["error", "interpolate", "split"] = "interpolate"
    max_gap: int = Field(default=5, ge=0)
    max_missing_share: float = Field(default=0.05, ge=0.0, lt=1.0)
    duplicates: Literal["error", "mean", "last"] = "error"
    unsorted: Literal["error", "sort"] = "error"
    irregular: Literal["error", "resample"] = "error"
    resample_hz: float | None = Field(default=None, gt=0.0)
    rate_tolerance: float = Field(default=0.01, ge=0.0, lt=0.5)
    missing_values: list[float | str] = Field(default_factory=list)
    max_abs: float = Field(default=1.0e30, gt=0.0)
    timezone: str | None = None
    time_unit: TimeUnit | None = None
    time_format: str | None = Field(default=None, pattern="%")
    memory_share: float = Field(default=0.25, gt=0.0, le=1.0)

    @field_validator("missing_values", mode="before")
    @classmethod
    def _quoted(cls, marks: object) -> object:
        if isinstance(marks, list | tuple) and any(isinstance(mark, bool) for mark in marks):
            raise ValueError('YAML reads yes, no, on, off as true and false: quote words, such as ["No"]')
        return marks

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        # compared with the list, since a lookup would open a file of that name
        if name is not None and name not in zoneinfo.available_timezones():
            raise ValueError(f"expected a zone such as Europe/Berlin or UTC, got {name!r}")
        return name

    @model_validator(mode="after")
    def _numbers_or_stamps(self) -> Self:
        if self.time_unit is not None and self.time_format is not None:
            raise ValueError("`time_unit` is for numbers, `time_format` for dates: set one of them")
        return self

    @model_validator(mode="after")
    def _rate_of_resampling(self) -> Self:
        if (self.irregular == "resample") != (self.resample_hz is not None):
            raise ValueError("`irregular: resample` and `resample_hz` must be set together or not at all")
        return self
