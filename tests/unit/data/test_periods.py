"""After how many samples a recording repeats, and windows of as many."""

import dataclasses

import numpy as np
import pytest

from clusterwhy.data.periods import Period, WindowOfParts, WindowOfPeriods, dominant_period, period_of, repeats_says
from clusterwhy.data.series import Normal, Series
from clusterwhy.data.windows import WindowSettings
from clusterwhy.errors import DataError
from clusterwhy.types import FloatArray

TWO = WindowOfPeriods(periods=2.0, overlap=0.75)


def a_series(values: FloatArray, segments: tuple[int, ...] = (0,)) -> Series:
    n, n_channels = values.shape
    names = tuple(f"c{i}" for i in range(n_channels))
    return Series("made", values, np.arange(n) / 10, 10.0, names, ("",) * n_channels, n, segments)


def waves(n: int, *periods: float) -> FloatArray:
    return np.stack([np.sin(2.0 * np.pi * np.arange(n) / period) for period in periods], axis=1)


@pytest.mark.parametrize("period", [7, 24, 50, 300])
def test_a_wave_repeats_after_its_period(period: int, rng: np.random.Generator) -> None:
    found = dominant_period(waves(2000, period, period) + rng.normal(0.0, 0.3, (2000, 2)))
    assert found is not None and abs(found.samples - period) <= max(1, period // 50)
    assert found.correlation == pytest.approx(1.0 / (1.0 + 2.0 * 0.09), abs=0.1)  # the variances are 1/2 and 0.09


def test_autocorrelation_is_what_a_plain_sum_gives(rng: np.random.Generator) -> None:
    values = waves(600, 25, 40) + rng.normal(0.0, 0.2, (600, 2))
    found = dominant_period(values)
    assert found is not None
    parts = []
    for channel in values.T:
        line = np.polyval(np.polyfit(np.arange(600), channel, 1), np.arange(600))
        rest = channel - line
        parts.append(np.mean(rest[found.samples :] * rest[: -found.samples]) / np.mean(rest**2))
    assert found.correlation == pytest.approx(np.mean(parts), abs=1e-6)


def test_a_day_is_named_where_a_week_repeats_a_little_better(rng: np.random.Generator) -> None:
    hours = np.arange(24 * 7 * 12)
    weekend = np.where(hours // 24 % 7 >= 5, 0.8, 1.0)
    values = (np.sin(2.0 * np.pi * hours / 24) * weekend + rng.normal(0.0, 0.1, len(hours)))[:, None]
    found = dominant_period(values)
    assert found is not None and found.samples == 24


@pytest.mark.parametrize("kind", ["noise", "walk", "constant", "line", "empty", "short"])
def test_what_does_not_repeat_has_no_period(kind: str, rng: np.random.Generator) -> None:
    noise = rng.normal(size=(3000, 3))
    walk = np.cumsum(noise, axis=0)
    made = {"noise": noise, "walk": walk, "constant": np.full((500, 2), 4.0), "empty": noise[:0], "short": noise[:2]}
    made["line"] = np.linspace(0.0, 1e6, 500)[:, None] * np.array([[1.0, -3.0]])
    assert dominant_period(made[kind]) is None


def test_a_constant_channel_and_a_trend_change_nothing(rng: np.random.Generator) -> None:
    plain = waves(1200, 40, 40) + rng.normal(0.0, 0.1, (1200, 2))
    beside = np.concatenate([plain + 0.01 * np.arange(1200)[:, None], np.full((1200, 3), 2.0)], axis=1)
    found, again = dominant_period(plain), dominant_period(beside)
    assert found is not None and again is not None
    assert again.samples == found.samples and again.correlation == pytest.approx(found.correlation, abs=0.02)


def test_the_longest_fitted_part_without_a_gap_is_looked_at(rng: np.random.Generator) -> None:
    values = np.concatenate([waves(300, 10), waves(900, 60), waves(1500, 33)]) + rng.normal(0.0, 0.1, (2700, 1))
    series = a_series(values, (0, 300, 1200))
    found = period_of(series)
    assert found is not None and abs(found.samples - 33) <= 1 and found.of_part
    fitted = dataclasses.replace(series, normal=Normal(says="good", spans=((100, 1200),)))
    found = period_of(fitted)
    assert found is not None and abs(found.samples - 60) <= 1


def test_windows_of_periods_solved_by_hand() -> None:
    assert TWO.of(a_series(waves(1000, 25)), Period(25, 0.9)) == WindowSettings(length=50, stride=12)
    assert WindowOfPeriods(periods=1.5, overlap=0.0).of(a_series(waves(1000, 20)), Period(20, 0.9)) == WindowSettings(
        length=30, stride=30
    )


@pytest.mark.parametrize(
    ("period", "said"),
    [
        (None, r"nothing repeats in the recording.*choose `window` with a `length`"),
        (Period(26, 0.9), r"2 periods of 26 samples are 52 samples: fewer than 20 windows.*into 1000"),
    ],
)
def test_windows_that_do_not_follow_are_refused(period: Period | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        TWO.of(a_series(waves(1000, 25)), period)


def test_windows_that_are_parts_of_the_recording_solved_by_hand() -> None:
    parts = WindowOfParts(parts=30, longest=60, overlap=0.875)
    found = [parts.of(a_series(waves(n, 25)), None) for n in (450, 1210, 9000)]
    assert found == [WindowSettings(length=length, stride=stride) for length, stride in ((16, 2), (40, 5), (60, 8))]


def test_how_long_a_window_is_beside_what_repeats_is_said() -> None:
    assert repeats_says(None, 64, 10.0) == ""
    said = repeats_says(Period(50, 0.8), 100, 10.0)
    assert said == "The recording repeats every 50 samples (5 s, correlation 0.80): a window holds 2.0 repetitions."
    said = repeats_says(Period(24, 0.9, of_part=True), 48, 1 / 3600)
    assert said.startswith("The longest part of the recording repeats every 24 samples (1 d, ")
    assert " (1.5 min, " in repeats_says(Period(900, 0.9), 900, 10.0)
    assert repeats_says(Period(500, 0.8), 100, 10.0).endswith("0.2 repetitions (two with `window=periods`).")
    assert repeats_says(Period(500, 0.8), 100, 10.0, chosen=True).endswith("0.2 repetitions.")
