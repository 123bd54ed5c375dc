"""Numeric time, dates in other forms, and local time: read as meant, or refused with the setting that decides."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from clusterwhy.data.series import Series
from clusterwhy.errors import DataError
from clusterwhy.readers.tables import CsvFile

MINUTE = 1 / 1440
SET = re.compile(r"`([a-z_]+: [^`]+)`")


def read(folder: Path, times: Any, name: str = "t", **chosen: Any) -> Series:
    """A file of one channel that holds the number of the row."""
    path = folder / "made.csv"
    path.write_text(f"{name},a\n" + "".join(f"{time},{i}\n" for i, time in enumerate(times)))
    return CsvFile(path=str(path), **{"time": name} | chosen).read()


def offers(error: DataError) -> list[dict[str, Any]]:
    """The settings that a message names, each as it stands in a YAML file."""
    return [yaml.safe_load(found) for found in SET.findall(str(error))]


def utc(series: Series, row: int = 0) -> str:
    return str(pd.Timestamp(int(series.time[row])).isoformat())


@pytest.mark.parametrize(
    ("times", "name", "rate_hz", "first", "told"),
    [
        ([1_700_000_000_000 + 100 * i for i in range(30)], "t", 10, "2023-11-14T22:13:20", "milliseconds since 1970"),
        ([1_700_000_000_000_000 + 40 * i for i in range(30)], "t", 25e3, "2023-11-14T22:13:20", "microseconds since"),
        (
            [1_700_000_000_000_000_001 + 10**6 * i for i in range(30)],
            "t",
            1e3,
            "2023-11-14T22:13:20.000000001",
            "nanos",
        ),
        ([f"{1_700_000_000_000.5 + 20 * i}" for i in range(30)], "t", 50, "2023-11-14T22:13:20.000500", "milliseconds"),
        ([1_700_000_000 + 60 * i for i in range(30)], "t", 1 / 60, None, "seconds since 1970"),
        ([45_292 + 15 * MINUTE * i for i in range(30)], "t", 1 / 900, "2024-01-01T00:00:00", "days of Excel"),
        ([f"{45_292.5 + i / 86_400:.6f}" for i in range(400)], "t", 1, "2024-01-01T12:00:00", "days of Excel"),
        ([739_252 + MINUTE * i for i in range(30)], "t", 1 / 60, None, "days"),
        ([2_460_310.5 + MINUTE * i for i in range(30)], "t", 1 / 60, None, "days"),
        ([20240227 + i for i in range(3)] + [20240301], "t", 1 / 86_400, "2024-02-27T00:00:00", "form %Y%m%d,"),
        ([20240101 * 100 + i for i in range(24)], "t", 1 / 3600, "2024-01-01T00:00:00", "form %Y%m%d%H,"),
        ([202401010000 + i for i in range(60)] + [202401010100], "t", 1 / 60, "2024-01-01T00:00:00", "%Y%m%d%H%M,"),
        ([20240101123000 + i for i in range(60)] + [20240101123100], "t", 1, "2024-01-01T12:30:00", "%Y%m%d%H%M%S,"),
        ([20240101123000250 + 250 * i for i in range(4)], "t", 4, "2024-01-01T12:30:00.250000", "%Y%m%d%H%M%S%f,"),
        ([100 * i for i in range(30)], "time_ms", 10, None, "milliseconds, by its name"),
        ([100 * i for i in range(30)], "t [us]", 1e4, None, "microseconds, by its name"),
        ([15 * i for i in range(30)], "Zeit (min)", 1 / 900, None, "minutes, by its name"),
        ([100 * i for i in range(30)], "t", 0.01, None, "numbers such as 0 are read as seconds"),
    ],
)
def test_numbers_are_read_in_their_plausible_unit_and_the_guess_is_told(
    times: list[Any], name: str, rate_hz: float, first: str | None, told: str, tmp_path: Path
) -> None:
    found = read(tmp_path, times, name)
    assert found.rate_hz == pytest.approx(rate_hz, rel=1e-9)
    if first is not None:
        assert utc(found) == first
    (note,) = [note for note in found.notes if "a guess" in note]
    assert told in note and "set `time_unit` or `time_format` if they are not" in note


@pytest.mark.parametrize("times", [[0.5 * i for i in range(30)], [100 + i for i in range(30)]])
def test_small_numbers_in_small_steps_are_seconds_without_a_word(times: list[float], tmp_path: Path) -> None:
    assert read(tmp_path, times).notes == ()


# 1 Hz from 12:34:52 on, or each day of 2024; 24 images or one hour
AMBIGUOUS = {
    "days": ([45_292 + i for i in range(30)], {"s": 1.0, "excel": 1 / 86_400}),
    "hours": ([45_292 + i / 24 for i in range(30)], {"s": 24.0, "excel": 1 / 3600}),
    "video": ([45_292 + i / 240 for i in range(30)], {"s": 240.0, "excel": 1 / 360}),
    "years": ([1990 + i for i in range(30)], {"s": 1.0, "%Y": 1 / 365 / 86_400}),
    "a name that contradicts": ([1_700_000_000_000 + 10 * i for i in range(30)], {"us": 1e5, "ms": 100.0}),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_an_ambiguous_unit_is_a_fault_whose_settings_decide(case: str, tmp_path: Path) -> None:
    times, rates = AMBIGUOUS[case]
    name = "t_us" if case == "a name that contradicts" else "t"
    with pytest.raises(DataError, match="may be") as caught:
        read(tmp_path, times, name)
    assert [record.kind for record in caught.value.records] == ["time-unit"]
    offered = offers(caught.value)
    assert [next(iter(one.values())) for one in offered] == list(rates)
    for settings, rate_hz in zip(offered, rates.values(), strict=True):
        found = read(tmp_path, times, name, **settings)
        assert found.rate_hz == pytest.approx(rate_hz, rel=0.002) and "a guess" not in " ".join(found.notes)


def test_numbers_of_no_plausible_unit_are_refused_and_a_unit_decides(tmp_path: Path) -> None:
    # .NET ticks of 2024 are no nanoseconds of 1990
    for start in (638_400_000_000_000_000, 50_000_000_000, 133_000_000_000_000_000):
        times = [start + 100_000 * i for i in range(30)]
        with pytest.raises(DataError, match="implausible as seconds"):
            read(tmp_path, times)
        assert read(tmp_path, times, time_unit="us").rate_hz == pytest.approx(10.0, rel=1e-4)


@pytest.mark.parametrize(
    ("unit", "per_second"),
    [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("min", 1 / 60), ("h", 1 / 3600), ("d", 1 / 86_400)],
)
def test_a_unit_converts_numbers_that_count_from_anywhere(unit: str, per_second: float, tmp_path: Path) -> None:
    found = read(tmp_path, [5 + 2 * i for i in range(20)], time_unit=unit)
    assert found.rate_hz == pytest.approx(per_second / 2) and found.notes == ()
    np.testing.assert_allclose(found.time_s, 2 * np.arange(20) / per_second)


@pytest.mark.parametrize(
    ("times", "form"),
    [
        ([f"31.12.2024 23:{i:02d}" for i in range(20)], "%d.%m.%Y %H:%M"),
        ([f"31.12.24 23:59:{i:02d}" for i in range(20)], "%d.%m.%y %H:%M:%S"),
        ([f'"31.12.2024 23:59:{i:02d},250"' for i in range(20)], "%d.%m.%Y %H:%M:%S,%f"),
        ([f"12/31/2024 11:{i:02d}:00 PM" for i in range(20)], "%m/%d/%Y %I:%M:%S %p"),
        ([f"31-Dec-2024 10:{i:02d}" for i in range(20)], "%d-%b-%Y %H:%M"),
        ([f"10:{i:02d}:00" for i in range(20)], "%H:%M:%S"),
    ],
)
def test_the_message_proposes_the_form_of_other_dates(times: list[str], form: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, times)
    assert offers(caught.value) == [{"time_format": form}]
    assert read(tmp_path, times, time_format=form).rate_hz == pytest.approx(1 if "59" in times[0] else 1 / 60)


def test_day_and_month_that_may_be_exchanged_are_proposed_in_both_orders(tmp_path: Path) -> None:
    times = [f"{day:02d}/03/2024" for day in range(1, 8)]
    with pytest.raises(DataError) as caught:
        read(tmp_path, times)
    assert offers(caught.value) == [{"time_format": "%d/%m/%Y"}, {"time_format": "%m/%d/%Y"}]
    assert utc(read(tmp_path, times, time_format="%d/%m/%Y"), 1) == "2024-03-02T00:00:00"
    with pytest.raises(DataError, match="the median step is"):
        read(tmp_path, times, time_format="%m/%d/%Y")


def test_a_form_gives_numbers_their_leading_zeros_and_names_cells_that_it_does_not_fit(tmp_path: Path) -> None:
    assert utc(read(tmp_path, ["080124", "090124", "100124"], time_format="%d%m%y")) == "2024-01-08T00:00:00"
    with pytest.raises(DataError, match=r"1 cells are not of the form `time_format` '%d%m%y', first '321324' in row 1"):
        read(tmp_path, ["080124", "321324", "100124"], time_format="%d%m%y")


def test_unit_and_form_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="set one of them"):
        CsvFile(path="x.csv", time="t", time_unit="s", time_format="%Y")
    with pytest.raises(ValidationError, match="time_format"):
        CsvFile(path="x.csv", time="t", time_format="day first")


def test_days_of_excel_and_other_dates_are_local_time_if_a_zone_is_set(tmp_path: Path) -> None:
    for times, chosen in (
        ([45_292 + MINUTE * i for i in range(20)], {}),
        ([202401010000 + i for i in range(20)], {}),
        ([f"01.01.2024 00:{i:02d}" for i in range(20)], {"time_format": "%d.%m.%Y %H:%M"}),
    ):
        assert utc(read(tmp_path, times, timezone="Europe/Berlin", **chosen)) == "2023-12-31T23:00:00"


# 600 rows at 60 Hz with milliseconds: the median step is 17 ms, 58.82 Hz
@pytest.mark.parametrize(
    ("rate_hz", "places", "n", "told"),
    [
        (60, 3, 600, "rounded to 0.001 s"),
        (60, 2, 600, "rounded to 0.01 s"),
        (29.97, 3, 20_000, "rounded to 0.001 s"),
        (3, 1, 300, "rounded to 0.1 s"),
        (0.7, 0, 300, "rounded to 1 s"),
        (60, 6, 600, ""),
    ],
)
def test_the_rate_of_rounded_stamps_is_that_of_the_span(
    rate_hz: float, places: int, n: int, told: str, tmp_path: Path
) -> None:
    found = read(tmp_path, [f"{i / rate_hz:.{places}f}" for i in range(n)])
    assert found.rate_hz == pytest.approx(rate_hz, rel=1e-5 if rate_hz != 0.7 else 2e-3)
    assert len(found.values) == n and told in " ".join(found.notes)


def test_missing_rows_of_rounded_stamps_are_found(tmp_path: Path) -> None:
    kept = [i for i in range(600) if i not in (50, 51, 400)]
    found = read(tmp_path, [f"{i / 60:.3f}" for i in kept])
    assert found.rate_hz == pytest.approx(60) and len(found.values) == 600
    # row 50 of the file is sample 52
    assert found.values[[49, 52], 0].tolist() == [49, 50] and found.values[50, 0] == pytest.approx(49 + 1 / 3)


def test_single_missing_rows_are_not_taken_for_rounding(tmp_path: Path) -> None:
    for dropped in ({50}, {20, 60}, {10, 17, 60, 71, 88}):
        found = read(tmp_path, [i for i in range(100) if i not in dropped])
        assert found.rate_hz == 1 and len(found.values) == 100


def jittered(step: float, jitter: float, n: int = 80) -> list[float]:
    steps = step + jitter * np.random.default_rng(0).integers(-1, 2, n)
    return np.cumsum(steps).tolist()


@pytest.mark.parametrize("times", [jittered(60, 1), jittered(0.1, 0.004), jittered(10, 4)], ids=["1 s", "4 ms", "4 s"])
def test_each_setting_that_the_message_about_jitter_offers_works_as_written(times: list[float], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="irregular rate") as caught:
        read(tmp_path, times)
    offered = offers(caught.value)
    whole = {key: value for one in offered for key, value in one.items() if key in ("irregular", "resample_hz")}
    choices = [one for one in offered if "rate_tolerance" in one] + [whole]
    assert len(whole) == 2 and len(choices) == 2
    span_hz = (len(times) - 1) / (times[-1] - times[0])
    for settings in choices:
        found = read(tmp_path, times, **settings)
        assert found.rate_hz == pytest.approx(span_hz, rel=1e-4)
        assert "time steps jitter: " in " ".join(found.notes) and "on average" in " ".join(found.notes)


def test_a_single_late_row_does_not_change_the_rate(tmp_path: Path) -> None:
    times = [i + (0.4 if i > 20 else 0) for i in range(40)]
    with pytest.raises(DataError, match=r"the median step is 1 s, but other steps occur \(1 row, first at 21"):
        read(tmp_path, times)
    assert read(tmp_path, times, rate_tolerance=0.41).rate_hz == pytest.approx(1.0)


def local(start: str, step: str, n: int = 60) -> list[str]:
    """Time stamps of a regular clock as they show in Berlin, without offset."""
    return [
        moment.isoformat()[:19]
        for moment in pd.date_range(start, periods=n, freq=step, tz="UTC").tz_convert("Europe/Berlin")
    ]


@pytest.mark.parametrize("step", ["5min", "15min", "30min", "1h", "2h", "3h", "4h", "6h", "12h", "1D"])
@pytest.mark.parametrize("start", ["2024-10-26T22:00", "2024-03-30T22:00"], ids=["autumn", "spring"])
def test_local_time_with_a_clock_change_gets_the_advice_that_reads_it(start: str, step: str, tmp_path: Path) -> None:
    n = 60 if step != "5min" else 200
    # two days before the change, so that a usual step is known
    times = local(str(pd.Timestamp(start) - 8 * pd.Timedelta(step)), step, n)
    try:
        said = " ".join(read(tmp_path, times).notes)
    except DataError as error:
        said = str(error)
    assert "set `timezone`, such as Europe/Berlin" in said
    assert "duplicates` to mean" not in said
    found = read(tmp_path, times, timezone="Europe/Berlin")
    assert len(found.values) == n and len(set(np.diff(found.time))) == 1
    assert found.rate_hz == pytest.approx(1 / pd.Timedelta(step).total_seconds())


def test_a_missing_row_of_hourly_data_is_no_clock_change(tmp_path: Path) -> None:
    times = [
        str(one)[:19] for one in pd.date_range("2024-06-01", periods=60, freq="1h") if one.hour != 5 or one.day > 1
    ]
    assert "timezone" not in " ".join(read(tmp_path, times).notes)


def test_a_duplicate_of_hourly_data_elsewhere_is_no_clock_change(tmp_path: Path) -> None:
    times = [str(one)[:19] for one in pd.date_range("2024-06-01", periods=60, freq="1h")]
    with pytest.raises(DataError, match="set `duplicates` to mean or last"):
        read(tmp_path, times[:20] + times[19:])


def test_a_time_format_reads_the_cells_as_they_stand_beside_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    path.write_text("t;a\n" + "".join(f"{i:02d},500;{i},5\n" for i in range(8)))
    found = CsvFile(path=str(path), time="t", separator=";", decimal=",", time_format="%S,%f").read()
    assert found.rate_hz == 1 and found.values[:, 0].tolist() == [i + 0.5 for i in range(8)]


def test_points_of_a_time_format_are_not_doubtful(tmp_path: Path) -> None:
    found = read(tmp_path, [f"20.{240 + i}" for i in range(8)], time_format="%y.%j")
    assert found.rate_hz == pytest.approx(1 / 86_400) and not any("may mark thousands" in note for note in found.notes)
