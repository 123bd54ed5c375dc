"""Several recordings in one file, and long tables: nothing is averaged or interpolated between two machines."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from clusterwhy.data.series import Series, end_to_end
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import DataError
from clusterwhy.readers.data_report import data_report
from clusterwhy.readers.tables import CsvFile, ParquetFile

LONG = {"long": {"channel": "sensor", "value": "value"}}


def read(folder: Path, content: str, **chosen: Any) -> Series:
    path = folder / "made.csv"
    path.write_text(content)
    return CsvFile(path=str(path), **{"time": "t"} | chosen).read()


def machines(*rows: tuple[float, str, float]) -> str:
    return "t,machine,v\n" + "".join(f"{time},{machine},{value}\n" for time, machine, value in rows)


# 0 to 19 of machine A, 100 to 119 of machine B, at the same times
A = [(i, "A", i) for i in range(20)]
B = [(i, "B", 100 + i) for i in range(20)]
LAYOUTS = {
    "one after another": A + B,
    "row by row": [row for pair in zip(A, B, strict=True) for row in pair],
    "at other moments": [row for a, b in zip(A, B, strict=True) for row in (a, (b[0] + 0.4, *b[1:]))],
    "other moments, one after another": A + [(time + 0.5, *rest) for time, *rest in B],
    "the later one first": [(time + 50, *rest) for time, *rest in A] + B,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_groups_on_one_clock_are_recordings_of_their_own(layout: str, tmp_path: Path) -> None:
    found = read(tmp_path, machines(*LAYOUTS[layout]), group="machine")
    assert found.rate_hz == 1 and found.segments == (0, 20)
    assert found.values[:, 0].tolist() == [*range(20), *range(100, 120)]
    assert found.groups is not None and found.groups.tolist() == [0] * 20 + [1] * 20
    assert "2 groups ('A', 'B') share one clock" in " ".join(found.notes)
    # as recorded, and one after another for time axes
    assert found.time[20] in (0, 0.4, 0.5)
    assert (np.diff(found.time_s) > 0).all() and found.time_s[20] == found.time_s[19] + 1
    index = window_index(found, WindowSettings(length=20, stride=5))
    assert index["start"].tolist() == [0, 20] and index["group"].tolist() == [0, 1]


def test_the_example_of_two_machines(tmp_path: Path) -> None:
    rows = "t,machine,v\n0,A,20\n1,A,21\n0,B,120\n1,B,121\n"
    assert read(tmp_path, rows, group="machine").values[:, 0].tolist() == [20, 21, 120, 121]
    with pytest.raises(DataError, match="set `group: machine`") as caught:
        read(tmp_path, rows)
    assert "`duplicates`" not in str(caught.value) and "`unsorted" not in str(caught.value)


@pytest.mark.parametrize("layout", ["one after another", "row by row"])
@pytest.mark.parametrize("names", [("A", "B"), ("1", "2")])
def test_without_a_group_the_advice_is_its_column(layout: str, names: tuple[str, str], tmp_path: Path) -> None:
    content = machines(*LAYOUTS[layout]).replace("A", names[0]).replace("B", names[1])
    with pytest.raises(DataError, match="column 'machine' tells rows apart") as caught:
        read(tmp_path, content)
    assert "set `group: machine`" in str(caught.value)
    assert "`duplicates`" not in str(caught.value) and "`unsorted" not in str(caught.value)


def test_merging_rows_that_a_column_tells_apart_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, machines(*A, *B), duplicates="mean", unsorted="sort")
    assert found.values[0, 0] == 50
    assert sum("column 'machine' tells rows apart" in note for note in found.notes) == 2


def test_faults_of_time_are_those_within_a_group(tmp_path: Path) -> None:
    rows = [*A[:5], (3, "A", 9), *A[5:], *B[:7], *B[7:9], (8, "B", 999), *B[9:], (30, "B", 130)]
    with pytest.raises(DataError) as caught:
        read(tmp_path, machines(*rows), group="machine", gaps="error")
    found = {record.kind: record.text for record in caught.value.records}
    assert "(1 row, first at 5 (line 7))" in found["unsorted"]
    assert "(2 rows, first at 5, 30 (line 7))" in found["duplicates"]
    assert "10 rows missing in 1 gaps" in found["time-gap"]
    chosen: dict[str, Any] = {"unsorted": "sort", "duplicates": "mean", "gaps": "split"}
    read_well = read(tmp_path, machines(*rows), group="machine", max_gap=2, **chosen)
    expected = [*range(3), 6, *range(4, 20), *range(100, 108), (108 + 999) / 2, *range(109, 120)]
    # the row after the gap has no neighbour, but is a segment
    assert read_well.values[:, 0].tolist() == [*expected, 130] and read_well.segments == (0, 20, 40)


def test_missing_cells_at_the_edge_of_a_group_are_not_filled_from_the_next(tmp_path: Path) -> None:
    for rows in (A + B, A + [(time + 30, *rest) for time, *rest in B]):
        content = machines(*rows).replace(",A,19\n", ",A,\n").replace(",B,100\n", ",B,\n")
        found = read(tmp_path, content, group="machine")
        assert found.values[18:22, 0].tolist() == [18, 18, 101, 101]


def test_a_gap_between_two_groups_is_no_gap_and_is_not_filled(tmp_path: Path) -> None:
    for pause in (3, 1000):
        later = [(time + 19 + pause, *rest) for time, *rest in B]
        found = read(tmp_path, machines(*A, *later), group="machine", gaps="error")
        assert found.segments == (0, 20) and len(found.values) == 40
        assert "share one clock" not in " ".join(found.notes)


def test_states_of_one_recording_stay_in_the_order_of_time(tmp_path: Path) -> None:
    rows = [(i, "fast" if i // 5 % 2 else "slow", i) for i in range(40)]
    found = read(tmp_path, machines(*rows), group="machine")
    assert found.values[:, 0].tolist() == list(range(40)) and found.segments == tuple(range(0, 40, 5))
    assert found.time.tolist() == list(range(40))


def test_groups_of_different_rates_are_refused_and_resampled_as_the_message_says(tmp_path: Path) -> None:
    fast = [(i / 2, "A", i / 2) for i in range(40)]
    with pytest.raises(DataError, match=r"'B' 1 Hz|'A' 2 Hz") as caught:
        read(tmp_path, machines(*fast, *B), group="machine")
    assert "set `irregular: resample` with `resample_hz: 1`" in str(caught.value)
    found = read(tmp_path, machines(*fast, *B), group="machine", irregular="resample", resample_hz=1.0)
    assert found.values[:, 0].tolist() == [*range(20), *range(100, 120)] and found.segments == (0, 20)
    assert found.rate_hz == 1


def test_resampling_stays_within_a_group(tmp_path: Path) -> None:
    found = read(tmp_path, machines(*A, *B), group="machine", irregular="resample", resample_hz=2.0)
    expected = np.arange(39) / 2
    assert found.values[:, 0].tolist() == [*expected, *(100 + expected)]


def test_the_hour_that_a_clock_shows_twice_is_resolved_in_each_group(tmp_path: Path) -> None:
    moments = pd.date_range("2024-10-26T22:00", periods=30, freq="15min", tz="UTC")
    shown = [moment.isoformat()[:19] for moment in moments.tz_convert("Europe/Berlin")]
    rows = [(moment, machine, i) for i, moment in enumerate(shown) for machine in "AB"]
    found = read(tmp_path, machines(*rows), group="machine", timezone="Europe/Berlin")
    expected = moments.tz_localize(None).as_unit("ns").astype("int64").tolist()
    assert found.time.tolist() == expected * 2
    with pytest.raises(DataError, match="set `timezone`, such as Europe/Berlin"):
        read(tmp_path, machines(*rows), group="machine")


def test_the_training_span_of_groups_on_one_clock_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, machines(*A, *B), group="machine", train_share=0.5)
    assert found.train_stop == 20
    assert "`train_share`: the first 20 rows, of the groups 'A'; groups follow one another" in found.notes


def test_the_report_names_the_group_of_each_segment(tmp_path: Path) -> None:
    segments = data_report(read(tmp_path, machines(*A, *B), group="machine"))["segments"]
    assert [(one["group"], one["from"], one["to"]) for one in segments] == [("A", 0, 19), ("B", 0, 19)]


def test_recordings_follow_one_another_after_a_median_step() -> None:
    assert end_to_end(np.array([5.0, 7.0, 9.0, 5.0, 7.0, 20.0, 5.0])).tolist() == [0, 2, 4, 6, 8, 21, 23]
    stamps = np.array([10, 20, 10, 20], dtype=np.int64) * 10**9
    assert end_to_end(stamps).tolist() == [0, 10, 20, 30]


def long_rows(*rows: tuple[object, ...], columns: str = "t,sensor,value") -> str:
    return columns + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


TEMPERATURE = [(i, "temperature", 20 + i) for i in range(30)]
PRESSURE = [(i, "pressure", 3 * i) for i in range(30)]


@pytest.mark.parametrize("reader", ["csv", "parquet"])
@pytest.mark.parametrize("alternate", [False, True])
def test_a_long_table_is_pivoted(reader: str, alternate: bool, tmp_path: Path) -> None:
    rows = [*TEMPERATURE, *PRESSURE]
    if alternate:
        rows = [row for pair in zip(TEMPERATURE, PRESSURE, strict=True) for row in pair]
    if reader == "csv":
        found = read(tmp_path, long_rows(*rows), units={"pressure": "bar"}, **LONG)
    else:
        pd.DataFrame(rows, columns=["t", "sensor", "value"]).to_parquet(tmp_path / "made.parquet")
        found = ParquetFile(path=str(tmp_path / "made.parquet"), time="t", units={"pressure": "bar"}, **LONG).read()
    assert found.channels == ("pressure", "temperature") and found.units == ("bar", "")
    assert found.rate_hz == 1 and found.segments == (0,)
    assert found.values.tolist() == [[3 * i, 20 + i] for i in range(30)]
    assert "long table of 60 values: 30 times x 2 channels" in found.notes


def test_an_undeclared_long_table_gets_the_setting_that_reads_it(tmp_path: Path) -> None:
    content = long_rows(*TEMPERATURE, *PRESSURE)
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    said = str(caught.value)
    setting = "long: {channel: sensor, value: value}"
    assert f"if they are channels, set `{setting}`" in said
    assert read(tmp_path, content, **yaml.safe_load(setting)).values.shape == (30, 2)


def test_chosen_channels_of_a_long_table_leave_out_text_of_others_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    states = [(i, "state", "running") for i in range(30)]
    chosen = {"channels": ["temperature", "pressure"]} | LONG
    content = long_rows(*states, *TEMPERATURE, *PRESSURE)
    assert read(tmp_path, content, **chosen).channels == ("pressure", "temperature")
    with pytest.raises(DataError, match=r"first 'oops' in row 37 \(line 39\)"):
        read(tmp_path, content.replace("7,temperature,27", "7,temperature,oops"), **chosen)
    with pytest.raises(DataError, match="no channel 'flow' in column 'sensor'; it holds 'state', 'temperature'"):
        read(tmp_path, content, channels=["flow"], **LONG)


def test_a_missing_value_of_a_long_table_is_a_missing_cell(tmp_path: Path) -> None:
    found = read(tmp_path, long_rows(*TEMPERATURE[:7], *TEMPERATURE[8:], *PRESSURE), **LONG)
    assert found.values[7].tolist() == [21, 27]
    assert found.reading is not None and found.reading.filled == {"pressure": 0, "temperature": 1}
    assert found.reading.missing == {"pressure": 0, "temperature": 1}


def test_duplicates_of_a_long_table_are_those_of_a_channel(tmp_path: Path) -> None:
    content = long_rows(*TEMPERATURE, *PRESSURE, (29, "pressure", 97))
    with pytest.raises(DataError, match=r"duplicate time stamps \(1 row, first at 60 \(line 62\)\)"):
        read(tmp_path, content, **LONG)
    assert read(tmp_path, content, duplicates="mean", **LONG).values[29].tolist() == [92, 49]
    assert read(tmp_path, content, duplicates="last", **LONG).values[29].tolist() == [97, 49]


def test_a_long_table_of_machines_has_one_recording_each(tmp_path: Path) -> None:
    rows = [(t, m, s, k * (100 * (m == "B") + t)) for t in range(20) for m in "BA" for s, k in (("x", 1), ("y", 2))]
    found = read(tmp_path, long_rows(*rows, columns="t,machine,sensor,value"), group="machine", **LONG)
    assert found.segments == (0, 20) and found.channels == ("x", "y")
    assert found.groups is not None and found.groups.tolist() == [1] * 20 + [0] * 20
    assert found.values[:, 0].tolist() == [*range(100, 120), *range(20)]
    assert found.values[:, 1].tolist() == [2 * value for value in found.values[:, 0]]


def test_columns_of_a_long_table_must_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'tag'; the file has 't', 'sensor', 'value'"):
        read(tmp_path, long_rows(*TEMPERATURE), long={"channel": "tag", "value": "value"})


# 0,5  1,5 ... of one sensor, 1.000,25  1.001,25 ... of the other, which has no value at 3
COMMAS = "t;sensor;value\n" + "".join(f"{i};a;{i},5\n{i};b;{'Bad' if i == 3 else f'1.00{i},25'}\n" for i in range(8))


def test_the_values_of_a_long_table_are_read_as_the_file_writes_numbers(tmp_path: Path) -> None:
    chosen = {"separator": ";", **LONG}
    with pytest.raises(DataError) as caught:
        read(tmp_path, COMMAS, **chosen)
    assert [record.kind for record in caught.value.records] == ["thousands-mark", "not-numbers"]
    assert 'set `decimal: ","` and `thousands: "."`' in str(caught.value) and "row 7 (line 9)" in str(caught.value)
    chosen |= {"decimal": ",", "thousands": ".", "missing_values": ["Bad"], "max_missing_share": 0.2}
    found = read(tmp_path, COMMAS, **chosen)
    assert found.values.tolist() == [[i + 0.5, 1000.25 + i] for i in range(8)]
    assert found.reading is not None and found.reading.missing == {"a": 0, "b": 1}


def test_a_long_table_with_doubtful_points_is_refused(tmp_path: Path) -> None:
    rows = [(i, name, (998, 999, "1.000", "1.001")[i]) for i in range(4) for name in "ab"]
    with pytest.raises(DataError, match=r"the point in '1\.000' may mark thousands or decimals"):
        read(tmp_path, long_rows(*rows), **LONG)


def test_a_long_table_needs_a_time_column(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a long table needs a time column"):
        read(tmp_path, long_rows(*TEMPERATURE), **LONG, time=None, rate_hz=1.0)


def test_ids_of_nineteen_digits_stay_apart(tmp_path: Path) -> None:
    ids = ("1234567890123456789", "1234567890123456790")
    found = read(tmp_path, machines(*((i, name, i) for i in range(9) for name in ids)), group="machine")
    assert found.group_names == ids and len(found.segments) == 2


@pytest.mark.parametrize("block", range(4))
def test_generated_groups_keep_their_own_rates_gaps_and_samples(block: int, tmp_path: Path) -> None:
    """Sample i of group g has the value 1000 g + i, so that a sample of another group or place would show."""
    for seed in range(25 * block, 25 * block + 25):
        rng = np.random.default_rng(seed)
        step_s = float(rng.choice([1e-4, 0.01, 1 / 60, 0.5, 1.0, 60.0, 3600.0]))
        places = 4 if step_s > 0.001 else 6
        n_groups = int(rng.integers(2, 5))
        lengths = rng.integers(40, 90, n_groups)
        rows = []
        for group, length in enumerate(lengths):
            start, dropped = rng.integers(0, 50) * step_s, rng.integers(5, length - 5)
            for i in set(range(length)) - {dropped, dropped + 1}:
                rows.append((start + i * step_s, group, 1000 * group + i))
        if rng.random() < 0.5:
            rows.sort()
        content = "t,g,a\n" + "".join(f"{time:.{places}f},{group},{value}\n" for time, group, value in rows)
        found = read(tmp_path, content, group="g", max_missing_share=0.1, channels=["a"])
        assert found.rate_hz == pytest.approx(1 / step_s, rel=1e-3), seed
        assert found.groups is not None and len(found.segments) == n_groups, seed
        codes = dict.fromkeys(found.groups.tolist())
        expected = np.concatenate(
            [1000 * int(found.group_names[code]) + np.arange(lengths[int(found.group_names[code])]) for code in codes]
        )
        np.testing.assert_allclose(found.values[:, 0], expected, atol=0.35, err_msg=str(seed))
