"""Missing cells: filled where a run of them is short, cut out or a fault where it is long."""

from dataclasses import replace

import numpy as np

from clusterwhy.data.findings import Findings
from clusterwhy.data.grid import Rows
from clusterwhy.data.policies import Policies
from clusterwhy.types import BoolArray, IntArray


def run_lengths(missing: BoolArray, cut: BoolArray) -> IntArray:
    """Length of the run of True that each sample lies in, 0 outside; a run ends where `cut` is True."""
    begins = missing & (cut | ~np.append(False, missing[:-1]))
    run = np.cumsum(begins)
    counts = np.bincount(run[missing], minlength=int(run[-1]) + 1 if len(run) else 1)
    return np.where(missing, counts[run], 0)


def empty_channels(rows: Rows, names: tuple[str, ...], findings: Findings) -> Rows:
    """A fault for each channel without a number, and zeros in it, so that the others can be judged."""
    empty = ~np.isfinite(rows.values).any(axis=0)
    for i in map(int, np.flatnonzero(empty)):
        text = f"channel {names[i]!r}: 100.00% missing or infinite, it holds no number"
        findings.fault("empty-channel", text, rows.number, names[i])
    return replace(rows, values=np.where(empty, 0.0, rows.values))


def closed(rows: Rows, names: tuple[str, ...], policies: Policies, findings: Findings) -> Rows:
    """No cell is missing any more, or there are faults.

    Runs of missing cells that touch the end of the series have no value on their far side: they hold the nearest one,
    but at the ends of pieces, with `gaps: split`, the rows are left out.
    """
    missing = ~np.isfinite(rows.values)
    if not missing.any():
        return rows
    limit = 0 if policies.gaps == "error" else policies.max_gap
    long = np.zeros_like(missing)
    for i in map(int, np.flatnonzero(missing.any(axis=0))):
        long[:, i] = run_lengths(missing[:, i], rows.cut) > limit
    if policies.gaps == "split":
        rows = _split(rows, np.asarray(long.any(axis=1)), findings)
        missing = ~np.isfinite(rows.values)
    else:
        for i in map(int, np.flatnonzero(long.any(axis=0))):
            _long_run(rows, missing[:, i], long[:, i], names[i], policies, findings)
    return _filled(rows, missing, names, policies, findings)


def _long_run(
    rows: Rows, missing: BoolArray, long: BoolArray, name: str, policies: Policies, findings: Findings
) -> None:
    numbers = np.unique(rows.number[long])
    mend = "`gaps` can be interpolate or split"
    if policies.gaps != "error":
        mend = f"{long.sum()} of them in runs longer than `max_gap` {policies.max_gap}; set `gaps: split`, or raise it"
    findings.fault(
        "cell-gap",
        f"channel {name!r}: {missing.mean():.2%} missing or infinite ({findings.where(numbers)}); {mend}",
        numbers,
        name,
        int(long.sum()),
    )


def _split(rows: Rows, dropped: BoolArray, findings: Findings) -> Rows:
    """Rows without those that are dropped, cut there; pieces begin and end where each channel has had a value."""
    piece = np.cumsum(rows.cut | dropped | np.append(False, dropped[:-1]))
    kept = ~dropped
    known = np.isfinite(rows.values)
    for part in np.split(np.flatnonzero(kept), np.flatnonzero(np.diff(piece[kept])) + 1):
        if known[part].all():
            continue
        inside = known[part]
        first = np.where(inside.any(axis=0), inside.argmax(axis=0), len(part)).max()
        stop = len(part) - np.where(inside.any(axis=0), inside[::-1].argmax(axis=0), len(part)).max()
        kept[part[:first]] = False
        kept[part[max(stop, 0) :]] = False
    numbers = np.unique(rows.number[~kept])
    if len(numbers):
        findings.notes.append(
            f"rows left out where cells are missing, the series is cut there ({findings.where(numbers)})"
        )
    if not kept.any():
        findings.fault("nothing-left", "no row is left between the gaps: raise `max_gap`, or name fewer `channels`")
        return replace(rows, values=np.nan_to_num(rows.values))
    left = rows.at(kept)
    return replace(left, cut=np.append(False, np.diff(piece[kept]) != 0))


def _filled(rows: Rows, missing: BoolArray, names: tuple[str, ...], policies: Policies, findings: Findings) -> Rows:
    values, seconds = rows.values.copy(), rows.seconds
    for i in map(int, np.flatnonzero(missing.any(axis=0))):
        gaps, share = missing[:, i], float(missing[:, i].mean())
        numbers = np.unique(rows.number[gaps])
        where = f"channel {names[i]!r}: {share:.2%} missing or infinite ({findings.where(numbers)})"
        if share > policies.max_missing_share:
            text = f"{where}, above `max_missing_share` {policies.max_missing_share:.2%}"
            findings.fault("missing-share", text, numbers, names[i], int(gaps.sum()))
        else:
            values[gaps, i] = np.interp(seconds[gaps], seconds[~gaps], rows.values[~gaps, i])
            findings.notes.append(f"{where}, interpolated")
    return replace(rows, values=values)
