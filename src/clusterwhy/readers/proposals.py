"""Proposes the layout settings of a CSV file from its first lines, where the given ones do not fit."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.errors import Fault
from clusterwhy.readers.layout import WHITESPACE, CsvLayout, split
from clusterwhy.readers.number_format import ANY, FOLDED, readings

SEPARATORS = (";", "\t", "|", ",", WHITESPACE)
# dates and times of day at the beginning of a cell: 2024-01-31, 31.1.24, 12:30, 31-Jan-2024, Jan 31, 2024
STAMP = r"\d{1,4}([-/.]\d{1,2}[-/.]\d|:\d{2}|[-/. ][A-Za-z]{3,9}[-/. ]\d)|[A-Z][a-z]{2,8} \d{1,2},? \d{4}"
# rows between the header and the data
MAX_BELOW = 3


@dataclass
class Proposal:
    """Faults of the layout, and the settings that mend them."""

    faults: list[Fault] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, text: str, **settings: Any) -> None:
        """One fault; its text ends with the settings."""
        wanted = " and ".join(f"`{name}: {_yaml(value)}`" for name, value in settings.items())
        self.faults.append(Fault(kind, f"{text}: set {wanted}" if wanted else text))
        self.settings |= settings


def _yaml(value: object) -> str:
    if isinstance(value, str):
        # a tab is one in double quotes only
        return value if re.fullmatch(r"\w+", value) else '"\\t"' if value == "\t" else f"'{value}'"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else "null" if value is None else str(value)


@dataclass(frozen=True)
class _Lines:
    """The first lines of the file, and the name of the time column."""

    lines: tuple[str, ...]
    time: str | None

    def widths(self, separator: str) -> list[int]:
        """Number of cells of each line that is not blank."""
        return [len(split(line, separator)) for line in self.lines if line.strip()]

    def usual_width(self, separator: str) -> int:
        """The number of cells of most lines."""
        return max(Counter(self.widths(separator)).items(), key=lambda found: found[1], default=(0, 0))[0]

    def best_separator(self, given: str) -> str:
        """The one that cuts most lines into numbers, or else into the same number of cells."""
        rows = {separator: [split(line, separator) for line in self.lines if line.strip()] for separator in SEPARATORS}
        for separator, found in rows.items():
            if sum(len(cells) > 1 and all(_is_data(cell) for cell in cells if cell) for cells in found) > 0.5 * len(
                found
            ):
                return separator
        for separator in SEPARATORS:
            widths, usual = self.widths(separator), self.usual_width(separator)
            if usual > 1 and widths.count(usual) >= 0.5 * len(widths):
                return separator
        return given


def layout_proposal(lines: tuple[str, ...], layout: CsvLayout, time: str | None) -> Proposal:
    """Faults of the layout and what to set; empty if it fits.

    Args:
        lines: the first lines of the file.
        time: name of the time column, None if there is none.
    """
    head, proposal = _Lines(lines, time), Proposal()
    if layout.names == "header":
        _propose_header(head, layout, proposal)
    else:
        _propose_names(head, layout, proposal)
    proposed = layout.model_copy(update=proposal.settings)
    if proposed.names == "header":
        _propose_rows(head, proposed, proposal)
    return proposal


def _propose_header(head: _Lines, layout: CsvLayout, proposal: Proposal) -> None:
    """Another separator or line of the header, or no header at all."""
    given = _names(head, layout)
    if head.time in given or (layout.row_names is not None and layout.row_names == head.time):
        return
    if head.time is None and len(given) == head.usual_width(layout.separator) > 1 and not any(map(_is_data, given)):
        return
    separator = head.best_separator(layout.separator)
    other = {"separator": separator} if separator != layout.separator else {}
    first = _names(head, layout.model_copy(update=other))
    if first and len(first) == head.usual_width(separator) and _is_numeric(first):
        _propose_numbered(head, len(list(filter(None, first))), separator, other, proposal)
    elif (found := _line_of_time(head, layout)) is not None:
        _propose_line(*found, layout, proposal)
    elif (line := _line_of_names(head, separator)) is not None and (line > layout.skip_lines or other):
        _propose_line(separator, max(line, layout.skip_lines), layout, proposal)


def _names(head: _Lines, layout: CsvLayout) -> list[str]:
    lines = [line for line in head.lines[layout.skip_lines :] if line.strip()]
    return [cell.strip(" ") for cell in split(lines[0], layout.separator)] if lines else []


def _propose_numbered(head: _Lines, n_names: int, separator: str, other: dict[str, Any], proposal: Proposal) -> None:
    """There is no header: numbered columns, the first of which may be the time."""
    firsts = [cells[0] for line in head.lines if any(cells := split(line, separator))]
    # 999, 1,000 rises with a thousands mark and not with a decimal one: which it is, is asked elsewhere
    formats = readings(firsts, [], None)
    rising = not formats or any((np.diff(known.values(pd.Series(firsts))) > 0).all() for known in formats)
    text = f"the first line holds {n_names} numbers and no names"
    if head.time is None:
        proposal.add("no-header", text, **other, names="numbered")
    elif rising and n_names > 1:
        proposal.add("no-header", text, **other, names="numbered", time="c00")
    else:
        text = f"{text}, and the first column does not rise as times do (set `rate_hz` to the samples per second)"
        proposal.add("no-header", text, **other, names="numbered", time=None)


def _line_of_time(head: _Lines, layout: CsvLayout) -> tuple[str, int] | None:
    """Separator and line that the name of the time column is found with."""
    for separator in dict.fromkeys((layout.separator, *SEPARATORS)):
        usual = head.usual_width(separator)
        for i, line in enumerate(head.lines):
            cells = [cell.strip(" ") for cell in split(line, separator)]
            if head.time in cells and len(cells) > 1 and abs(len(cells) - usual) <= 1:
                return separator, i
    for separator in (separator for separator in SEPARATORS if separator != WHITESPACE):
        for i, line in enumerate(head.lines):
            if head.time in [cell.strip(" ") for cell in split(line, separator)]:
                return separator, i
    return None


def _line_of_names(head: _Lines, separator: str) -> int | None:
    """The first line with as many cells as most lines, or one fewer, and no number."""
    usual = head.usual_width(separator)
    for i, line in enumerate(head.lines):
        cells = split(line, separator)
        if len(cells) in (usual, usual - 1) and len(cells) > 1 and not any(map(_is_data, cells)):
            return i
    return None


def _propose_line(separator: str, line: int, layout: CsvLayout, proposal: Proposal) -> None:
    if separator != layout.separator:
        text = f"the header is separated by {_yaml(separator)}, not by {_yaml(layout.separator)}"
        proposal.add("separator", text, separator=separator)
    if line != layout.skip_lines:
        proposal.add(
            "preamble", f"the header is in line {line + 1}, not in line {layout.skip_lines + 1}", skip_lines=line
        )


def _propose_names(head: _Lines, layout: CsvLayout, proposal: Proposal) -> None:
    separator = head.best_separator(layout.separator)
    if head.usual_width(layout.separator) == 1 < head.usual_width(separator):
        text = f"cells are separated by {_yaml(separator)}, not by {_yaml(layout.separator)}"
        proposal.add("separator", text, separator=separator)
    proposed = layout.model_copy(update=proposal.settings)
    rows = [split(line, proposed.separator) for line in head.lines[layout.skip_lines :] if line.strip()][:2]
    if len(rows) == 2 and not any(map(_is_data, rows[0])) and any(map(_is_data, rows[1])):
        text = "the first line holds names, although `names` says that there is no header"
        proposal.add("header", text, skip_lines=layout.skip_lines + 1)
    if rows and isinstance(layout.names, list) and len(rows[-1]) != len(layout.names) and rows[-1][-1].strip():
        text = f"`names` has {len(layout.names)} names, the lines have {len(rows[-1])} cells"
        proposal.add("channel-count", text)


def _propose_rows(head: _Lines, layout: CsvLayout, proposal: Proposal) -> None:
    """Rows between header and data, and a first column without a name."""
    rows = [split(line, layout.separator) for line in head.lines[layout.skip_lines :]]
    rows = [row for row in rows if any(map(str.strip, row))]
    if len(rows) < 3:
        return
    names, data = [cell.strip(" ") for cell in rows[0]], rows[1 + len(layout.rows_below_header) :]
    extra = int(layout.row_names is not None)
    if not extra and data and all(len(row) == len(names) + 1 for row in data) and any(row[-1].strip() for row in data):
        _propose_row_names(head, data, layout, proposal)
        extra = 1
    place = names.index(head.time) + extra if head.time in names else 0
    below = 0
    while below < min(MAX_BELOW, len(data) - 1) and not _is_data_row(data[below], place, extra):
        below += 1
    if below > 0 and _is_data_row(data[below], place, extra):
        kinds = [*layout.rows_below_header, *_kinds(data[:below])]
        text = f"{below} rows below the header hold no data, such as {', '.join(data[0])[:60]!r}"
        proposal.add("rows-below-header", text, rows_below_header=kinds)


def _propose_row_names(head: _Lines, data: list[list[str]], layout: CsvLayout, proposal: Proposal) -> None:
    timed = (
        head.time is not None and head.time not in _names(head, layout) and all(_is_data(row[0]) for row in data[-3:])
    )
    text = f"lines have {len(data[0])} cells, the header has {len(data[0]) - 1}"
    if layout.separator == ",":
        text += " (if commas are decimal marks, save the file with another separator)"
    proposal.add("row-names", f"{text}; if names of rows stand in front", row_names=head.time if timed else "row")


def _kinds(rows: list[list[str]]) -> list[str]:
    """The first row with symbols is one of units."""
    return ["units" if i == 0 else "other" for i in range(len(rows))]


def _is_data_row(cells: list[str], place: int, skipped: int) -> bool:
    """Whether a row holds a time or, in half of its cells, numbers."""
    if not any(cell.strip() for cell in cells):
        return True
    if place < len(cells) and _is_data(cells[place]):
        return True
    others = [cell for i, cell in enumerate(cells) if i != place and i >= skipped and cell.strip()]
    return sum(map(_is_data, others)) > len(others) / 2


def _is_numeric(cells: list[str]) -> bool:
    """Whether the first cell and most others that are not empty are numbers or stamps."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and _is_data(filled[0]) and sum(map(_is_data, filled)) > len(filled) / 2


def _is_data(cell: str) -> bool:
    """Whether a cell is a number, or a date or time of day."""
    cell = cell.translate(FOLDED).strip()
    return re.fullmatch(ANY, cell) is not None or re.match(STAMP, cell) is not None
