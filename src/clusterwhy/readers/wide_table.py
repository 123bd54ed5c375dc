"""The reader of tables with one column per channel, or with one row per value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from clusterwhy.data.series import Series
from clusterwhy.readers.cells import Cells, read_cells, typed
from clusterwhy.readers.channels import binary_columns, channel_names, doubtful_points, read_channels, time_column
from clusterwhy.readers.clock import TimeAxis, even_times
from clusterwhy.readers.contract import RawTable, admit
from clusterwhy.readers.file_settings import FileSettings
from clusterwhy.readers.files import existing_file
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.long_table import LongTable, chosen_rows
from clusterwhy.readers.number_format import NumberFormat, number_like
from clusterwhy.readers.patterns import chosen
from clusterwhy.readers.ranges import kept_rows

# column names shown in a message; a file may have thousands
SHOWN = 12


class WideTable(FileSettings):
    """A table with one column per channel, and one time column or a rate; or a long table.

    Attributes:
        time: the time column; None: rows are samples at `rate_hz`.
        decimal: the decimal mark; None: a point, unless `thousands` is one.
        thousands: mark between groups of three digits.
        binary: channels of two words: (word for 0, word for 1).
        leave_out: columns that are no channels.
        long: columns of a table with one row per value instead of one per time.
    """

    time: str | None
    rate_hz: float | None = Field(default=None, gt=1.0e-9, lt=1.0e12)
    label: str | None = None
    group: str | None = None  # column whose values a split keeps apart, such as the machine
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", "'", " "] | None = None
    binary: dict[str, list[str]] = Field(default_factory=dict)
    leave_out: list[str] = Field(default_factory=list)
    long: LongTable | None = None

    @field_validator("binary", mode="before")
    @classmethod
    def _two_words(cls, binary: object) -> object:
        for words in binary.values() if isinstance(binary, Mapping) else ():
            if not isinstance(words, list | tuple) or len(words) != 2 or not all(isinstance(w, str) for w in words):
                raise ValueError(
                    f'expected two words in quotes, for 0 and for 1, such as ["off", "on"], got {words}; without '
                    "quotes, YAML reads yes, no, on, off as true and false"
                )
            if len({word.strip().casefold() for word in words}) < 2:
                raise ValueError(f"the words for 0 and 1 are the same: {words}")
        return binary

    @model_validator(mode="after")
    def _time_or_rate(self) -> Self:
        if (self.time is None) == (self.rate_hz is None):
            raise ValueError("set either `time`, the name of a column, or `rate_hz` and `time: null`")
        if self.time is None and self.long is not None:
            raise ValueError("a long table needs a time column: set `time`")
        return self

    @model_validator(mode="after")
    def _names_or_patterns(self) -> Self:
        if self.channels is not None and (self.include or self.exclude):
            raise ValueError("`channels` lists names, `include` and `exclude` are patterns: set one or the other")
        return self

    @model_validator(mode="after")
    def _different_marks(self) -> Self:
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError(f"`decimal` and `thousands` are both {self.decimal!r}")
        return self

    @property
    def number_format(self) -> NumberFormat:
        """How the file writes numbers."""
        return NumberFormat(self.decimal or ("," if self.thousands == "." else "."), self.thousands)

    @property
    def cell_separator(self) -> str | None:
        """What separates cells, if the file is text."""
        return None

    @property
    def no_channels(self) -> Sequence[str]:
        """Columns that are not channels."""
        return self.leave_out

    def read_table(self, file: Path, issues: Issues) -> tuple[pd.DataFrame, dict[str, str]]:
        """The unchecked table of the file, and the units that it names."""
        raise NotImplementedError

    def read_file(self) -> Series:
        """Read and check the table.

        Raises:
            DataError: lists every fault of the file.
        """
        file, issues = existing_file(self.path), Issues(self.path)
        table, units = self.read_table(file, issues)
        self._column_faults(table, issues)
        issues.raise_any()
        if self.long is not None:
            table = chosen_rows(table, self.long, self._of_long(table, self.long, issues), self.units, issues)
            issues.raise_any()
        kept = None if self.span.is_open else kept_rows(*self._times(table), self.span, self, issues)
        if kept is not None:
            table = table.iloc[kept.rows].reset_index(drop=True)
        table = binary_columns(table, self.binary, self.missing_values, issues)
        if self.long is None:
            raw = self._wide(file.stem, table, units, issues)
        else:
            raw = self._long(file.stem, table, self.long, issues)
        return admit(raw if kept is None else raw.at(kept), self, self.train_share, issues)

    def _times(self, table: pd.DataFrame) -> tuple[pd.Series | TimeAxis | None, dict[str, pd.Series]]:
        """The time of each row, None if it is not readable, and the columns that tell recordings apart."""
        known = self.number_format
        tracks = {"channel": table[self.long.channel]} if self.long else {}
        tracks |= {"group": typed(table[self.group], known)} if self.group else {}
        if self.time is None:
            return even_times(0, len(table), self.rate_hz or 1.0), tracks
        time = self._time(table, Issues(self.path))
        return None if isinstance(time, float) else time, tracks

    def _of_long(self, table: pd.DataFrame, long: LongTable, issues: Issues) -> list[str] | None:
        """Names of the channels of a long table that are read; None for all."""
        if not (self.include or self.exclude):
            return self.channels
        return chosen(sorted(table[long.channel].dropna().astype(str).unique()), self.include, self.exclude, issues)

    def _wide(self, name: str, table: pd.DataFrame, units: Mapping[str, str], issues: Issues) -> RawTable:
        cells = self._channels(table, issues)
        named = pd.Series(list(units.values()), dtype="str")
        if len(numbers := named[number_like(named)]):
            hint = "the file has no such row, or `rows_below_header` tells them in another order"
            issues.fault("units-are-numbers", f"the row of units holds numbers, such as {numbers.iloc[0]!r}: {hint}")
        return RawTable(
            name=name,
            cells=cells,
            time=self._time(table, issues),
            label=typed(table[self.label], self.number_format) if self.label else None,
            group=typed(table[self.group], self.number_format) if self.group else None,
            units={name: unit for name, unit in units.items() if name in cells} | self.units,
            others=None if self.group else self._others(table, cells),
        )

    def _long(self, name: str, table: pd.DataFrame, long: LongTable, issues: Issues) -> RawTable:
        found = {long.value: read_cells(table[long.value], self.number_format, self.missing_values)}
        cells = self._numbers(table, found, issues)
        time = self._time(table, issues)
        if isinstance(time, float):
            # without times, rows cannot be pivoted
            issues.raise_any()
        return RawTable(
            name=name,
            cells=cells,
            time=time,
            label=typed(table[self.label], self.number_format) if self.label else None,
            group=typed(table[self.group], self.number_format) if self.group else None,
            units=self.units,
            channel=table[long.channel],
        )

    def _time(self, table: pd.DataFrame, issues: Issues) -> pd.Series | float:
        """The time column, as text if `time_format` reads it, or the rate."""
        if self.time is None:
            return self.rate_hz or 1.0
        column = table[self.time]
        return column if self.time_format is not None else time_column(column, self.number_format, issues)

    def _others(self, table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
        """The columns without a use, whole numbers as such: they may tell recordings apart."""
        used = [column for column in (self.time, self.label) if column]
        others = {str(name): table[name] for name in table.columns if name not in used}
        fractions = {name for name in cells if cells[name].dtype.kind == "f" and (cells[name] % 1 != 0).any()}
        known = self.number_format
        return pd.DataFrame(
            {name: cells[name] if name in fractions else typed(column, known) for name, column in others.items()}
        )

    def _channels(self, table: pd.DataFrame, issues: Issues) -> pd.DataFrame:
        """One column of numbers per channel."""
        others = [self.time, self.label, self.group, *self.no_channels]
        every = [str(column) for column in table.columns if column not in others]
        listed = self.channels or chosen(every, self.include, self.exclude, issues)
        wanted = [name for name in listed if name not in self.leave_out]
        found = {name: read_cells(table[name], self.number_format, self.missing_values) for name in wanted}
        names = wanted if self.channels else channel_names(table, found, issues)
        if not names:
            left = " that `include` and `exclude` leave" if self.include or self.exclude else ""
            why = "; ".join([f"no numeric column besides {self.time!r}{left}", *issues.notes[:SHOWN]])
            issues.fault("no-channel", why)
            issues.raise_any()
        return self._numbers(table, {name: found[name] for name in names}, issues)

    def _numbers(self, table: pd.DataFrame, found: Mapping[str, Cells | None], issues: Issues) -> pd.DataFrame:
        """The columns that were found, as numbers."""
        known = self.number_format
        if self.decimal is None and self.thousands is None:
            timed = self.time if self.time_format is None else None
            times = {timed: read_cells(table[timed], known)} if timed else {}
            doubtful_points({**found, **times}, self.cell_separator, issues)
        return read_channels(table[list(found)], found, known, self.missing_values, issues)

    def _column_faults(self, table: pd.DataFrame, issues: Issues) -> None:
        known = [str(column) for column in table.columns]
        shown = ", ".join(repr(name) for name in known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
        channels = (self.channels or []) if self.long is None else [self.long.channel, self.long.value]
        chosen = [*channels, *self.binary, *self.leave_out]
        for name in dict.fromkeys([*chosen, *filter(None, (self.time, self.label, self.group))]):
            if name not in known:
                issues.fault("no-column", f"no column {name!r}; the file has {shown}", column=name)
        for name in self.units if self.long is None else ():
            if name not in known:
                issues.fault("unit-without-column", f"a unit is given for {name!r}, which is not a column", column=name)
        if table.empty:
            issues.fault("no-rows", "the table has no rows")
