"""What is done about each kind of fault of a user's file; nothing is repaired that is not said so here."""

import zoneinfo
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from clusterwhy.config import Settings


class Policies(Settings):
    """Choices for faults that can be mended; all others end a run.

    Attributes:
        gaps: rows that miss on the grid of time, and empty, infinite or `missing_values` cells. "error": any is a
            fault. "interpolate": up to `max_gap` in a row are filled linearly, longer ones are faults. "split": the
            same, but longer ones are taken out and cut the series into segments, which no window crosses.
        max_gap: samples in a row.
        max_missing_share: greatest share of filled cells in a channel.
        duplicates: rows of one time stamp: a fault, their mean, or the last of them.
        unsorted: rows that go back in time: a fault, or sorted.
        irregular: steps that differ from the median step and are no gaps: a fault, or resampled to `resample_hz`.
            "resample" gives every file this rate. A gap is then more than `max_gap` median steps, whatever `gaps` is.
        rate_tolerance: greatest deviation of a step, as a share of the median step.
        missing_values: numbers that stand for missing ones, such as -9999.
        max_abs: greater values are faults.
        timezone: of time stamps without offset, such as "Europe/Berlin". None: UTC.
        memory_share: of the memory that is free, which a file may take once unpacked.
    """

    gaps: Literal["error", "interpolate", "split"] = "interpolate"
    max_gap: int = Field(default=5, ge=0)
    max_missing_share: float = Field(default=0.05, ge=0.0, lt=1.0)
    duplicates: Literal["error", "mean", "last"] = "error"
    unsorted: Literal["error", "sort"] = "error"
    irregular: Literal["error", "resample"] = "error"
    resample_hz: float | None = Field(default=None, gt=0.0)
    rate_tolerance: float = Field(default=0.01, ge=0.0, lt=0.5)
    missing_values: list[float] = Field(default_factory=list)
    max_abs: float = Field(default=1.0e30, gt=0.0)
    timezone: str | None = None
    memory_share: float = Field(default=0.25, gt=0.0, le=1.0)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        # compared with the list, since a lookup opens a file of that name
        if name is not None and name not in zoneinfo.available_timezones():
            raise ValueError(f"expected a zone such as Europe/Berlin or UTC, got {name!r}")
        return name

    @model_validator(mode="after")
    def _rate_of_resampling(self) -> Self:
        if (self.irregular == "resample") != (self.resample_hz is not None):
            raise ValueError("`irregular: resample` and `resample_hz` belong together: set both or none")
        return self
