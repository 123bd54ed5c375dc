"""Local time: time stamps of a zone whose clock changes twice a year."""

import numpy as np
import pandas as pd

from clusterwhy.readers.issues import Issues
from clusterwhy.types import FloatArray, IntArray

HOUR_NS = 3_600 * 10**9
# zones whose changes of the clock are those of most others
ZONES = ("Europe/Berlin", "Europe/London", "America/New_York", "Australia/Sydney", "America/Santiago")
# rows compared with these zones
FEW = 100


def localised(stamps: pd.Series, timezone: str, tracks: IntArray, issues: Issues) -> pd.Series | None:
    """Local stamps with their zone; the repeated hour in autumn is resolved by the order and the steps of a recording.

    Args:
        stamps: without zone.
        tracks: (row,) recording of each row.
    """
    name = str(stamps.name)
    everywhere = np.ones(len(stamps), dtype=bool)
    summer = stamps.dt.tz_localize(timezone, ambiguous=everywhere, nonexistent="NaT")
    if (skipped := summer.isna().to_numpy()).any():
        rows = np.flatnonzero(skipped)
        issues.fault(
            "no-such-hour",
            f"time column {name!r}: time stamps that do not exist in {timezone}, where clocks go forward "
            f"({issues.where(rows)}); check `timezone`",
            rows,
            name,
        )
        return None
    winter = stamps.dt.tz_localize(timezone, ambiguous=~everywhere, nonexistent="NaT")
    early, late = _nanoseconds(summer), _nanoseconds(winter)
    if (early == late).all():
        return summer
    resolved = early.copy()
    unknown: list[int] = []
    for track in np.unique(tracks[early != late]):
        rows = np.flatnonzero(tracks == track)
        resolved[rows], open_rows = _by_steps(early[rows], late[rows])
        unknown += rows[open_rows].tolist()
    if unknown:
        open_at = np.sort(np.array(unknown))
        issues.fault(
            "ambiguous-hour",
            f"time column {name!r}: ambiguous time stamps in an hour that occurs twice in {timezone}; their order does "
            f"not resolve it ({issues.where(open_at)}); write them in UTC or with an offset",
            open_at,
            name,
        )
        return None
    return pd.Series(resolved.astype("datetime64[ns]"), index=stamps.index, name=stamps.name).dt.tz_localize("UTC")


def _nanoseconds(stamps: pd.Series) -> IntArray:
    found: IntArray = stamps.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64").to_numpy()
    return found


def _by_steps(early: IntArray, late: IntArray) -> tuple[IntArray, IntArray]:
    """Stamps of one recording, and the rows that its steps leave open.

    A run of ambiguous stamps is first in summer time, then in winter time; the change is where steps stay most alike.
    """
    order = np.arange(len(early))
    steps = np.diff(early)[(np.diff(early) != 0) & (early == late)[1:] & (early == late)[:-1]]
    steps = steps if len(steps) else np.diff(early)[np.diff(early) != 0]
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual < 0:
        order, usual = order[::-1], -usual
    first, second = early[order], late[order]
    resolved, unknown = first.copy(), []
    ambiguous = np.flatnonzero(first != second)
    for run in np.split(ambiguous, np.flatnonzero(np.diff(ambiguous) > 1) + 1):
        costs = _costs(first, second, int(run[0]), int(run[-1]) + 1, usual)
        best = int(costs.argmin())
        if (costs <= costs[best] + 0.01 * usual).sum() > 1:
            unknown += run.tolist()
        resolved[run[best:]] = second[run[best:]]
    back = np.argsort(order)
    return resolved[back], order[np.array(unknown, dtype=np.int64)]


def _costs(early: IntArray, late: IntArray, start: int, stop: int, usual: float) -> FloatArray:
    """(change,) total deviation from the usual step, if rows from `start` + change on are in winter time."""
    low, high = max(start - 1, 0), min(stop + 1, len(early))
    summer = np.append(0.0, np.cumsum(np.abs(np.diff(early[low:high]) - usual)))
    winter = np.append(np.cumsum(np.abs(np.diff(late[low:high]) - usual)[::-1])[::-1], 0.0)
    changes = np.arange(start, stop + 1)
    between = np.zeros(len(changes))
    inside = (changes > low) & (changes < high)
    between[inside] = np.abs(late[changes[inside]] - early[changes[inside] - 1] - usual)
    costs: FloatArray = summer[np.maximum(changes - 1 - low, 0)] + between
    return costs + winter[np.minimum(changes - low, len(winter) - 1)]


def hint_at_local_time(nanoseconds: IntArray, tracks: IntArray, issues: Issues) -> None:
    """A clock shift of one hour is reported, not corrected: it may be a real gap.

    Steps of an hour and more are compared with the changes of some zones: there, a missing row looks like a shift.
    """
    order = np.argsort(tracks, kind="stable")
    steps, same = np.diff(nanoseconds[order]), np.diff(tracks[order]) == 0
    forward = steps[same & (steps > 0)]
    if not len(forward):
        return
    usual = int(np.median(forward))
    shifted: IntArray = np.flatnonzero(same & np.isin(steps, [usual - HOUR_NS, usual + HOUR_NS]))
    zone, confirmed = _zone_of_shifts(nanoseconds[order], shifted[:FEW], usual)
    if usual >= HOUR_NS:
        shifted = confirmed
    if not len(shifted):
        return
    such = f", such as {zone}" if zone else ""
    rows = np.sort(order[shifted + 1])
    issues.hint = f"; the clock shifts by one hour: local time? set `timezone`{such}"
    issues.notes.append(
        f"the clock shifts by exactly one hour ({issues.where(rows)}): if stamps are local time, set `timezone`{such}"
    )


def _zone_of_shifts(nanoseconds: IntArray, shifted: IntArray, usual: int) -> tuple[str, IntArray]:
    """The zone whose changes of the clock explain most of the shifts, and the shifts that it explains."""
    found = ""
    best: IntArray = np.empty(0, dtype=np.int64)
    for zone in ZONES if len(shifted) else ():
        before, after = (pd.Series(nanoseconds[shifted + i].astype("datetime64[ns]")) for i in (0, 1))
        summer, winter = np.ones(len(shifted), dtype=bool), np.zeros(len(shifted), dtype=bool)
        explained = np.zeros(len(shifted), dtype=bool)
        for first in (summer, winter):
            one = before.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
            other = after.dt.tz_localize(zone, ambiguous=winter, nonexistent="shift_forward")
            explained |= _nanoseconds(other) - _nanoseconds(one) == usual
        if explained.sum() > len(best):
            found, best = zone, shifted[explained]
    return found, best
