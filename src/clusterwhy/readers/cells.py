"""Converts table cells to numbers: which columns are channels, and which cells are not numeric."""

import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from clusterwhy.readers.issues import Issues
from clusterwhy.types import BoolArray, FloatArray, IntArray

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*")
WITH_UNIT = re.compile(rf"\s*{NUMBER.replace('.', '[.,]', 1)}\s*([A-Za-zµμΩ°%/][^\d\s]*\d?)\s*")
# types of a cell that can be a number, or text in place of one
SCALARS = (str, bytes, bool, int, float, np.number, Decimal)
# from here on float64 cannot represent every integer
EXACT = 2**53


def as_numbers(column: pd.Series) -> FloatArray | None:
    """The cells of a column as float64, NaN where empty or not numeric; None if the column cannot be a channel.

    Complex numbers, dates, and cells that hold lists or other objects cannot be channels.
    """
    if column.dtype.kind in "cmM" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return None
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype.kind in "fiub":
        with np.errstate(over="ignore", invalid="ignore"):
            return column.to_numpy().astype(np.float64)
    if column.dtype == object and not all(isinstance(cell, SCALARS) for cell in column.dropna()):
        return None
    try:
        return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return None


def channel_names(table: pd.DataFrame, others: Sequence[str | None], issues: Issues) -> list[str]:
    """The columns with numbers, or with text that looks like numbers; skipped columns are noted."""
    names = []
    for name in (str(column) for column in table.columns if column not in others):
        if re.fullmatch(r"Unnamed: \d+|__index_level_\d+__", name):
            issues.notes.append(f"column {name!r} has no name in the file and is skipped")
        elif table[name].isna().all():
            issues.notes.append(f"column {name!r} is empty and is skipped")
        elif _may_be_numbers(table[name]):
            names.append(name)
        else:
            issues.notes.append(f"column {name!r} holds no numbers and is skipped")
    return names


def _may_be_numbers(column: pd.Series) -> bool:
    numbers = as_numbers(column)
    if numbers is None:
        return column.dtype.kind == "c"
    if not np.isnan(numbers).all():
        return True
    text = column.dropna().astype(str)
    if text.str.fullmatch(COMMA).mean() > 0.5:
        return True
    units = text.str.extract(WITH_UNIT, expand=False)
    return bool(units.notna().mean() > 0.5 and units.nunique() <= 5)


def numbers(table: pd.DataFrame, missing_values: Sequence[float], max_abs: float, issues: Issues) -> FloatArray:
    """The table as numbers, NaN where a cell is empty, infinite or one of `missing_values`; faults are recorded.

    Args:
        table: one column per channel.
        missing_values: numbers that mean "not measured", such as -9999.
        max_abs: larger absolute values are faults.

    Returns:
        (row, channel) float64.
    """
    values = np.full(table.shape, np.nan)
    for i, name in enumerate(str(column) for column in table.columns):
        column = table.iloc[:, i]
        found = as_numbers(column)
        if found is None:
            kind = _kind(column)
            issues.fault("wrong-type", f"column {name!r} holds {kind}, not real numbers", column=name)
            continue
        values[:, i] = found
        text = np.isnan(found) & column.notna().to_numpy()
        # NaN of a float column is not text; pandas 3 distinguishes the two only in columns of other types
        if text.any() and column.dtype.kind not in "fiub":
            _text_faults(column[text].astype(str), np.flatnonzero(text), name, issues)
        if column.dtype.kind in "iu" and (large := np.abs(found) >= EXACT).any():
            rows = issues.where(np.flatnonzero(large))
            issues.notes.append(f"column {name!r}: integers of 2^53 or more lose precision ({rows})")
        if column.dtype == np.float16:
            issues.notes.append(f"column {name!r}: float16 has 3 digits and a maximum of 65504")
    for value in missing_values:
        values[values == value] = np.nan
    _size_faults(values, [str(column) for column in table.columns], max_abs, issues)
    values[~np.isfinite(values)] = np.nan
    return values


def _kind(column: pd.Series) -> str:
    if column.dtype.kind in "cmM":
        return f"{column.dtype}"
    kinds = Counter(type(cell).__name__ for cell in column.dropna())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3)) or f"{column.dtype}"


def _size_faults(values: FloatArray, names: Sequence[str], max_abs: float, issues: Issues) -> None:
    infinite, large = np.isinf(values), np.isfinite(values) & (np.abs(values) > max_abs)
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


def _text_faults(cells: pd.Series, rows: IntArray, name: str, issues: Issues) -> None:
    """Cells that are not numbers: with a decimal comma, with a unit, or other text; one fault per kind."""
    comma = cells.str.fullmatch(COMMA).to_numpy(dtype=bool)
    units = cells.str.extract(WITH_UNIT, expand=False).where(~comma)
    with_unit = units.notna().to_numpy()

    def example(chosen: BoolArray) -> str:
        first = int(chosen.argmax())
        return f"first {_shortened(cells.iloc[first])} in {issues.row(int(rows[first]))}"

    if comma.any():
        text = f'column {name!r}: {comma.sum()} cells have a decimal comma, {example(comma)}; set `decimal: ","`'
        issues.fault("decimal-comma", text, rows[comma], name)
    if with_unit.any():
        counts = ", ".join(f"{count} {unit!r}" for unit, count in Counter(units[with_unit]).most_common())
        what = "mixed units" if units.nunique() > 1 else "a unit in the cells"
        issues.fault(
            "mixed-units" if units.nunique() > 1 else "unit-in-cells",
            f"column {name!r}: {what}, {counts}, {example(with_unit)}; write plain numbers and set `units`",
            rows[with_unit],
            name,
        )
    if (other := ~comma & ~with_unit).any():
        text = f"column {name!r}: {other.sum()} cells are not numbers, {example(other)}"
        issues.fault("not-numbers", text, rows[other], name)


def _shortened(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:40] + "...")


def codes(column: pd.Series) -> tuple[IntArray, tuple[str, ...]]:
    """Code of each cell, -1 where empty, and the name of each code."""
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    found, names = pd.factorize(column, sort=True)
    return found.astype(np.int64), tuple(str(name) for name in names)
