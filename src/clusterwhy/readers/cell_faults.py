"""Says of each cell that is not a number what it is, and which setting of the dataset's YAML reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.readers.cells import Missing, TextCells
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.number_format import NumberFormat, number_like, readings
from clusterwhy.types import BoolArray

WITH_UNIT = r"^[-+]?(?:\d[\d.,' ]*?|[.,]\d+)(?:[eE][-+]?\d+)?\s*([A-Za-zµμΩ°%/][^\d\s]*\d?)$"
# kinds of faults of cells that are numbers in another format
FORMAT_FAULTS = ("decimal-comma", "decimal-point", "thousands-mark", "number-format")
# words that are proposed for 0
FIRST = ("off", "no", "closed", "aus", "nein", "n", "stop", "stopped", "inactive")
# most texts that a message proposes as marks of missing cells
MAX_MARKS = 8


def quoted(texts: Sequence[object]) -> str:
    """A YAML list of texts and numbers: `["a", -9999.0]`."""
    return json.dumps(list(texts), ensure_ascii=False)


@dataclass(frozen=True)
class _BadCells:
    """The cells of one column that are not numbers.

    Attributes:
        cells: their folded text.
        rows: their rows in the table.
        marked: those that are numbers in another format.
        units: unit of each cell, None where it has none.
    """

    name: str
    cells: pd.Series
    rows: np.ndarray
    marked: BoolArray
    units: pd.Series

    @property
    def other(self) -> BoolArray:
        """Those that are neither."""
        return ~self.marked & self.units.isna().to_numpy(dtype=bool)

    def first(self, chosen: BoolArray, issues: Issues) -> str:
        """The first of some cells, and its row."""
        first = int(chosen.argmax())
        cell = self.cells.iloc[first]
        return f"first {cell if len(cell) <= 40 else cell[:40] + '...'!r} in {issues.row(int(self.rows[first]))}"


def text_faults(columns: Mapping[str, TextCells], known: NumberFormat, missing: Missing, issues: Issues) -> None:
    """Faults of cells that are not numbers: written in another format, with a unit, or other text; one per kind."""
    found = [_bad_cells(name, read) for name, read in columns.items() if read.bad.any()]
    read = [read.text[~read.bad].dropna() for read in columns.values()]
    fix = format_fix([bad.cells[bad.marked] for bad in found], read, known)
    words = sorted({cell for bad in found for cell in bad.cells[bad.other]})
    proposed = f"if they mark missing cells, set `missing_values: {quoted([*missing, *words])}`"
    for bad in found:
        if bad.marked.any():
            kind, what = fix.mark(bad.cells[bad.marked])
            text = f"column {bad.name!r}: {bad.marked.sum()} cells have {what}, {bad.first(bad.marked, issues)}"
            issues.fault(kind, f"{text}; {fix.advice}", bad.rows[bad.marked], bad.name)
        if bad.units.notna().any():
            _unit_fault(bad, issues)
        if bad.other.any():
            text = f"column {bad.name!r}: {bad.other.sum()} cells are not numbers, {bad.first(bad.other, issues)}"
            ways = [binary_fix(bad.name, bad.cells)] if bad.other.all() and _only(columns[bad.name]) else [proposed]
            ways = [way for way in ways if way is not None and (way != proposed or len(words) <= MAX_MARKS)]
            ways.append(f"to do without the column, set `leave_out: {quoted([bad.name])}`")
            issues.fault("not-numbers", f"{text}; {'; '.join(ways)}", bad.rows[bad.other], bad.name)


def _only(read: TextCells) -> bool:
    """Whether a column holds no number."""
    return bool((read.bad | read.text.isna()).all())


def binary_fix(name: str, cells: pd.Series) -> str | None:
    """How a column of two words becomes a channel; None if it has more words."""
    words = dict.fromkeys(cells.str.casefold())
    if len(words) != 2:
        return None
    pair = sorted(words, key=lambda word: (word not in FIRST, word))
    shown = [next(cell for cell in cells if cell.casefold() == word) for word in pair]
    return (
        f"to read its two words as 0 and 1, set `binary: {{{json.dumps(name, ensure_ascii=False)}: {quoted(shown)}}}`"
    )


def _bad_cells(name: str, read: TextCells) -> _BadCells:
    cells = read.text[read.bad]
    marked = number_like(cells)
    units = cells.str.extract(WITH_UNIT, expand=False).mask(marked)
    return _BadCells(name, cells, np.flatnonzero(read.bad), marked, units)


def _unit_fault(bad: _BadCells, issues: Issues) -> None:
    with_unit = bad.units.notna().to_numpy(dtype=bool)
    counts = bad.units.value_counts()
    what = "mixed units" if len(counts) > 1 else "a unit in the cells"
    listed = ", ".join(f"{count} {unit!r}" for unit, count in counts.items())
    issues.fault(
        "mixed-units" if len(counts) > 1 else "unit-in-cells",
        f"column {bad.name!r}: {what}, {listed}, {bad.first(with_unit, issues)}; write plain numbers and set `units`, "
        f"or set `leave_out: {quoted([bad.name])}`",
        bad.rows[with_unit],
        bad.name,
    )


@dataclass(frozen=True)
class FormatFix:
    """The formats that read all cells, and what to set."""

    formats: list[NumberFormat]
    advice: str

    def mark(self, cells: pd.Series) -> tuple[str, str]:
        """The kind of a fault of these cells, and what they have that the current format does not read."""
        if len(self.formats) != 1:
            return "number-format", "a mark of two meanings" if self.formats else "marks of several formats"
        marks = self.formats[0]
        if marks.thousands is not None and cells.str.contains(marks.thousands, regex=False).any():
            return "thousands-mark", "a thousands mark"
        return ("decimal-comma", "a decimal comma") if marks.decimal == "," else ("decimal-point", "a decimal point")


def format_fix(bad: Sequence[pd.Series], read: Sequence[pd.Series], known: NumberFormat) -> FormatFix:
    """The formats that read all cells, and what to set.

    Args:
        bad: of each column, folded cells that are numbers in another format.
        read: of each column, folded cells that are numbers in this one.
    """
    unread = sorted({cell for cells in bad for cell in cells})
    if not unread:
        return FormatFix([], "")
    # a point may be the default, a comma was chosen
    found = readings(unread, read, "," if known.decimal == "," else None) or readings(unread, read, None)
    if not found:
        examples = [cell for cells in read for cell in cells[cells.str.contains("[.,]")].head(1)]
        others = " and ".join(repr(cell) for cell in [*examples[:1], unread[0], unread[-1]][:2])
        return FormatFix([], f"no setting reads all cells, such as {others}: write all numbers alike")
    if len(found) == 1:
        return FormatFix(found, f"set {found[0].settings(known)}")
    example = next(cell for cell in unread if len({option.values(pd.Series([cell]))[0] for option in found}) > 1)
    options = [f"{option.settings(known)} if it is {option.values(pd.Series([example]))[0]:.15g}" for option in found]
    return FormatFix(found, f"{example!r}: set " + ", or ".join(options))
