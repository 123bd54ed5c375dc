"""Where the names and the data of a CSV file begin, by its settings."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

from pydantic import Field, field_validator

from clusterwhy.config import Settings
from clusterwhy.readers.files import Text, opened

# lines at the beginning of the data that are searched for cells beyond the header
FIRST_LINES = 100
WHITESPACE = r"\s+"


class CsvLayout(Settings):
    r"""Layout of a CSV file.

    Attributes:
        separator: one character, or `\s+` for any spaces and tabs.
        skip_lines: lines before the header, or before the data if there is no header.
        names: "header": of the columns, in the first line; "numbered": there is no header, columns are c00, c01, ...; a
            list: there is no header, and these are the names.
        row_names: name for a first column that the header leaves out.
        rows_below_header: what the rows between the header and the data hold.
        repeated_headers: rows that repeat the header, with the rows below it: a fault, or dropped.
    """

    separator: str = ","
    skip_lines: int = Field(default=0, ge=0)
    names: Literal["header", "numbered"] | list[str] = "header"
    row_names: str | None = None
    rows_below_header: list[Literal["units", "other"]] = Field(default_factory=list)
    repeated_headers: Literal["error", "drop"] = "error"

    @field_validator("separator")
    @classmethod
    def _one_character(cls, separator: str) -> str:
        if separator != WHITESPACE and (len(separator) != 1 or separator in '\n\r"'):
            raise ValueError(r'expected one character, such as ";" or "\t", or \s+ for any spaces and tabs')
        return separator


@dataclass(frozen=True)
class Head:
    """What stands before the data.

    Attributes:
        names: one of each column; those without one are called "Unnamed: 3", as pandas does.
        below: the rows between the header and the data.
        n_lines: lines before the data.
        n_beyond: empty cells beyond the last name that the first lines of the data have.
    """

    names: list[str]
    below: list[list[str]]
    n_lines: int
    n_beyond: int

    def units(self, layout: CsvLayout) -> dict[str, str]:
        """Unit of each column, from a row below the header; brackets are removed."""
        rows = [row for row, kind in zip(self.below, layout.rows_below_header, strict=False) if kind == "units"]
        cells = zip(self.names, rows[0], strict=False) if rows else []
        units = {name: cell.strip().strip("[]()").strip() for name, cell in cells}
        return {name: unit for name, unit in units.items() if unit and unit != "-"}


def split(line: str, separator: str) -> list[str]:
    """The cells of a line."""
    return next(records(iter([line]), separator), [])


def records(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    """The cells of each line that is not blank."""
    if separator == WHITESPACE:
        found = (re.findall(r'"[^"]*"|\S+', line) for line in lines)
        return ([cell.strip('"') for cell in cells] for cells in found if cells)
    return filter(None, csv.reader(lines, delimiter=separator, skipinitialspace=True))


def text_lines(file: Path, text: Text) -> TextIO:
    """The file as text, without a byte order mark."""
    return io.TextIOWrapper(opened(file, text.gzipped), "utf-8-sig", newline="")


class Counted:
    """Lines of a stream, counted."""

    def __init__(self, stream: TextIO, n_lines: int = 0) -> None:
        self.stream, self.n_lines = stream, n_lines

    def __iter__(self) -> Iterator[str]:
        while line := self.stream.readline():
            self.n_lines += 1
            yield line


def read_head(file: Path, text: Text, layout: CsvLayout) -> Head:
    """Names of the columns, and where the data begins.

    Raises:
        csv.Error: the first lines are not CSV.
    """
    with text_lines(file, text) as stream:
        counted = Counted(stream)
        lines = iter(counted)
        for _ in islice(lines, layout.skip_lines):
            pass
        rows = records(lines, layout.separator)
        names = next(rows, []) if layout.names == "header" else []
        below = list(islice(rows, len(layout.rows_below_header)))
        n_lines = counted.n_lines
        first = list(islice(rows, FIRST_LINES))
    if layout.names == "numbered":
        names = [f"c{i:02d}" for i in range(len(_trimmed(first[0])) if first else 0)]
    elif layout.names != "header":
        names = list(layout.names)
    if layout.row_names is not None:
        names, below = [layout.row_names, *names], [["", *row] if len(row) == len(names) else row for row in below]
    named = [name.strip(" ") or f"Unnamed: {i}" for i, name in enumerate(names)]
    beyond = [row[len(names) :] for row in first]
    n_beyond = 0 if any(any(cells) for cells in beyond) else max(map(len, beyond), default=0)
    return Head(named, below, n_lines, n_beyond)


def _trimmed(cells: list[str]) -> list[str]:
    """Cells without the empty ones at the end."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells
