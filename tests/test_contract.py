"""The contract of a user's file: every fault is named with rows and counts, every repair is one that was asked for."""

import gzip
import io
import os
import pickle
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.fuzz import breaches, case
from clusterwhy.config import build_settings
from clusterwhy.data.data_report import data_report, fault_report
from clusterwhy.data.series import Series
from clusterwhy.data.tables import CsvFile, NumpyFile, ParquetFile
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.errors import ConfigError, DataError

Note = Callable[[str, str, str, str], None]
N = 40


def table(n: int = N, **cells: dict[int, object]) -> str:
    """A CSV at 1 Hz with channels a (row + 0.5) and b (twice the row), and other cells where they are given."""
    rows = []
    for i in range(n):
        usual = {"t": i, "a": i + 0.5, "b": 2 * i}
        rows.append(",".join(str(cells.get(name, {}).get(i, value)) for name, value in usual.items()))
    return "\n".join(["t,a,b", *rows]) + "\n"


def without(text: str, *rows: int) -> str:
    """The CSV without some of its data rows."""
    return "".join(line for i, line in enumerate(text.splitlines(keepends=True)) if i - 1 not in rows)


def csv(folder: Path, content: str | bytes, name: str = "own.csv", **chosen: Any) -> Series:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CsvFile(path=str(path), **{"time": "t"} | chosen).read()


def npy(folder: Path, array: np.ndarray | bytes, **chosen: Any) -> Series:
    path = folder / "own.npy"
    if isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, array, allow_pickle=True)
    return NumpyFile(path=str(path), **{"rate_hz": 10.0} | chosen).read()


def parquet(folder: Path, content: "pa.Table | pd.DataFrame | bytes", **chosen: Any) -> Series:
    path = folder / "own.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    else:
        pq.write_table(content, path)
    return ParquetFile(path=str(path), **{"time": "t"} | chosen).read()


def stamps(start: str, n: int, step: str, zone: str | None = None) -> list[str]:
    return [moment.isoformat() for moment in pd.date_range(start, periods=n, freq=step, tz=zone)]


def timed(moments: list[str]) -> str:
    return "t,a\n" + "".join(f"{moment},{i}\n" for i, moment in enumerate(moments))


BERLIN = [moment[:19] for moment in stamps("2024-10-27T00:30", 20, "30min", "Europe/Berlin")]
PARQUET = pd.DataFrame({"t": np.arange(N) / 10, "a": np.arange(N) * 1.0})


def as_bytes(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


# what was done to the file, its bytes, settings, kind of the fault, and what its text must say
CSV_FAULTS: list[tuple[str, str | bytes, dict[str, Any], str, str]] = [
    ("empty file", "", {}, "empty-file", "the file is empty"),
    ("a header without rows", "t,a,b\n", {}, "no-rows", "the table has no rows"),
    ("one row", table(1), {}, "few-rows", "expected at least 2 rows, got 1"),
    ("no column of the time's name", table(), {"time": "when"}, "no-column", "no column 'when'; the file has 't', 'a'"),
    ("a channel that is no column", table(), {"channels": ["z"]}, "no-column", "no column 'z'"),
    ("a unit for what is no column", table(), {"units": {"z": "bar"}}, "unit-of-nothing", "unit for 'z'"),
    ("no numeric column", "t,a\n0,x\n1,y\n", {}, "no-channel", "no numeric column besides 't'"),
    ("another separator", table().replace(",", ";"), {}, "separator", "but by ';': set `separator: ';'`"),
    ("a tab as separator", table().replace(",", "\t"), {}, "separator", r"set `separator: '\t'`"),
    (
        "decimal commas",
        table(a={3: '"3,5"', 4: '"4,5"'}),
        {},
        "decimal-comma",
        "column 'a': 2 cells have a decimal comma, first '3,5' in row 3 (line 5); set `decimal: \",\"`",
    ),
    (
        "decimal commas in the whole of a file",
        table().replace(",", ";").replace(".", ","),
        {"separator": ";"},
        "decimal-comma",
        "column 'a': 40 cells have a decimal comma, first '0,5' in row 0 (line 2)",
    ),
    (
        "text in a channel",
        table(a={7: "oops"}),
        {},
        "not-numbers",
        "1 cells are no numbers, first 'oops' in row 7 (line 9)",
    ),
    (
        "mixed units in the cells",
        table(a={2: "3.2 kPa", 3: "3.3 kPa", 9: "470 psi"}),
        {},
        "mixed-units",
        "column 'a': mixed units, 2 'kPa', 1 'psi', first '3.2 kPa' in row 2 (line 4)",
    ),
    (
        "one unit in all cells",
        table(5, a={i: f"{i} bar" for i in range(5)}),
        {},
        "unit-in-cells",
        "column 'a': a unit in the cells, 5 'bar', first '0 bar' in row 0 (line 2)",
    ),
    ("huge values", table(b={5: "1e35"}), {}, "huge-values", "such as 1e+35 (1 row, first at 5 (line 7))"),
    (
        "more cells than the header",
        table(a={4: "1,2"}),
        {},
        "ragged",
        "1 lines have 4 cells, the header has 3, first line 6",
    ),
    (
        "fewer cells than the header",
        table()[:-4] + "\n",
        {},
        "ragged",
        "1 lines have 2 cells, the header has 3, first line 41",
    ),
    (
        "more cells than names in every line",
        "t,a\n0,1,5\n1,2,5\n",
        {},
        "ragged",
        "2 lines have 3 cells, the header has 2",
    ),
    (
        "a column twice in the header",
        table().replace("a", "b", 1),
        {},
        "duplicate-column",
        "column 'b' stands in the header 2 times",
    ),
    ("a quote left open", table(b={3: '"6'}), {}, "broken-csv", "not readable as CSV"),
    ("UTF-16", table().encode("utf-16"), {}, "wrong-kind", "no UTF-8 text, but in UTF-16"),
    ("Latin-1", table(a={3: "µ"}).encode("latin-1"), {}, "encoding", "byte 0xb5 in line 5 is no UTF-8"),
    ("NUL bytes", table(a={3: "\0\0"}), {}, "nul-bytes", "2 NUL bytes, first in line 5"),
    ("truncated gzip", gzip.compress(table(2000).encode())[:-300], {}, "broken-gzip", "broken gzip"),
    ("corrupt gzip", gzip.compress(table().encode())[:-8] + bytes(8), {}, "broken-gzip", "broken gzip"),
    ("a zip archive", b"PK\x03\x04" + bytes(40), {}, "wrong-kind", "a zip archive or an Excel file"),
    ("a Parquet file read as CSV", as_bytes(PARQUET), {}, "wrong-kind", "choose `dataset=parquet`"),
    (
        "a channel without a number",
        table(a=dict.fromkeys(range(N), "")),
        {"channels": ["a", "b"]},
        "empty-channel",
        "channel 'a': 100.00% missing",
    ),
    (
        "empty cells, gaps: error",
        table(a={5: "", 6: ""}),
        {"gaps": "error"},
        "cell-gap",
        "channel 'a': 5.00% missing or infinite (2 rows, first at 5, 6 (line 7))",
    ),
    (
        "empty cells beyond max_gap",
        table(200, a=dict.fromkeys(range(50, 57), "")),
        {},
        "cell-gap",
        "7 of them in runs longer than `max_gap` 5",
    ),
    (
        "infinite cells, gaps: error",
        table(a={5: "-inf"}),
        {"gaps": "error"},
        "cell-gap",
        "(1 row, first at 5 (line 7))",
    ),
    (
        "too many filled cells in a channel",
        table(a={i: "" for i in range(5, 30, 5)}),
        {},
        "missing-share",
        "channel 'a': 12.50% missing or infinite (5 rows, first at 5, 10, 15, 20, 25 (line 7)), above `max_",
    ),
    (
        "missing rows, gaps: error",
        without(table(), 9, 10),
        {"gaps": "error"},
        "time-gap",
        "2 rows missing in 1 gaps, the longest 2 (gaps begin behind 1 row, first at 8 (line 10))",
    ),
    (
        "missing rows beyond max_gap",
        without(table(200), *range(50, 57)),
        {},
        "time-gap",
        "7 rows missing in 1 gaps, the longest 7",
    ),
    (
        "too many missing rows",
        without(table(), *range(5, 30, 5)),
        {},
        "missing-rows",
        "5 rows missing, 12.50%, above `max_missing_share` 5.00%",
    ),
    (
        "gaps everywhere, split",
        table(a={i: "" for i in range(0, N, 2)}),
        {"gaps": "split", "max_gap": 0},
        "few-rows",
        "20 are left and none follows another",
    ),
    (
        "nothing between the gaps",
        table(4, a={0: "", 1: ""}, b={2: "", 3: ""}),
        {"gaps": "split", "max_gap": 0},
        "nothing-left",
        "no row is left between the gaps",
    ),
    (
        "rows of one time stamp",
        table(t={9: 8, 10: 8}),
        {},
        "duplicates",
        "duplicate time stamps (2 rows, first at 9, 10 (line 11))",
    ),
    (
        "rows that go back in time",
        table(t={9: 3}),
        {},
        "unsorted",
        "time stamps are not sorted (1 row, first at 9 (line 11))",
    ),
    (
        "an irregular rate",
        table(t={20: 20.4}),
        {},
        "irregular",
        "irregular rate: the median step is 1 s, but other steps occur (2 rows, first at 20, 21 (line 22))",
    ),
    (
        "all rows of one time",
        table(3, t={1: 0, 2: 0}),
        {"duplicates": "last"},
        "few-rows",
        "expected at least 2 rows, got 1",
    ),
    (
        "resampling that makes a flood of rows",
        table(),
        {"irregular": "resample", "resample_hz": 1e6},
        "resample-growth",
        "makes 3.9e+07 rows out of 40, more than 100 for each",
    ),
    (
        "resampling that leaves one row",
        table(),
        {"irregular": "resample", "resample_hz": 0.01},
        "few-rows",
        "1 are left and none follows another",
    ),
    (
        "empty cells in the time column",
        table(t={4: "", 9: ""}),
        {},
        "empty-time",
        "time column 't': empty cells (2 rows, first at 4, 9 (line 6))",
    ),
    (
        "text in the time column",
        table(t={4: "never"}),
        {},
        "not-time",
        "1 cells are neither seconds nor ISO 8601 time stamps, first 'never' in row 4 (line 6)",
    ),
    ("days written in another order", timed(["31.01.2024", "01.02.2024"]), {}, "not-time", "2 cells are neither"),
    (
        "decimal commas in the time column",
        table().replace(",", ";").replace("\n1;", "\n1,5;"),
        {"separator": ";"},
        "not-time",
        'set `decimal: ","`',
    ),
    (
        "infinite seconds",
        table(t={4: "inf"}),
        {},
        "time-range",
        "no seconds below 2^53, such as inf (1 row, first at 4 (line 6))",
    ),
    (
        "nanoseconds as seconds",
        table(t={i: 1700000000000000000 + i for i in range(N)}),
        {},
        "time-range",
        "nanoseconds? divide them",
    ),
    ("truth values as time", table(2, t={0: "True", 1: "False"}), {}, "time-type", "time column 't' holds bool"),
    (
        "a time step of nothing",
        table(t={i: i * 1e-300 for i in range(N)}),
        {},
        "time-step",
        "is the time column in seconds?",
    ),
    (
        "stamps before 1900",
        timed(["1816-01-01", "1816-01-02", "1816-01-03"]),
        {},
        "time-range",
        "time stamps before 1900 or after 2189 (3 rows, first at 0",
    ),
    (
        "stamps with and without offset",
        timed([*stamps("2024-01-01", 9, "1h"), "2024-01-01T09:00:00Z"]),
        {},
        "mixed-offsets",
        "1 time stamps have an offset such as Z or +01:00, 9 have none; the fewer: 1 row, first at 9 (line 11)",
    ),
    (
        "local time when the clock is put back, no zone",
        timed(BERLIN),
        {},
        "unsorted",
        "the clock shifts by one hour: local time? set `timezone`",
    ),
    (
        "local time when the clock is put forward, no zone",
        timed(["2024-03-31T01:00", "2024-03-31T01:30", "2024-03-31T03:00", "2024-03-31T03:30"]),
        {"gaps": "error"},
        "time-gap",
        "2 rows missing in 1 gaps, the longest 2 (gaps begin behind 1 row, first at 1 (line 3)); the clock shifts",
    ),
    (
        "an hour that the zone skips",
        timed(stamps("2024-03-31T01:00", 5, "30min")),
        {"timezone": "Europe/Berlin"},
        "no-such-hour",
        "Europe/Berlin does not have, since the clock is put forward (2 rows, first at 2, 3 (line 4))",
    ),
    (
        "an hour that the zone has twice, once in the file",
        timed(stamps("2024-10-27T02:00", 4, "15min")),
        {"timezone": "Europe/Berlin"},
        "ambiguous-hour",
        "their order does not tell which is meant (4 rows, first at 0",
    ),
]
NO_UTF8 = pa.table({"t": [0.0, 1.0], "a": pa.array([b"1.5", b"1.\xff"]).view(pa.string())})
COMPLEX = np.ones((N, 1)) * 1j
ARRAYS: list[tuple[str, np.ndarray | bytes, dict[str, Any], str, str]] = [
    ("complex numbers", COMPLEX, {}, "wrong-array", "got complex128 (40, 1)"),
    ("dates as values", np.arange(N).astype("datetime64[s]"), {}, "wrong-array", "got datetime64[s] (40, 1)"),
    ("text as values", np.array(["a"] * N), {}, "wrong-array", "got <U1 (40, 1)"),
    (
        "a structured array",
        np.zeros(N, dtype=[("x", "f8")]),
        {},
        "wrong-array",
        "expected numbers (time >= 2, channel)",
    ),
    ("three axes", np.zeros((4, 5, 6)), {}, "wrong-array", "got float64 (4, 5, 6)"),
    ("no axis", np.float64(3.0), {}, "wrong-array", "got float64 ()"),
    ("one sample", np.zeros((1, 3)), {}, "wrong-array", "got float64 (1, 3)"),
    ("a header that promises more", npy_bytes(np.zeros((N, 3)))[:-80], {}, "broken-npy", "no plain NumPy array"),
    ("a broken header", b"\x93NUMPY\x01\x00\x76\x00{'descr': ((((", {}, "broken-npy", "no plain NumPy array"),
    ("other bytes", b"time,a\n0,1\n", {}, "broken-npy", "no plain NumPy array"),
    (
        "as many names as there are not channels",
        np.zeros((N, 3)),
        {"channels": ["a"]},
        "channel-count",
        "1 channel names for 3 channels",
    ),
    (
        "a channel of NaN",
        np.stack([np.arange(N), np.full(N, np.nan)], axis=1),
        {},
        "empty-channel",
        "channel 'c01': 100.00% missing",
    ),
    (
        "NaN, gaps: error",
        np.append(np.nan, np.arange(N)),
        {"gaps": "error"},
        "cell-gap",
        "channel 'c00': 2.44% missing or infinite (1 row, first at 0)",
    ),
    ("huge values", np.append(-1e31, np.arange(N)), {}, "huge-values", "such as -1e+31 (1 row, first at 0)"),
    (
        "a unit for no channel",
        np.zeros((N, 1)),
        {"units": {"z": "m"}},
        "unit-of-nothing",
        "unit for 'z', which is no channel",
    ),
]
TABLES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("truncated", as_bytes(PARQUET)[:-20], {}, "broken-parquet", "not readable as Parquet"),
    ("other bytes", b"t,a\n0,1\n1,2\n", {}, "broken-parquet", "not readable as Parquet"),
    (
        "text that is no UTF-8",
        NO_UTF8,
        {},
        "broken-parquet",
        "Invalid UTF8 sequence at string index 1",
    ),
    (
        "a column twice",
        pa.table([[0.0, 1.0], [1.0, 2.0], [1.0, 2.0]], names=["t", "a", "a"]),
        {},
        "duplicate-column",
        "column 'a' stands in the file twice",
    ),
    (
        "lists in the cells",
        pa.table({"t": [0.0, 1.0], "a": [[1.0], [2.0]]}),
        {"channels": ["a"]},
        "wrong-type",
        "column 'a' holds",
    ),
    (
        "dates in a channel",
        PARQUET.assign(a=pd.date_range("2024", periods=N)),
        {"channels": ["a"]},
        "wrong-type",
        "column 'a' holds datetime64",
    ),
    (
        "text among numbers",
        PARQUET.assign(a=["1.5"] * (N - 1) + ["?"]),
        {},
        "not-numbers",
        "1 cells are no numbers, first '?' in row 39",
    ),
    ("no rows", PARQUET.iloc[:0], {}, "no-rows", "the table has no rows"),
    (
        "lengths of time as time",
        PARQUET.assign(t=pd.to_timedelta(np.arange(N), "s")),
        {},
        "time-type",
        "time column 't' holds timedelta64",
    ),
    (
        "stamps of year 3000",
        PARQUET.assign(t=pd.date_range("3000-01-01", periods=N, unit="s")),
        {},
        "time-range",
        "after 2189 (40 rows",
    ),
    (
        "empty cells, gaps: error",
        PARQUET.assign(a=PARQUET["a"].where(PARQUET["a"] != 7)),
        {"gaps": "error"},
        "cell-gap",
        "(1 row, first at 7)",
    ),
]
ALL = [
    *(("csv", *entry) for entry in CSV_FAULTS),
    *(("numpy", *entry) for entry in ARRAYS),
    *(("parquet", *entry) for entry in TABLES),
]
READ: dict[str, Callable[..., Series]] = {"csv": csv, "numpy": npy, "parquet": parquet}


@pytest.mark.parametrize(
    ("where", "what", "content", "chosen", "kind", "text"), ALL, ids=[f"{e[0]}-{e[1]}" for e in ALL]
)
def test_a_fault_is_named_with_its_rows_and_count(
    where: str, what: str, content: Any, chosen: dict[str, Any], kind: str, text: str, tmp_path: Path, fault: Note
) -> None:
    with pytest.raises(DataError) as caught:
        READ[where](tmp_path, content, **chosen)
    found = [record for record in caught.value.records if record.kind == kind]
    assert len(found) == 1, caught.value
    assert text in found[0].text and f"  - {found[0].text}" in str(caught.value)
    fault("Input files", what, where, f"refused: {kind}")


def test_the_kinds_of_faults_are_all_met_here() -> None:
    """A kind that no case above shows would be a guard that no test guards."""
    source = Path(__file__).resolve().parents[1] / "src" / "clusterwhy" / "data"
    modules = ("cells", "clock", "contract", "files", "gaps", "grid", "lines", "tables")
    import re

    text = "".join((source / f"{name}.py").read_text() for name in modules)
    kinds = set(re.findall(r"(?:fault\(|Fault\()\s*\"([a-z-]+)\"", text))
    assert len(kinds) > 30
    assert kinds - {entry[4] for entry in ALL} == {"no-file", "too-large"}


def ok(series: Series, note: str = "") -> Series:
    assert breaches(series) == []
    assert any(note in told for told in series.notes), series.notes
    return series


def case_bom(folder: Path) -> None:
    assert csv(folder, b"\xef\xbb\xbf" + table().encode()).channels == ("a", "b")


def case_gzip(folder: Path) -> None:
    # by its content, whatever it is called
    for name in ("own.csv.gz", "own.csv"):
        assert csv(folder, gzip.compress(table().encode()), name).values.shape == (N, 2)


def case_blank_lines(folder: Path) -> None:
    assert csv(folder, table().replace("\n5,", "\n\n\n5,") + "\n\n").values.shape == (N, 2)


def case_symlink(folder: Path) -> None:
    (folder / "real.csv").write_text(table())
    (folder / "link.csv").symlink_to(folder / "real.csv")
    assert len(CsvFile(path=str(folder / "link.csv"), time="t").read().values) == N


def case_decimal_comma(folder: Path) -> None:
    read = csv(folder, table().replace(",", ";").replace(".", ","), separator=";", decimal=",")
    assert read.values[3].tolist() == [3.5, 6.0]


def case_spaces(folder: Path) -> None:
    assert csv(folder, table().replace(",", "   "), separator=r"\s+").values[3].tolist() == [3.5, 6.0]


def case_infinite(folder: Path) -> None:
    read = ok(
        csv(folder, table(a={5: "inf"})), "column 'a': infinite cells count as missing (1 row, first at 5 (line 7))"
    )
    assert read.values[5, 0] == 5.5


def case_missing_value(folder: Path) -> None:
    read = ok(csv(folder, table(a={5: -9999}), missing_values=[-9999.0]), "channel 'a': 2.50% missing")
    assert read.values[5, 0] == 5.5


def case_edge(folder: Path) -> None:
    read = ok(csv(folder, table(a={0: "", 1: ""})), "interpolated")
    assert read.values[:3, 0].tolist() == [2.5, 2.5, 2.5]


def case_missing_rows(folder: Path) -> None:
    read = ok(csv(folder, without(table(), 9, 10)), "2 missing rows put in (behind 1 row, first at 8 (line 10))")
    assert read.values[:, 0].tolist() == [i + 0.5 for i in range(N)] and read.time.tolist() == list(range(N))


def case_split_rows(folder: Path) -> None:
    read = ok(
        csv(folder, without(table(), *range(9, 19)), gaps="split"),
        "cut at 1 gaps of 10 rows (behind 1 row, first at 8 (line 10))",
    )
    assert read.pieces == (0, 9) and len(read.values) == 30 and read.time[9] == 19


def case_split_cells(folder: Path) -> None:
    read = ok(
        csv(folder, table(b=dict.fromkeys(range(9, 19), "")), gaps="split"), "rows left out where cells are missing"
    )
    assert read.pieces == (0, 9) and read.time[8:10].tolist() == [8, 19]


def case_sort(folder: Path) -> None:
    lines = table().splitlines()
    lines[5:9] = lines[8:4:-1]
    read = ok(csv(folder, "\n".join(lines), unsorted="sort"), "time stamps were not sorted, and are now (3 rows")
    assert read.values[:, 1].tolist() == [2 * i for i in range(N)]


def case_mean(folder: Path) -> None:
    read = ok(
        csv(folder, table() + "39,0.5,\n", duplicates="mean"),
        "duplicate time stamps, mean taken (1 row, first at 40 (line 42))",
    )
    assert read.values[-1].tolist() == [20.0, 78.0]


def case_last(folder: Path) -> None:
    read = ok(csv(folder, table() + "39,0.5,7\n", duplicates="last"), "duplicate time stamps, last taken")
    assert read.values[-1].tolist() == [0.5, 7.0] and len(read.values) == N


def case_resample(folder: Path) -> None:
    read = ok(
        csv(folder, table(t={20: 20.4}, a={20: 20.9}, b={20: 40.8}), irregular="resample", resample_hz=2.0),
        "resampled from 40 rows, 1 Hz, to 79 at 2 Hz",
    )
    np.testing.assert_allclose(read.values[:, 0], read.time_s + 0.5)
    assert read.rate_hz == pytest.approx(2.0)


def case_downsample(folder: Path) -> None:
    ok(
        csv(folder, table(), irregular="resample", resample_hz=0.5),
        "no filter before: what was above 0.25 Hz may now look slower",
    )


def case_autumn(folder: Path) -> None:
    read = ok_steps(csv(folder, timed(BERLIN), timezone="Europe/Berlin"), 1800)
    assert read.time[0] == pd.Timestamp("2024-10-26T22:30Z").value


def ok_steps(series: Series, step_s: float) -> Series:
    assert breaches(series) == [] and set(np.diff(series.time_s)) == {step_s}
    return series


def case_spring(folder: Path) -> None:
    moments = [moment[:19] for moment in stamps("2024-03-31T00:30", 9, "30min", "Europe/Berlin")]
    ok_steps(csv(folder, timed(moments), timezone="Europe/Berlin"), 1800)


def case_offsets(folder: Path) -> None:
    ok(
        csv(folder, timed(stamps("2024-10-27T00:30", 9, "30min", "Europe/Berlin")), timezone="UTC"),
        "`timezone` is not used",
    )


def case_left_out(folder: Path) -> None:
    text = "".join(f"{i},{i},,word{i},\n" for i in range(N))
    read = csv(folder, "t,a,empty,comment,\n" + text)
    assert read.channels == ("a",)
    for note in ("column 'empty' is empty", "column 'comment' holds no numbers", "a column without a name is left out"):
        ok(read, note)


def case_constant(folder: Path) -> None:
    report = data_report(csv(folder, table(a=dict.fromkeys(range(N), 3))))
    assert [channel["constant"] for channel in report["channels"]] == [True, False]


def case_truth(folder: Path) -> None:
    assert csv(folder, table(a={i: i % 2 == 0 for i in range(N)})).values[:2, 0].tolist() == [1.0, 0.0]


def case_many(folder: Path) -> None:
    names = ",".join(f"x{i}" for i in range(1000))
    rows = "".join(f"{i}," + ",".join(str(i + j) for j in range(1000)) + "\n" for i in range(20))
    assert csv(folder, f"t,{names}\n{rows}").values[3, 999] == 1002


def case_float16(folder: Path) -> None:
    read = ok(npy(folder, np.arange(N).astype(np.float16)), "float16 holds 3 digits")
    assert read.values.dtype == np.float64 and read.values[:, 0].tolist() == list(range(N))


def case_integers(folder: Path) -> None:
    ok(npy(folder, np.arange(N) + 2**53), "integers of 2^53 or more lose digits (40 rows")
    assert npy(folder, np.arange(N, dtype=np.uint8)).notes == ()


def case_booleans(folder: Path) -> None:
    assert npy(folder, np.arange(N) % 2 == 0).values[:2, 0].tolist() == [1.0, 0.0]


def case_big_endian(folder: Path) -> None:
    assert npy(folder, np.arange(N).astype(">f4")).values[:, 0].tolist() == list(range(N))


def case_transposed(folder: Path) -> None:
    ok(npy(folder, np.random.default_rng(0).normal(size=(3, 50))), "50 channels, but 3 samples: is it (channel, time)?")


def case_split_array(folder: Path) -> None:
    values = np.arange(float(N))
    values[9:19] = np.nan
    assert ok(npy(folder, values, gaps="split")).pieces == (0, 9)


def case_index(folder: Path) -> None:
    assert parquet(folder, PARQUET.set_index("t")).channels == ("a",)


def case_decimals(folder: Path) -> None:
    exact = pa.array(range(N)).cast(pa.decimal128(30, 2))
    read = parquet(folder, pa.table({"t": np.arange(N), "a": exact}))
    assert read.values[:, 0].tolist() == list(range(N))


def case_days(folder: Path) -> None:
    days = pa.array(range(N), pa.int32()).cast(pa.date32())
    assert parquet(folder, pa.table({"t": days, "a": np.arange(N)})).rate_hz == pytest.approx(1 / 86400)


READS: list[tuple[str, str, str, Callable[[Path], None]]] = [
    ("a byte order mark", "csv", "read", case_bom),
    ("gzip, by its content", "csv", "read", case_gzip),
    ("blank lines", "csv", "read, left out", case_blank_lines),
    ("a symbolic link", "csv", "read", case_symlink),
    ("semicolons and decimal commas, as set", "csv", "read", case_decimal_comma),
    ("spaces between cells, as set", "csv", "read", case_spaces),
    ("infinite cells", "csv", "read: missing, noted", case_infinite),
    ("-9999 for missing, as set", "csv", "read: missing, noted", case_missing_value),
    ("empty cells at an end", "csv", "read: nearest value held, noted", case_edge),
    ("missing rows up to max_gap", "csv", "read: put in, noted", case_missing_rows),
    ("missing rows beyond max_gap, gaps: split", "csv", "read: cut, noted", case_split_rows),
    ("empty cells beyond max_gap, gaps: split", "csv", "read: rows left out, cut, noted", case_split_cells),
    ("rows that go back in time, unsorted: sort", "csv", "read: sorted, noted", case_sort),
    ("rows of one time stamp, duplicates: mean", "csv", "read: their mean, noted", case_mean),
    ("rows of one time stamp, duplicates: last", "csv", "read: the last, noted", case_last),
    ("an irregular rate, irregular: resample", "csv", "read: resampled, noted", case_resample),
    ("resampling to a lower rate", "csv", "read: aliasing noted", case_downsample),
    ("local time when the clock is put back, timezone set", "csv", "read: the hour told by order", case_autumn),
    ("local time when the clock is put forward, timezone set", "csv", "read", case_spring),
    ("a timezone that offsets make needless", "csv", "read: noted", case_offsets),
    ("columns of text, empty ones, without a name", "csv", "read: left out, noted", case_left_out),
    ("a constant channel", "csv", "read: in the data report", case_constant),
    ("truth values", "csv", "read as 0 and 1", case_truth),
    ("1,000 channels", "csv", "read", case_many),
    ("float16", "numpy", "read: noted", case_float16),
    ("integers of 2^53 and more", "numpy", "read: noted", case_integers),
    ("truth values", "numpy", "read as 0 and 1", case_booleans),
    ("big endian", "numpy", "read", case_big_endian),
    ("more channels than samples", "numpy", "read: noted", case_transposed),
    ("NaN beyond max_gap, gaps: split", "numpy", "read: rows left out, cut, noted", case_split_array),
    ("the time as pandas' index", "parquet", "read", case_index),
    ("decimal numbers", "parquet", "read", case_decimals),
    ("days as time", "parquet", "read", case_days),
]


@pytest.mark.parametrize(("what", "where", "outcome", "check"), READS, ids=[f"{e[1]}-{e[0]}" for e in READS])
def test_what_is_no_fault_is_read_and_repairs_are_noted(
    what: str, where: str, outcome: str, check: Callable[[Path], None], tmp_path: Path, fault: Note
) -> None:
    check(tmp_path)
    fault("Input files", what, where, outcome)


@pytest.mark.parametrize("reader", [CsvFile, ParquetFile, NumpyFile])
def test_what_is_no_file_is_refused(reader: type, tmp_path: Path, fault: Note) -> None:
    where = {CsvFile: "csv", ParquetFile: "parquet", NumpyFile: "numpy"}[reader]
    more = {"rate_hz": 1.0} if reader is NumpyFile else {"time": "t"}
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for path, text in (
        (tmp_path / "nowhere.npy", "no such file: set `dataset.path`"),
        (tmp_path / "folder.npy", "a folder, not a file"),
        (tmp_path / "pipe.npy", "neither a file nor a folder"),
        (tmp_path / ("x" * 300 + ".npy"), "no"),
        (Path("~nobody-of-that-name/x.npy"), "not readable"),
    ):
        with pytest.raises(DataError, match=text) as caught:
            reader(path=str(path), **more).read()
        assert [record.kind for record in caught.value.records] == ["no-file"]
    fault("Input files", "no file, a folder, a pipe", where, "refused: no-file")


def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Note) -> None:
    path = tmp_path / "bomb.csv"
    with gzip.open(path, "wb") as stream:
        stream.write(b"t,a\n")
        for _ in range(200):
            stream.write(b"0,1\n" * 2**18)
    assert path.stat().st_size < 2**20
    free = type("Free", (), {"available": 80 * 2**20})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 20 MiB unpacked, `memory_share`"):
        CsvFile(path=str(path), time="t").read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 2**20
    fault("Input files", "a gzip bomb", "csv", "refused: too-large")


def test_a_small_parquet_file_of_a_great_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Note
) -> None:
    content = as_bytes(pd.DataFrame({"t": np.zeros(10**6), "a": np.zeros(10**6)}))
    assert len(content) < 2**16
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 8 * 2**20}))
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *a, **k: pytest.fail("unpacked"))
    with pytest.raises(DataError, match="more than 2 MiB unpacked"):
        parquet(tmp_path, content)
    fault("Input files", "a small file of a great table", "parquet", "refused: too-large")


def test_a_pickle_is_refused_and_not_run(tmp_path: Path, fault: Note) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    for content in (pickle.dumps(Trap()), np.array([Trap()], dtype=object)):
        with pytest.raises(DataError, match="no plain NumPy array"):
            npy(tmp_path, content)
    assert not (tmp_path / "ran").exists()
    fault("Input files", "a pickle, an array of objects", "numpy", "refused: broken-npy, nothing run")


def test_all_faults_of_a_file_are_told_at_once_also_as_json(tmp_path: Path, fault: Note) -> None:
    text = table(
        200,
        t={9: 3, 20: 19, 60: 60.4},
        a={2: "oops", 5: "3 kPa", 6: "4 psi"},
        b={30: "1e40"} | dict.fromkeys(range(80, 90), ""),
    )
    with pytest.raises(DataError) as caught:
        csv(tmp_path, text)
    kinds = {"not-numbers", "mixed-units", "huge-values", "unsorted", "duplicates", "irregular", "cell-gap"}
    report = fault_report(caught.value)
    assert {entry["kind"] for entry in report["faults"]} >= kinds
    gap = next(e for e in report["faults"] if e["kind"] == "cell-gap" and e["column"] == "b")
    assert gap["count"] == 10 and gap["rows"][:2] == (80, 81)
    fault("Input files", "seven kinds of faults in one file", "csv", "refused: all named, in the message and in JSON")


def test_a_message_of_a_thousand_faulty_channels_stays_short(tmp_path: Path, fault: Note) -> None:
    with pytest.raises(DataError) as caught:
        npy(tmp_path, np.full((3, 1000), np.inf))
    assert len(caught.value.records) == 1000 and "  - and 960 more" in str(caught.value)
    assert str(caught.value).count("\n") == 41
    fault("Input files", "1,000 faulty channels", "numpy", "refused: 40 shown, all in JSON")


@pytest.mark.parametrize(
    ("name", "chosen", "text"),
    [
        ("an unknown time zone", {"timezone": "Mars/Base"}, "expected a zone such as Europe/Berlin"),
        ("resampling without a rate", {"irregular": "resample"}, "belong together"),
        ("a rate without resampling", {"resample_hz": 3.0}, "belong together"),
        ("separator and decimal alike", {"decimal": ","}, "separator and decimal are both"),
        ("a separator of two signs", {"separator": ";;"}, "should match pattern"),
        ("a channel named twice", {"channels": ["a", "a"]}, "a channel is named twice"),
        ("an unknown policy", {"gaps": "ignore"}, "'error', 'interpolate' or 'split'"),
        ("a negative max_gap", {"max_gap": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, chosen: dict[str, Any], text: str, fault: Note) -> None:
    node = {"_target_": "clusterwhy.data.tables.CsvFile", "path": "x.csv", "time": "t"} | chosen
    with pytest.raises(ConfigError, match="dataset") as caught:
        build_settings({"dataset": node})
    assert text in str(caught.value)
    fault("Input files", name, "csv", "refused before any data is read")


def test_the_report_counts_what_was_read_and_filled(tmp_path: Path) -> None:
    report = data_report(csv(tmp_path, without(table(100, a={5: "", 7: "inf"}), 50), units={"a": "bar"}))
    assert (report["n_rows_read"], report["n_rows_kept"]) == (99, 100)
    first, second = report["channels"]
    assert (first["unit"], first["n_missing"], first["n_filled"]) == ("bar", 2, 3)
    assert (second["n_missing"], second["n_filled"], second["min"], second["max"]) == (0, 1, 0.0, 198.0)
    assert report["policies"]["gaps"] == "interpolate" and len(report["notes"]) == 4
    assert report["pieces"] == [{"start": 0, "stop": 100, "from": 0.0, "to": 99.0}]


def test_rate_hz_must_be_a_rate() -> None:
    with pytest.raises(ValidationError):
        NumpyFile(path="x.npy", rate_hz=0.0)


def test_more_cells_than_names_are_told_where_warnings_are_not(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="2 lines have 3 cells, the header has 2"):
            csv(tmp_path, "t,a\n0,1,5\n1,2,5\n")


@pytest.mark.parametrize("seed", range(300, 600, 50))
def test_a_broken_file_is_read_well_or_its_faults_are_named(seed: int, tmp_path: Path) -> None:
    found = [(i, *case(i, tmp_path)) for i in range(seed, seed + 50)]
    assert [entry for entry in found if entry[2] not in ("read", "refused")] == []
    assert len({entry[2] for entry in found}) == 2


def test_no_cell_is_filled_from_the_far_side_of_a_cut(tmp_path: Path) -> None:
    # behind the cut, a begins in row 17 and b, after one value more, in row 18
    text = without(table(20, a={16: ""}, b={16: 99, 17: ""}), *range(4, 16))
    read = csv(tmp_path, text, gaps="split", max_gap=1, max_missing_share=0.9)
    assert read.time.tolist() == [0, 1, 2, 3, 17, 18, 19] and read.pieces == (0, 4)
    # between 99 and 36, not between 6 and 36
    assert read.values[4].tolist() == [17.5, 67.5]


BYTES = st.binary(max_size=300)


@settings(max_examples=150, deadline=None)
@given(
    head=st.sampled_from([b"", b"t,a\n", b"t,a\n0,1\n1,2\n", b"\x93NUMPY\x01\x00", b"PAR1", b"\x1f\x8b\x08"]),
    rest=BYTES,
)
def test_any_bytes_are_read_well_or_refused(head: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    for read in READ.values():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", DeprecationWarning)
                series = read(folder, head + rest, channels=None)
        except DataError:
            continue
        assert breaches(series) == []


@st.composite
def recordings(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, Any], WindowSettings]:
    """A table at 1 Hz with rows left out and cells emptied, policies, and windows."""
    n = draw(st.integers(20, 120))
    gaps = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, 12)), max_size=5))
    holes = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, 12), st.sampled_from("ab")), max_size=5))
    rows = pd.DataFrame({"t": np.arange(n), "a": np.arange(n) * 1.5, "b": np.cos(np.arange(n))})
    for start, length, channel in holes:
        rows.loc[start : start + length - 1, channel] = np.nan
    kept = np.ones(n, dtype=bool)
    for start, length in gaps:
        kept[start : start + length] = False
    chosen = {
        "gaps": draw(st.sampled_from(["split", "interpolate"])),
        "max_gap": draw(st.integers(0, 8)),
        "max_missing_share": 0.9,
    }
    length = draw(st.integers(2, 12))
    return rows[kept], chosen, WindowSettings(length=length, stride=draw(st.integers(1, length)))


@settings(max_examples=150, deadline=None)
@given(made=recordings())
def test_windows_hold_the_rows_they_claim_and_never_cross_a_gap(
    made: tuple[pd.DataFrame, dict[str, Any], WindowSettings], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows, chosen, window = made
    try:
        series = csv(tmp_path_factory.getbasetemp(), rows.to_csv(index=False), channels=["a", "b"], **chosen)
        index = window_index(series, window)
    except DataError:
        return
    assert breaches(series) == []
    assert index["window"].tolist() == list(range(len(index)))
    recorded = rows.set_index("t")
    # plainly: a row of the grid is there, or near enough to rows that are
    for start, stop in zip(index["start"], index["stop"], strict=True):
        times, values = series.time[start:stop], series.values[start:stop]
        assert np.diff(times).tolist() == [1.0] * (window.length - 1)
        for moment, found in zip(times, values, strict=True):
            for channel, value in zip("ab", found, strict=True):
                known = recorded[channel].dropna()
                if moment in known.index:
                    assert value == known[moment]
                    continue
                before, after = known.index[known.index < moment], known.index[known.index > moment]
                if chosen["gaps"] == "split":
                    assert after[0] - before[-1] - 1 <= chosen["max_gap"]
                if len(before) and len(after):
                    expected = np.interp(moment, [before[-1], after[0]], [known[before[-1]], known[after[0]]])
                    assert value == pytest.approx(expected, abs=1e-9)
