"""The data contract: the checks and repairs that all readers of user files apply, in one order.

1. cells become numbers: text, units and huge values are faults; infinite cells and `missing_values` are missing
2. time stamps become seconds or nanoseconds, in `timezone` if they have no offset
3. rows are sorted by time (`unsorted`), each group by itself if groups share a clock
4. rows with equal time stamps are merged (`duplicates`); a long table is pivoted (`long`)
5. missing rows and cells are interpolated, cut out, or faults (`gaps`, `max_gap`, `max_missing_share`)
6. the sampling rate is checked, or rows are resampled (`irregular`, `resample_hz`)

Nothing is merged or interpolated between two groups.

After a fault the later steps continue with the result of the most lenient policy, so that all faults of a file are
reported at once. Row numbers in messages count from 0 below the header, in the order of the file.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clusterwhy.artifacts.names import name_faults
from clusterwhy.data.series import Reading, Series
from clusterwhy.readers.cells import codes, numbers
from clusterwhy.readers.clock import TimeAxis, even_times, time_axis
from clusterwhy.readers.gaps import closed, empty_channels
from clusterwhy.readers.grid import in_order, on_grid, resampled, without_duplicates
from clusterwhy.readers.groups import (
    advice_of_column,
    cut_between,
    in_parallel,
    one_after_another,
    recordings_of_stamps,
    tell_training,
    tracks_of,
)
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.long_table import pivoted
from clusterwhy.readers.pace import pace_of
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.ranges import Kept
from clusterwhy.readers.rows import Rows
from clusterwhy.types import IntArray


@dataclass(frozen=True)
class RawTable:
    """The content of a file before any check.

    Attributes:
        name: of the series.
        cells: one column per channel, as read; of a long table the column of values.
        time: the time column, or its times if they are known, or the sampling rate in Hz if there is none.
        label: column of labels, if any.
        group: column of groups, if any.
        units: unit of each channel, if known.
        channel: column of the names of the channels, of a long table.
        others: the columns that may tell recordings apart, if there is no group.
        first_row: number of the first row in a file without a time column.
    """

    name: str
    cells: pd.DataFrame
    time: pd.Series | TimeAxis | float
    label: pd.Series | None
    group: pd.Series | None
    units: dict[str, str]
    channel: pd.Series | None = None
    others: pd.DataFrame | None = None
    first_row: int = 0

    def at(self, kept: Kept) -> "RawTable":
        """The same table, of which only these rows were read, with their times."""
        if isinstance(self.time, float):
            return replace(self, first_row=int(kept.rows[0]))
        return replace(self, time=kept.axis)


def admit(raw: RawTable, policies: Policies, train_share: float, issues: Issues) -> Series:
    """A series that satisfies the contract: finite, sorted, at a constant rate within each segment.

    Args:
        issues: collects faults and notes; may already hold those of the reader.

    Raises:
        DataError: lists every fault of the file.
    """
    values = numbers(raw.cells, policies.missing_values, policies.max_abs, issues)
    named = {"label": raw.label, "group": raw.group, "channel": raw.channel}
    columns = {key: codes(column) for key, column in named.items() if column is not None}
    names = columns["channel"][1] if raw.channel is not None else tuple(str(column) for column in raw.cells.columns)
    shown = {"unit": raw.units.values(), **{key: texts for key, (_, texts) in columns.items()}, "channel": names}
    for kind, texts in shown.items():
        if wrong := name_faults(kind, texts):
            issues.fault("bad-name", wrong)
    n_rows = len(values)
    known = {key: code for key, (code, _) in columns.items()}
    axis = _time(raw, known, policies, issues)
    rows = Rows(
        # with a faulty time column, rows are treated as regular so that their cells can still be checked
        time=np.arange(float(n_rows)) if axis is None else axis.time,
        values=values,
        codes=known if axis is not None or raw.channel is None else {},
        number=np.arange(n_rows),
        cut=np.zeros(n_rows, dtype=bool),
        group_names=columns["group"][1] if "group" in columns else (),
    )
    if axis is None and raw.channel is not None:
        issues.raise_any()
    rows = _ordered(rows, raw, len(names), policies, issues)
    missing = (~np.isfinite(values if raw.channel is None else rows.values)).sum(axis=0)
    if len(rows.time) < 2:
        issues.fault("few-rows", f"expected at least 2 rows, got {len(rows.time)}")
        issues.raise_any()
    rows, n_filled, rate_hz = _regular(rows, names, 1.0 if axis is None else axis.resolution_s, policies, issues)
    issues.raise_any()
    train_stop = round(train_share * len(rows.values))
    tell_training(rows, train_stop, issues)
    return Series(
        name=raw.name,
        values=rows.values,
        time=rows.time,
        rate_hz=raw.time if isinstance(raw.time, float) and policies.irregular == "error" else rate_hz,
        channels=names,
        units=tuple(raw.units.get(name, "") for name in names),
        train_stop=train_stop,
        segments=(0, *(int(i) for i in np.flatnonzero(rows.cut) if i > 0)),
        labels=rows.codes.get("label"),
        label_names=columns["label"][1] if "label" in columns else (),
        groups=rows.codes.get("group"),
        group_names=columns["group"][1] if "group" in columns else (),
        notes=tuple(issues.notes),
        reading=Reading(
            n_rows=n_rows,
            missing=dict(zip(names, missing.tolist(), strict=True)),
            filled=dict(zip(names, n_filled.tolist(), strict=True)),
            policies=policies.model_dump(include=set(Policies.model_fields)),
        ),
    )


def _time(raw: RawTable, known: dict[str, IntArray], policies: Policies, issues: Issues) -> TimeAxis | None:
    if isinstance(raw.time, pd.Series):
        return time_axis(raw.time, recordings_of_stamps(raw.time, known), policies, issues)
    if isinstance(raw.time, TimeAxis):
        return raw.time
    return even_times(raw.first_row, len(raw.cells), raw.time)


def _ordered(rows: Rows, raw: RawTable, n_channels: int, policies: Policies, issues: Issues) -> Rows:
    """The rows after steps 3 and 4, with a new segment at each change of the group."""
    parallel = in_parallel(rows)
    clock = {key: code for key, code in rows.codes.items() if key == "group" and parallel}
    track = clock | {key: code for key, code in rows.codes.items() if key == "channel"}
    helpers = {"track": tracks_of(track, len(rows.time)), "clock": tracks_of(clock, len(rows.time))}
    rows = replace(rows, codes=rows.codes | helpers)
    advice = "" if raw.others is None else advice_of_column(raw.others, rows.time, issues)
    if parallel:
        one_after_another(rows, issues)
    if (np.diff(rows.codes["track"]) < 0).any():
        rows = rows.at(np.argsort(rows.codes["track"], kind="stable"))
    rows = without_duplicates(in_order(rows, policies, issues, advice), policies, issues, advice)
    if raw.channel is not None:
        rows = pivoted(rows, n_channels, issues)
    kept = {key: code for key, code in rows.codes.items() if key in ("label", "group")}
    return cut_between(replace(rows, codes=kept))


def _regular(
    rows: Rows, names: tuple[str, ...], resolution_s: float, policies: Policies, issues: Issues
) -> tuple[Rows, IntArray, float]:
    """The rows after steps 5 and 6, the number of filled cells of each channel, and the rate in Hz."""
    pace = pace_of(rows, resolution_s, policies, issues)
    if pace is not None:
        rows = on_grid(rows, pace, policies, issues)
    rows = empty_channels(rows, names, issues)
    rows = replace(rows, codes=rows.codes | {"row": np.arange(len(rows.time))})
    complete = closed(rows, names, policies, issues)
    n_filled = (~np.isfinite(rows.values))[complete.codes["row"]].sum(axis=0)
    rate_hz = 0.0 if pace is None else pace.rate_hz
    if pace is not None and not issues.faults and policies.irregular == "resample":
        kept = complete
        complete = resampled(complete, pace, policies, issues)
        rate_hz = rate_hz if complete is kept else float(policies.resample_hz or rate_hz)
    if not issues.faults and complete.cut[1:].all():
        text = f"expected at least 2 consecutive rows, but {len(complete.time)} are left and no two are consecutive"
        issues.fault("few-rows", f"{text}: see `max_gap` and `resample_hz`")
    return complete, n_filled, rate_hz
