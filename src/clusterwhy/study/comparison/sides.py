"""The two results that are compared, and whether they can be."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.artifacts.store import read_array
from clusterwhy.errors import DataError, Fault
from clusterwhy.report.application_results import ApplicationResults
from clusterwhy.report.study_results import StudyResults

RATE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        results: of a study, or of a recording that it was applied to.
        fitted: what the study has learned.
    """

    results: StudyResults
    fitted: FittedStudy

    @property
    def is_application(self) -> bool:
        return isinstance(self.results, ApplicationResults)

    @property
    def clusters(self) -> list[int]:
        """All clusters of the study, also those without windows here."""
        return [int(record["cluster"]) for record in self.results.summary["clusters"]]


def check_comparable(a: Side, b: Side, same_recording: bool) -> None:
    """Refuse what has no common ground.

    Raises:
        DataError: lists missing and added channels, other units, and of different recordings another rate or another
            length of windows, by which A's encoder cannot embed them.
    """
    first, second = a.results.data.card, b.results.data.card
    faults = [*_channel_faults(first.channels, second.channels), *_unit_faults(a, b)]
    if not same_recording:
        if abs(first.rate_hz - second.rate_hz) > RATE_TOLERANCE * first.rate_hz:
            told = f"A has {first.rate_hz:.6g} samples per second, B {second.rate_hz:.6g}: resample one of them"
            faults.append(Fault("other-rate", told))
        if first.length != second.length:
            told = f"windows of A have {first.length} samples, of B {second.length}: fit both with one `conf/window`"
            faults.append(Fault("other-length", told))
    if faults:
        raise DataError(f"A ({first.name}) and B ({second.name}) cannot be compared", faults)


def _channel_faults(first: list[str], second: list[str]) -> Iterator[Fault]:
    added = [name for name in second if name not in first]
    for name in first:
        if name not in second:
            alike = difflib.get_close_matches(name, added, n=1)
            advice = f"; is it {alike[0]!r} there?" if alike else ""
            yield Fault("missing-channel", f"channel {name!r} is in A only{advice}", column=name)
    for name in added:
        yield Fault("added-channel", f"channel {name!r} is in B only", column=name)


def _unit_faults(a: Side, b: Side) -> Iterator[Fault]:
    first, second = (dict(zip(x.results.data.card.channels, x.results.data.card.units, strict=True)) for x in (a, b))
    for name in first:
        one, other = first[name], second.get(name, "")
        if one and other and one != other:
            yield Fault("other-unit", f"channel {name!r} is in {one} in A and in {other} in B", column=name)


def same_study(a: Side, b: Side) -> bool:
    """Whether both have the clusters of one fitted study."""
    if a.fitted.artifacts == b.fitted.artifacts:
        return True
    first, second = (
        [read_array(x.fitted.artifacts / place) for place in ("cluster/labels.npy", "embed/embeddings.npy")]
        for x in (a, b)
    )
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
