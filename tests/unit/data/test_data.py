"""Readers and windows: what comes in is what was recorded, and every fault is told at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from clusterwhy.data.scaling import ScalerSettings
from clusterwhy.data.series import Series
from clusterwhy.data.storage import save_prepared
from clusterwhy.data.windows import WindowSettings, window_index, windows_at
from clusterwhy.datasets.watch import WatchRecordings, _wheel_file
from clusterwhy.errors import DataError
from clusterwhy.readers.tables import CsvFile, NumpyFile, ParquetFile

WATCH_SHA = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"


def series(n: int = 50, segments: tuple[int, ...] = (0,)) -> Series:
    values = np.arange(2.0 * n).reshape(n, 2)
    return Series("made", values, np.arange(n) / 10, 10.0, ("a", "b"), ("", ""), n, segments)


def test_window_i_is_the_slice_that_starts_at_its_start() -> None:
    made = series()
    index = window_index(made, WindowSettings(length=8, stride=3))
    windows = windows_at(made.values, index["start"].to_numpy(), 8)
    for i, (start, stop) in enumerate(zip(index["start"], index["stop"], strict=True)):
        np.testing.assert_array_equal(windows[i], made.values[start:stop].T)
    assert index["start"].tolist() == list(range(0, 43, 3))


def test_no_window_crosses_a_segment_boundary() -> None:
    index = window_index(series(segments=(0, 20)), WindowSettings(length=8, stride=3))
    assert not ((index["start"] < 20) & (index["stop"] > 20)).any()
    assert (index["start"] >= 20).any()


def test_a_series_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(DataError, match="the longest segment has"):
        window_index(series(5), WindowSettings(length=8, stride=3))


def test_a_stride_above_the_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="stride 9 > length 8"):
        WindowSettings(length=8, stride=9)


def test_csv_keeps_all_digits_the_rate_the_names_and_the_units(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("when,p,q\n" + "".join(f"{i * 0.02:.2f},{0.1234567890123456 + i},{i}\n" for i in range(30)))
    read = CsvFile(path=str(path), time="when", units={"p": "bar"}).read()
    assert read.channels == ("p", "q") and read.units == ("bar", "")
    assert read.rate_hz == pytest.approx(50.0)
    assert read.values[0, 0] == 0.1234567890123456


def test_csv_labels_and_groups_are_read_from_their_columns(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 3},{'ab'[i // 6]},{['m2', 'm1', ''][i // 4]}\n" for i in range(12))
    (tmp_path / "own.csv").write_text("t,x,state,machine\n" + rows)
    read = CsvFile(path=str(tmp_path / "own.csv"), time="t", label="state", group="machine").read()
    assert read.channels == ("x",) and read.label_names == ("a", "b") and read.group_names == ("m1", "m2")
    assert read.labels is not None and read.groups is not None
    assert read.labels.tolist() == [0] * 6 + [1] * 6
    assert read.groups.tolist() == [1] * 4 + [0] * 4 + [-1] * 4
    with pytest.raises(DataError, match="no column 'nobody'"):
        CsvFile(path=str(tmp_path / "own.csv"), time="t", group="nobody").read()


def test_csv_time_stamps_keep_their_nanoseconds(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-01-01T00:00:00.123456789Z", periods=20, freq="1s")
    path = tmp_path / "own.csv"
    pd.DataFrame({"t": stamps.astype(str), "x": np.arange(20.0)}).to_csv(path, index=False)
    read = CsvFile(path=str(path), time="t").read()
    np.testing.assert_array_equal(read.time, stamps.as_unit("ns").astype("int64"))


def test_parquet_and_numpy_hold_the_same_values(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(40, 3))
    table = pd.DataFrame(values, columns=["a", "b", "c"]).assign(t=np.arange(40) / 10)
    table.to_parquet(tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(ParquetFile(path=str(tmp_path / "x.parquet"), time="t").read().values, values)
    np.testing.assert_array_equal(NumpyFile(path=str(tmp_path / "x.npy"), rate_hz=10.0).read().values, values)


def test_every_fault_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("t,a,b\n0,1,1\n2,oops,1\n1,1,\n3,1,\n3,1,\n9,1,1\n")
    with pytest.raises(DataError) as caught:
        CsvFile(path=str(path), time="t").read()
    message = str(caught.value)
    for fault in ("not sorted", "duplicate time stamps", "'oops' in row 1", "channel 'b': 40.00% missing"):
        assert fault in message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "empty"),
        ("t,a\n0,x\n1,y\n", "no numeric column"),
        ("t,a\n", "no rows"),
        ("t,a\n0,1\n1,2\n2.6,1\n3.6,2\n4.6,2\n", "irregular rate"),
    ],
)
def test_faulty_csv_is_named(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=fault):
        CsvFile(path=str(path), time="t").read()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        CsvFile(path=str(tmp_path / "nowhere.csv"), time="t").read()


def test_missing_values_below_the_share_are_interpolated_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "gap.csv"
    path.write_text("t,a\n" + "".join(f"{i},{'' if i == 5 else i * 2}\n" for i in range(40)))
    read = CsvFile(path=str(path), time="t").read()
    assert read.values[5, 0] == 10.0
    assert "interpolated" in read.notes[0]


def test_watch_recordings_are_the_seven_exercises_in_order() -> None:
    read = WatchRecordings(subject=1, side=1, sha256=WATCH_SHA).read()
    assert read.channels == ("ax", "ay", "az", "wx", "wy", "wz")
    assert read.labels is not None
    assert np.diff(read.labels).min() >= 0 and len(set(read.labels.tolist())) == 7
    assert np.isfinite(read.values).all()


def test_tampered_watch_data_is_refused_before_it_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(_wheel_file().read_bytes())
    content[-1] ^= 1
    (tmp_path / "watch.npy").write_bytes(content)
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("unpickled"))
    with pytest.raises(DataError, match="so it is not unpickled"):
        WatchRecordings(subject=1, side=1, sha256=WATCH_SHA, path=str(tmp_path / "watch.npy")).read()


def test_a_channel_in_tiny_units_is_scaled_and_one_with_rounding_only_is_not() -> None:
    wave = np.sin(np.arange(100.0))
    values = np.column_stack([1e-13 * wave, 7.3 + 1e-15 * wave, np.full(100, 2.0)])
    _, scale = ScalerSettings(kind="standard", constant_channels="keep").fit(values)
    np.testing.assert_allclose(scale, [1e-13 * wave.std(), 1.0, 1.0])


def test_a_series_is_scaled_part_by_part(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterwhy.data.storage.PART", 7)
    values = rng.normal(size=(40, 2))
    series = Series("s", values, np.arange(40.0), 1.0, ("a", "b"), ("", ""), train_stop=40)
    settings = WindowSettings(length=8, stride=4)
    saved = save_prepared(
        tmp_path, series, window_index(series, settings), settings, np.array([1.0, 2.0]), np.array([3.0, 0.01]), []
    )
    expected = np.clip((values - [1.0, 2.0]) / [3.0, 0.01], -50.0, 50.0)
    np.testing.assert_array_equal(saved.scaled, expected.astype(np.float32))
