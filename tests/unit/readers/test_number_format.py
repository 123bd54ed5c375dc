"""Numbers as files write them: each format reads what it says, exactly, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.file_fuzz import case, faulty
from clusterwhy.errors import DataError
from clusterwhy.readers.cells import TextCells, read_cells
from clusterwhy.readers.number_format import PLAIN, NumberFormat, grouped_points, readings
from clusterwhy.readers.tables import CsvFile

GERMAN, SWISS, FRENCH = NumberFormat(",", "."), NumberFormat(".", "'"), NumberFormat(",", " ")


@pytest.mark.parametrize(
    ("known", "cell", "value"),
    [
        (PLAIN, "1.000", 1.0),
        (PLAIN, " -.5e-3 ", -0.0005),
        (PLAIN, "\u22125", -5.0),
        (PLAIN, "\u20135.", -5.0),
        (PLAIN, "-inf", -np.inf),
        (PLAIN, "0.1", 0.1),
        (PLAIN, "9007199254740993", 9007199254740992.0),
        (NumberFormat(","), "1,000", 1.0),
        (NumberFormat(","), "1,5E+03", 1500.0),
        (GERMAN, "1.000", 1000.0),
        (GERMAN, "1000", 1000.0),
        (GERMAN, "-1.234.567,25", -1234567.25),
        (SWISS, "1\u2019234.5", 1234.5),
        (FRENCH, "1\u202f234\u00a0567,5", 1234567.5),
        (NumberFormat(".", ","), "12,34,567.5", 1234567.5),
    ],
)
def test_a_cell_is_the_number_that_its_format_says(known: NumberFormat, cell: str, value: float) -> None:
    read = read_cells(pd.Series([cell, "1"]), known)
    assert isinstance(read, TextCells) and read.values.tolist() == [value, 1.0] and not read.bad.any()


@pytest.mark.parametrize(
    ("known", "cells"),
    [
        (PLAIN, ["1,5", "1.000.000", "1_000", "0x10", "1'000", "1 000", "\u0661", "--1", "1e", ".", "+", "5-", "(5)"]),
        (NumberFormat(","), ["1.5", "1.000", "1,000,000"]),
        (GERMAN, ["1.5", "0.123", "1.00", "1.0000", "12.34", "1,000.5", "1000.000", "1.000,000.000"]),
        (FRENCH, ["1 5", "1  000", "1000 000", "01 000"]),
    ],
)
def test_what_is_not_a_number_of_the_format_is_bad_and_nan(known: NumberFormat, cells: list[str]) -> None:
    read = read_cells(pd.Series([*cells, "7"]), known)
    assert isinstance(read, TextCells) and read.bad.tolist() == [True] * len(cells) + [False]
    assert np.isnan(read.values[:-1]).all() and read.values[-1] == 7.0


def test_empty_cells_and_marks_are_missing_and_not_bad() -> None:
    read = read_cells(pd.Series(["", " ", None, " Bad ", "1"]), PLAIN, ["Bad", -9999.0])
    assert isinstance(read, TextCells) and np.isnan(read.values[:4]).all() and not read.bad.any()


@pytest.mark.parametrize(
    ("cells", "beside", "decimal", "found"),
    [
        (["1,5"], [], None, [NumberFormat(",")]),
        (["1,5"], ["1.5"], None, []),
        (["1,000"], [], None, [NumberFormat(","), NumberFormat(".", ",")]),
        (["1,000"], ["0.5"], None, [NumberFormat(".", ",")]),
        (["1.000"], ["998"], ",", [GERMAN]),
        (["1.000,5"], ["998"], None, [GERMAN]),
        (["1,000", "1,5"], [], None, [NumberFormat(",")]),
        (["1'000"], [], None, [NumberFormat(".", "'")]),
        (["1 000,5"], [], None, [FRENCH]),
    ],
)
def test_the_formats_that_read_all_cells(
    cells: list[str], beside: list[str], decimal: str | None, found: list[NumberFormat]
) -> None:
    assert readings(cells, [pd.Series(beside, dtype="str")], decimal) == found


@pytest.mark.parametrize(
    ("columns", "separator", "likely"),
    [
        ([["998", "999", "1.000"]], ",", True),
        ([["1.234", "2.345"]], ";", True),
        ([["1.234", "2.345"]], ",", False),
        ([["1.234", "2.345"], ["998", "1.000"]], ",", True),
        # another number of the file has one, two or four digits behind its point, or none before it
        ([["998", "1.000"], ["0.5"]], ";", None),
        ([["998", "1.000", "0.123"]], ";", None),
        ([["998", "1.000", "1000.000"]], ";", None),
        ([["998", "1000"]], ";", None),
        # thousands would be marked here, too
        ([["1234", "1.000"]], ";", False),
    ],
)
def test_points_are_doubtful_if_no_number_tells_what_they_mark(
    columns: list[list[str]], separator: str, likely: bool | None
) -> None:
    found = grouped_points([pd.Series(cells, dtype="str") for cells in columns], separator)
    assert (None if found is None else found.likely) == likely


@pytest.mark.parametrize("seed", range(1_000_000, 1_000_060, 20))
def test_generated_files_are_read_right_or_refused_and_the_advice_works(seed: int, tmp_path: Path) -> None:
    rows = [(i, *entry) for i in range(seed, seed + 20) for entry in case(i, tmp_path)]
    runs = pd.DataFrame(rows, columns=["seed", "reading", "outcome", "traits", "what"])
    assert faulty(runs).to_dict("records") == []
    assert (runs.loc[runs["reading"] == "by the advice", "outcome"] == "right").mean() >= 0.95


def test_numbered_columns_whose_first_rises_by_one_of_two_readings_are_proposed_as_times(tmp_path: Path) -> None:
    rows = "".join(f"{990 + i:,}\t{i % 7}.5\n" for i in range(40))
    (tmp_path / "no_header.csv").write_text(rows)
    with pytest.raises(DataError) as caught:
        CsvFile(path=str(tmp_path / "no_header.csv"), time="time").read()
    said = "\n".join(caught.value.faults)
    assert "`time: c00`" in said and '`thousands: ","` if it is 1000' in said and "does not rise" not in said
    told = {"time": "c00", "names": "numbered", "separator": "\t", "thousands": ","}
    read = CsvFile(path=str(tmp_path / "no_header.csv"), **told).read()
    assert read.time.tolist() == list(range(40)) or read.time.tolist() == list(range(990, 1030))
