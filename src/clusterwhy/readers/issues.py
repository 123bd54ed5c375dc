"""What is found while a file is checked: faults with their rows, and notes of what was changed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from clusterwhy.errors import DataError, Fault

# rows that are named in a text, and in its record
FIRST = 5


@dataclass
class Issues:
    """Collects faults, so that all of a file are told at once.

    Attributes:
        source: what the file is called in messages.
        first_line: line of the file that holds row 0 if each row is one line, else None.
        faults: what stands against the file.
        notes: what was changed or noticed.
        hint: what a clock that is put back or forward may mean, for faults of the time axis.
    """

    source: str
    first_line: int | None = None
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hint: str = ""

    def where(self, rows: Sequence[int] | np.ndarray) -> str:
        """Rows in words: "3 rows, first at 4, 7, 9 (line 6)"; rows count from 0, below the header."""
        shown = ", ".join(str(row) for row in rows[:FIRST]) + (" ..." if len(rows) > FIRST else "")
        return f"{len(rows)} row{'s' if len(rows) != 1 else ''}, first at {shown}{self._line(int(rows[0]))}"

    def row(self, row: int) -> str:
        """One row in words: "row 4 (line 6)"."""
        return f"row {row}{self._line(row)}"

    def _line(self, row: int) -> str:
        return "" if self.first_line is None else f" (line {row + self.first_line})"

    def fault(
        self, kind: str, text: str, rows: Sequence[int] | np.ndarray = (), column: str | None = None, count: int = 0
    ) -> None:
        """Note a fault; `count` is the number of rows unless it is given."""
        first = tuple(int(row) for row in rows[:FIRST])
        self.faults.append(Fault(kind, text, column, count or max(len(rows), 1), first))

    def raise_any(self) -> None:
        """End here if there are faults.

        Raises:
            DataError: lists them.
        """
        if self.faults:
            raise DataError(self.source, self.faults)
