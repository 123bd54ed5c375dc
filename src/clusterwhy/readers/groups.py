"""Recordings in one file: groups with clocks of their own, and columns that tell recordings apart."""

from dataclasses import replace

import numpy as np
import pandas as pd

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.rows import Rows
from clusterwhy.types import BoolArray, IntArray

# groups named in a message
SHOWN = 12
# share of rows whose stamp occurs in another group; the hour that a clock shows twice may be on two sides of a change
MANY = 0.25


def tracks_of(codes: dict[str, IntArray], n_rows: int) -> IntArray:
    """(row,) recording of each row: its group, and in a long table its channel, numbered as they first occur."""
    group, channel = (codes.get(key, np.zeros(n_rows, dtype=np.int64)) for key in ("group", "channel"))
    found: IntArray = pd.factorize(group * (channel.max(initial=0) + 2) + channel)[0].astype(np.int64)
    return found


def in_parallel(rows: Rows) -> bool:
    """Whether groups recorded at the same time, so that each has a clock of its own.

    They did if a time stamp occurs in two groups, if time goes back where the group changes, or if the rows of groups
    alternate. Otherwise, groups are parts of one recording, such as its days or its states.
    """
    if "group" not in rows.codes or (rows.codes["group"] == rows.codes["group"][:1]).all():
        return False
    group, channel = rows.codes["group"], rows.codes.get("channel", np.zeros(len(rows.time), dtype=np.int64))
    by_time = np.lexsort((group, rows.time))
    changed = np.diff(group[by_time]) != 0
    if (changed & (np.diff(rows.time[by_time]) == 0)).any():
        return True
    by_channel = np.argsort(channel, kind="stable")
    back = (np.diff(rows.time[by_channel]) < 0) & (np.diff(channel[by_channel]) == 0)
    if (back & (np.diff(group[by_channel]) != 0)).any():
        return True
    n_moments = len(np.unique(rows.time))
    return n_moments > 3 and bool(n_moments / (1 + changed.sum()) < 2)


def recordings_of_stamps(stamps: pd.Series, codes: dict[str, IntArray]) -> IntArray:
    """(row,) recording of each row before its stamps are read: groups count if they share many stamps."""
    alone = {key: code for key, code in codes.items() if key == "channel"}
    if "group" in codes:
        pairs = pd.DataFrame({"stamp": pd.factorize(stamps)[0], "group": codes["group"]})
        shared = pairs.groupby("stamp")["group"].transform("nunique") > 1
        if shared.mean() > MANY:
            alone["group"] = codes["group"]
    return tracks_of(alone, len(stamps))


def one_after_another(rows: Rows, issues: Issues) -> None:
    """Note that groups share a clock; rows without a group are a fault then."""
    if (empty := rows.codes["group"] < 0).any():
        numbers = rows.number[empty]
        text = f"groups share one clock, but the cells of the group are empty in {issues.where(numbers)}: fill them"
        issues.fault("empty-group", text, numbers)
    names = rows.group_names
    shown = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    issues.notes.append(
        f"{len(names)} groups ({shown}) share one clock: each is checked by itself, and on time axes they follow one "
        "another"
    )


def tell_training(rows: Rows, train_stop: int, issues: Issues) -> None:
    """Note which groups the training span holds, if groups share a clock and it does not hold all rows."""
    if train_stop == len(rows.time) or not (np.diff(rows.time) < 0).any():
        return
    inside = np.unique(rows.codes["group"][:train_stop])
    names = ", ".join(repr(rows.group_names[code]) for code in inside[:SHOWN])
    issues.notes.append(f"`train_share`: the first {train_stop} rows, of the groups {names}; groups follow one another")


def cut_between(rows: Rows) -> Rows:
    """The rows with a new segment wherever the group changes: nothing is interpolated between two groups."""
    if "group" not in rows.codes:
        return rows
    changed: BoolArray = np.append(False, np.diff(rows.codes["group"]) != 0)
    return replace(rows, cut=rows.cut | changed)


def advice_of_column(table: pd.DataFrame, time: np.ndarray, issues: Issues) -> str:
    """The setting for a column that tells several recordings in one file apart: time increases within its values.

    Args:
        table: all columns without a use; text goes before whole numbers.
    """
    if not (np.diff(time) <= 0).any():
        return ""
    found = [str(name) for name in table.columns if _tells_apart(table[name], time)]
    name = min(found, key=lambda one: pd.api.types.is_numeric_dtype(table[one]), default=None)
    if name is None:
        return ""
    values = [str(one) for one in table.columns if one != name and pd.api.types.is_numeric_dtype(table[one])]
    text = f"; column {name!r} tells rows apart: if its values are machines or other recordings, set `group: {name}`"
    if len(values) == 1:
        text += f"; if they are channels, set `long: {{channel: {name}, value: {values[0]}}}`"
    return text


def _tells_apart(column: pd.Series, time: np.ndarray) -> bool:
    if pd.api.types.is_float_dtype(column.dtype) or column.isna().any():
        return False
    try:
        codes = pd.factorize(column)[0]
    except TypeError:
        return False
    counts = np.bincount(codes)
    if len(counts) < 2 or counts.min() < 2:
        return False
    order = np.argsort(codes, kind="stable")
    return bool(((np.diff(time[order]) > 0) | (np.diff(codes[order]) != 0)).all())
