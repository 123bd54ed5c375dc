"""The rows of a file between two moments, chosen before anything else is checked."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.data.moments import Range, range_faults
from clusterwhy.readers.cells import codes
from clusterwhy.readers.clock import TimeAxis, time_axis
from clusterwhy.readers.groups import recordings_of_stamps
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.types import IntArray


@dataclass(frozen=True)
class Kept:
    """Rows of a file that are read.

    Attributes:
        rows: their numbers, in order.
        axis: their times.
    """

    rows: IntArray
    axis: TimeAxis


def kept_rows(
    time: pd.Series | TimeAxis | None, tracks: Mapping[str, pd.Series], span: Range, policies: Policies, issues: Issues
) -> Kept | None:
    """The rows inside a range; None for all, also where the time column has faults, which are left to later checks.

    Args:
        time: the time column, or the times of a file without one; None if it is not readable.
        tracks: the columns of the group and, of a long table, of the channel, by "group" and "channel".
        span: a fault if it fits no row.
    """
    found = Issues(issues.source, issues.lines, file_rows=issues.file_rows)
    axis = _axis(time, tracks, policies, found) if isinstance(time, pd.Series) else time
    if span.is_open or axis is None or found.faults:
        return None
    zone = policies.timezone or "UTC"
    where = f"`from` and `to`, {span.range_says}"
    if wrong := range_faults(span, axis.time, zone, where):
        issues.faults += wrong
        return None
    usual = float(np.median(np.abs(np.diff(axis.time)))) if len(axis.time) > 1 else 0.0
    rows: IntArray = np.flatnonzero(span.inside(axis.time, zone, usual))
    if not len(rows):
        issues.fault("empty-span", f"{where}: the file has no row there")
        return None
    issues.notes += [*found.notes, f"{where}: {len(rows)} of {len(axis.time)} rows are read"]
    issues.hint = found.hint
    issues.keep(rows)
    return Kept(rows, TimeAxis(axis.time[rows], axis.resolution_s))


def _axis(time: pd.Series, tracks: Mapping[str, pd.Series], policies: Policies, issues: Issues) -> TimeAxis | None:
    known = {key: codes(column)[0] for key, column in tracks.items()}
    return time_axis(time, recordings_of_stamps(time, known), policies, issues)
