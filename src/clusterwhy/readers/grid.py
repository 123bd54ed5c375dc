"""Rows on a regular time grid: order, duplicates, gaps, resampling."""

from dataclasses import replace

import numpy as np

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.pace import Pace
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.rows import Rows
from clusterwhy.types import FloatArray, IntArray

# maximum ratio of resampled to original rows
MAX_GROWTH = 100


def in_order(rows: Rows, policies: Policies, issues: Issues, advice: str = "") -> Rows:
    """Rows sorted by track and time; a fault if time went back within a track and `unsorted` is "error"."""
    track = rows.codes["track"]
    backwards = np.flatnonzero(np.append(False, (np.diff(rows.time) < 0) & (np.diff(track) == 0)))
    if not len(backwards):
        return rows
    numbers = np.sort(rows.number[backwards])
    where = issues.where(numbers)
    if policies.unsorted == "error":
        fix = issues.hint + advice or "; set `unsorted: sort` to sort them"
        issues.fault("unsorted", f"time stamps are not sorted ({where}){fix}", numbers)
    else:
        issues.notes.append(f"rows sorted by time ({where}){advice}")
    return rows.at(np.lexsort((rows.time, track)))


def without_duplicates(rows: Rows, policies: Policies, issues: Issues, advice: str = "") -> Rows:
    """One row per track and time stamp, with label and group of the last; rows must be sorted."""
    again = np.append(False, (np.diff(rows.time) == 0) & (np.diff(rows.codes["track"]) == 0))
    if not again.any():
        return rows
    numbers = np.sort(rows.number[again])
    where = issues.where(numbers)
    if policies.duplicates == "error":
        fix = issues.hint + advice or "; set `duplicates` to mean or last to merge them"
        issues.fault("duplicates", f"duplicate time stamps ({where}){fix}", numbers)
    else:
        issues.notes.append(f"duplicate time stamps merged by `duplicates: {policies.duplicates}` ({where}){advice}")
    last = rows.at(np.append(np.flatnonzero(again[1:] == 0), len(again) - 1))
    if policies.duplicates != "mean":
        return last
    starts = np.flatnonzero(~again)
    known = np.isfinite(rows.values)
    sums = np.add.reduceat(np.where(known, rows.values, 0.0), starts, axis=0)
    counts = np.add.reduceat(known.astype(np.int64), starts, axis=0)
    return replace(last, values=np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def on_grid(rows: Rows, pace: Pace, policies: Policies, issues: Issues) -> Rows:
    """Insert missing rows or cut the series where steps are too long; faults where the policies forbid it."""
    inside = ~rows.cut[1:]
    steps = np.where(inside, np.diff(rows.seconds), pace.step_s)
    usual = np.abs(steps - pace.step_s) <= pace.slack_s
    missing = np.maximum(np.rint(np.minimum(steps / pace.step_s, 2.0**60)).astype(np.int64) - 1, 0)
    missing[usual] = 0
    limit = 0 if policies.gaps == "error" else policies.max_gap
    if policies.irregular == "resample":
        # resampling handles short gaps
        missing[missing <= policies.max_gap] = 0
    else:
        expected = (missing + 1) * pace.step_s
        deviation = np.maximum(np.abs(steps - expected) - pace.slack_s, 0.0) / expected
        uneven = (deviation > policies.rate_tolerance) & ((missing <= limit) | (missing == 0))
        _irregular(rows, np.where(uneven, deviation, 0.0), pace, policies, issues)
    long = missing > limit
    if long.any() and policies.gaps != "split":
        numbers = rows.number[:-1][long]
        issues.fault(
            "time-gap",
            f"{missing[long].sum()} rows missing in {long.sum()} gaps, the longest {missing.max()} "
            f"(gaps start after {issues.where(numbers)}){issues.hint}; {_gap_fix(policies)}",
            numbers,
            count=int(long.sum()),
        )
    elif long.any():
        rows = replace(rows, cut=rows.cut | np.append(False, long))
        where = issues.where(rows.number[:-1][long])
        issues.notes.append(f"cut at {long.sum()} gaps of {missing[long].sum()} rows (after {where})")
    return _insert_rows(rows, np.where(long, 0, missing), policies, issues)


def _gap_fix(policies: Policies) -> str:
    if policies.gaps == "error":
        return "set `gaps` to interpolate or split"
    return f"longer than `max_gap` {policies.max_gap}; set `gaps: split` or raise `max_gap`"


def _irregular(rows: Rows, deviation: FloatArray, pace: Pace, policies: Policies, issues: Issues) -> None:
    """A fault if steps deviate, which offers the settings that accept them.

    Args:
        deviation: (row - 1,) share by which a step is too long or too short; 0 where it is tolerated.
    """
    uneven = deviation > 0
    if uneven.any():
        steps = np.diff(rows.seconds)
        numbers = rows.number[1:][uneven]
        median = float(np.median(steps[~rows.cut[1:]]))
        fix = f"`irregular: resample` with `resample_hz: {pace.rate_hz:.6g}`"
        # two digits, rounded up
        if (enough := _rounded_up(float(deviation.max()))) < 0.5:
            fix = f"`rate_tolerance: {enough:g}` to accept them, or {fix}"
        issues.fault(
            "irregular",
            f"irregular rate: the median step is {median:.6g} s, but other steps occur ({issues.where(numbers)}), "
            f"{steps[uneven].min():.6g} to {steps[uneven].max():.6g} s{issues.hint}; set {fix}",
            numbers,
        )


def _rounded_up(share: float) -> float:
    """To two digits."""
    unit = 10.0 ** (np.floor(np.log10(share)) - 1)
    return float(f"{np.ceil(share / unit * (1 + 1e-9)) * unit:.6g}")


def _insert_rows(rows: Rows, n_new: IntArray, policies: Policies, issues: Issues) -> Rows:
    """Insert `n_new` evenly spaced empty rows after each row."""
    total = int(n_new.sum())
    if not total:
        return rows
    # refused before filling, which would exceed `max_missing_share` later at the cost of memory
    if (share := total / (total + len(rows.time))) > policies.max_missing_share:
        issues.fault(
            "missing-rows",
            f"{total} rows missing, {share:.2%}, above `max_missing_share` {policies.max_missing_share:.2%}"
            f"{issues.hint}",
            rows.number[:-1][n_new > 0],
            count=total,
        )
        return rows
    issues.notes.append(f"{total} missing rows inserted (after {issues.where(rows.number[:-1][n_new > 0])})")
    n_new = np.append(n_new, 0)
    left = np.repeat(np.arange(len(rows.time)), n_new + 1)
    within = np.arange(len(left)) - (np.arange(len(n_new)) + np.cumsum(n_new) - n_new)[left]
    right = np.minimum(left + 1, len(rows.time) - 1)
    parts = n_new[left] + 1
    nearest = np.where(2 * within > parts, right, left)
    span = rows.time[right] - rows.time[left]
    moved = span * within // parts if rows.time.dtype == np.int64 else span * (within / parts)
    return Rows(
        time=rows.time[left] + moved,
        values=np.where((within == 0)[:, None], rows.values[left], np.nan),
        codes={key: code[nearest] for key, code in rows.codes.items()},
        number=rows.number[left],
        cut=rows.cut[left] & (within == 0),
        group_names=rows.group_names,
    )


def resampled(rows: Rows, pace: Pace, policies: Policies, issues: Issues) -> Rows:
    """Rows at `resample_hz`, interpolated linearly within each segment; labels and groups of the nearest row.

    Unchanged if they already have that rate.
    """
    rate_hz = policies.resample_hz
    steps = np.diff(rows.seconds)[~rows.cut[1:]]
    if rate_hz is None or (len(steps) and (np.abs(steps * rate_hz - 1.0) <= policies.rate_tolerance).all()):
        return rows
    starts = np.append(0, np.flatnonzero(rows.cut[1:]) + 1)
    stops = np.append(starts[1:], len(rows.time)) - 1
    seconds = rows.seconds
    n_new = np.floor((seconds[stops] - seconds[starts]) * rate_hz + 1e-6) + 1
    if n_new.sum() > MAX_GROWTH * len(rows.time):
        issues.fault(
            "resample-growth",
            f"resampling to {rate_hz:g} Hz makes {n_new.sum():.3g} rows from {len(rows.time)}, more than "
            f"{MAX_GROWTH} per row; lower `resample_hz`",
        )
        return rows
    segment = np.repeat(np.arange(len(starts)), n_new.astype(np.int64))
    within = np.arange(len(segment)) - np.append(0, np.cumsum(n_new)[:-1])[segment].astype(np.int64)
    wanted = np.minimum(seconds[starts][segment] + within / rate_hz, seconds[stops][segment])
    exact = within * (10**9 / rate_hz) if rows.time.dtype == np.int64 else within / rate_hz
    time = rows.time[starts][segment] + (np.rint(exact).astype(np.int64) if rows.time.dtype == np.int64 else exact)
    values = np.stack([np.interp(wanted, seconds, channel) for channel in rows.values.T], axis=1)
    after = np.clip(np.searchsorted(seconds, wanted), 1, len(seconds) - 1)
    nearest = np.where(wanted - seconds[after - 1] <= seconds[after] - wanted, after - 1, after)
    nearest = np.clip(nearest, starts[segment], stops[segment])
    issues.notes.append(
        f"resampled from {len(rows.time)} rows, {pace.rate_hz:.6g} Hz, to {len(time)} at {rate_hz:g} Hz"
    )
    if rate_hz < (1 - policies.rate_tolerance) * pace.rate_hz:
        issues.notes.append(f"no anti-aliasing filter: content above {rate_hz / 2:g} Hz is aliased")
    codes = {key: code[nearest] for key, code in rows.codes.items()}
    return Rows(time, values, codes, rows.number[nearest], (within == 0) & (segment > 0), rows.group_names)
