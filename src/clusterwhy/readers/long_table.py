"""Long tables: one row per time, channel and value become one row per time."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from clusterwhy.config import Settings
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.rows import Rows

# names of channels in a message
SHOWN = 12


class LongTable(Settings):
    """Columns of a long table.

    Attributes:
        channel: the column with the name of the channel of each row.
        value: the column with its value.
    """

    channel: str
    value: str


def chosen_rows(
    table: pd.DataFrame, long: LongTable, channels: Sequence[str] | None, units: Iterable[str], issues: Issues
) -> pd.DataFrame:
    """The rows of the chosen channels, in the order of the file; faults if a name is missing or unknown."""
    names = table[long.channel]
    if (empty := names.isna().to_numpy()).any():
        rows = np.flatnonzero(empty)
        text = f"column {long.channel!r}: empty cells instead of names of channels ({issues.where(rows)})"
        issues.fault("empty-channel-name", text, rows, long.channel)
    known = names.dropna().astype(str)
    some = ", ".join(repr(one) for one in known.unique()[:SHOWN])
    for name in dict.fromkeys([*(channels or ()), *units]):
        if not (known == name).any():
            issues.fault("no-column", f"no channel {name!r} in column {long.channel!r}; it holds {some}", column=name)
    if channels is None:
        return table
    kept = names.astype(str).isin(channels).to_numpy()
    issues.keep(np.flatnonzero(kept))
    return table[kept].reset_index(drop=True)


def pivoted(rows: Rows, n_channels: int, issues: Issues) -> Rows:
    """One row per group and time, with the value of each channel or NaN.

    Args:
        rows: values (row, 1), codes "channel" and "clock" (rows of one clock are merged); one row per clock, channel
            and time.

    Returns:
        Values (row, channel), by clock and time; the number of each row is the first of its rows in the file.
    """
    order = np.lexsort((rows.number, rows.time, rows.codes["clock"]))
    rows = rows.at(order)
    new = np.append(True, (np.diff(rows.time) != 0) | (np.diff(rows.codes["clock"]) != 0))
    moment = np.cumsum(new) - 1
    values = np.full((moment[-1] + 1, n_channels), np.nan)
    values[moment, rows.codes["channel"]] = rows.values[:, 0]
    for key in ("label", "group"):
        if key in rows.codes:
            _same_within(rows, key, moment, issues)
    issues.notes.append(f"long table of {len(rows.time)} values: {len(values)} times x {n_channels} channels")
    first = rows.at(np.flatnonzero(new))
    return Rows(first.time, values, first.codes, first.number, first.cut)


def _same_within(rows: Rows, key: str, moment: np.ndarray, issues: Issues) -> None:
    codes = rows.codes[key]
    other = codes != codes[np.searchsorted(moment, moment)]
    if other.any():
        numbers = np.sort(rows.number[other])
        text = f"rows of one time stamp have different values of the {key} column ({issues.where(numbers)})"
        issues.fault("label-conflict", text, numbers)
