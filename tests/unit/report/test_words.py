"""What a channel does, in words, with values in units that fit."""

import numpy as np
import pytest

from clusterwhy.report.sparklines import HEIGHT, WIDTH, sparkline, strip
from clusterwhy.report.words import difference, pair

SECONDS, DAYS = 2.56, 86400.0  # windows


@pytest.mark.parametrize(
    ("name", "own", "usual", "unit", "window_s", "words", "values"),
    [
        ("level", 0.4280, -0.0724, "g", SECONDS, "is higher", "0.43 against -0.07 g"),
        ("level", 3.7, 4.4, "", SECONDS, "is lower", "3.70 against 4.40"),
        ("level", -0.01, 1.2, "", SECONDS, "is lower", "0.0 against 1.2"),
        ("spread", 2.5, 0.663, "rad/s", SECONDS, "swings wider", "2.5 against 0.7 rad/s"),
        ("slope", -0.76, -0.19, "rad/s/s", SECONDS, "falls more", "-0.76 against -0.19 rad/s per s"),
        ("slope", 1e-4, 0.0, "degC/s", DAYS, "rises more", "8.6 against 0.0 degC per d"),
        ("slope", 0.5, 0.25, "per s", SECONDS, "rises more", "0.50 against 0.25 per s"),
        ("slope", -0.1, -0.4, "bar/s", SECONDS, "falls less", "-0.10 against -0.40 bar per s"),
        ("slope", 0.1, 0.4, "bar/s", SECONDS, "rises less", "0.10 against 0.40 bar per s"),
        ("slope", -0.1, 0.4, "bar/s", SECONDS, "falls more", "-0.10 against 0.40 bar per s"),
        ("timing", 0.4, -0.2, "s", SECONDS, "trails p", "0.40 against -0.20 s"),
        ("timing", -0.5, -1.5, "s", SECONDS, "leads p", "0.5 against 1.5 s"),
        ("relation", -0.1, -0.95, "", SECONDS, "correlates less with p", "correlation -0.10 against -0.95"),
        ("relation", -0.95, 0.0, "", SECONDS, "correlates more with p", "correlation -0.95 against 0.00"),
        ("relation", 0.7, -0.5, "", SECONDS, "goes with p", "correlation 0.7 against -0.5"),
        ("relation", -0.5, 0.7, "", SECONDS, "goes against p", "correlation -0.5 against 0.7"),
        ("frequency", 0.78125, 0.390625, "Hz", SECONDS, "oscillates 2x faster", "0.78 against 0.39 Hz"),
        ("frequency", 1 / 86400, 3 / 86400, "Hz", DAYS, "oscillates 3x slower", "1.0 against 3.0 per d"),
        ("frequency", 0.39, 0.39, "Hz", SECONDS, "", ""),
        ("frequency", 1.0, 1.04, "Hz", SECONDS, "", ""),
        ("level", 5.0, 5.0, "bar", SECONDS, "", ""),
        ("shape", float("nan"), float("nan"), "", SECONDS, "has another course", ""),
    ],
)
def test_a_difference_is_told_with_direction_and_unit(
    name: str, own: float, usual: float, unit: str, window_s: float, words: str, values: str
) -> None:
    row = {"property": name, "partner": "p", "own": own, "usual": usual, "unit": unit}
    assert difference(row, window_s) == (words, values)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e3, 1e9])
def test_two_numbers_that_differ_are_shown_as_different(rng: np.random.Generator, scale: float) -> None:
    for own, usual in scale * rng.normal(size=(200, 2)):
        first, second = pair(own, usual)
        assert first != second
        assert float(first) - float(second) == pytest.approx(own - usual, rel=0.11, abs=1e-12)


def test_a_sparkline_goes_from_edge_to_edge_and_parts_at_what_is_missing() -> None:
    assert sparkline(np.array([0.0, 1.0, np.nan, 1.0, 0.5]), (0.0, 1.0)) == (
        f"M0,{HEIGHT - 2}L60,2M180,2L{WIDTH},{HEIGHT // 2}"
    )
    assert sparkline(np.full(3, np.nan), (0.0, 1.0)) == ""
    peak = np.zeros(5000)
    peak[2345] = 1.0
    assert ",2L" in sparkline(peak, (0.0, 1.0)), "the extremes of a long window are kept"


def test_a_strip_has_a_bar_for_each_run_of_a_cluster() -> None:
    runs = [{"cluster": i % 2, "start": 10 * i, "stop": 10 * i + 10} for i in range(4)]
    assert strip(runs, 1, np.arange(41.0)) == "M25.00,0h22.50v3h-22.50zM75.00,0h22.50v3h-22.50z"
