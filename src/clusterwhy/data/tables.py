"""Readers for a user's own files: CSV, Parquet and NumPy."""

from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.config import Settings
from clusterwhy.data.series import Series, fill_missing, time_faults
from clusterwhy.errors import DataError
from clusterwhy.types import FloatArray, IntArray


class FileSettings(Settings):
    """What every reader of a user's file needs to know."""

    path: str
    units: dict[str, str] = Field(default_factory=dict)
    train_share: float = Field(default=1.0, gt=0.0, le=1.0)
    max_missing_share: float = Field(default=0.05, ge=0.0, lt=1.0)
    rate_tolerance: float = Field(default=0.01, ge=0.0)

    def existing_path(self) -> Path:
        """The file, if it is there and not empty."""
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise DataError(str(path), ["no such file: set `dataset.path` (relative to the repository) to your file"])
        if path.stat().st_size == 0:
            raise DataError(str(path), ["the file is empty"])
        return path


class WideTable(FileSettings):
    """A table with one time column and one column per channel."""

    time: str
    channels: list[str] | None = None
    label: str | None = None
    group: str | None = None  # what must not be on both sides of a split, such as the machine

    def read_table(self, path: Path) -> pd.DataFrame:
        raise NotImplementedError

    def read(self) -> Series:
        """Read and check the table.

        Raises:
            DataError: lists every fault of the file.
        """
        path = self.existing_path()
        table = self.read_table(path)
        faults = self._column_faults(table)
        if faults:
            raise DataError(self.path, faults)
        names = self._channel_names(table)
        values, faults = _numeric(table[names])
        time, time_notes = _time_axis(table[self.time])
        if time is None:
            faults.append(f"time column {self.time!r}: {time_notes}")
        elif len(time) > 1:
            seconds = (time - time[0]) / 1e9 if time.dtype == np.int64 else time
            faults += time_faults(np.asarray(seconds, dtype=np.float64), (0,), self.rate_tolerance)
        if len(table) < 2:
            faults.append(f"expected at least 2 rows, got {len(table)}")
        try:
            values, notes = fill_missing(values, tuple(names), self.path, self.max_missing_share)
        except DataError as error:
            faults += error.faults
        if faults or time is None:
            raise DataError(self.path, faults)
        labels, label_names = _codes(table, self.label)
        groups, group_names = _codes(table, self.group)
        return Series(
            name=path.stem,
            values=values,
            time=time,
            rate_hz=1.0 / _median_step_s(time),
            channels=tuple(names),
            units=tuple(self.units.get(name, "") for name in names),
            train_stop=round(self.train_share * len(values)),
            labels=labels,
            label_names=label_names,
            groups=groups,
            group_names=group_names,
            notes=notes,
        )

    def _column_faults(self, table: pd.DataFrame) -> list[str]:
        wanted = [self.time, *(self.channels or []), *(name for name in (self.label, self.group) if name)]
        faults = [
            f"no column {name!r}; the file has {', '.join(repr(str(c)) for c in table.columns)}"
            for name in wanted
            if name not in table.columns
        ]
        faults += [f"unit for {name!r}, which is no column" for name in self.units if name not in table.columns]
        if table.empty:
            faults.append("the table has no rows")
        elif not faults and not self._channel_names(table):
            faults.append(f"no numeric column besides {self.time!r}")
        return faults

    def _channel_names(self, table: pd.DataFrame) -> list[str]:
        if self.channels is not None:
            return list(self.channels)
        names = [str(c) for c in table.columns if c not in (self.time, self.label, self.group)]
        # a column without a single number is text, not a channel with faults
        return [n for n in names if pd.to_numeric(table[n], errors="coerce").notna().any()]


class CsvFile(WideTable):
    """A CSV file (gzip by its suffix)."""

    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)

    def read_table(self, path: Path) -> pd.DataFrame:
        try:
            # float_precision keeps every figure that stands in the file
            return pd.read_csv(
                path, sep=self.separator, decimal=self.decimal, float_precision="round_trip", encoding="utf-8-sig"
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise DataError(self.path, [f"not readable as CSV: {error}"]) from error


class ParquetFile(WideTable):
    """A Parquet file."""

    def read_table(self, path: Path) -> pd.DataFrame:
        import pyarrow as pa

        try:
            return pd.read_parquet(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(self.path, [f"not readable as Parquet: {error}"]) from error


class NumpyFile(FileSettings):
    """A `.npy` array (time, channel), sampled at a stated rate."""

    rate_hz: float = Field(gt=0.0)
    channels: list[str] | None = None

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
        path = self.existing_path()
        try:
            raw = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DataError(self.path, [f"no plain NumPy array: {error}"]) from error
        if raw.ndim == 1:
            raw = raw[:, None]
        if raw.ndim != 2 or raw.dtype.kind not in "fiub" or len(raw) < 2:
            raise DataError(self.path, [f"expected numbers (time >= 2, channel), got {raw.dtype} {raw.shape}"])
        names = tuple(self.channels or [f"c{i:02d}" for i in range(raw.shape[1])])
        if len(names) != raw.shape[1]:
            raise DataError(self.path, [f"{len(names)} channel names for {raw.shape[1]} channels"])
        values, notes = fill_missing(raw.astype(np.float64), names, self.path, self.max_missing_share)
        return Series(
            name=path.stem,
            values=values,
            time=np.arange(len(values)) / self.rate_hz,
            rate_hz=self.rate_hz,
            channels=names,
            units=tuple(self.units.get(name, "") for name in names),
            train_stop=round(self.train_share * len(values)),
            notes=notes,
        )


def _codes(table: pd.DataFrame, column: str | None) -> tuple[IntArray | None, tuple[str, ...]]:
    """Codes and names of a column with names; -1 where a cell is empty."""
    if column is None:
        return None, ()
    codes, names = pd.factorize(table[column], sort=True)
    return codes, tuple(str(name) for name in names)


def _numeric(table: pd.DataFrame) -> tuple[FloatArray, list[str]]:
    faults, columns = [], []
    for name in table.columns:
        column = pd.to_numeric(table[name], errors="coerce")
        text = column.isna() & table[name].notna()
        if text.any():
            row = int(np.flatnonzero(text)[0])
            faults.append(
                f"column {str(name)!r}: {int(text.sum())} cells are no numbers, "
                f"first {table[name].iloc[row]!r} in row {row}"
            )
        columns.append(column.to_numpy(dtype=np.float64))
    return np.stack(columns, axis=1), faults


def _time_axis(column: pd.Series) -> tuple[FloatArray | IntArray | None, str]:
    """Seconds as float64, or time stamps as int64 nanoseconds; None and the reason if neither."""
    if column.isna().any():
        return None, f"{int(column.isna().sum())} empty cells"
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64), ""
    try:
        stamps = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        return None, f"neither seconds nor ISO 8601 time stamps: {error}"
    return stamps.dt.as_unit("ns").astype("int64").to_numpy(), ""


def _median_step_s(time: FloatArray | IntArray) -> float:
    step = float(np.median(np.diff(time)))
    return step / 1e9 if np.issubdtype(time.dtype, np.integer) else step
