"""Rows on a regular time grid: order, duplicates, gaps, resampling."""

from dataclasses import dataclass, replace

import numpy as np

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.types import BoolArray, FloatArray, IntArray

# seconds; a shorter step is an error, and its rate would overflow
SHORTEST = 1e-12
# maximum ratio of resampled to original rows
MAX_GROWTH = 100


@dataclass(frozen=True)
class Rows:
    """Rows of a file, and rows inserted between them.

    Attributes:
        time: (row,) float64 seconds or int64 nanoseconds.
        values: (row, channel), NaN where missing.
        codes: "label" and "group", if any -> (row,) codes.
        number: (row,) row number in the file, from 0; an inserted row has that of the row before it.
        cut: (row,) True where a new segment starts, except at the first row.
    """

    time: FloatArray | IntArray
    values: FloatArray
    codes: dict[str, IntArray]
    number: IntArray
    cut: BoolArray

    def at(self, chosen: IntArray | BoolArray) -> "Rows":
        """A selection of the rows."""
        codes = {key: code[chosen] for key, code in self.codes.items()}
        return Rows(self.time[chosen], self.values[chosen], codes, self.number[chosen], self.cut[chosen])

    @property
    def seconds(self) -> FloatArray:
        """(row,) seconds since the first row."""
        elapsed = self.time - self.time[0]
        return elapsed / 1e9 if self.time.dtype == np.int64 else elapsed


def in_order(rows: Rows, policies: Policies, issues: Issues) -> Rows:
    """Rows sorted by time; a fault if they were not and `unsorted` is "error"."""
    backwards = np.flatnonzero(np.append(False, np.diff(rows.time) < 0))
    if not len(backwards):
        return rows
    where = issues.where(rows.number[backwards])
    if policies.unsorted == "error":
        text = f"time stamps are not sorted ({where}){issues.hint}; set `unsorted: sort` to sort them"
        issues.fault("unsorted", text, rows.number[backwards])
    else:
        issues.notes.append(f"rows sorted by time ({where})")
    return rows.at(np.argsort(rows.time, kind="stable"))


def without_duplicates(rows: Rows, policies: Policies, issues: Issues) -> Rows:
    """One row per time stamp, with label and group of the last; rows must be sorted."""
    again = np.append(False, np.diff(rows.time) == 0)
    if not again.any():
        return rows
    numbers = rows.number[again]
    if policies.duplicates == "error":
        text = f"duplicate time stamps ({issues.where(numbers)}); set `duplicates` to mean or last to merge them"
        issues.fault("duplicates", text, numbers)
    else:
        issues.notes.append(
            f"duplicate time stamps merged by `duplicates: {policies.duplicates}` ({issues.where(numbers)})"
        )
    last = rows.at(np.append(np.flatnonzero(again[1:] == 0), len(again) - 1))
    if policies.duplicates != "mean":
        return last
    starts = np.flatnonzero(~again)
    known = np.isfinite(rows.values)
    sums = np.add.reduceat(np.where(known, rows.values, 0.0), starts, axis=0)
    counts = np.add.reduceat(known.astype(np.int64), starts, axis=0)
    return replace(last, values=np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def median_step(rows: Rows, issues: Issues) -> float | None:
    """Median step in seconds; None, with a fault, if it is practically zero. Rows must be sorted."""
    step = float(np.median(np.diff(rows.seconds)))
    if step >= SHORTEST:
        return step
    issues.fault("time-step", f"the median step is {step:.3g} s: is the time column really in seconds?")
    return None


def on_grid(rows: Rows, step_s: float, policies: Policies, issues: Issues) -> Rows:
    """Insert missing rows or cut the series where steps are too long; faults where the policies forbid it."""
    steps = np.diff(rows.seconds)
    missing = np.maximum(np.rint(np.minimum(steps / step_s, 2.0**60)).astype(np.int64) - 1, 0)
    limit = 0 if policies.gaps == "error" else policies.max_gap
    if policies.irregular == "resample":
        # resampling handles short gaps
        missing[missing <= policies.max_gap] = 0
    else:
        uneven = np.abs(steps - (missing + 1) * step_s) > policies.rate_tolerance * step_s * (missing + 1)
        _irregular(rows, uneven & ((missing <= limit) | (missing == 0)), step_s, policies, issues)
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


def _irregular(rows: Rows, uneven: BoolArray, step_s: float, policies: Policies, issues: Issues) -> None:
    if uneven.any():
        numbers = rows.number[1:][uneven]
        issues.fault(
            "irregular",
            f"irregular rate: the median step is {step_s:.6g} s, but other steps occur ({issues.where(numbers)}); "
            f"set `irregular: resample`, or raise `rate_tolerance` above {policies.rate_tolerance:g}",
            numbers,
        )


def _insert_rows(rows: Rows, n_new: IntArray, policies: Policies, issues: Issues) -> Rows:
    """Insert `n_new` evenly spaced empty rows after each row."""
    total = int(n_new.sum())
    if not total:
        return rows
    # refused before filling, which would exceed `max_missing_share` later at the cost of memory
    if (share := total / (total + len(rows.time))) > policies.max_missing_share:
        issues.fault(
            "missing-rows",
            f"{total} rows missing, {share:.2%}, above `max_missing_share` {policies.max_missing_share:.2%}",
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
    )


def resampled(rows: Rows, step_s: float, policies: Policies, issues: Issues) -> Rows:
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
    issues.notes.append(f"resampled from {len(rows.time)} rows, {1 / step_s:.6g} Hz, to {len(time)} at {rate_hz:g} Hz")
    if rate_hz * step_s < 1 - policies.rate_tolerance:
        issues.notes.append(f"no anti-aliasing filter: content above {rate_hz / 2:g} Hz is aliased")
    codes = {key: code[nearest] for key, code in rows.codes.items()}
    return Rows(time, values, codes, rows.number[nearest], (within == 0) & (segment > 0))
