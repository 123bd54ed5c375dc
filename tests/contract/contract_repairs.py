"""Files that are read, and what must have become of each: repairs that were asked for are noted."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.fuzz import breaches
from clusterwhy.data.series import Series
from clusterwhy.readers.data_report import data_report
from clusterwhy.readers.tables import CsvFile
from tests.contract.contract_cases import BERLIN, PARQUET, N, csv, npy, parquet, stamps, table, timed, without


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
    read = ok(csv(folder, without(table(), 9, 10)), "2 missing rows inserted (after 1 row, first at 8 (line 10))")
    assert read.values[:, 0].tolist() == [i + 0.5 for i in range(N)] and read.time.tolist() == list(range(N))


def case_split_rows(folder: Path) -> None:
    read = ok(
        csv(folder, without(table(), *range(9, 19)), gaps="split"),
        "cut at 1 gaps of 10 rows (after 1 row, first at 8 (line 10))",
    )
    assert read.segments == (0, 9) and len(read.values) == 30 and read.time[9] == 19


def case_split_cells(folder: Path) -> None:
    read = ok(csv(folder, table(b=dict.fromkeys(range(9, 19), "")), gaps="split"), "rows with missing cells dropped")
    assert read.segments == (0, 9) and read.time[8:10].tolist() == [8, 19]


def case_sort(folder: Path) -> None:
    lines = table().splitlines()
    lines[5:9] = lines[8:4:-1]
    read = ok(csv(folder, "\n".join(lines), unsorted="sort"), "rows sorted by time (3 rows")
    assert read.values[:, 1].tolist() == [2 * i for i in range(N)]


def case_mean(folder: Path) -> None:
    read = ok(
        csv(folder, table() + "39,0.5,\n", duplicates="mean"),
        "duplicate time stamps merged by `duplicates: mean` (1 row, first at 40 (line 42))",
    )
    assert read.values[-1].tolist() == [20.0, 78.0]


def case_last(folder: Path) -> None:
    read = ok(
        csv(folder, table() + "39,0.5,7\n", duplicates="last"), "duplicate time stamps merged by `duplicates: last`"
    )
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
        "no anti-aliasing filter: content above 0.25 Hz is aliased",
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
        "`timezone` is ignored",
    )


def case_skipped_columns(folder: Path) -> None:
    text = "".join(f"{i},{i},,word{i},\n" for i in range(N))
    read = csv(folder, "t,a,empty,comment,\n" + text)
    assert read.channels == ("a",)
    for note in (
        "column 'empty' is empty and is left out",
        "column 'comment' holds no numbers but text such as 'word0' and is left out",
        "has no name in the file and is left out",
    ):
        ok(read, note)


def case_text_columns(folder: Path) -> None:
    texts = {
        "msg": "Pump {} running",
        "id": "M{}A",
        "version": "v2.{}b",
        "state": "S7-150{} RUN",
        "when": "2024-01-01 00:00:0{}",
        "clock": "1{}:30:00 AM",
        "date": "0{}.12.2024 23:59",
        "door": "{}A",
    }
    rows = (",".join([f"{i}", f"{i + 0.5}", *(text.format(i % 3) for text in texts.values())]) for i in range(9))
    read = ok(csv(folder, "\n".join(["t,a," + ",".join(texts), *rows])))
    assert read.channels == ("a",)
    for name, text in texts.items():
        ok(read, f"column {name!r} holds no numbers but text such as {text.format(0)!r} and is left out")


def case_binary(folder: Path) -> None:
    text = "t,a,v,w\n" + "".join(f"{i},{i},{'On' if i % 3 else 'off'},{'yes' if i % 2 else 'no'}\n" for i in range(9))
    ok(
        csv(folder, text),
        'column \'w\' holds two words (to read its two words as 0 and 1, set `binary: {"w": ["no", "yes"]}`)',
    )
    read = csv(
        folder,
        text.replace("5,5,On", "5,5,Bad"),
        binary={"v": ["off", "on"]},
        missing_values=["Bad"],
        max_missing_share=0.2,
    )
    assert read.channels == ("a", "v") and read.values[:4, 1].tolist() == [0.0, 1.0, 1.0, 0.0]


def case_leave_out(folder: Path) -> None:
    assert csv(folder, table(b={3: "oops"}), leave_out=["b"]).channels == ("a",)
    assert csv(folder, table(b={3: "oops"}), leave_out=["b"], channels=["a", "b"]).channels == ("a",)


def case_missing_words(folder: Path) -> None:
    words = ["?", "Bad", "No Data", "I/O Timeout", "-", "Err"]
    text = table(a={5 + 3 * i: f" {word} " for i, word in enumerate(words)})
    read = ok(csv(folder, text, missing_values=[*words, -9999], max_missing_share=0.2), "channel 'a': 15.00% missing")
    assert read.values[:, 0].tolist() == [i + 0.5 for i in range(N)]


def case_thousands(folder: Path) -> None:
    # 998.5, 999.5, 1000.5, -1001.5, 1234567.5 in the ways of several countries
    for mark, decimal, setting in (
        (".", ",", "."),
        ("'", ".", "'"),
        ("\u2019", ".", "'"),
        (" ", ",", " "),
        ("\u00a0", ",", " "),
        ("\u202f", ",", " "),
        (",", ".", ","),
    ):
        numbers = [number.replace("_", mark).replace("*", decimal) for number in THOUSANDS]
        text = "t;a\n" + "".join(f"{i};{number}\n" for i, number in enumerate(numbers))
        read = csv(folder, text, separator=";", decimal=decimal, thousands=setting)
        assert read.values[:, 0].tolist() == [998.5, 999.5, 1000.5, -1001.5, 1234567.5]


THOUSANDS = ("998*5", "999*5", "1_000*5", "\u22121_001*5", "1_234_567*5")


def case_preamble(folder: Path) -> None:
    text = 'Logger "7\n\nt;a;b\ns;[bar];-\nRN;Avg;Smp\n0;1,5;2\n1;2,5;3\n2;3,5;4\n'
    read = csv(folder, text, separator=";", decimal=",", skip_lines=2, rows_below_header=["units", "other"])
    assert read.values.tolist() == [[1.5, 2.0], [2.5, 3.0], [3.5, 4.0]] and read.units == ("bar", "")


def case_repeated(folder: Path) -> None:
    text = "t,a\ns,m\n0,1\n1,2\nt,a\ns,m\n2,3\nt,a\ns,m\n3,4\n"
    read = csv(folder, text, rows_below_header=["units"], repeated_headers="drop")
    ok(read, "repeated headers are left out (4 rows, first at 2, 3, 5, 6 (line 5))")
    assert read.values[:, 0].tolist() == [1, 2, 3, 4] and read.time.tolist() == [0, 1, 2, 3]


def case_row_names(folder: Path) -> None:
    text = '"t" "a"\n' + "".join(f'"{i + 7}" {i} {i / 2}\n' for i in range(9))
    read = csv(folder, text, separator=r"\s+", row_names="row")
    assert read.channels == ("a",) and read.values[:, 0].tolist() == [i / 2 for i in range(9)]
    stamped = '"a"\n' + "".join(f'"2024-01-0{i + 1}" {i / 2}\n' for i in range(9))
    assert csv(folder, stamped, separator=r"\s+", row_names="t").rate_hz == pytest.approx(1 / 86400)


def case_no_header(folder: Path) -> None:
    text = "".join("  ".join(f"{i + j / 2}" for j in range(50)) + "  \n" for i in range(9))
    read = csv(folder, text, separator=r"\s+", names="numbered", time="c00")
    assert read.channels[0] == "c01" and read.values[:, 48].tolist() == [i + 24.5 for i in range(9)]
    names = ["t", *(f"s{i}" for i in range(1, 50))]
    assert csv(folder, text, separator=r"\s+", names=names, channels=["s2"]).values[:, 0].tolist() == list(range(1, 10))
    read = csv(folder, text, separator=r"\s+", names="numbered", time=None, rate_hz=4.0)
    assert read.rate_hz == 4.0 and read.values.shape == (9, 50)


def case_only_separators(folder: Path) -> None:
    text = "t;a;b;;\n0;1;2;;\n;;;;\n1;2;3;;\n2;3;4;;\n;;;;\n"
    read = ok(csv(folder, text, separator=";"), "rows without any cell are left out (2 rows, first at 1, 4 (line 3))")
    assert read.values.tolist() == [[1, 2], [2, 3], [3, 4]]
    # without a time column a row in the middle is a sample
    read = csv(folder, text, separator=";", time=None, rate_hz=1.0, max_missing_share=0.3)
    assert read.values[:, 1].tolist() == [1, 1.5, 2, 3]


def case_beyond(folder: Path) -> None:
    read = csv(folder, "t;a\n0;1;\n1;2;\n2;3;\n", separator=";")
    ok(read, "lines end with 1 empty cells beyond the header")
    assert read.values[:, 0].tolist() == [1, 2, 3]


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
    read = ok(npy(folder, np.arange(N).astype(np.float16)), "float16 has 3 digits")
    assert read.values.dtype == np.float64 and read.values[:, 0].tolist() == list(range(N))


def case_integers(folder: Path) -> None:
    ok(npy(folder, np.arange(N) + 2**53), "integers of 2^53 or more lose precision (40 rows")
    assert npy(folder, np.arange(N, dtype=np.uint8)).notes == ()


def case_booleans(folder: Path) -> None:
    assert npy(folder, np.arange(N) % 2 == 0).values[:2, 0].tolist() == [1.0, 0.0]


def case_big_endian(folder: Path) -> None:
    assert npy(folder, np.arange(N).astype(">f4")).values[:, 0].tolist() == list(range(N))


def case_transposed(folder: Path) -> None:
    ok(
        npy(folder, np.random.default_rng(0).normal(size=(3, 50))),
        "50 channels, but 3 samples: is the array (channel, time)?",
    )


def case_split_array(folder: Path) -> None:
    values = np.arange(float(N))
    values[9:19] = np.nan
    assert ok(npy(folder, values, gaps="split")).segments == (0, 9)


def case_index(folder: Path) -> None:
    assert parquet(folder, PARQUET.set_index("t")).channels == ("a",)


def case_decimals(folder: Path) -> None:
    exact = pa.array(range(N)).cast(pa.decimal128(30, 2))
    read = parquet(folder, pa.table({"t": np.arange(N), "a": exact}))
    assert read.values[:, 0].tolist() == list(range(N))


# no file is named after a channel, and no name is evaluated as a formula or template
AWKWARD = {
    "../": "../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "backslashes": "..\\..\\C:\\CON",
    "percent signs": "%2e%2e%2f%00",
    "a reserved name": "NUL",
    "markup": "<script>alert(1)</script>",
    "a formula": r"$\frac{1}{$",
    "a template": "{{ 7 * 7 }} ${oc.env:HOME}",
    "only spaces": "\u00a0",
}


def case_awkward(folder: Path) -> None:
    for name in AWKWARD.values():
        assert csv(folder, table().replace("t,a", f"t,{name}")).channels == (name, "b")


def case_days(folder: Path) -> None:
    days = pa.array(range(N), pa.int32()).cast(pa.date32())
    assert parquet(folder, pa.table({"t": days, "a": np.arange(N)})).rate_hz == pytest.approx(1 / 86400)


READS: list[tuple[str, str, str, Callable[[Path], None]]] = [
    ("a byte order mark", "csv", "read", case_bom),
    ("gzip, by its content", "csv", "read", case_gzip),
    ("blank lines", "csv", "read, skipped", case_blank_lines),
    ("a symbolic link", "csv", "read", case_symlink),
    ("semicolons and decimal commas, configured", "csv", "read", case_decimal_comma),
    ("spaces between cells, configured", "csv", "read", case_spaces),
    ("infinite cells", "csv", "read: missing, noted", case_infinite),
    ("-9999 for missing, configured", "csv", "read: missing, noted", case_missing_value),
    ("empty cells at an end", "csv", "read: filled with the nearest value, noted", case_edge),
    ("missing rows up to max_gap", "csv", "read: inserted, noted", case_missing_rows),
    ("missing rows beyond max_gap, gaps: split", "csv", "read: cut, noted", case_split_rows),
    ("empty cells beyond max_gap, gaps: split", "csv", "read: rows dropped, cut, noted", case_split_cells),
    ("rows that go back in time, unsorted: sort", "csv", "read: sorted, noted", case_sort),
    ("duplicate time stamps, duplicates: mean", "csv", "read: their mean, noted", case_mean),
    ("duplicate time stamps, duplicates: last", "csv", "read: the last, noted", case_last),
    ("an irregular rate, irregular: resample", "csv", "read: resampled, noted", case_resample),
    ("resampling to a lower rate", "csv", "read: aliasing noted", case_downsample),
    ("local time when clocks go back, timezone set", "csv", "read: hour resolved by order", case_autumn),
    ("local time when clocks go forward, timezone set", "csv", "read", case_spring),
    ("a timezone although stamps have offsets", "csv", "read: noted", case_offsets),
    ("columns of text, empty ones, without a name", "csv", "read: left out, noted", case_skipped_columns),
    ("columns of text, ids, states, stamps", "csv", "read: left out, noted", case_text_columns),
    ("columns of two words, configured", "csv", "read as 0 and 1", case_binary),
    ("a column to leave out, configured", "csv", "read", case_leave_out),
    ("?, Bad, No Data, I/O Timeout, -, Err for missing, configured", "csv", "read: missing", case_missing_words),
    ("thousands marks, configured", "csv", "read", case_thousands),
    ("lines before the header, rows of units, configured", "csv", "read with units", case_preamble),
    ("repeated headers, configured", "csv", "read: left out, noted", case_repeated),
    ("names of rows, configured", "csv", "read", case_row_names),
    ("numbers without a header, configured", "csv", "read", case_no_header),
    ("rows of separators only", "csv", "read: left out, noted", case_only_separators),
    ("empty cells beyond the header", "csv", "read: left out, noted", case_beyond),
    ("a constant channel", "csv", "read: in the data report", case_constant),
    ("booleans", "csv", "read as 0 and 1", case_truth),
    ("1,000 channels", "csv", "read", case_many),
    ("channel names that are paths, reserved, markup, formulas", "csv", "read, shown literally", case_awkward),
    ("float16", "numpy", "read: noted", case_float16),
    ("integers of 2^53 and more", "numpy", "read: noted", case_integers),
    ("booleans", "numpy", "read as 0 and 1", case_booleans),
    ("big endian", "numpy", "read", case_big_endian),
    ("more channels than samples", "numpy", "read: noted", case_transposed),
    ("NaN beyond max_gap, gaps: split", "numpy", "read: rows dropped, cut, noted", case_split_array),
    ("the time as pandas' index", "parquet", "read", case_index),
    ("decimal numbers", "parquet", "read", case_decimals),
    ("dates as time", "parquet", "read", case_days),
]
