"""Figures that are undefined for the data at hand: null in reports, empty cells in tables, each with the reason."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

REASONS = "undefined"  # the column of a table, and the entry of a report, with the reasons
NOT_TWO = "there are not two groups of windows to compare"  # why no cluster is explained


@dataclass(frozen=True)
class Undefined:
    """In place of a figure that has no value."""

    reason: str


def mean_of(values: npt.ArrayLike, reason: str) -> float | Undefined:
    """Mean of the finite values; undefined if there is none."""
    known = _finite(values)
    return float(known.mean()) if len(known) else Undefined(reason)


def median_of(values: npt.ArrayLike, reason: str) -> float | Undefined:
    """Median of the finite values; undefined if there is none."""
    known = _finite(values)
    return float(np.median(known)) if len(known) else Undefined(reason)


def _finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def defined_or(value: float | None, reason: str) -> float | Undefined:
    """The value, or undefined if it is None, NaN or infinite."""
    return value if value is not None and math.isfinite(value) else Undefined(reason)


def with_reasons(table: pd.DataFrame, reasons: Mapping[str, str | Sequence[str]]) -> pd.DataFrame:
    """The table with infinite values as missing ones, and a column that says why cells of a row are empty.

    Args:
        table: changed columns are those that `reasons` names.
        reasons: column -> why a cell of it is empty, for all rows alike or one for each row.

    Returns:
        The table and a last column `undefined`, "" where the row is complete.
    """
    found, texts = table.copy(), [""] * len(table)
    for column, reason in reasons.items():
        found[column] = table[column].astype(float).replace([np.inf, -np.inf], np.nan)
        each = [reason] * len(table) if isinstance(reason, str) else reason
        for row in np.flatnonzero(found[column].isna()).tolist():
            texts[row] += f"{'; ' if texts[row] else ''}{column}: {each[row]}"
    found[REASONS] = pd.Series(texts, index=table.index, dtype=object)
    return found


def reasons_of(table: pd.DataFrame) -> dict[str, str]:
    """Column -> why the first of its empty cells is empty, from a table of `with_reasons`, read again or not."""
    texts = table[REASONS].dropna().astype(str) if REASONS in table else ()
    found: dict[str, str] = {}
    for part in (part for text in texts for part in text.split("; ") if part):
        column, _, reason = part.partition(": ")
        found.setdefault(column, reason)
    return found


def column_mean(table: pd.DataFrame, column: str) -> float | Undefined:
    """Mean of the filled cells of a column; undefined, as its first cell, where none is."""
    return mean_of(table[column], reasons_of(table).get(column, "no value"))


def as_report(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as values for JSON: undefined ones are None, and `undefined` says why, by their dotted names."""
    reasons = dict(_reasons(metrics))
    return _plain(metrics) | ({REASONS: reasons} if reasons else {})


def _reasons(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _reasons(value, f"{prefix}{key}.")
        elif isinstance(value, Undefined):
            yield f"{prefix}{key}", value.reason
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key}", f"the computation gave {value}"


def _plain(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) if isinstance(value, Mapping) else _value(value) for key, value in metrics.items()}


def _value(value: Any) -> Any:
    unknown = isinstance(value, Undefined) or (isinstance(value, float) and not math.isfinite(value))
    return None if unknown else value
