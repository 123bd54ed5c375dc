"""Reads the cells of a CSV file as text, without rows that hold no data."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.files import Text
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.layout import CsvLayout, Head, read_head, text_lines
from clusterwhy.readers.lines import name_faults, ragged_faults
from clusterwhy.types import BoolArray


def csv_table(
    file: Path, text: Text, layout: CsvLayout, timed: bool, issues: Issues
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The cells of the data as text, and the units that the file names.

    Args:
        timed: whether there is a time column: a row without any cell is then dropped wherever it stands, and else only
            at the end, where it moves no sample.

    Raises:
        DataError: the file cannot be read as CSV.
    """
    try:
        head = read_head(file, text, layout)
    except csv.Error as error:
        raise DataError(issues.source, [Fault("broken-csv", f"not readable as CSV: {error}")]) from error
    if faults := name_faults(head.names):
        raise DataError(issues.source, faults)
    table = _cells(file, text, layout, head, issues)
    if text.n_lines == len(table) + head.n_lines:
        issues.lines = np.arange(len(table)) + head.n_lines + 1
    repeated = _repeated(table, head, layout, issues)
    empty = table.isna().all(axis=1).to_numpy(dtype=bool)
    if not timed:
        empty = np.logical_and.accumulate(empty[::-1])[::-1]
    if empty.any():
        issues.notes.append(f"rows without any cell are left out ({issues.where(np.flatnonzero(empty))})")
    kept = ~repeated & ~empty
    if issues.lines is not None:
        issues.lines = np.asarray(issues.lines)[kept]
    return table[kept].reset_index(drop=True), head.units(layout)


def _cells(file: Path, text: Text, layout: CsvLayout, head: Head, issues: Issues) -> pd.DataFrame:
    n_named = len(head.names)
    names = [*head.names, *(f"Unnamed: {n_named + i}" for i in range(head.n_beyond))]
    if not names:
        return pd.DataFrame()
    try:
        # low_memory would read in parts; without index_col, lines with more cells than the header would shift all
        # columns by one
        with text_lines(file, text) as stream, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            for _ in range(head.n_lines):
                stream.readline()
            table = pd.read_csv(
                stream,
                sep=layout.separator,
                header=None,
                names=names,
                dtype="str",
                skipinitialspace=True,
                low_memory=False,
                index_col=False,
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=names, dtype="str")
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        ragged = ragged_faults(file, text, layout.separator, head)
        said = Fault("broken-csv", f"not readable as CSV: {str(error).strip()}")
        raise DataError(issues.source, ragged or [said]) from error
    beyond = table.iloc[:, n_named:]
    # missing cells look like empty cells of the last column
    if table.iloc[:, n_named - 1].isna().any() or beyond.notna().any(axis=None):
        issues.faults += ragged_faults(file, text, layout.separator, head)
    if head.n_beyond:
        issues.notes.append(f"lines end with {head.n_beyond} empty cells beyond the header, which are left out")
    return table.iloc[:, :n_named]


def _repeated(table: pd.DataFrame, head: Head, layout: CsvLayout, issues: Issues) -> BoolArray:
    """Rows that repeat the header or a row below it."""
    found = np.zeros(len(table), dtype=bool)
    if layout.names != "header":
        return found
    for cells in (head.names, *head.below):
        texts = [cell.strip() for cell in cells]
        named = [i for i, cell in enumerate(texts[: table.shape[1]]) if cell and not cell.startswith("Unnamed: ")]
        if not named or (cells is not head.names and not found.any()):
            continue
        same = table.iloc[:, named[0]].str.strip() == texts[named[0]]
        for i in named[1:]:
            if not same.any():
                break
            same &= table.iloc[:, i].str.strip() == texts[i]
        found |= same.fillna(False).to_numpy(dtype=bool)
    if not found.any():
        return found
    rows = np.flatnonzero(found)
    if layout.repeated_headers == "error":
        text = f"the header is repeated ({issues.where(rows)}); set `repeated_headers: drop`"
        issues.fault("repeated-header", text, rows)
    else:
        issues.notes.append(f"repeated headers are left out ({issues.where(rows)})")
    return found
