"""Converts table cells to numbers, as the file writes them, and finds the cells that are none."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.number_format import PLAIN, NumberFormat, folded, matches
from clusterwhy.types import BoolArray, FloatArray, IntArray

COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*")
# types of a cell that can be a number, or text in place of one
SCALARS = (str, bytes, bool, int, float, np.number, Decimal)
# from here on float64 cannot represent every integer
EXACT = 2**53
# integers from here on are beyond int64
INT64 = 2**63
TRUTH = {"true": 1.0, "false": 0.0}

Missing = Sequence[float | str]


@dataclass(frozen=True)
class Cells:
    """One column.

    Attributes:
        values: (row,) NaN where a cell is empty, a mark of missing cells or not a number.
    """

    values: FloatArray


@dataclass(frozen=True)
class TextCells(Cells):
    """One column of text.

    Attributes:
        text: (row,) folded cells, None where a cell is empty or a mark of missing cells.
        bad: (row,) True where a cell is not a number.
    """

    text: pd.Series
    bad: BoolArray


def read_cells(column: pd.Series, known: NumberFormat = PLAIN, missing: Missing = ()) -> Cells | None:
    """The cells of a column as float64; None if it cannot be a channel.

    Complex numbers, dates, and cells that hold lists or other objects cannot be channels. A column of the words true
    and false is one of 1 and 0.

    Args:
        known: how numbers are written.
        missing: texts that mean "not measured", compared without spaces at their ends; numbers in it are ignored.
    """
    if column.dtype.kind in "cmM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return None
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype.kind in "fiub":
        with np.errstate(over="ignore", invalid="ignore"):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return Cells(values)
    if column.dtype != object:
        return _read_text(column, known, missing)
    if not all(isinstance(cell, SCALARS) for cell in column.dropna()):
        return None
    is_text = column.map(lambda cell: isinstance(cell, str | bytes)).to_numpy(dtype=bool)
    read = _read_text(column.where(is_text).map(_decoded, na_action="ignore").astype("str"), known, missing)
    read.values[~is_text] = pd.to_numeric(column[~is_text]).to_numpy(dtype=np.float64, na_value=np.nan)
    return read


def _decoded(cell: str | bytes) -> str:
    return cell.decode(errors="replace") if isinstance(cell, bytes) else cell


def _read_text(column: pd.Series, known: NumberFormat, missing: Missing) -> TextCells:
    text = column.str.strip()
    text = text.mask(text.isin(["", *(mark.strip() for mark in missing if isinstance(mark, str))]))
    filled = text.notna().to_numpy(dtype=bool)
    values, number = np.full(len(text), np.nan), known.reads(text)
    if (other := filled & ~number).any():
        words = text[other].str.lower().map(TRUTH)
        if not number.any() and words.notna().all():
            values[other] = words.to_numpy(dtype=np.float64)
            return TextCells(values, text, np.zeros(len(text), dtype=bool))
        text = text.astype(object)
        text[other] = folded(text[other])
        text = text.astype("str")
        number[other] = known.reads(text[other])
    values[number] = known.values(text[number])
    return TextCells(values, text, filled & ~number)


def as_numbers(column: pd.Series) -> FloatArray | None:
    """The cells of a column as float64, NaN where empty or not numeric; None if the column cannot be a channel."""
    read = read_cells(column)
    return None if read is None else read.values


def typed(column: pd.Series, known: NumberFormat) -> pd.Series:
    """A column of text as integers, numbers or truth values if all its cells are; else unchanged.

    Integers are exact; beyond int64 they stay text.
    """
    if column.dtype.kind in "cmMfiub" or isinstance(column.dtype, pd.DatetimeTZDtype | pd.CategoricalDtype):
        return column
    read = read_cells(column, known)
    if not isinstance(read, TextCells) or read.bad.any() or not read.text.notna().any():
        return column
    if read.text.str.lower().isin(TRUTH).all():
        return pd.Series(read.values == 1.0, column.index, name=column.name)
    if read.text.notna().all() and are_integers(read.text, known).all():
        if (np.abs(read.values) >= INT64).any():
            return column
        if (np.abs(read.values) < EXACT).all():
            return pd.Series(read.values.astype(np.int64), column.index, name=column.name)
        # float64 has lost their last digits
        whole = [int(cell.replace(known.thousands or " ", "")) for cell in read.text]
        return pd.Series(whole, column.index, dtype="int64", name=column.name)
    return pd.Series(read.values, column.index, name=column.name)


def are_integers(text: pd.Series, known: NumberFormat) -> BoolArray:
    mark = re.escape(known.thousands or "")
    return matches(text, rf"[-+]?[\d{mark}]+")


def numbers(table: pd.DataFrame, missing: Missing, max_abs: float, issues: Issues) -> FloatArray:
    """The table as numbers, NaN where a cell is empty, infinite or one of `missing`; faults are recorded.

    Args:
        table: one column per channel; text has become numbers in `channels.read_channels`.
        missing: numbers that mean "not measured", such as -9999; texts in it are ignored.
        max_abs: larger absolute values are faults.

    Returns:
        (row, channel) float64; 0 in columns that hold no real numbers, which are faults.
    """
    values = np.zeros(table.shape)
    for i, name in enumerate(str(column) for column in table.columns):
        column = table.iloc[:, i]
        read = read_cells(column)
        if read is None:
            issues.fault("wrong-type", f"column {name!r} holds {_kind(column)}, not real numbers", column=name)
            continue
        values[:, i] = read.values
        if column.dtype.kind in "iu" and (large := np.abs(read.values) >= EXACT).any():
            issues.notes.append(precision_note(name, np.flatnonzero(large), issues))
        if column.dtype == np.float16:
            issues.notes.append(f"column {name!r}: float16 has 3 digits and a maximum of 65504")
    for value in missing:
        if not isinstance(value, str):
            values[values == value] = np.nan
    _size_faults(values, [str(column) for column in table.columns], max_abs, issues)
    values[~np.isfinite(values)] = np.nan
    return values


def precision_note(name: str, rows: IntArray, issues: Issues) -> str:
    """Says that integers of a column are beyond float64."""
    return f"column {name!r}: integers of 2^53 or more lose precision ({issues.where(rows)})"


def _kind(column: pd.Series) -> str:
    if column.dtype.kind in "cmM":
        return f"{column.dtype}"
    kinds = Counter(type(cell).__name__ for cell in column.dropna())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3)) or f"{column.dtype}"


def _size_faults(values: FloatArray, names: Sequence[str], max_abs: float, issues: Issues) -> None:
    infinite = np.isinf(values)
    large = ((values > max_abs) | (values < -max_abs)) & ~infinite
    for i in map(int, np.flatnonzero(infinite.any(axis=0))):
        where = issues.where(np.flatnonzero(infinite[:, i]))
        issues.notes.append(f"column {names[i]!r}: infinite cells count as missing ({where})")
    for i in map(int, np.flatnonzero(large.any(axis=0))):
        rows = np.flatnonzero(large[:, i])
        issues.fault(
            "huge-values",
            f"column {names[i]!r}: values above `max_abs` {max_abs:g}, such as {values[rows[0], i]:g} "
            f"({issues.where(rows)}); if they mark missing cells, list them in `missing_values`",
            rows,
            names[i],
        )


def codes(column: pd.Series) -> tuple[IntArray, tuple[str, ...]]:
    """Code of each cell, -1 where empty, and the name of each code."""
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    found, names = pd.factorize(column, sort=True)
    return found.astype(np.int64), tuple(str(name) for name in names)
