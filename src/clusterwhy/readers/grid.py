"""Rows on a regular grid of time: order, duplicates, gaps, and another rate."""

from dataclasses import dataclass, replace

import numpy as np

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.types import BoolArray, FloatArray, IntArray

# seconds; a shorter step is a mistake, and its rate overflows
SHORTEST = 1e-12
# rows for each row of the file that resampling may make
MAX_GROWTH = 100


@dataclass(frozen=True)
class Rows:
    """Rows of a file, or between them.

    Attributes:
        time: (row,) float64 seconds or int64 nanoseconds.
        values: (row, channel), NaN where missing.
        codes: (row,) of labels and groups, by what they are.
        number: (row,) of the file, counted from 0; a row that was put in has that of the row before it.
        cut: (row,) True where a new segment begins, the first row aside.
    """

    time: FloatArray | IntArray
    values: FloatArray
    codes: dict[str, IntArray]
    number: IntArray
    cut: BoolArray

    def at(self, chosen: IntArray | BoolArray) -> "Rows":
        """Some of the rows."""
        codes = {key: code[chosen] for key, code in self.codes.items()}
        return Rows(self.time[chosen], self.values[chosen], codes, self.number[chosen], self.cut[chosen])

    @property
    def seconds(self) -> FloatArray:
        """(row,) since the first row."""
        elapsed = self.time - self.time[0]
        return elapsed / 1e9 if self.time.dtype == np.int64 else elapsed


def in_order(rows: Rows, policies: Policies, issues: Issues) -> Rows:
    """Rows by time; a fault where they were not and `unsorted` is "error"."""
    backwards = np.flatnonzero(np.append(False, np.diff(rows.time) < 0))
    if not len(backwards):
        return rows
    where = issues.where(rows.number[backwards])
    if policies.unsorted == "error":
        text = f"time stamps are not sorted ({where}){issues.hint}; set `unsorted: sort` if the rows are right"
        issues.fault("unsorted", text, rows.number[backwards])
    else:
        issues.notes.append(f"time stamps were not sorted, and are now ({where})")
    return rows.at(np.argsort(rows.time, kind="stable"))


def without_duplicates(rows: Rows, policies: Policies, issues: Issues) -> Rows:
    """One row per time stamp; labels and groups are those of the last. Rows must be in order."""
    again = np.append(False, np.diff(rows.time) == 0)
    if not again.any():
        return rows
    numbers = rows.number[again]
    if policies.duplicates == "error":
        text = f"duplicate time stamps ({issues.where(numbers)}); set `duplicates` to mean or last if that is right"
        issues.fault("duplicates", text, numbers)
    else:
        issues.notes.append(f"duplicate time stamps, {policies.duplicates} taken ({issues.where(numbers)})")
    last = rows.at(np.append(np.flatnonzero(again[1:] == 0), len(again) - 1))
    if policies.duplicates != "mean":
        return last
    starts = np.flatnonzero(~again)
    known = np.isfinite(rows.values)
    sums = np.add.reduceat(np.where(known, rows.values, 0.0), starts, axis=0)
    counts = np.add.reduceat(known.astype(np.int64), starts, axis=0)
    return replace(last, values=np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def median_step(rows: Rows, issues: Issues) -> float | None:
    """Seconds from row to row; None, with a fault, if that is no time. Rows must be in order."""
    step = float(np.median(np.diff(rows.seconds)))
    if step >= SHORTEST:
        return step
    issues.fault("time-step", f"the median step is {step:.3g} s: is the time column in seconds?")
    return None


def on_grid(rows: Rows, step_s: float, policies: Policies, issues: Issues) -> Rows:
    """Missing rows put in, or the series cut, where steps are longer than one; faults where they should not be."""
    steps = np.diff(rows.seconds)
    missing = np.maximum(np.rint(np.minimum(steps / step_s, 2.0**60)).astype(np.int64) - 1, 0)
    limit = 0 if policies.gaps == "error" else policies.max_gap
    if policies.irregular == "resample":
        # what resampling is for: shorter steps need no rows between
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
            f"(gaps begin behind {issues.where(numbers)}){issues.hint}; {_mend(policies)}",
            numbers,
            count=int(long.sum()),
        )
    elif long.any():
        rows = replace(rows, cut=rows.cut | np.append(False, long))
        where = issues.where(rows.number[:-1][long])
        issues.notes.append(f"cut at {long.sum()} gaps of {missing[long].sum()} rows (behind {where})")
    return _put_in(rows, np.where(long, 0, missing), policies, issues)


def _mend(policies: Policies) -> str:
    if policies.gaps == "error":
        return "`gaps` can be interpolate or split"
    return f"longer than `max_gap` {policies.max_gap}; set `gaps: split`, or raise it"


def _irregular(rows: Rows, uneven: BoolArray, step_s: float, policies: Policies, issues: Issues) -> None:
    if uneven.any():
        numbers = rows.number[1:][uneven]
        issues.fault(
            "irregular",
            f"irregular rate: the median step is {step_s:.6g} s, but other steps occur ({issues.where(numbers)}); "
            f"set `irregular: resample`, or raise `rate_tolerance` above {policies.rate_tolerance:g}",
            numbers,
        )


def _put_in(rows: Rows, n_new: IntArray, policies: Policies, issues: Issues) -> Rows:
    """Empty rows between rows, at even distances, `n_new` behind each but the last."""
    total = int(n_new.sum())
    if not total:
        return rows
    # never filled: the channel's limit would tell it, at the price of the memory
    if (share := total / (total + len(rows.time))) > policies.max_missing_share:
        issues.fault(
            "missing-rows",
            f"{total} rows missing, {share:.2%}, above `max_missing_share` {policies.max_missing_share:.2%}",
            rows.number[:-1][n_new > 0],
            count=total,
        )
        return rows
    issues.notes.append(f"{total} missing rows put in (behind {issues.where(rows.number[:-1][n_new > 0])})")
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
    """Rows at `resample_hz`, linear within each segment, labels and groups of the nearest row.

    Unchanged where they have that rate already.
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
            f"resampling to {rate_hz:g} Hz makes {n_new.sum():.3g} rows out of {len(rows.time)}, more than "
            f"{MAX_GROWTH} for each; lower `resample_hz`",
        )
        return rows
    segment = np.repeat(np.arange(len(starts)), n_new.astype(np.int64))
    within = np.arange(len(segment)) - np.append(0, np.cumsum(n_new)[:-1])[segment].astype(np.int64)
    wanted = np.minimum(seconds[starts][segment] + within / rate_hz, seconds[stops][segment])
    exact = within * (10**9 / rate_hz) if rows.time.dtype == np.int64 else within / rate_hz
    time = rows.time[starts][segment] + (np.rint(exact).astype(np.int64) if rows.time.dtype == np.int64 else exact)
    values = np.stack([np.interp(wanted, seconds, channel) for channel in rows.values.T], axis=1)
    behind = np.clip(np.searchsorted(seconds, wanted), 1, len(seconds) - 1)
    nearest = np.where(wanted - seconds[behind - 1] <= seconds[behind] - wanted, behind - 1, behind)
    nearest = np.clip(nearest, starts[segment], stops[segment])
    issues.notes.append(f"resampled from {len(rows.time)} rows, {1 / step_s:.6g} Hz, to {len(time)} at {rate_hz:g} Hz")
    if rate_hz * step_s < 1 - policies.rate_tolerance:
        issues.notes.append(f"no filter before: what was above {rate_hz / 2:g} Hz may now look slower (aliasing)")
    codes = {key: code[nearest] for key, code in rows.codes.items()}
    return Rows(time, values, codes, rows.number[nearest], (within == 0) & (segment > 0))
