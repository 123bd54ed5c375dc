"""Parts of a file: a range of its rows, and channels chosen by patterns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.config import build_settings
from clusterwhy.data.series import Series
from clusterwhy.errors import ConfigError, DataError
from clusterwhy.readers.tables import CsvFile, NumpyFile

NAMES = ("temp_in", "temp_out", "flow [l/min]", "speed")


def read(folder: Path, table: pd.DataFrame, **chosen: Any) -> Series:
    table.to_csv(folder / "own.csv", index=False)
    return CsvFile(path=str(folder / "own.csv"), **{"time": "t"} | chosen).read()


def made(n: int = 60) -> pd.DataFrame:
    return pd.DataFrame({"t": np.arange(n), **{name: np.arange(n) + 100.0 * i for i, name in enumerate(NAMES)}})


def same(one: Series, other: Series) -> None:
    for name in ("values", "time", "labels", "groups"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("channels", "segments", "label_names", "group_names", "rate_hz", "train_stop"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("case", range(8))
def test_a_range_is_the_file_cut_by_hand(tmp_path: Path, case: int) -> None:
    rng = np.random.default_rng(case)
    table = made().assign(state=rng.choice(["a", "b", "c"], 60), machine=np.repeat(["x", "y"], 30))
    if case % 2:
        table["t"] = np.tile(np.arange(30), 2)  # two machines that share a clock
    if case % 3 == 0:
        table["t"] = pd.to_datetime(table["t"], unit="h", origin="2024-03-01").dt.strftime("%Y-%m-%dT%H:%M")
    low, high = np.sort(rng.choice(np.arange(30), 2, replace=False))
    first, last = sorted(table["t"].iloc[:30])[low], sorted(table["t"].iloc[:30])[high]
    by_hand = table[(table["t"] >= first) & (table["t"] <= last)]
    if len(by_hand) < 4:
        pytest.skip("too short for a rate")
    ends = [end if isinstance(end, str) else int(end) for end in (first, last)]
    columns = {"label": "state", "group": "machine"}
    found = read(tmp_path, table, **{"from": ends[0], "to": ends[1]}, **columns)
    same(found, read(tmp_path, by_hand, **columns))
    assert f"{len(by_hand)} of 60 rows are read" in found.notes[0]


def test_what_is_wrong_outside_the_range_does_not_matter_and_rows_are_those_of_the_file(tmp_path: Path) -> None:
    table = made().astype(object)
    table.loc[2, "speed"] = "calibrating"
    table = table.drop(index=range(4, 14))  # a gap of ten rows
    found = read(tmp_path, table, **{"from": 20, "to": 49})
    assert found.time.tolist() == list(range(20, 50)) and found.segments == (0,)
    table.loc[35, "speed"] = "?"
    with pytest.raises(DataError, match=r"column 'speed': 1 cells are not numbers, first '\?' in row 25 \(line 27\)"):
        read(tmp_path, table, **{"from": 20, "to": 49})
    with pytest.raises(DataError, match="calibrating"):
        read(tmp_path, table, **{"to": 49})


def test_a_file_without_a_time_column_is_cut_by_its_rate(tmp_path: Path) -> None:
    found = read(tmp_path, made().drop(columns="t"), time=None, rate_hz=10.0, **{"from": 2, "to": 3.9})
    np.testing.assert_allclose(found.time, np.arange(20, 40) / 10)
    assert found.values[:, 0].tolist() == list(range(20, 40)) and found.rate_hz == 10.0
    np.save(tmp_path / "own.npy", made()[list(NAMES)].to_numpy())
    array = NumpyFile(path=str(tmp_path / "own.npy"), rate_hz=10.0, **{"from": 2, "to": 3.9}).read()
    np.testing.assert_array_equal(array.values, found.values)
    np.testing.assert_array_equal(array.time, found.time)


def test_a_long_table_is_cut_by_the_times_of_its_values(tmp_path: Path) -> None:
    table = made().melt("t", var_name="sensor").sort_values("t", kind="stable")
    found = read(tmp_path, table, long={"channel": "sensor", "value": "value"}, include=["temp*"], **{"from": 50})
    assert found.channels == ("temp_in", "temp_out") and found.time.tolist() == list(range(50, 60))
    assert found.values.tolist() == [[i, i + 100.0] for i in range(50, 60)]
    wrong = table.astype(object)
    wrong.iloc[4 * 55 + 1, 2] = "?"  # temp_out at 55
    with pytest.raises(DataError, match=r"first '\?' in row 221 \(line 223\)"):
        read(tmp_path, wrong, long={"channel": "sensor", "value": "value"}, include=["temp*"], **{"from": 50})


def test_each_group_has_its_own_repeated_hour_in_autumn(tmp_path: Path) -> None:
    night = pd.date_range("2024-10-27T00:30", periods=20, freq="30min", tz="Europe/Berlin").strftime("%Y-%m-%dT%H:%M")
    table = pd.DataFrame({"t": [*night, *night], "p": np.arange(40.0), "machine": np.repeat(["x", "y"], 20)})
    table = table.iloc[np.r_[:5, 20:25, 5:20, 25:40]]  # machine y begins where the hour of x is repeated
    settings = {"group": "machine", "timezone": "Europe/Berlin"}
    found = read(tmp_path, table, **{"from": "2024-10-27T02:00"}, **settings)
    assert found.notes[0].endswith("34 of 40 rows are read")
    np.testing.assert_array_equal(found.values, read(tmp_path, table, **settings).values[np.r_[3:20, 23:40]])


def test_a_guess_of_the_unit_is_that_of_the_whole_file_and_told_once(tmp_path: Path) -> None:
    table = made().assign(t=1_700_000_000_000 + 1000 * np.arange(60))
    found = read(tmp_path, table, **{"from": "2023-11-14T22:13:30"})
    assert found.values[:, 0].tolist() == list(range(10, 60))
    assert sum("milliseconds" in note for note in found.notes) == 1


def test_a_known_good_period_lies_in_the_range(tmp_path: Path) -> None:
    found = read(tmp_path, made(), normal={"from": 25, "to": 29}, **{"from": 20, "to": 49})
    assert found.normal is not None and found.normal.spans == ((5, 10),)
    with pytest.raises(DataError, match="runs from 20 s to 49 s"):
        read(tmp_path, made(), normal={"to": 9}, **{"from": 20, "to": 49})


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({"include": ["temp_*"]}, NAMES[:2]),
        ({"include": ["speed", "temp_?n"]}, (NAMES[0], NAMES[3])),
        ({"exclude": ["temp_*"]}, NAMES[2:]),
        ({"include": ["*"], "exclude": ["*_in", "speed"]}, NAMES[1:3]),
        ({"include": ["flow [l/min]"]}, NAMES[2:3]),
        ({"include": ["[st]*"]}, (*NAMES[:2], NAMES[3])),
        ({"exclude": ["*o*"], "leave_out": ["speed"]}, NAMES[:1]),
    ],
)
def test_patterns_choose_channels_in_the_order_of_the_file(
    tmp_path: Path, patterns: dict[str, list[str]], expected: tuple[str, ...]
) -> None:
    assert read(tmp_path, made(), **patterns).channels == expected
    np.save(tmp_path / "own.npy", made()[list(NAMES)].to_numpy().astype(">f8"))
    if "leave_out" not in patterns:
        array = NumpyFile(path=str(tmp_path / "own.npy"), rate_hz=1.0, channels=list(NAMES), **patterns).read()
        assert array.channels == expected
        np.testing.assert_array_equal(array.values, made()[list(expected)])


def test_faults_of_excluded_channels_do_not_matter(tmp_path: Path) -> None:
    table = made().astype(object)
    table.loc[2, "speed"] = "?"
    assert read(tmp_path, table, exclude=["spe*"]).channels == NAMES[:3]


def test_every_pattern_that_matches_nothing_is_told_with_near_names(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, made(), include=["temp_*", "tmp_in"], exclude=["SPEED*", "t"])
    assert [fault.kind for fault in raised.value.records] == ["no-match"] * 3
    assert "'tmp_in'; near it are 'temp_in'" in str(raised.value) and "near it are 'speed'" in str(raised.value)
    with pytest.raises(DataError, match="`exclude`: no channel is called 'x'"):
        np.save(tmp_path / "own.npy", np.ones((9, 2)))
        NumpyFile(path=str(tmp_path / "own.npy"), rate_hz=1.0, exclude=["x"]).read()


def test_names_and_patterns_together_are_refused() -> None:
    target = {"_target_": "clusterwhy.readers.tables.CsvFile", "path": "x.csv", "time": "t", "channels": ["a"]}
    for key in ("include", "exclude"):
        with pytest.raises(ConfigError, match="`include` and `exclude` are patterns: set one or the other"):
            build_settings({"dataset": target | {key: ["b*"]}})
