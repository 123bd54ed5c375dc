"""Collects the faults of a file with their rows, and notes on what was changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from clusterwhy.errors import DataError, Fault

# rows listed in a message and in its record
FIRST = 5


@dataclass
class Issues:
    """Collects faults, so that all faults of a file are reported at once.

    Attributes:
        source: name of the file in messages.
        lines: line number of each row if each row is one line, else None.
        faults: why the file cannot be used.
        notes: what was changed or noticed.
        file_rows: row in the file of each row of the table, if rows were left out.
        hint: a possible cause for faults of the time axis, appended to their messages.
    """

    source: str
    lines: Sequence[int] | np.ndarray | None = None
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    file_rows: np.ndarray | None = None
    hint: str = ""

    def keep(self, rows: np.ndarray) -> None:
        """Go on with these rows of the table only; messages name their rows in the file."""
        self.file_rows = rows if self.file_rows is None else self.file_rows[rows]

    def where(self, rows: Sequence[int] | np.ndarray) -> str:
        """Rows as text: "3 rows, first at 4, 7, 9 (line 6)"; rows count from 0 below the header."""
        first = self._in_file(rows)
        shown = ", ".join(map(str, first)) + (" ..." if len(rows) > FIRST else "")
        return f"{len(rows)} row{'s' if len(rows) != 1 else ''}, first at {shown}{self._line(first[0])}"

    def row(self, row: int) -> str:
        """One row as text: "row 4 (line 6)"."""
        (row,) = self._in_file([row])
        return f"row {row}{self._line(row)}"

    def _in_file(self, rows: Sequence[int] | np.ndarray) -> list[int]:
        """The first few of the rows, as they count in the file."""
        return [int(row) if self.file_rows is None else int(self.file_rows[row]) for row in rows[:FIRST]]

    def _line(self, row: int) -> str:
        return "" if self.lines is None else f" (line {self.lines[row]})"

    def fault(
        self, kind: str, text: str, rows: Sequence[int] | np.ndarray = (), column: str | None = None, count: int = 0
    ) -> None:
        """Record a fault; `count` defaults to the number of rows."""
        self.faults.append(Fault(kind, text, column, count or max(len(rows), 1), tuple(self._in_file(rows))))

    def raise_any(self) -> None:
        """Raise the collected faults, if any.

        Raises:
            DataError: lists them.
        """
        if self.faults:
            raise DataError(self.source, self.faults)
