"""Times in words: units that fit, and dates where there are any."""

import pandas as pd
import pytest

from clusterwhy.plots.clock import Clock

START = pd.Timestamp("2024-02-28T23:59:30.250").value / 1e6


def test_a_unit_fits_the_span() -> None:
    assert Clock.of(20.0, 0.01).text(12.345) == "12.35 s"
    assert Clock.of(40 * 86400.0, 3600.0).text(86400.0) == "1.00 d"
    assert Clock.of(20.0, 0.01).since == "the first sample"


@pytest.mark.parametrize(
    ("resolution_s", "said"),
    [
        (3600.0, "2024-02-29 00:00"),
        (60.0, "2024-02-29 00:00"),
        (2.0, "2024-02-29 00:00:30"),
        (0.1, "2024-02-29 00:00:30.750"),
    ],
)
def test_dates_have_the_digits_that_tell_times_apart(resolution_s: float, said: str) -> None:
    clock = Clock.of(86400.0, resolution_s, ((0.0, START),))
    assert clock.number(60.5) == said and clock.text(60.5) == f"{said} UTC"
    assert clock.since.startswith("2024-02-28 23:59")
    # axes stay numbers
    assert clock.scaled(7200.0) == pytest.approx(7200.0 / clock.seconds)


def test_dates_before_1970_are_dates() -> None:
    assert Clock.of(100.0, 60.0, ((0.0, pd.Timestamp("1950-01-01").value / 1e6),)).text(60.0) == "1950-01-01 00:01 UTC"


def test_a_span_within_a_day_names_it_once() -> None:
    clock = Clock.of(86400.0, 60.0, ((0.0, START),))
    assert clock.span(60.0, 7200.0) == "2024-02-29 00:00 to 01:59 UTC"
    assert clock.span(0.0, 7200.0) == "2024-02-28 23:59 to 2024-02-29 01:59 UTC"
    assert Clock.of(20.0, 0.01).span(1.0, 2.0) == "1.00 to 2.00 s"


def test_recordings_that_follow_one_another_keep_their_own_dates() -> None:
    april = pd.Timestamp("2024-04-01").value / 1e6
    clock = Clock.of(7200.0, 60.0, ((0.0, START), (3600.0, april)))
    assert clock.number(3540.0) == "2024-02-29 00:58" and clock.number(3600.0) == "2024-04-01 00:00"
    assert clock.span(3660.0, 3720.0) == "2024-04-01 00:01 to 00:02 UTC"
    assert clock.since == "the first sample, recordings one after the other"
