"""A table in memory as a recording that a study reads, by the study's policies."""

from collections.abc import Mapping
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
        frame: one column per channel. Its index are dates, or seconds (floats), or a plain range: samples at `rate_hz`.
        name: of the recording, shown in tables and on the page.
        dataset: of the study.
        rate_hz: samples per second of the study.
        units: channel -> unit.

    Raises:
        DataError: lists every fault.
    """
    index = frame.index
    stamped, ranged = isinstance(index, pd.DatetimeIndex), isinstance(index, pd.RangeIndex)
    if not (stamped or ranged or pd.api.types.is_float_dtype(index)):
        raise DataError(
            name, [f"expected an index of dates, of seconds (floats), or a plain range (samples), got {index.dtype}"]
        )
    if TIME in frame.columns or not all(isinstance(column, str) for column in frame.columns):
        raise DataError(name, [f"expected one column per channel, named by texts, and `{TIME}` as the index"])
    table = frame.reset_index(drop=True)
    if not ranged:
        table.insert(0, TIME, index)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.parquet"
        table.to_parquet(path, index=False)
        known = {channel: unit for channel, unit in units.items() if channel in frame.columns}
        clock: dict[str, Any] = {"time": None, "rate_hz": rate_hz} if ranged else {"time": TIME}
        reader, _ = by_policies_of(ParquetFile(path=str(path), units=known, **clock), dataset)
        # of the study's file, not of this table
        reader = reader.model_copy(update={"time_unit": None if stamped or ranged else "s", "time_format": None})
        found: Series = reader.read()
    return found
