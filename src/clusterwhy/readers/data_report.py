"""The data report as JSON: what was read and changed, or every fault."""

from dataclasses import asdict
from typing import Any

import numpy as np

from clusterwhy.artifacts.store import SCHEMA_VERSION
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError


def data_report(series: Series) -> dict[str, Any]:
    """Rows, channels, segments, notes and policies of a series.

    Args:
        series: as returned by its reader, before constant channels are dropped.
    """
    reading = series.reading
    lows, highs = series.values.min(axis=0), series.values.max(axis=0)
    stops = [*series.segments[1:], len(series.values)]
    return {
        "schema_version": SCHEMA_VERSION,
        "name": series.name,
        "n_rows_read": reading.n_rows if reading else len(series.values),
        "n_rows_kept": len(series.values),
        "rate_hz": series.rate_hz,
        "channels": [
            {
                "name": name,
                "unit": unit,
                "n_missing": reading.missing[name] if reading else 0,
                "n_filled": reading.filled[name] if reading else 0,
                "constant": bool(low == high),
                "min": float(low),
                "max": float(high),
            }
            for name, unit, low, high in zip(series.channels, series.units, lows, highs, strict=True)
        ],
        "segments": [
            {"start": start, "stop": stop, "from": _time(series, start), "to": _time(series, stop - 1)}
            | _group(series, start, stop)
            for start, stop in zip(series.segments, stops, strict=True)
        ],
        "normal": _normal(series),
        "notes": list(series.notes),
        "policies": reading.policies if reading else {},
    }


def _normal(series: Series) -> dict[str, Any] | None:
    if series.normal is None:
        return None
    spans = [
        {"start": start, "stop": stop, "from": _time(series, start), "to": _time(series, stop - 1)}
        for start, stop in series.normal.spans
    ]
    return {"says": series.normal.says, "spans": spans}


def _group(series: Series, start: int, stop: int) -> dict[str, str]:
    """The group of a segment that lies in one."""
    if series.groups is None or series.groups[start] < 0 or (series.groups[start:stop] != series.groups[start]).any():
        return {}
    return {"group": series.group_names[series.groups[start]]}


def _time(series: Series, row: int) -> float | str:
    time = series.time[row]
    return f"{np.datetime64(int(time), 'ns')}Z" if np.issubdtype(series.time.dtype, np.integer) else float(time)


def fault_report(error: DataError) -> dict[str, Any]:
    """Every fault of an unusable file."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source": error.source,
        "faults": [asdict(fault) for fault in error.records],
    }
