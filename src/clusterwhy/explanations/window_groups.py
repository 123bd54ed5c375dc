"""Groups of windows by expressions such as `cluster:2 time:2024-03`."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from clusterwhy.clustering.base import NOISE
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray, FloatArray, IntArray

HELP = """A group of windows is one of these, or several with spaces between, which must all hold:
  cluster:2 or cluster:2,5      members of clusters
  cluster:idle                  the same by a name of annotations.yaml; with spaces in quotes: "cluster:'pump starts'"
  noise                         windows of no cluster
  anomalies                     windows whose score is above the threshold
  label:walking                 windows with a label of the data
  segment:'valve stuck'         windows whose centre is in a named segment of annotations.yaml
  event:maintenance             the same of the events of events.csv
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
        names: cluster -> its name, of those that have one.
        segments, events: name -> (window,) whether the centre of a window is in one of that name.
    """

    labels: IntArray
    anomalous: BoolArray
    named: "np.ndarray | None"
    seconds: FloatArray
    stamps: IntArray | None
    window_s: float
    names: Mapping[int, str] = field(default_factory=dict)
    segments: Mapping[str, BoolArray] = field(default_factory=dict)
    events: Mapping[str, BoolArray] = field(default_factory=dict)


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
    try:
        parts = shlex.split(text)
    except ValueError as error:
        faults.append(f"`{text}`: {error}")
        return found
    if not parts:
        faults.append("a group is empty text")
    for part in parts:
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


def with_names(facts: WindowFacts, text: str) -> str:
    """An expression with the names of its clusters behind their numbers; of one that `window_groups` understands."""
    return " ".join(_with_names(facts, part) for part in shlex.split(text))


def _with_names(facts: WindowFacts, part: str) -> str:
    kind, _, value = part.partition(":")
    if kind != "cluster":
        return part
    asked = _numbers(facts, value)
    named = ", ".join(facts.names[number] for number in asked if number in facts.names)
    return f"cluster:{','.join(map(str, asked))}" + (f" ({named})" if named else "")


def _number(text: str) -> int | None:
    """The number that a text is, if it is one."""
    return int(text) if re.fullmatch(r"\d+", text) else None


def _numbers(facts: WindowFacts, value: str) -> list[int]:
    """The clusters of `2`, `2,5`, `pump starts` or `pump starts,idle`.

    Raises:
        ValueError: lists those that there are; or a number is the name of another cluster.
    """
    numbers = {name: number for number, name in facts.names.items()}
    known = sorted(set(facts.labels.tolist()) - {NOISE})
    asked = [value] if value in numbers else [one.strip() for one in value.split(",")]
    found = [numbers.get(one, _number(one)) for one in asked]
    if missing := [one for one, number in zip(asked, found, strict=True) if number not in known]:
        there = ", ".join(
            f"{number} ({facts.names[number]})" if number in facts.names else str(number) for number in known
        )
        raise ValueError(f"no cluster {', '.join(missing)}; there are {there or 'none'}")
    for one in asked:
        if one in numbers and _number(one) in known and numbers[one] != _number(one):
            told = f"{one} is the name of cluster {numbers[one]}, and a number"
            raise ValueError(f"{told}: give the number of the cluster")
    return [number for number in found if number is not None]


def _clusters(facts: WindowFacts, value: str) -> BoolArray:
    return np.isin(facts.labels, _numbers(facts, value))


def _within(kind: str, known: Mapping[str, BoolArray], value: str) -> BoolArray:
    if value not in known:
        raise ValueError(f"no {kind} of this name; there are {', '.join(sorted(known)) or 'none'}")
    return known[value]


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
    "segment": lambda facts, value: _within("segment", facts.segments, value),
    "event": lambda facts, value: _within("event", facts.events, value),
    "windows": _numbered,
    "time": _timed,
}
