"""Rows of a file between its cells and the series."""

from dataclasses import dataclass

from clusterwhy.data.series import end_to_end
from clusterwhy.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Rows:
    """Rows of a file, and rows inserted between them.

    Attributes:
        time: (row,) float64 seconds or int64 nanoseconds.
        values: (row, channel), NaN where missing.
        codes: "label" and "group", if any -> (row,) codes; until a long table is pivoted also "channel", "clock", which
            groups may share, and "track", the rows whose time must increase.
        number: (row,) row number in the file, from 0; an inserted row has that of the row before it.
        cut: (row,) True where a new segment starts, except at the first row.
        group_names: name of each group.
    """

    time: FloatArray | IntArray
    values: FloatArray
    codes: dict[str, IntArray]
    number: IntArray
    cut: BoolArray
    group_names: tuple[str, ...] = ()

    def at(self, chosen: IntArray | BoolArray) -> "Rows":
        """A selection of the rows."""
        codes = {key: code[chosen] for key, code in self.codes.items()}
        chosen_rows = (self.time[chosen], self.values[chosen], codes, self.number[chosen], self.cut[chosen])
        return Rows(*chosen_rows, self.group_names)

    @property
    def seconds(self) -> FloatArray:
        """(row,) seconds since the first row; groups that share a clock follow one another."""
        return end_to_end(self.time)
