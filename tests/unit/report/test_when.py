"""When something was: dates alone, or with the recording where several have dates of their own."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.plots.clock import Clock
from clusterwhy.report import when

MARCH, APRIL = (pd.Timestamp(f"2024-0{month}-01").value / 1e6 for month in (3, 4))


def study(dates: tuple[tuple[float, float], ...], groups: list[int] | None) -> Any:
    """Twelve windows of ten samples each, a minute apart; four windows to a recording."""
    data = SimpleNamespace(
        dates=dates,
        time_s=60.0 * np.arange(120),
        starts=10 * np.arange(12),
        groups=None if groups is None else np.repeat(groups, 4),
        card=SimpleNamespace(group_names=["run_1", "run_2", "run_3"]),
    )
    return SimpleNamespace(data=data, clock=Clock.of(7200.0, 60.0, dates))


@pytest.fixture
def three() -> Any:
    return study(((0.0, MARCH), (2400.0, APRIL), (4800.0, MARCH)), [0, 1, 2])


def run(start: int, stop: int) -> dict[str, int]:
    return {"start": start, "stop": stop}


def test_a_span_names_its_recording(three: Any) -> None:
    assert when.span(three, 42, 51) == "run_2, 2024-04-01 00:02 to 00:11 UTC"
    assert when.span(three, 119, 119) == "run_3, 2024-03-01 00:39 to 00:39 UTC"
    # over the edge of a recording both ends have their own
    assert when.span(three, 0, 80) == "run_1, 2024-03-01 00:00 UTC to run_3, 2024-03-01 00:00 UTC"


def test_visits_of_several_recordings_are_told_by_their_names(three: Any) -> None:
    assert when.visits(three, []) == "never"
    assert when.visits(three, [run(0, 10)]) == "run_1, 2024-03-01 00:00 to 00:09 UTC"
    assert when.visits(three, [run(0, 10), run(20, 30), run(80, 90)]) == "3 times, in run_1, run_3"


def test_one_clock_needs_no_names() -> None:
    one = study(((0.0, MARCH),), [0, 1, 2])
    assert when.span(one, 42, 51) == "2024-03-01 00:42 to 00:51 UTC"
    assert when.visits(one, [run(0, 10), run(80, 90)]) == "2 times, 2024-03-01 00:00 to 01:29 UTC"
    assert when.visits(study((), None), [run(0, 10), run(20, 30)]) == "2 times, 0.0 to 29.0 min"
