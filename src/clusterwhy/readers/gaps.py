"""Missing cells: interpolated in short runs, cut out or a fault in long ones."""

from dataclasses import replace

import numpy as np

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.rows import Rows
from clusterwhy.types import BoolArray, FloatArray, IntArray


def run_lengths(missing: BoolArray, cut: BoolArray) -> IntArray:
    """Length of the run of True around each sample, 0 outside; runs end where `cut` is True."""
    begins = missing & (cut | ~np.append(False, missing[:-1]))
    run = np.cumsum(begins)
    counts = np.bincount(run[missing], minlength=int(run[-1]) + 1 if len(run) else 1)
    return np.where(missing, counts[run], 0)


def empty_channels(rows: Rows, names: tuple[str, ...], issues: Issues) -> Rows:
    """Report each channel without any number, and fill it with zeros so that the others can be checked."""
    empty = ~np.isfinite(rows.values).any(axis=0)
    for i in map(int, np.flatnonzero(empty)):
        text = f"channel {names[i]!r}: 100.00% missing or infinite: it holds no number"
        issues.fault("empty-channel", text, rows.number, names[i])
    return replace(rows, values=np.where(empty, 0.0, rows.values)) if empty.any() else rows


def closed(rows: Rows, names: tuple[str, ...], policies: Policies, issues: Issues) -> Rows:
    """The rows without missing cells, unless there are faults.

    Missing cells at the start or end of a segment take the nearest value; with `gaps: split`, rows with missing cells
    at the ends of segments are dropped.
    """
    missing = ~np.isfinite(rows.values)
    if not missing.any():
        return rows
    limit = 0 if policies.gaps == "error" else policies.max_gap
    long = np.zeros_like(missing)
    for i in map(int, np.flatnonzero(missing.any(axis=0))):
        long[:, i] = run_lengths(missing[:, i], rows.cut) > limit
    if policies.gaps == "split":
        return _split(rows, np.asarray(long.any(axis=1)), names, policies, issues)
    filled = rows.values.copy()
    for i in map(int, np.flatnonzero(missing.any(axis=0))):
        filled[:, i] = _interpolated(rows, rows.values[:, i])
        # a short segment without any value has nothing to interpolate
        long[:, i] |= np.isnan(filled[:, i])
    for i in map(int, np.flatnonzero(long.any(axis=0))):
        _long_run(rows, missing[:, i], long[:, i], names[i], policies, issues)
    _report_filled(rows, names, policies, issues)
    return replace(rows, values=filled)


def _interpolated(rows: Rows, values: FloatArray) -> FloatArray:
    """One channel, filled linearly from the same segment, at its ends with the nearest value; NaN without any."""
    segment, gaps, known = np.cumsum(rows.cut), np.flatnonzero(np.isnan(values)), np.flatnonzero(~np.isnan(values))
    after = np.searchsorted(known, gaps)
    left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    has_left = (left < gaps) & (segment[left] == segment[gaps])
    has_right = (right > gaps) & (segment[right] == segment[gaps])
    seconds, filled = rows.seconds, values.copy()
    between = np.interp(seconds[gaps], seconds[known], values[known])
    nearest = np.where(has_left, values[left], np.where(has_right, values[right], np.nan))
    filled[gaps] = np.where(has_left & has_right, between, nearest)
    return filled


def _long_run(rows: Rows, missing: BoolArray, long: BoolArray, name: str, policies: Policies, issues: Issues) -> None:
    numbers = np.unique(rows.number[long])
    fix = "set `gaps` to interpolate or split"
    if policies.gaps != "error":
        runs = f"{long.sum()} of them in runs longer than `max_gap` {policies.max_gap}"
        fix = f"{runs}; set `gaps: split` or raise `max_gap`"
    issues.fault(
        "cell-gap",
        f"channel {name!r}: {missing.mean():.2%} missing or infinite ({issues.where(numbers)}); {fix}",
        numbers,
        name,
        int(long.sum()),
    )


def _split(rows: Rows, dropped: BoolArray, names: tuple[str, ...], policies: Policies, issues: Issues) -> Rows:
    """Drop rows and cut the series there; cells that no values of their segment enclose are dropped, too."""
    segment = np.cumsum(rows.cut | dropped | np.append(False, dropped[:-1]))
    filled = np.where(dropped[:, None], np.nan, rows.values)
    inside, seconds, ends = np.flatnonzero(~dropped), rows.seconds, (np.nan, np.nan)
    for part in np.split(inside, np.flatnonzero(np.diff(segment[inside])) + 1):
        if np.isfinite(filled[part]).all():
            continue
        for i in map(int, np.flatnonzero(np.isnan(filled[part]).any(axis=0))):
            # no extrapolation from other segments, hence NaN at both ends
            known = part[np.isfinite(rows.values[part, i])]
            if len(known):
                filled[part, i] = np.interp(seconds[part], seconds[known], rows.values[known, i], *ends)
    kept: BoolArray = np.asarray(np.isfinite(filled).all(axis=1))
    if len(numbers := np.unique(rows.number[~kept])):
        where = issues.where(numbers)
        issues.notes.append(f"rows with missing cells dropped and the series cut there ({where})")
    if not kept.any():
        issues.fault("no-rows-left", "no row is left between the gaps: raise `max_gap` or select fewer `channels`")
        return replace(rows, values=np.nan_to_num(rows.values))
    _report_filled(rows.at(kept), names, policies, issues)
    left = replace(rows, values=filled).at(kept)
    return replace(left, cut=np.append(False, np.diff(segment[kept]) != 0))


def _report_filled(rows: Rows, names: tuple[str, ...], policies: Policies, issues: Issues) -> None:
    """Note the filled cells, or report channels with too many; `rows` are those before filling."""
    missing = ~np.isfinite(rows.values)
    for i in map(int, np.flatnonzero(missing.any(axis=0))):
        share = float(missing[:, i].mean())
        numbers = np.unique(rows.number[missing[:, i]])
        where = f"channel {names[i]!r}: {share:.2%} missing or infinite ({issues.where(numbers)})"
        if share > policies.max_missing_share:
            text = f"{where}, above `max_missing_share` {policies.max_missing_share:.2%}"
            issues.fault("missing-share", text, numbers, names[i], int(missing[:, i].sum()))
        else:
            issues.notes.append(f"{where}, interpolated")
