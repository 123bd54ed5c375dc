"""Groups of windows by expressions such as `cluster:2 time:2024-03`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray

HELP = """A group of windows is one of these, or several with spaces between, which must all hold:
  cluster:2 or cluster:2,5      members of clusters
  noise                         windows of no cluster
  anomalies                     windows whose score is above the threshold
  label:walking                 windows with a label of the data
  windows:100-150,200           by number
  time:2024-03 or time:2024-03-01/2024-03-15    windows that begin then, the end left out; UTC, for data with dates
  time:10/60                    the same in seconds since the first sample
  before:1d                     (second group only) windows this long before those of the first group
  rest                          (second group only) all others"""


@dataclass(frozen=True)
class WindowFacts:
    """What a group can be chosen by.

    Attributes:
        labels: (window,) cluster, -1 is noise.
        anomalous: (window,) above the threshold.
        named: (window,) label of the data, or None without labels.
        seconds: (window,) when each begins, since the first sample, increasing.
        stamps: (window,) the same in nanoseconds since 1970 UTC, or None for data without dates.
        window_s: length of a window in seconds.
    """

    labels: IntArray
    anomalous: BoolArray
    named: "np.ndarray | None"
    seconds: FloatArray
    stamps: IntArray | None
    window_s: float


def window_groups(facts: WindowFacts, these: str, those: str) -> tuple[IntArray, IntArray]:
    """Positions of the windows of two groups.

    Args:
        these, those: expressions (`HELP`).

    Raises:
        DataError: lists each part that cannot be understood, and groups that are too small or overlap.
    """
    faults: list[str] = []
    first = np.flatnonzero(_mask(facts, these, None, faults))
    second = np.flatnonzero(_mask(facts, those, first, faults))
    if not faults:
        for name, text, found in (("first", these, first), ("second", those, second)):
            if len(found) < 2:
                faults.append(f"the {name} group, `{text}`, has {len(found)} windows; two or more are needed")
        if len(both := np.intersect1d(first, second)):
            faults.append(
                f"{len(both)} windows are in both groups, such as window {both[0]}: add a condition to one of them"
            )
    if faults:
        raise DataError("groups of windows", faults, HELP)
    return first, second


def _mask(facts: WindowFacts, text: str, first: IntArray | None, faults: list[str]) -> BoolArray:
    """(window,) whether all parts of an expression hold; parts that cannot be understood are faults."""
    found = np.ones(len(facts.labels), dtype=bool)
    if not text.split():
        faults.append("a group is empty text")
    for part in text.split():
        name, _, value = part.partition(":")
        try:
            if part == "rest" and first is not None:
                found &= ~np.isin(np.arange(len(found)), first)
            elif name == "before" and value and first is not None:
                found &= _before(facts, value, first)
            elif name in PARTS and bool(value) == (name not in PLAIN):
                found &= PARTS[name](facts, value)
            else:
                faults.append(f"`{part}` is not a group of windows")
        except (ValueError, OverflowError) as error:
            faults.append(f"`{part}`: {error}")
    return found


def _clusters(facts: WindowFacts, value: str) -> BoolArray:
    asked, known = [int(one) for one in value.split(",")], set(facts.labels.tolist()) - {NOISE}
    if missing := sorted(set(asked) - known):
        raise ValueError(f"no cluster {', '.join(map(str, missing))}; there are {sorted(known)}")
    return np.isin(facts.labels, asked)


def _labelled(facts: WindowFacts, value: str) -> BoolArray:
    if facts.named is None:
        raise ValueError("the data have no labels")
    if value not in (known := sorted(set(facts.named.tolist()))):
        raise ValueError(f"no window has this label; there are {', '.join(known)}")
    return np.asarray(facts.named == value)


def _numbered(facts: WindowFacts, value: str) -> BoolArray:
    found = np.zeros(len(facts.labels), dtype=bool)
    for part in value.split(","):
        if (ends := re.fullmatch(r"(\d+)(?:-(\d+))?", part)) is None:
            raise ValueError(f"expected numbers and ranges such as 100-150,200, got {part!r}")
        begin, end = int(ends[1]), int(ends[2] or ends[1])
        if not begin <= end < len(found):
            raise ValueError(f"windows are numbered 0 to {len(found) - 1}, got {part}")
        found[begin : end + 1] = True
    return found


def _timed(facts: WindowFacts, value: str) -> BoolArray:
    begin, slash, end = value.partition("/")
    if facts.stamps is not None:
        low, high = pd.Period(begin).start_time, pd.Timestamp(end) if slash else pd.Period(begin).end_time
        stamps = pd.to_datetime(facts.stamps)
        found = np.asarray((stamps >= low) & (stamps < high))
        span = f"{stamps.min()} to {stamps.max()} UTC"
    else:
        if not slash:
            raise ValueError("these data have no dates: expected seconds since the first sample, such as time:10/60")
        found = (facts.seconds >= float(begin)) & (facts.seconds < float(end))
        span = f"{facts.seconds[0]:g} to {facts.seconds[-1]:g} s"
    if not found.any():
        raise ValueError(f"no window begins then; windows begin from {span}")
    return np.asarray(found)


def _before(facts: WindowFacts, value: str, first: IntArray) -> BoolArray:
    """Windows that begin nearest to a time span before those of the first group, within half a window."""
    seconds, n = facts.seconds, len(facts.seconds)
    wanted = seconds[first] - pd.Timedelta(value).total_seconds()
    after = np.searchsorted(seconds, wanted).clip(0, n - 1)
    nearest = np.where(
        np.abs(seconds[after] - wanted) <= np.abs(seconds[after - 1] - wanted), after, (after - 1).clip(0)
    )
    close = np.abs(seconds[nearest] - wanted) <= facts.window_s / 2
    found = np.zeros(n, dtype=bool)
    found[np.setdiff1d(nearest[close], first)] = True
    return found


PLAIN = ("noise", "anomalies")
PARTS: dict[str, Callable[[WindowFacts, str], BoolArray]] = {
    "cluster": _clusters,
    "noise": lambda facts, _: np.asarray(facts.labels == NOISE),
    "anomalies": lambda facts, _: facts.anomalous,
    "label": _labelled,
    "windows": _numbered,
    "time": _timed,
}
