"""How a file writes its numbers: decimal mark, thousands mark, minus signs, and which format reads a set of cells."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clusterwhy.types import BoolArray, FloatArray

# minus signs, spaces and apostrophes that spreadsheets and typographers write, and the ASCII character of each
FOLDED = str.maketrans(
    dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u202f\u2007\u2009", " ")
    | dict.fromkeys("\u2019\u02bc", "'")
)
EXPONENT = r"(?:[eE][-+]?\d+)?"
INFINITE = r"[-+]?(?i:inf|infinity)"


def matches(cells: pd.Series, pattern: str) -> BoolArray:
    """Which cells a regular expression matches as a whole; empty ones are not matched."""
    # pandas' own `str.fullmatch` parses the expression in Python at each call, 2 ms for these
    found = pc.match_substring_regex(pa.array(cells, pa.large_string(), from_pandas=True), rf"\A(?:{pattern})\z")
    return np.array(pc.fill_null(found, False), dtype=bool)


@dataclass(frozen=True)
class NumberFormat:
    """Decimal mark, and mark between groups of three digits.

    Groups must be complete: with `thousands` ".", "1.000" is 1000 and "1.5" is not a number. Groups of two digits
    before the last three, as in India, are complete, too.
    """

    decimal: str = "."
    thousands: str | None = None

    @property
    def pattern(self) -> str:
        """Regular expression of a whole cell."""
        point, whole = re.escape(self.decimal), r"\d+"
        if self.thousands is not None:
            mark = re.escape(self.thousands)
            whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+|[1-9]\d?(?:{mark}\d{{2}})+{mark}\d{{3}})"
        return rf"(?:[-+]?(?:{whole}(?:{point}\d*)?|{point}\d+){EXPONENT}|{INFINITE})"

    def reads(self, cells: pd.Series) -> BoolArray:
        """Which folded cells are numbers."""
        return matches(cells, self.pattern)

    def values(self, cells: pd.Series) -> FloatArray:
        """The numbers of folded cells that `reads` accepts."""
        if self.thousands is not None:
            cells = cells.str.replace(self.thousands, "", regex=False)
        if self.decimal != ".":
            cells = cells.str.replace(self.decimal, ".", regex=False)
        # Python's float rounds correctly
        return cells.to_numpy(dtype=object).astype(np.float64)

    def settings(self, current: "NumberFormat") -> str:
        """The settings that turn the current format into this one."""
        wanted = [f'`decimal: "{self.decimal}"`'] if self.decimal != current.decimal else []
        wanted += [f'`thousands: "{self.thousands}"`'] if self.thousands not in (None, current.thousands) else []
        wanted += ["`thousands: null`"] if self.thousands is None and current.thousands is not None else []
        return " and ".join(wanted)


PLAIN = NumberFormat()
FORMATS = (
    PLAIN,
    NumberFormat(","),
    *(NumberFormat(decimal, thousands) for thousands in ",.' " for decimal in ".," if decimal != thousands),
)
ANY = "|".join(known.pattern for known in FORMATS)


def folded(cells: pd.Series) -> pd.Series:
    """Cells with ASCII minus signs, spaces and apostrophes, without spaces at the ends."""
    return cells.map(lambda cell: cell.translate(FOLDED).strip(), na_action="ignore")


def number_like(cells: pd.Series) -> BoolArray:
    """Which folded cells are numbers in some format."""
    if cells.empty:  # pandas takes the pattern apart anew in each call
        return np.zeros(0, dtype=bool)
    found: BoolArray = cells.str.fullmatch(ANY).fillna(False).to_numpy(dtype=bool)
    return found


def readings(cells: Iterable[str], columns: Sequence[pd.Series], decimal: str | None) -> list[NumberFormat]:
    """The formats that read all cells, the simplest of those that agree on every value.

    Args:
        cells: folded cells that the current format does not read.
        columns: folded cells that it does read and that the other format must read, too.
        decimal: the decimal mark, if it is known.
    """
    unread = pd.Series(sorted(set(cells)), dtype=str)
    found: list[tuple[NumberFormat, FloatArray]] = []
    for known in FORMATS:
        if decimal not in (None, known.decimal) or not known.reads(unread).all():
            continue
        if all(known.reads(column).all() for column in columns):
            values = known.values(unread)
            if not any(np.array_equal(values, others) for _, others in found):
                found.append((known, values))
    return [known for known, _ in found]


@dataclass(frozen=True)
class Grouped:
    """Points that may be thousands marks.

    Attributes:
        column: the first column with such cells.
        example: one of its cells.
        likely: whether they stand where the other reading is as likely.
    """

    column: int
    example: str
    likely: bool


def grouped_points(columns: Sequence[pd.Series], separator: str | None) -> Grouped | None:
    """Cells such as 1.000, which is 1 or 1000, if no number of the file tells which.

    One with another number of digits around its point does. Thousands are likely beside integers of at most three
    digits (998, 999, 1.000), and in files with a separator that is usual where the comma is the decimal mark.

    Args:
        columns: folded cells that are numbers with a decimal point.
        separator: of the file, None if it has none.
    """
    found = None
    for i, cells in enumerate(columns):
        point = cells.str.contains(".", regex=False).to_numpy(dtype=bool)
        if not point.any():
            continue
        if not matches(cells[point], r"[-+]?[1-9]\d{0,2}\.\d{3}").all():
            return None
        whole = cells[~point]
        likely = bool(matches(whole, r"[-+]?\d{1,3}").all()) and (len(whole) > 0 or separator in (";", "\t", "|"))
        if found is None or (likely and not found.likely):
            found = Grouped(i, str(cells[point].iloc[0]), likely)
    return found
