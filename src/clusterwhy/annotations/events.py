"""Events from other sources: `events.csv` with the columns `start`, `end` and `name`, one row per interval."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from clusterwhy.annotations.located import Asked
from clusterwhy.artifacts.names import name_faults
from clusterwhy.data.moments import EXPECTED, Range
from clusterwhy.errors import DataError

COLUMNS = ("start", "end", "name")
FURTHER = "recording"  # optional: the recording, or group, of the interval
SHOWN = 5  # rows named for each kind of fault


def read_events(path: Path) -> list[Asked]:
    """The intervals of a file, in its order; none where there is no file.

    Raises:
        DataError: lists every fault, with line numbers.
    """
    if not path.is_file():
        return []
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise DataError(path.name, [f"not a CSV file with commas: {' '.join(str(error).split())}"]) from error
    columns = [str(column).strip() for column in table.columns]
    lacking = [name for name in COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in (*COLUMNS, FURTHER)]
    if lacking or unknown:
        raise DataError(path.name, [_wrong_columns(columns, lacking)])
    table = table.set_axis(columns, axis=1).apply(lambda column: column.str.strip())
    faults = list(_faults(table))
    if faults:
        raise DataError(path.name, faults)
    recordings = table[FURTHER] if FURTHER in table else [""] * len(table)
    return [
        Asked(f"{path.name}, line {i + 2} ({name})", name, "", _range(start, end), recording)
        for i, (start, end, name, recording) in enumerate(
            zip(table["start"], table["end"], table["name"], recordings, strict=True)
        )
    ]


def _wrong_columns(columns: list[str], lacking: list[str]) -> str:
    what = f"no column {', '.join(map(repr, lacking))}" if lacking else "further columns"
    return f"{what}: expected start,end,name (and recording, where there are several), got {','.join(columns)[:200]}"


def _moment(text: str) -> float | str | None:
    """Seconds, or a date or time stamp as it is written; None if it is neither."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return None
    return text


def _range(start: str, end: str) -> Range:
    return Range.model_validate({"from": _moment(start), "to": _moment(end)})


def _faults(table: pd.DataFrame) -> Iterator[str]:
    for column in ("start", "end"):
        yield from _listed(table, table[column].map(_moment).isna(), column, f"{column}: {EXPECTED}")
    yield from _listed(table, table["name"] == "", "name", "name: empty")
    if wrong := name_faults("event", table["name"].unique()):
        yield wrong
    known = table[table[["start", "end"]].map(_moment).notna().all(axis=1)]
    for i, start, end in zip(known.index, known["start"], known["end"], strict=True):
        if isinstance(_moment(start), str) != isinstance(_moment(end), str):
            yield f"line {i + 2}: a date and seconds, {start} and {end}"
            continue
        try:
            _range(start, end)
        except ValidationError as error:
            yield f"line {i + 2}: {error.errors()[0]['msg']}"


def _listed(table: pd.DataFrame, wrong: "pd.Series[bool]", column: str, what: str) -> Iterator[str]:
    rows = table.index[wrong]
    if len(rows):
        shown = ", ".join(f"{table[column][i]!r} in line {i + 2}" for i in rows[:SHOWN])
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        yield f"{what}; got {shown}{more}"
