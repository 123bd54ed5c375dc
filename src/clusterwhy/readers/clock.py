"""Time columns: numbers of a unit, or time stamps with an offset, of a time zone, or of none."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.readers.cells import COMMA, as_numbers
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.local_time import hint_at_local_time, localised
from clusterwhy.readers.numeric_time import (
    WORDS,
    digits_of,
    guessed,
    nanoseconds_since_1970,
    seconds_of,
)
from clusterwhy.readers.pace import resolution, resolution_of_stamps
from clusterwhy.readers.policies import Policies
from clusterwhy.types import FloatArray, IntArray

# Z or +01:00 after a time of day; the day of a plain date is not an offset
OFFSET = r"[T ]\d{2}(?::?\d{2}.*?)?(?:[Zz]|[-+]\d{2}(?::?\d{2})?)\s*$"
# differences between such stamps fit into int64 nanoseconds
EARLIEST, LATEST = pd.Timestamp("1900-01-01", tz="UTC"), pd.Timestamp("2190-01-01", tz="UTC")
# forms of dates and times of day that a message proposes
DATE_FORMS = (
    *("%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y"),
    *("%d %b %Y", "%b %d %Y", "%b %d, %Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%Y%m%d"),
)
TIME_FORMS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M:%S:%f", "%I:%M %p", "%I:%M:%S %p", "%H%M%S")
# seconds; what float64 keeps of the days of Excel
EXCEL_S = 1e-6


@dataclass(frozen=True)
class TimeAxis:
    """The times of all rows.

    Attributes:
        time: (row,) float64 seconds, or int64 nanoseconds since 1970 UTC.
        resolution_s: last place of the stamps in seconds, to which they may have been rounded.
    """

    time: FloatArray | IntArray
    resolution_s: float


def even_times(first_row: int, count: int, rate_hz: float) -> TimeAxis:
    """The times of rows of a file without a time column, whose first row is at 0."""
    # a rate has no stamps that could be rounded
    return TimeAxis((first_row + np.arange(count)) / rate_hz, 0.0)


def time_axis(column: pd.Series, tracks: IntArray, policies: Policies, issues: Issues) -> TimeAxis | None:
    """The times of a column; None if there are faults.

    Args:
        tracks: (row,) recording of each row: changes of the clock are found and resolved within each.
    """
    name = str(column.name)
    if (empty := column.isna().to_numpy()).any():
        rows = np.flatnonzero(empty)
        issues.fault("empty-time", f"time column {name!r}: empty cells ({issues.where(rows)})", rows, name)
        return None
    if column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return _stamps(column, tracks, policies, issues)
    if column.dtype.kind in "bcm":
        issues.fault("time-type", f"time column {name!r} holds {column.dtype}, not seconds or time stamps")
        return None
    numbers = as_numbers(column)
    if policies.time_format is None and numbers is not None and not np.isnan(numbers).any():
        return _of_numbers(column, numbers, tracks, policies, issues)
    return _of_text(column, numbers, tracks, policies, issues)


def _of_numbers(
    column: pd.Series, numbers: FloatArray, tracks: IntArray, policies: Policies, issues: Issues
) -> TimeAxis | None:
    if (bad := ~(np.abs(numbers) < 2.0**63)).any():
        rows, name = np.flatnonzero(bad), str(column.name)
        issues.fault(
            "time-range",
            f"time column {name!r}: expected seconds below 2^53, got values such as {numbers[rows[0]]:g} "
            f"({issues.where(rows)})",
            rows,
            name,
        )
        return None
    unit: str | None = policies.time_unit
    if unit is None:
        choice = guessed(column, numbers, issues)
        if choice is None:
            return None
        if choice.setting == "time_format":
            decided = policies.model_copy(update={"time_format": choice.value})
            return _of_text(column, numbers, tracks, decided, issues)
        unit = choice.value
    if unit == "excel":
        return _of_excel(column, numbers, tracks, policies, issues)
    if policies.timezone is not None:
        issues.notes.append(f"time column {column.name!r} holds {WORDS[unit]}: `timezone` is ignored")
    fine_s = float(seconds_of(np.array([resolution(numbers)]), unit)[0])
    stamps = nanoseconds_since_1970(column, numbers, unit)
    if stamps is not None:
        return TimeAxis(stamps, resolution_of_stamps(stamps))
    return TimeAxis(seconds_of(numbers, unit), fine_s)


def _of_excel(
    column: pd.Series, numbers: FloatArray, tracks: IntArray, policies: Policies, issues: Issues
) -> TimeAxis | None:
    name = str(column.name)
    outside = (numbers < 1) | (numbers > 100_000)
    if outside.any():
        rows = np.flatnonzero(outside)
        text = f"time column {name!r}: expected days of Excel, 1 to 100000 ({issues.where(rows)}); see `time_unit`"
        issues.fault("time-range", text, rows, name)
        return None
    fine_s = max(resolution(numbers) * 86_400, EXCEL_S)
    whole = np.rint(numbers * 86_400)
    if (np.abs(numbers * 86_400 - whole) <= fine_s).all():
        elapsed = whole.astype(np.int64) * 10**9
    else:
        elapsed = np.rint(numbers * 86_400e6).astype(np.int64) * 1000
    stamps = pd.Series(np.datetime64("1899-12-30", "ns") + elapsed.astype("timedelta64[ns]"), column.index, name=name)
    found = _stamps(stamps, tracks, policies, issues)
    return None if found is None else TimeAxis(found.time, fine_s)


def _of_text(
    column: pd.Series, numbers: FloatArray | None, tracks: IntArray, policies: Policies, issues: Issues
) -> TimeAxis | None:
    form = policies.time_format
    text = column.astype(str) if form is None else digits_of(column, form)
    stamps = pd.to_datetime(text, utc=True, format=form or "ISO8601", errors="coerce")
    bad = stamps.isna().to_numpy()
    # a column of seconds with a few other cells is not a column of time stamps
    if form is None and numbers is not None and np.isnan(numbers).mean() <= 0.5:
        bad = np.isnan(numbers)
    if bad.any():
        _not_time(text, np.flatnonzero(bad), policies, issues)
        return None
    if policies.time_unit is not None:
        said = f"time column {text.name!r} holds time stamps such as {text.iloc[0][:40]!r}, not {policies.time_unit}"
        issues.fault("time-unit", f"{said}: remove `time_unit`", column=str(text.name))
        return None
    aware = pd.Series("%z" in form, text.index) if form else text.str.contains(OFFSET, regex=True)
    return _of_offsets(stamps, aware.to_numpy(dtype=bool), tracks, policies, issues)


def _not_time(text: pd.Series, rows: IntArray, policies: Policies, issues: Issues) -> None:
    name, first = str(text.name), text.iloc[rows[0]][:40]
    expected = "neither seconds nor ISO 8601 time stamps"
    if policies.time_format is not None:
        expected, fix = f"not of the form `time_format` {policies.time_format!r}", "check `time_format`"
    elif forms := proposed_forms(text.iloc[rows]):
        fix = "set " + " or ".join(f'`time_format: "{form}"`' for form in forms)
    elif COMMA.fullmatch(first):
        fix = 'set `decimal: ","`'
    else:
        fix = "write 2026-01-31T12:00:00, or set `time_format`"
    issues.fault(
        "not-time",
        f"time column {name!r}: {len(rows)} cells are {expected}, first {first!r} in {issues.row(int(rows[0]))}; {fix}",
        rows,
        name,
    )


def proposed_forms(text: pd.Series) -> list[str]:
    """The time formats that all cells have; day and month may be exchanged in several of them."""
    timed = (f"{date}{between}{time}" for date, between, time in itertools.product(DATE_FORMS, (" ", "T"), TIME_FORMS))
    few = text.drop_duplicates()
    forms = []
    for form in (*DATE_FORMS, *timed, *TIME_FORMS[:-1]):
        if all(pd.to_datetime(cells, format=form, errors="coerce").notna().all() for cells in (few.iloc[:1], few)):
            forms.append(form)
    return forms


def _of_offsets(
    stamps: pd.Series, aware: np.ndarray, tracks: IntArray, policies: Policies, issues: Issues
) -> TimeAxis | None:
    """Either all or no stamps must have an offset."""
    name = str(stamps.name)
    if aware.any() and not aware.all():
        rows = np.flatnonzero(aware if aware.sum() < len(aware) / 2 else ~aware)
        issues.fault(
            "mixed-offsets",
            f"time column {name!r}: {aware.sum()} time stamps have an offset such as Z or +01:00, {(~aware).sum()} "
            f"have none; the minority: {issues.where(rows)}",
            rows,
            name,
        )
        return None
    return _stamps(stamps if aware.any() else stamps.dt.tz_localize(None), tracks, policies, issues)


def _stamps(stamps: pd.Series, tracks: IntArray, policies: Policies, issues: Issues) -> TimeAxis | None:
    name, naive, timezone = str(stamps.name), stamps.dt.tz is None, policies.timezone
    utc = stamps.dt.tz_localize("UTC") if naive else stamps
    if (outside := ((utc < EARLIEST) | (utc > LATEST)).to_numpy()).any():
        rows = np.flatnonzero(outside)
        text = f"time column {name!r}: time stamps before 1900 or after 2189 ({issues.where(rows)})"
        issues.fault("time-range", text, rows, name)
        return None
    known: pd.Series | None = utc
    if naive and timezone is not None:
        known = localised(stamps, timezone, tracks, issues)
    elif timezone is not None:
        issues.notes.append(f"time column {name!r} has offsets: `timezone` is ignored")
    if known is None:
        return None
    found: IntArray = known.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64").to_numpy()
    if naive and timezone is None:
        hint_at_local_time(found, tracks, issues)
    return TimeAxis(found, resolution_of_stamps(found))
