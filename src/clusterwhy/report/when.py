"""When something was, in words: with the recording where several have dates of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clusterwhy.report.study_results import StudyResults

MOST_NAMES = 3


def span(study: StudyResults, first: int, last: int) -> str:
    """From one sample to another."""
    begins, ends = (float(study.data.time_s[sample]) for sample in (first, last))
    a, b = _recording(study, first), _recording(study, last)
    if a == b:
        return f"{a}{study.clock.span(begins, ends)}"
    return f"{a}{study.clock.text(begins)} to {b}{study.clock.text(ends)}"


def visits(study: StudyResults, runs: Sequence[Mapping[str, Any]]) -> str:
    """When a cluster occurs, in a few words.

    Args:
        runs: its runs, in time order.
    """
    if not runs:
        return "never"
    if len(runs) == 1:
        return span(study, runs[0]["start"], runs[0]["stop"] - 1)
    names = list(dict.fromkeys(_recording(study, run["start"]).removesuffix(", ") for run in runs))
    if not names[0]:
        return f"{len(runs)} times, {span(study, runs[0]['start'], runs[-1]['stop'] - 1)}"
    where = ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} recordings"
    return f"{len(runs)} times, in {where}"


def _recording(study: StudyResults, sample: int) -> str:
    """Its name and a comma, where times alone could be of several recordings; else nothing."""
    data, names = study.data, study.data.card.group_names
    if len(data.dates) < 2 or data.groups is None or not names:
        return ""
    window = max(0, int(np.searchsorted(data.starts, sample, side="right")) - 1)
    return f"{names[data.groups[window]]}, "
