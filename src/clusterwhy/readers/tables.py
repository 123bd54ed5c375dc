"""Readers for a user's own files: CSV, Parquet and NumPy."""

import re
import warnings
from pathlib import Path
from tokenize import TokenError
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.cells import channel_names
from clusterwhy.readers.contract import RawTable, admit
from clusterwhy.readers.files import check_size, existing_file, opened, scan
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.lines import header_faults, ragged_faults
from clusterwhy.readers.long_table import LongTable, chosen_rows
from clusterwhy.readers.policies import Policies

# column names shown in a message; a file may have thousands
SHOWN = 12
# NumPy parses the header of an array with Python's parser
HEADER_ERRORS = (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError, RecursionError, TokenError)


class FileSettings(Policies):
    """Settings shared by all readers of user files."""

    path: str
    units: dict[str, str] = Field(default_factory=dict)
    train_share: float = Field(default=1.0, gt=0.0, le=1.0)
    channels: list[str] | None = Field(default=None, min_length=1)

    @field_validator("channels")
    @classmethod
    def _once(cls, channels: list[str] | None) -> list[str] | None:
        if channels is not None and len(set(channels)) < len(channels):
            raise ValueError("a channel is listed twice")
        return channels


class WideTable(FileSettings):
    """A table with one time column and one column per channel."""

    time: str
    label: str | None = None
    group: str | None = None  # column whose values a split keeps apart, such as the machine
    long: LongTable | None = None  # one row per value instead of one per time

    def read_table(self, file: Path, issues: Issues) -> pd.DataFrame:
        """The unchecked table of the file."""
        raise NotImplementedError

    def read(self) -> Series:
        """Read and check the table.

        Raises:
            DataError: lists every fault of the file.
        """
        file, issues = existing_file(self.path), Issues(self.path)
        table = self.read_table(file, issues)
        self._column_faults(table, issues)
        issues.raise_any()
        if self.long is None:
            raw = self._wide(file.stem, table, issues)
        else:
            raw = self._long(file.stem, table, self.long, issues)
        return admit(raw, self, self.train_share, issues)

    def _wide(self, name: str, table: pd.DataFrame, issues: Issues) -> RawTable:
        others = [column for column in (self.time, self.label, self.group) if column]
        names = self.channels or channel_names(table, others, issues)
        if not names:
            issues.fault("no-channel", f"no numeric column besides {self.time!r}")
            issues.raise_any()
        return RawTable(
            name=name,
            cells=table[names],
            time=table[self.time],
            label=table[self.label] if self.label else None,
            group=table[self.group] if self.group else None,
            units=self.units,
            others=None if self.group else table.drop(columns=others),
        )

    def _long(self, name: str, table: pd.DataFrame, long: LongTable, issues: Issues) -> RawTable:
        table = chosen_rows(table, long, self.channels, self.units, issues)
        issues.raise_any()
        return RawTable(
            name=name,
            cells=table[[long.value]],
            time=table[self.time],
            label=table[self.label] if self.label else None,
            group=table[self.group] if self.group else None,
            units=self.units,
            channel=table[long.channel],
        )

    def _column_faults(self, table: pd.DataFrame, issues: Issues) -> None:
        known = [str(column) for column in table.columns]
        shown = ", ".join(repr(name) for name in known[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
        channels = (self.channels or []) if self.long is None else [self.long.channel, self.long.value]
        for name in dict.fromkeys([self.time, *channels, *filter(None, (self.label, self.group))]):
            if name not in known:
                issues.fault("no-column", f"no column {name!r}; the file has {shown}", column=name)
        for name in self.units if self.long is None else ():
            if name not in known:
                issues.fault("unit-without-column", f"a unit is given for {name!r}, which is not a column", column=name)
        if table.empty:
            issues.fault("no-rows", "the table has no rows")


class CsvFile(WideTable):
    """A CSV file in UTF-8, gzip or not."""

    separator: str = Field(default=",", pattern=r"^([^\n\r\"]|\\s\+)$")
    decimal: str = Field(default=".", pattern=r"^[.,]$")

    @model_validator(mode="after")
    def _different_characters(self) -> Self:
        if self.separator == self.decimal:
            raise ValueError(f"separator and decimal are both {self.decimal!r}")
        return self

    def read_table(self, file: Path, issues: Issues) -> pd.DataFrame:
        text = scan(file, self.path, self.memory_share)
        if faults := header_faults(text, self.separator, self.time):
            raise DataError(self.path, faults)
        try:
            # float_precision keeps all digits; low_memory would mix types within a column; without index_col, lines
            # with more cells than the header would shift all columns by one
            with opened(file, text.gzipped) as stream, warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(
                    stream,
                    sep=self.separator,
                    decimal=self.decimal,
                    float_precision="round_trip",
                    encoding="utf-8-sig",
                    low_memory=False,
                    index_col=False,
                )
        except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
            ragged = ragged_faults(file, text, self.separator)
            raise DataError(
                self.path, ragged or [Fault("broken-csv", f"not readable as CSV: {str(error).strip()}")]
            ) from error
        # missing cells look like empty cells of the last column
        if len(table.columns) and table.iloc[:, -1].isna().any():
            issues.faults += ragged_faults(file, text, self.separator)
        if text.n_lines == len(table) + 1:
            issues.first_line = 2
        return table


class ParquetFile(WideTable):
    """A Parquet file."""

    def read_table(self, file: Path, issues: Issues) -> pd.DataFrame:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(file) as parquet:
                # size as float64: a constant column takes only a few bytes in the file
                about = parquet.metadata
                check_size(self.path, about.num_rows * max(about.num_columns, 1) * 8, self.memory_share)
                names = parquet.schema_arrow.names
                if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
                    raise DataError(
                        self.path,
                        [
                            Fault("duplicate-column", f"column {name!r} occurs twice in the file", name)
                            for name in twice
                        ],
                    )
                table = parquet.read()
            # finds text that is not UTF-8, which would otherwise fail in a later step
            table.validate(full=True)
            # ignore pandas metadata, which may declare the time column an index
            return table.to_pandas(ignore_metadata=True)
        except DataError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError, TypeError) as error:
            text = f"not readable as Parquet: {str(error).strip()[:300]}"
            raise DataError(self.path, [Fault("broken-parquet", text)]) from error


class NumpyFile(FileSettings):
    """A `.npy` array (time, channel), sampled at a stated rate."""

    rate_hz: float = Field(gt=1.0e-9, lt=1.0e12)

    @model_validator(mode="after")
    def _npy(self) -> Self:
        if not self.path.endswith(".npy"):
            raise ValueError(f"expected a .npy file, got {self.path!r}")
        return self

    def read(self) -> Series:
        """Read and check the array.

        Raises:
            DataError: lists every fault of the file.
        """
        file, issues = existing_file(self.path), Issues(self.path)
        array = self._array(file)
        names = self.channels or [f"c{i:02d}" for i in range(array.shape[1])]
        if len(names) != array.shape[1]:
            text = f"{len(names)} channel names are given for {array.shape[1]} channels"
            issues.fault("channel-count", text)
        for name in self.units:
            if name not in names:
                issues.fault(
                    "unit-without-column", f"a unit is given for {name!r}, which is not a channel", column=name
                )
        if array.shape[1] > len(array):
            issues.notes.append(f"{array.shape[1]} channels, but {len(array)} samples: is the array (channel, time)?")
        issues.raise_any()
        cells = pd.DataFrame(array, columns=names)
        return admit(RawTable(file.stem, cells, self.rate_hz, None, None, self.units), self, self.train_share, issues)

    def _array(self, file: Path) -> np.ndarray:
        """The array (time, channel), memory-mapped, which refuses a header that claims more data than the file has."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # memory-mapping never loads a pickle
                array: np.ndarray = np.lib.format.open_memmap(file, mode="r")
        except HEADER_ERRORS as error:
            said = re.sub(r"\s+", " ", str(error))[:200]
            raise DataError(self.path, [Fault("broken-npy", f"not a plain NumPy array: {said}")]) from error
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.dtype.kind not in "fiub" or len(array) < 2 or not array.shape[1]:
            text = f"expected numbers (time >= 2, channel), got {array.dtype} {array.shape}"
            raise DataError(self.path, [Fault("wrong-array", text)])
        check_size(self.path, array.size * 8, self.memory_share)
        return array
