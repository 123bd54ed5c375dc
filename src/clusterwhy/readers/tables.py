"""Readers for a user's own files: CSV, Parquet and NumPy."""

import re
import warnings
from collections.abc import Sequence
from os.path import expanduser, isdir
from pathlib import Path
from tokenize import TokenError
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, Fault
from clusterwhy.readers.clock import even_times
from clusterwhy.readers.contract import RawTable, admit
from clusterwhy.readers.csv_table import csv_table
from clusterwhy.readers.file_settings import FileSettings
from clusterwhy.readers.files import Text, check_size, existing_file, scan
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.layout import WHITESPACE, CsvLayout
from clusterwhy.readers.patterns import chosen
from clusterwhy.readers.proposals import Proposal, layout_proposal
from clusterwhy.readers.ranges import kept_rows
from clusterwhy.readers.wide_table import WideTable

# NumPy parses the header of an array with Python's parser
HEADER_ERRORS = (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError, RecursionError, TokenError)


class CsvFile(CsvLayout, WideTable):
    """A CSV file in UTF-8, gzip or not."""

    @model_validator(mode="after")
    def _different_characters(self) -> Self:
        if self.separator == WHITESPACE and self.thousands == " ":
            raise ValueError("spaces cannot both separate cells and mark thousands")
        return self

    @property
    def suffixes(self) -> Sequence[str]:
        """Of the files of a folder that are read, compressed by gzip or not."""
        return ".csv", ".tsv", ".txt", ".dat"

    @property
    def cell_separator(self) -> str:
        """What separates cells."""
        return self.separator

    @property
    def no_channels(self) -> Sequence[str]:
        """Columns that are not channels, among them the names of rows."""
        return [*self.leave_out, *([self.row_names] if self.row_names else [])]

    def read_table(self, file: Path, issues: Issues) -> tuple[pd.DataFrame, dict[str, str]]:
        """The cells as text."""
        text = scan(file, self.path, self.memory_share)
        proposal = layout_proposal(text.lines, self, self.time)
        if proposal.faults:
            raise DataError(self.path, [*proposal.faults, *self._faults_with(proposal, text)])
        return csv_table(file, text, self, self.time is not None, issues)

    def _faults_with(self, proposal: Proposal, text: Text) -> Sequence[Fault]:
        """The faults that are left with the proposed layout, so that one message holds all."""
        proposed = self.model_copy(update=proposal.settings)
        if (proposed.time is None) != (proposed.rate_hz is not None):
            proposed = proposed.model_copy(update={"rate_hz": 1.0})
        if not proposal.settings or layout_proposal(text.lines, proposed, proposed.time).faults:
            return []
        try:
            proposed.read_file()
        except DataError as error:
            return error.records
        return []


class ParquetFile(WideTable):
    """A Parquet file."""

    @property
    def suffixes(self) -> Sequence[str]:
        """Of the files of a folder that are read."""
        return ".parquet", ".pq"

    def read_table(self, file: Path, issues: Issues) -> tuple[pd.DataFrame, dict[str, str]]:
        """The table as it is stored."""
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
            return table.to_pandas(ignore_metadata=True), {}
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
        if not self.path.endswith(".npy") and not isdir(expanduser(self.path)):
            raise ValueError(f"expected a .npy file, or a folder of them, got {self.path!r}")
        return self

    @property
    def suffixes(self) -> Sequence[str]:
        """Of the files of a folder that are read."""
        return (".npy",)

    def read_file(self) -> Series:
        """Read and check the array.

        Raises:
            DataError: lists every fault of the file.
        """
        file, issues = existing_file(self.path), Issues(self.path)
        array = self._array(file)
        names = self.channels or [f"c{i:02d}" for i in range(array.shape[1])]
        kept = kept_rows(even_times(0, len(array), self.rate_hz), {}, self.span, self, issues)
        rows = slice(None) if kept is None else slice(int(kept.rows[0]), int(kept.rows[-1]) + 1)
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
        wanted = chosen(names, self.include, self.exclude, issues)
        if not wanted:
            issues.fault("no-channel", "`exclude` leaves no channel")
        issues.raise_any()
        part = array[rows] if wanted == names else array[rows, [names.index(name) for name in wanted]]
        cells = pd.DataFrame(part, columns=wanted)
        raw = RawTable(file.stem, cells, self.rate_hz, None, None, self.units, first_row=rows.start or 0)
        return admit(raw, self, self.train_share, issues)

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
