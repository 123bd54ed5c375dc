"""A table in memory as a recording that a study reads, by the study's policies."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from clusterwhy.application.recording import by_policies_of
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError
from clusterwhy.readers.tables import ParquetFile

TIME = "time"


def series_of(frame: pd.DataFrame, name: str, dataset: Any, rate_hz: float, units: Mapping[str, str]) -> Series:
    """Read a table as a file is read, with the policies of the study's dataset.

    Args:
        frame: one column per channel. Its index are dates, or seconds, or what pandas gives where none is named (0, 1,
            2, ...): samples at `rate_hz`.
        name: of the recording, shown in tables and on the page.
        dataset: of the study.
        rate_hz: samples per second of the study.
        units: channel -> unit.

    Raises:
        DataError: lists every fault.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(name, [f"expected a pandas DataFrame, got {type(frame).__name__}"])
    index = frame.index
    plain = isinstance(index, pd.RangeIndex) and index.name is None and (index.start, index.step) == (0, 1)
    stamped = isinstance(index, pd.DatetimeIndex)
    _check(frame, name, plain or stamped or pd.api.types.is_numeric_dtype(index))
    table = frame.reset_index(drop=True)
    if not plain:
        table.insert(0, TIME, index)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        table.to_parquet(path, index=False)
        known = {channel: unit for channel, unit in units.items() if channel in frame.columns}
        clock: dict[str, Any] = {"time": None, "rate_hz": rate_hz} if plain else {"time": TIME}
        reader, _ = by_policies_of(ParquetFile(path=str(path), units=known, **clock), dataset)
        # of the study's file, not of this table
        reader = reader.model_copy(update={"time_unit": None if stamped or plain else "s", "time_format": None})
        try:
            found: Series = reader.read()
        except DataError as error:
            raise DataError(name, error.records) from None
    return replace(found, name=name)


def _check(frame: pd.DataFrame, name: str, has_times: bool) -> None:
    faults = []
    if not has_times:
        advice = "`pd.read_csv(..., parse_dates=True)` or `pd.to_datetime` make dates of texts"
        faults.append(f"expected an index of dates, of seconds, or none (samples), got {frame.index.dtype}: {advice}")
    if TIME in frame.columns or not all(isinstance(column, str) for column in frame.columns):
        faults.append(f"expected one column per channel, named by texts, and `{TIME}` as the index")
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        faults.append(f"columns occur twice: {', '.join(map(str, twice))}")
    if wrong := [str(c) for c, kind in frame.dtypes.items() if kind.kind == "c"]:
        faults.append(f"complex numbers in {', '.join(wrong)}")
    if faults:
        raise DataError(name, faults)
