"""Faulty files, what must be said of each, and the readers that meet them."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clusterwhy.data.series import Series
from clusterwhy.readers.tables import CsvFile, NumpyFile, ParquetFile

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


def several(folder: Path, files: dict[str, str], **chosen: Any) -> Series:
    (folder / "runs").mkdir()
    for name, content in files.items():
        (folder / "runs" / f"{name}.csv").write_text(content)
    return CsvFile(path=str(folder / "runs"), **{"time": "t"} | chosen).read()


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
    ("no time column", table(), {"time": "when"}, "no-column", "no column 'when'; the file has 't', 'a'"),
    ("a channel without a column", table(), {"channels": ["z"]}, "no-column", "no column 'z'"),
    (
        "a unit for an unknown column",
        table(),
        {"units": {"z": "bar"}},
        "unit-without-column",
        "a unit is given for 'z'",
    ),
    (
        "channel names with control characters",
        table().replace("t,a,b", 't,a\x07,"b\nb"'),
        {},
        "bad-name",
        r"invalid channel names: 'a\x07' contains the character U+0007; 'b\nb' contains the character U+000A",
    ),
    (
        "a channel name with a direction mark",
        table().replace("t,a", "t,a\u202ebar"),
        {},
        "bad-name",
        "contains the character U+202E",
    ),
    (
        "a channel name of 300 characters",
        table().replace("t,a", "t," + "a" * 300),
        {},
        "bad-name",
        "300 characters",
    ),
    ("a unit of 300 characters", table(), {"units": {"a": "m" * 300}}, "bad-name", "invalid unit names"),
    (
        "labels with control characters",
        table(b={3: "\x1b[31mred"}),
        {"label": "b"},
        "bad-name",
        r"invalid label names: '\x1b[31mred' contains the character U+001B",
    ),
    ("no numeric column", "t,a\n0,x\n1,y\n", {}, "no-channel", "no numeric column besides 't'"),
    (
        "a different separator",
        table().replace(",", ";"),
        {},
        "separator",
        "separated by ';', not by ',': set `separator: ';'`",
    ),
    ("a tab as separator", table().replace(",", "\t"), {}, "separator", r'set `separator: "\t"`'),
    (
        "decimal commas among decimal points",
        table(a={3: '"3,5"', 4: '"4,5"'}),
        {},
        "number-format",
        "column 'a': 2 cells have marks of several formats, first '3,5' in row 3 (line 5); no setting reads all cells, "
        "such as '0.5' and '3,5'",
    ),
    (
        "decimal commas in quotes",
        table(a={i: f'"{i},5"' for i in range(N)}),
        {},
        "decimal-comma",
        "column 'a': 40 cells have a decimal comma, first '0,5' in row 0 (line 2); set `decimal: \",\"`",
    ),
    (
        "decimal points, although `decimal` is a comma",
        table(),
        {"decimal": ","},
        "decimal-point",
        "column 'a': 40 cells have a decimal point, first '0.5' in row 0 (line 2); set `decimal: \".\"`",
    ),
    (
        "thousands marks, decimal known",
        "t;a\n0;998\n1;999\n2;1.000\n3;1.001\n",
        {"separator": ";", "decimal": ","},
        "thousands-mark",
        "column 'a': 2 cells have a thousands mark, first '1.000' in row 2 (line 4); set `thousands: \".\"`",
    ),
    (
        "thousands marks, decimal unknown",
        "t;a\n0;998\n1;999\n2;1.000\n3;1.001\n",
        {"separator": ";"},
        "number-format",
        "column 'a': the point in '1.000' may mark thousands or decimals, no number of the file tells which: set "
        '`decimal: "."` if it is 1, or `decimal: ","` and `thousands: "."` if it is 1000',
    ),
    (
        "a comma that is thousands or decimals",
        't,a\n0,"1,000"\n1,"1,001"\n',
        {},
        "number-format",
        '(line 2); \'1,000\': set `decimal: ","` if it is 1, or `thousands: ","` if it is 1000',
    ),
    (
        "narrow no-break spaces in numbers",
        "t;a\n0;999,5\n1;1\u202f000,5\n",
        {"separator": ";"},
        "thousands-mark",
        'set `decimal: ","` and `thousands: " "`',
    ),
    (
        "apostrophes in numbers",
        "t;a\n0;999.5\n1;1\u2019000.5\n",
        {"separator": ";"},
        "thousands-mark",
        'set `thousands: "\'"`',
    ),
    (
        "marks of missing cells",
        table(a={3: "Bad", 9: "I/O Timeout", 12: "?"}),
        {"missing_values": [-9999]},
        "not-numbers",
        'if they mark missing cells, set `missing_values: [-9999.0, "?", "Bad", "I/O Timeout"]`; to do without the '
        'column, set `leave_out: ["a"]`',
    ),
    (
        "one bad cell under a decimal comma",
        "t;a\n0;20,1\n1;20,2\n2;Bad\n3;20,4\n",
        {"separator": ";", "decimal": ","},
        "not-numbers",
        "column 'a': 1 cells are not numbers, first 'Bad' in row 2 (line 4); if they mark missing cells, set "
        '`missing_values: ["Bad"]`',
    ),
    (
        "a range of dates in a file of seconds",
        table(),
        {"from": "2024-03-01"},
        "wrong-clock",
        "the recording has no dates: give seconds; the recording runs from 0 s to 39 s",
    ),
    (
        "a range of seconds in a file of dates",
        timed(stamps("2024-03-01", N, "1h")),
        {"from": 5, "to": 9},
        "wrong-clock",
        "give dates such as 2024-03-01; the recording runs from 2024-03-01T00:00:00 UTC to 2024-03-02T15:00:00 UTC",
    ),
    ("a range that begins after it ends", table(), {"from": 9, "to": 5}, "backward-span", "it begins after it ends"),
    (
        "a range outside the file",
        table(),
        {"from": 100, "to": 200},
        "span-outside",
        "`from` and `to`, 100 s to 200 s: outside the recording; the recording runs from 0 s to 39 s",
    ),
    ("a range between two rows", table(), {"from": 5.2, "to": 5.7}, "empty-span", "the file has no row there"),
    (
        "a pattern that no channel matches",
        table().replace("a,b", "flow_in,Flow_out", 1),
        {"include": ["flow*", "flows_*"]},
        "no-match",
        "`include`: no channel is called 'flows_*'; near it are 'flow_in', 'Flow_out'",
    ),
    (
        "a pattern that excludes nothing",
        table(),
        {"exclude": ["pressure"]},
        "no-match",
        "`exclude`: no channel is called 'pressure'; near it are 'a', 'b'",
    ),
    ("patterns that leave no channel", table(), {"exclude": ["*"]}, "no-channel", "besides 't' that `include` and"),
    (
        "a known-good period of an unknown label",
        "t,a,state\n" + "".join(f"{i},{i},{'run' if i % 2 else 'idle'}\n" for i in range(N)),
        {"label": "state", "normal": {"label": "running"}},
        "unknown-label",
        "no label 'running'; it has 'run'",
    ),
    (
        "a known-good period of labels in a file without any",
        table(),
        {"normal": {"label": "run"}},
        "no-labels",
        "the recording has no labels; set `label` to the column that holds them",
    ),
    (
        "a word that `binary` does not know",
        "t,a,v\n0,1,on\n1,2,stuck\n2,3,off\n",
        {"binary": {"v": ["off", "on"]}},
        "not-binary",
        "column 'v': expected 'off' or 'on' (`binary`), got [\"stuck\"] (1 row, first at 1 (line 3))",
    ),
    (
        "two words in a chosen channel",
        "t,a\n0,on\n1,Off\n2,on\n",
        {"channels": ["a"]},
        "not-numbers",
        'to read its two words as 0 and 1, set `binary: {"a": ["Off", "on"]}`; to do without the column',
    ),
    (
        "numbers without a header, at a rate",
        "1.5\n2.5\n3.5\n",
        {"time": None, "rate_hz": 4.0},
        "no-header",
        "the first line holds 1 numbers and no names: set `names: numbered`",
    ),
    (
        "lines before the header",
        "Logger 7; v2.1\n\n" + table(),
        {},
        "preamble",
        "the header is in line 3, not in line 1: set `skip_lines: 2`",
    ),
    (
        "lines before a header without the time column",
        "Logger 7; v2.1\n\n" + table(),
        {"time": "Zeit"},
        "no-column",
        "no column 'Zeit'; the file has 't', 'a', 'b'",
    ),
    (
        "a row of units",
        table().replace("\n", "\ns,bar,\u00b0C\n", 1),
        {},
        "rows-below-header",
        "1 rows below the header hold no data, such as 's, bar, \u00b0C': set `rows_below_header: [units]`",
    ),
    (
        "a header that is repeated",
        table(20) + table()[:6],
        {},
        "repeated-header",
        "the header is repeated (1 row, first at 20 (line 22)); set `repeated_headers: drop`",
    ),
    (
        "names of rows without a header",
        '"t" "a"\n' + "".join(f'"{i + 1}" {i} {i / 2}\n' for i in range(9)),
        {"separator": r"\s+"},
        "row-names",
        "lines have 3 cells, the header has 2; if names of rows stand in front: set `row_names: row`",
    ),
    (
        "time stamps as names of rows",
        '"a"\n' + "".join(f'"2024-01-0{i + 1}" {i / 2}\n' for i in range(9)),
        {"separator": r"\s+"},
        "row-names",
        "set `row_names: t`",
    ),
    (
        "fifty numbers and no header",
        "".join("  ".join(f"{i + j / 2}" for j in range(50)) + "  \n" for i in range(9)),
        {},
        "no-header",
        "the first line holds 50 numbers and no names: set `separator: '\\s+'` and `names: numbered` and `time: c00`",
    ),
    (
        "a header, although there are `names`",
        table(),
        {"names": ["t", "a", "b"]},
        "header",
        "the first line holds names, although `names` says that there is no header: set `skip_lines: 1`",
    ),
    (
        "a wrong number of names",
        table()[6:],
        {"names": ["t", "a"]},
        "channel-count",
        "`names` has 2 names, the lines have 3 cells",
    ),
    (
        "a cell missing between spaces",
        table().replace(",", " ").replace("\n3 3.5 6", "\n3 6"),
        {"separator": r"\s+"},
        "ragged",
        "1 lines have 2 cells, the header has 3, first line 5",
    ),
    (
        "decimal commas throughout a file",
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
        "1 cells are not numbers, first 'oops' in row 7 (line 9)",
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
        "row-names",
        "lines have 3 cells, the header has 2 (if commas are decimal marks, save the file with another separator)",
    ),
    (
        "a duplicate column in the header",
        table().replace("a", "b", 1),
        {},
        "duplicate-column",
        "column 'b' occurs 2 times in the header",
    ),
    ("an unclosed quote", table(b={3: '"6'}), {}, "broken-csv", "not readable as CSV"),
    ("UTF-16", table().encode("utf-16"), {}, "wrong-kind", "expected UTF-8 text, got UTF-16 text"),
    ("Latin-1", table(a={3: "µ"}).encode("latin-1"), {}, "encoding", "byte 0xb5 in line 5 is not UTF-8"),
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
        "2 rows missing in 1 gaps, the longest 2 (gaps start after 1 row, first at 8 (line 10))",
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
        "20 are left and no two are consecutive",
    ),
    (
        "no rows between the gaps",
        table(4, a={0: "", 1: ""}, b={2: "", 3: ""}),
        {"gaps": "split", "max_gap": 0},
        "no-rows-left",
        "no row is left between the gaps",
    ),
    (
        "duplicate time stamps",
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
        "all rows at one time",
        table(3, t={1: 0, 2: 0}),
        {"duplicates": "last"},
        "few-rows",
        "expected at least 2 rows, got 1",
    ),
    (
        "resampling to too many rows",
        table(),
        {"irregular": "resample", "resample_hz": 1e6},
        "resample-growth",
        "makes 3.9e+07 rows from 40, more than 100 per row",
    ),
    (
        "resampling that leaves one row",
        table(),
        {"irregular": "resample", "resample_hz": 0.01},
        "few-rows",
        "1 are left and no two are consecutive",
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
    ("dates in day-month order", timed(["31.01.2024", "01.02.2024"]), {}, "not-time", "2 cells are neither"),
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
        "expected seconds below 2^53, got values such as inf (1 row, first at 4 (line 6))",
    ),
    (
        "a number beyond int64 as time",
        table(t={4: "1e300"}),
        {},
        "time-range",
        "expected seconds below 2^53, got values such as 1e+300 (1 row, first at 4 (line 6))",
    ),
    (
        "numbers that are no plausible time",
        table(t={i: 50_000_000_000 + 1000 * i for i in range(N)}),
        {},
        "time-unit",
        "implausible as seconds (more than 317 years), and no other unit fits: set `time_unit` (s, ms, us, ns, min,",
    ),
    (
        "stamps although a unit is set",
        timed(stamps("2024-01-01", 9, "1h")),
        {"time_unit": "ms"},
        "time-unit",
        "holds time stamps such as '2024-01-01T00:00:00', not ms: remove `time_unit`",
    ),
    (
        "rows without a group although groups share a clock",
        "t,m,a\n0,x,1\n0,y,2\n1,x,1\n1,,2\n2,x,1\n2,y,3\n",
        {"group": "m"},
        "empty-group",
        "the cells of the group are empty in 1 row, first at 3 (line 5): fill them",
    ),
    (
        "groups of different rates",
        "t,m,a\n" + "".join(f"{i / 2},x,1\n" for i in range(20)) + "".join(f"{i},y,1\n" for i in range(9)),
        {"group": "m"},
        "group-rates",
        "most have 2 Hz, but 'y' 1 Hz (9 rows, first at 20, 21, 22, 23, 24 ... (line 22)); set `irregular: resample` "
        "with `resample_hz: 1`",
    ),
    (
        "a long table without the name of a channel",
        "t,s,a\n0,x,1\n0,,2\n1,x,1\n1,y,2\n",
        {"long": {"channel": "s", "value": "a"}},
        "empty-channel-name",
        "column 's': empty cells instead of names of channels (1 row, first at 1 (line 3))",
    ),
    (
        "a long table with two labels of one time",
        "t,s,a,l\n0,x,1,p\n0,y,1,p\n1,x,1,p\n1,y,2,q\n",
        {"long": {"channel": "s", "value": "a"}, "label": "l"},
        "label-conflict",
        "rows of one time stamp have different values of the label column (1 row, first at 3 (line 5))",
    ),
    ("booleans as time", table(2, t={0: "True", 1: "False"}), {}, "time-type", "time column 't' holds bool"),
    (
        "a time step near zero",
        table(t={i: i * 1e-300 for i in range(N)}),
        {},
        "time-step",
        "is the time column really in seconds?",
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
        "1 time stamps have an offset such as Z or +01:00, 9 have none; the minority: 1 row, first at 9 (line 11)",
    ),
    (
        "local time when clocks go back, no zone",
        timed(BERLIN),
        {},
        "unsorted",
        "the clock shifts by one hour: local time? set `timezone`",
    ),
    (
        "local time when clocks go forward, no zone",
        timed(["2024-03-31T01:00", "2024-03-31T01:30", "2024-03-31T03:00", "2024-03-31T03:30"]),
        {"gaps": "error"},
        "time-gap",
        "2 rows missing in 1 gaps, the longest 2 (gaps start after 1 row, first at 1 (line 3)); the clock shifts",
    ),
    (
        "a nonexistent local hour",
        timed(stamps("2024-03-31T01:00", 5, "30min")),
        {"timezone": "Europe/Berlin"},
        "no-such-hour",
        "do not exist in Europe/Berlin, where clocks go forward (2 rows, first at 2, 3 (line 4))",
    ),
    (
        "an ambiguous local hour that occurs once",
        timed(stamps("2024-10-27T02:00", 4, "15min")),
        {"timezone": "Europe/Berlin"},
        "ambiguous-hour",
        "their order does not resolve it (4 rows, first at 0",
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
    ("zero axes", np.float64(3.0), {}, "wrong-array", "got float64 ()"),
    ("one sample", np.zeros((1, 3)), {}, "wrong-array", "got float64 (1, 3)"),
    ("a header that claims more data", npy_bytes(np.zeros((N, 3)))[:-80], {}, "broken-npy", "not a plain NumPy array"),
    ("a broken header", b"\x93NUMPY\x01\x00\x76\x00{'descr': ((((", {}, "broken-npy", "not a plain NumPy array"),
    ("arbitrary bytes", b"time,a\n0,1\n", {}, "broken-npy", "not a plain NumPy array"),
    (
        "a wrong number of channel names",
        np.zeros((N, 3)),
        {"channels": ["a"]},
        "channel-count",
        "1 channel names are given for 3 channels",
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
        "a unit for an unknown channel",
        np.zeros((N, 1)),
        {"units": {"z": "m"}},
        "unit-without-column",
        "a unit is given for 'z', which is not a channel",
    ),
]
TABLES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("truncated", as_bytes(PARQUET)[:-20], {}, "broken-parquet", "not readable as Parquet"),
    ("arbitrary bytes", b"t,a\n0,1\n1,2\n", {}, "broken-parquet", "not readable as Parquet"),
    (
        "text that is not UTF-8",
        NO_UTF8,
        {},
        "broken-parquet",
        "Invalid UTF8 sequence at string index 1",
    ),
    (
        "a duplicate column",
        pa.table([[0.0, 1.0], [1.0, 2.0], [1.0, 2.0]], names=["t", "a", "a"]),
        {},
        "duplicate-column",
        "column 'a' occurs twice in the file",
    ),
    (
        "a channel name with a NUL",
        pa.table({"t": [0.0, 1.0], "a\x00.csv": [1.0, 2.0]}),
        {},
        "bad-name",
        "contains the character U+0000",
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
        "1 cells are not numbers, first '?' in row 39",
    ),
    ("no rows", PARQUET.iloc[:0], {}, "no-rows", "the table has no rows"),
    (
        "durations as time",
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
SEVERAL: list[tuple[str, Any, dict[str, Any], str, str]] = [
    (
        "files with different channels",
        {"a": table(), "b": table(), "c": table().replace("t,a,b", "t,a,c", 1)},
        {},
        "other-channels",
        "c: lacks 'b' and also has 'c', unlike most recordings",
    ),
    (
        "files of different rates",
        {"a": table(), "b": table(), "c": without(table(), *range(1, N, 2))},
        {},
        "other-rate",
        "c: 0.5 samples per second, most have 1: set `irregular: resample`",
    ),
    (
        "files with dates beside files with seconds",
        {"a": timed(stamps("2024-03-01", N, "1s")), "b": "t,a\n0,1\n1,2\n2,3\n", "c": "t,a\n0,1\n1,2\n2,3\n"},
        {},
        "other-clock",
        "a: its time is in dates, that of most recordings in seconds",
    ),
    (
        "files with different units",
        {"a": "t,a\ns,bar\n0,1\n1,2\n", "b": "t,a\ns,Pa\n0,1\n1,2\n"},
        {"rows_below_header": ["units"]},
        "other-unit",
        "b: 'a' is in Pa, elsewhere in bar",
    ),
    (
        "a row of units in one of several files only",
        {"a": "t,a\ns,bar\n0,1\n1,2\n", "b": "t,a\n0,1\n1,2\n2,3\n"},
        {"rows_below_header": ["units"]},
        "units-are-numbers",
        "b: the row of units holds numbers, such as '0': the file has no such row, or `rows_below_header`",
    ),
    (
        "files and a column of groups",
        {"a": table(), "b": table()},
        {"group": "a"},
        "two-groups",
        "2 files, each of which is a group: set `group: null`, or read one file",
    ),
    (
        "a fault in one of several files",
        {"a": table(), "b": table(a={3: "?"})},
        {},
        "not-numbers",
        "b: column 'a': 1 cells are not numbers, first '?' in row 3 (line 5)",
    ),
    (
        "a known-good recording that there is not",
        {"run_1": table(), "run_2": table()},
        {"normal": {"recording": "run_3"}},
        "unknown-recording",
        "no recording 'run_3'; it has 'run_",
    ),
]
ALL = [
    *(("folder of csv", *entry) for entry in SEVERAL),
    *(("csv", *entry) for entry in CSV_FAULTS),
    *(("numpy", *entry) for entry in ARRAYS),
    *(("parquet", *entry) for entry in TABLES),
]
ONE_FILE: dict[str, Callable[..., Series]] = {"csv": csv, "numpy": npy, "parquet": parquet}
READ = ONE_FILE | {"folder of csv": several}
