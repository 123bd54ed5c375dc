"""Several files are one study: names, clocks, channels and faults of each."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import DataError
from clusterwhy.readers.data_report import data_report
from clusterwhy.readers.tables import CsvFile, NumpyFile, ParquetFile


def run(n: int, first: float = 0.0, start: float = 0.0, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"t": start + np.arange(n), "p": first + np.arange(n), "q": np.sin(np.arange(n))} | columns)


def folder(root: Path, **tables: pd.DataFrame) -> Path:
    place = root / "runs"
    place.mkdir(exist_ok=True, parents=True)
    for name, table in tables.items():
        table.to_csv(place / f"{name}.csv", index=False)
    return place


def read(place: Path, **chosen: Any) -> Series:
    return CsvFile(path=str(place), **{"time": "t"} | chosen).read()


def kinds(place: Path, **chosen: Any) -> tuple[list[str], str]:
    with pytest.raises(DataError) as raised:
        read(place, **chosen)
    return [fault.kind for fault in raised.value.records], str(raised.value)


def test_each_file_is_a_group_with_its_name_in_the_order_of_numbers(tmp_path: Path) -> None:
    place = folder(tmp_path, run_10=run(30, 1000.0), run_2=run(20, 200.0), run_1=run(25, 100.0))
    (place / "notes.md").write_text("not a recording")
    (place / ".hidden.csv").write_text("not a recording")
    found = read(place)
    assert found.name == "runs" and found.group_names == ("run_1", "run_2", "run_10")
    assert found.segments == (0, 25, 45) and found.groups is not None
    assert found.groups.tolist() == [0] * 25 + [1] * 20 + [2] * 30
    assert found.values[[0, 25, 45], 0].tolist() == [100.0, 200.0, 1000.0]
    assert found.train_stop == 75 and found.reading is not None and found.reading.n_rows == 75
    assert "notes.md is left out" in found.notes[-1] and "3 recordings, each with a clock of its own" in found.notes[-2]


def test_windows_never_cross_recordings_and_their_clocks_may_overlap(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(40), b=run(40, start=20.0), c=run(40, start=39.0 + 1.0))
    found = read(place)
    index = window_index(found, WindowSettings(length=8, stride=3))
    assert (index["start"] // 40 == (index["stop"] - 1) // 40).all() and index["group"].tolist() == [
        *(start // 40 for start in index["start"])
    ]
    assert found.time.tolist() == [*range(40), *range(20, 60), *range(40, 80)]
    assert (np.diff(found.time_s) > 0).all()
    report = data_report(found)
    assert [(one["group"], one["from"], one["to"]) for one in report["segments"]] == [
        *(("a", 0.0, 39.0), ("b", 20.0, 59.0), ("c", 40.0, 79.0))
    ]


def test_a_gap_inside_a_recording_is_a_segment_of_it(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(40).drop(index=range(10, 20)), b=run(20))
    found = read(place, gaps="split")
    assert found.segments == (0, 10, 30) and found.groups is not None
    assert np.unique(found.groups[10:30]).tolist() == [0]


def test_recordings_without_any_time_and_arrays_are_joined(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20).drop(columns="t"), b=run(30).drop(columns="t"))
    found = read(place, time=None, rate_hz=10.0)
    np.testing.assert_allclose(found.time, np.concatenate([np.arange(20), np.arange(30)]) / 10)
    assert found.rate_hz == 10.0
    for name in ("a", "b"):
        table = pd.read_csv(place / f"{name}.csv")
        np.save(place / f"{name}.npy", table.to_numpy())
        table.assign(t=np.arange(len(table)) / 10).to_parquet(place / f"{name}.parquet")
    array = NumpyFile(path=str(place), rate_hz=10.0, channels=["p", "q"]).read()
    np.testing.assert_array_equal(array.values, found.values)
    stored = ParquetFile(path=str(place / "*.parquet"), time="t").read()
    np.testing.assert_array_equal(stored.values, found.values)
    assert found.group_names == array.group_names == stored.group_names == ("a", "b")


def test_a_pattern_finds_files_and_names_that_are_not_alone_have_their_folders(tmp_path: Path) -> None:
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "run.csv").write_text(run(20).to_csv(index=False))
    (tmp_path / "tuesday" / "late.csv.gz").write_bytes(gzip.compress(run(20).to_csv(index=False).encode()))
    assert read(tmp_path / "*" / "run.csv").group_names == ("monday/run", "tuesday/run")
    found = read(tmp_path / "tuesday" / "*.csv*")
    assert found.group_names == ("late", "run") and found.name == "tuesday"
    assert read(tmp_path / "**" / "r?n.csv").group_names == ("monday/run", "tuesday/run")
    assert read(tmp_path / "monday" / "ru[mn].csv").name == "ru"
    one = read(tmp_path / "monday")
    assert one.group_names == ("run",) and one.segments == (0,)


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    run(20).to_csv(tmp_path / "run[1].csv", index=False)
    assert read(tmp_path / "run[1].csv").groups is None


def test_channels_may_have_another_order_but_must_be_the_same(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20), b=run(20, 100.0)[["q", "t", "p"]], c=run(20))
    np.testing.assert_array_equal(read(place).values[20:40, 0], 100.0 + np.arange(20))
    folder(tmp_path, b=run(20).drop(columns="q").assign(r=1.0, s=2.0), d=run(20).assign(q="text"))
    found, said = kinds(place)
    assert found == ["other-channels", "other-channels"]
    assert "b: lacks 'q' and also has 'r', 's', unlike most recordings" in said and "d: lacks 'q', unlike" in said
    assert read(place, include=["p"]).channels == ("p",)


def test_faults_of_all_files_are_told_at_once_each_with_its_name(tmp_path: Path) -> None:
    table = run(20).astype(object)
    table.loc[7, "p"] = "?"
    place = folder(tmp_path, a=table, b=run(20), c=run(20).drop(index=range(4, 14)))
    (place / "d.csv").write_text("")
    found, said = kinds(place)
    assert found == ["not-numbers", "time-gap", "empty-file"] and "b:" not in said
    assert (
        "a: column 'p': 1 cells are not numbers, first '?' in row 7 (line 9)" in said and "d: the file is empty" in said
    )


def test_other_rates_clocks_and_units_are_refused(tmp_path: Path) -> None:
    dates = run(20).assign(t=pd.date_range("2024-03-01", periods=20, freq="s").astype(str))
    place = folder(tmp_path, a=run(20), b=run(20), c=run(40).iloc[::2], d=dates)
    found, said = kinds(place)
    assert found == ["other-rate", "other-clock"] and "c: 0.5 samples per second, most have 1" in said
    assert "d: its time is in dates, that of most recordings in seconds" in said
    place = folder(tmp_path / "more", a=run(20), b=run(20))
    for name, unit in (("a", "bar"), ("b", "Pa")):
        lines = (place / f"{name}.csv").read_text().splitlines()
        (place / f"{name}.csv").write_text("\n".join([lines[0], f"s,{unit},m", *lines[1:]]) + "\n")
    assert kinds(place, rows_below_header=["units"])[0] == ["other-unit"]
    assert read(place, rows_below_header=["units"], exclude=["p"]).units == ("m",)


def test_groups_inside_files_are_refused(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20, machine="x"), b=run(20, machine="y"))
    assert kinds(place, group="machine")[0] == ["two-groups"]


def test_labels_of_all_files_have_one_code_each(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20, state="run"), b=run(20, state=["idle", *["run"] * 19]))
    found = read(place, label="state")
    assert found.label_names == ("idle", "run") and found.labels is not None
    assert found.labels.tolist() == [1] * 20 + [0] + [1] * 19


def test_a_range_leaves_out_files_that_it_does_not_touch(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20), b=run(20, start=100.0), c=run(20, start=110.0))
    found = read(place, **{"from": 105})
    assert found.group_names == ("b", "c") and found.time.tolist() == [*range(105, 120), *range(110, 130)]
    assert any("a is left out: `from` and `to` lie outside it" in note for note in found.notes)
    assert kinds(place, **{"from": 500})[0] == ["span-outside"] * 3
    # what is not used may lack a channel that a pattern names
    place = folder(tmp_path, b=run(20, start=100.0, s=1.0), c=run(20, start=110.0, s=1.0))
    assert read(place, **{"from": 105, "exclude": ["s"]}).group_names == ("b", "c")
    assert kinds(place, exclude=["s"])[0] == ["no-match"]


def test_a_recording_can_be_the_known_good_one(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20), b=run(30), c=run(20))
    found = read(place, normal=[{"recording": "b", "to": 9}, {"recording": "c"}])
    assert found.normal is not None and found.normal.spans == ((20, 30), (50, 70))
    assert found.normal.says == "recording b, the first sample to 9 s and recording c"
    assert kinds(place, normal={"recording": ["b", "d"]})[0] == ["unknown-recording"]
    assert kinds(place / "a.csv", normal={"recording": "a"})[0] == ["no-recordings"]


def prepared(place: Path, out: Path) -> Prepared:
    found, window = read(place), WindowSettings(length=8, stride=3)
    n = len(found.channels)
    return save_prepared(out, found, window_index(found, window), window, np.zeros(n), np.ones(n), [])


def test_recordings_far_apart_follow_one_another_on_time_axes_and_near_ones_keep_their_dates(tmp_path: Path) -> None:
    def dated(first: str, n: int) -> pd.DataFrame:
        return run(n).assign(t=pd.date_range(first, periods=n, freq="1min").astype(str))

    near = folder(tmp_path / "near", a=dated("2024-03-01 00:00", 60), b=dated("2024-03-01 01:30", 60))
    data = prepared(near, tmp_path / "1")
    march, april = (pd.Timestamp(f"2024-{month}-01").timestamp() * 1000 for month in ("03", "04"))
    assert data.dates == ((0.0, march),)
    assert data.time_s[[59, 60, -1]].tolist() == [59 * 60.0, 90 * 60.0, 149 * 60.0]
    far = folder(tmp_path / "far", a=dated("2024-03-01 00:00", 60), b=dated("2024-04-01 00:00", 60))
    data = prepared(far, tmp_path / "2")
    assert data.dates == ((0.0, march), (3600.0, april))
    assert data.time_s.tolist() == [60.0 * i for i in range(120)]


def test_train_share_counts_the_samples_of_all_files(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20), b=run(60))
    assert read(place, train_share=0.5).train_stop == 40


def test_a_note_of_all_files_is_told_once(tmp_path: Path) -> None:
    place = folder(tmp_path, a=run(20, own="z", text="x"), b=run(20, text="x", more="y"))
    notes = [note.split(" holds")[0] for note in read(place).notes]
    assert notes[:-1] == ["in each of 2 recordings: column 'text'", "a: column 'own'", "b: column 'more'"]
