"""Time columns: seconds, or time stamps with an offset, of a time zone, or of none."""

import numpy as np
import pandas as pd

from clusterwhy.readers.cells import COMMA, EXACT, as_numbers
from clusterwhy.readers.issues import Issues
from clusterwhy.types import FloatArray, IntArray

# Z or +01:00 after a time of day; the day of a plain date is not an offset
OFFSET = r"[T ]\d{2}(?::?\d{2}.*?)?(?:[Zz]|[-+]\d{2}(?::?\d{2})?)\s*$"
# differences between such stamps fit into int64 nanoseconds
EARLIEST, LATEST = pd.Timestamp("1900-01-01", tz="UTC"), pd.Timestamp("2190-01-01", tz="UTC")
HOUR_S = 3600


def time_axis(column: pd.Series, timezone: str | None, issues: Issues) -> FloatArray | IntArray | None:
    """Seconds as float64, or time stamps as int64 nanoseconds since 1970 UTC; None if there are faults.

    Args:
        timezone: IANA zone of stamps without offset; None: UTC.
    """
    name = str(column.name)
    if (empty := column.isna().to_numpy()).any():
        rows = np.flatnonzero(empty)
        issues.fault("empty-time", f"time column {name!r}: empty cells ({issues.where(rows)})", rows, name)
        return None
    if column.dtype.kind == "M" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return _nanoseconds(column, timezone, issues)
    if column.dtype.kind in "bcm":
        issues.fault("time-type", f"time column {name!r} holds {column.dtype}, not seconds or time stamps")
        return None
    seconds = as_numbers(column)
    if seconds is not None and not np.isnan(seconds).any():
        return _seconds(seconds, name, timezone, issues)
    text = column.astype(str)
    stamps = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
    # a column of seconds with a few other cells is not a column of time stamps
    bad = stamps.isna() if seconds is None or np.isnan(seconds).mean() > 0.5 else pd.Series(np.isnan(seconds))
    if bad.any():
        _not_time(text, np.flatnonzero(bad), issues)
        return None
    return _parsed(text, stamps, timezone, issues)


def _seconds(seconds: FloatArray, name: str, timezone: str | None, issues: Issues) -> FloatArray | None:
    bad = ~(np.abs(seconds) < EXACT)
    if bad.any():
        rows = np.flatnonzero(bad)
        issues.fault(
            "time-range",
            f"time column {name!r}: expected seconds below 2^53, got values such as {seconds[rows[0]]:g} "
            f"({issues.where(rows)}); if they are nanoseconds, divide by 1e9",
            rows,
            name,
        )
        return None
    if timezone is not None:
        issues.notes.append(f"time column {name!r} holds seconds: `timezone` is ignored")
    return seconds


def _not_time(text: pd.Series, rows: IntArray, issues: Issues) -> None:
    name, first = str(text.name), text.iloc[rows[0]][:40]
    fix = 'set `decimal: ","`' if COMMA.fullmatch(first) else "write 2026-01-31T12:00:00"
    issues.fault(
        "not-time",
        f"time column {name!r}: {len(rows)} cells are neither seconds nor ISO 8601 time stamps, "
        f"first {first!r} in {issues.row(int(rows[0]))}; {fix}",
        rows,
        name,
    )


def _parsed(text: pd.Series, stamps: pd.Series, timezone: str | None, issues: Issues) -> IntArray | None:
    """Time stamps from ISO 8601 text; either all or none must have an offset."""
    name = str(text.name)
    aware = text.str.contains(OFFSET, regex=True).to_numpy(dtype=bool)
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
    return _nanoseconds(stamps if aware.any() else stamps.dt.tz_localize(None), timezone, issues)


def _nanoseconds(stamps: pd.Series, timezone: str | None, issues: Issues) -> IntArray | None:
    name, naive = str(stamps.name), stamps.dt.tz is None
    if naive and timezone is not None:
        localised = _localised(stamps, timezone, issues)
        if localised is None:
            return None
        stamps = localised
    elif naive:
        stamps = stamps.dt.tz_localize("UTC")
    elif timezone is not None:
        issues.notes.append(f"time column {name!r} has offsets: `timezone` is ignored")
    if (outside := ((stamps < EARLIEST) | (stamps > LATEST)).to_numpy()).any():
        rows = np.flatnonzero(outside)
        text = f"time column {name!r}: time stamps before 1900 or after 2189 ({issues.where(rows)})"
        issues.fault("time-range", text, rows, name)
        return None
    found: IntArray = stamps.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64").to_numpy()
    if naive and timezone is None:
        _hint_at_local_time(found, issues)
    return found


def _localised(stamps: pd.Series, timezone: str, issues: Issues) -> pd.Series | None:
    """Local stamps with their zone; the repeated hour in autumn is resolved by order."""
    name = str(stamps.name)
    known = stamps.dt.tz_localize(timezone, ambiguous=np.ones(len(stamps), dtype=bool), nonexistent="NaT")
    if (skipped := known.isna().to_numpy()).any():
        rows = np.flatnonzero(skipped)
        issues.fault(
            "no-such-hour",
            f"time column {name!r}: time stamps that do not exist in {timezone}, where clocks go forward "
            f"({issues.where(rows)}); check `timezone`",
            rows,
            name,
        )
        return None
    try:
        return stamps.dt.tz_localize(timezone, ambiguous="infer")
    except ValueError:
        rows = np.flatnonzero(stamps.dt.tz_localize(timezone, ambiguous="NaT").isna().to_numpy())
    issues.fault(
        "ambiguous-hour",
        f"time column {name!r}: ambiguous time stamps in an hour that occurs twice in {timezone}; their order does not "
        f"resolve it ({issues.where(rows)}); write them in UTC or with an offset",
        rows,
        name,
    )
    return None


def _hint_at_local_time(nanoseconds: IntArray, issues: Issues) -> None:
    """A clock shift of one hour is reported, not corrected: it may be a real gap."""
    steps = np.diff(nanoseconds)
    if not (steps > 0).any():
        return
    usual = int(np.median(steps[steps > 0]))
    hour = HOUR_S * 10**9
    shifted = np.isin(steps, [usual - hour, usual + hour]) & (usual < hour)
    if shifted.any():
        rows = np.flatnonzero(shifted) + 1
        issues.hint = "; the clock shifts by one hour: local time? set `timezone`"
        issues.notes.append(
            f"the clock shifts by exactly one hour ({issues.where(rows)}): if stamps are local time, set `timezone`"
        )
