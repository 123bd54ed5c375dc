"""The data contract: the checks and repairs that all readers of user files apply, in one order.

1. cells become numbers: text, units and huge values are faults; infinite cells and `missing_values` are missing
2. time stamps become seconds or nanoseconds, in `timezone` if they have no offset
3. rows are sorted by time (`unsorted`)
4. rows with equal time stamps are merged (`duplicates`)
5. missing rows and cells are interpolated, cut out, or faults (`gaps`, `max_gap`, `max_missing_share`)
6. the sampling rate is checked, or rows are resampled (`irregular`, `resample_hz`)

After a fault the later steps continue with the result of the most lenient policy, so that all faults of a file are
reported at once. Row numbers in messages count from 0 below the header, in the order of the file.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.artifacts.names import name_faults
from clusterwhy.data.series import Reading, Series
from clusterwhy.readers.cells import codes, numbers
from clusterwhy.readers.clock import time_axis
from clusterwhy.readers.gaps import closed, empty_channels
from clusterwhy.readers.grid import Rows, in_order, median_step, on_grid, resampled, without_duplicates
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.types import FloatArray, IntArray


@dataclass(frozen=True)
class RawTable:
    """The content of a file before any check.

    Attributes:
        name: of the series.
        cells: one column per channel, as read.
        time: the time column, or the sampling rate in Hz if there is none.
        label: column of labels, if any.
        group: column of groups, if any.
        units: unit of each channel, if known.
    """

    name: str
    cells: pd.DataFrame
    time: pd.Series | float
    label: pd.Series | None
    group: pd.Series | None
    units: dict[str, str]


def admit(raw: RawTable, policies: Policies, train_share: float, issues: Issues) -> Series:
    """A series that satisfies the contract: finite, sorted, at a constant rate within each segment.

    Args:
        issues: collects faults and notes; may already hold those of the reader.

    Raises:
        DataError: lists every fault of the file.
    """
    names = tuple(str(column) for column in raw.cells.columns)
    values = numbers(raw.cells, policies.missing_values, policies.max_abs, issues)
    named = {"label": raw.label, "group": raw.group}
    columns = {key: codes(column) for key, column in named.items() if column is not None}
    shown = {"channel": names, "unit": raw.units.values(), **{key: texts for key, (_, texts) in columns.items()}}
    for kind, texts in shown.items():
        if wrong := name_faults(kind, texts):
            issues.fault("bad-name", wrong)
    # with a faulty time column, rows are treated as regular so that their cells can still be checked
    time = _time(raw, policies, issues)
    n_rows = len(values)
    rows = Rows(
        time=np.arange(float(n_rows)) if time is None else time,
        values=values,
        codes={key: code for key, (code, _) in columns.items()},
        number=np.arange(n_rows),
        cut=np.zeros(n_rows, dtype=bool),
    )
    missing = (~np.isfinite(values)).sum(axis=0)
    rows = without_duplicates(in_order(rows, policies, issues), policies, issues)
    if len(rows.time) < 2:
        issues.fault("few-rows", f"expected at least 2 rows, got {len(rows.time)}")
        issues.raise_any()
    rows, n_filled = _regular(rows, names, policies, issues)
    issues.raise_any()
    return Series(
        name=raw.name,
        values=rows.values,
        time=rows.time,
        rate_hz=_rate(rows, raw, policies),
        channels=names,
        units=tuple(raw.units.get(name, "") for name in names),
        train_stop=round(train_share * len(rows.values)),
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


def _time(raw: RawTable, policies: Policies, issues: Issues) -> FloatArray | IntArray | None:
    if isinstance(raw.time, pd.Series):
        return time_axis(raw.time, policies.timezone, issues)
    return np.arange(len(raw.cells)) / raw.time


def _regular(rows: Rows, names: tuple[str, ...], policies: Policies, issues: Issues) -> tuple[Rows, IntArray]:
    """The rows after steps 5 and 6, and the number of filled cells of each channel."""
    step_s = median_step(rows, issues)
    if step_s is not None:
        rows = on_grid(rows, step_s, policies, issues)
    rows = empty_channels(rows, names, issues)
    complete = closed(rows, names, policies, issues)
    n_filled = (~np.isfinite(rows.at(np.isin(rows.time, complete.time)).values)).sum(axis=0)
    if step_s is not None and not issues.faults and policies.irregular == "resample":
        complete = resampled(complete, step_s, policies, issues)
    if not issues.faults and complete.cut[1:].all():
        text = f"expected at least 2 consecutive rows, but {len(complete.time)} are left and no two are consecutive"
        issues.fault("few-rows", f"{text}: see `max_gap` and `resample_hz`")
    return complete, n_filled


def _rate(rows: Rows, raw: RawTable, policies: Policies) -> float:
    if isinstance(raw.time, float) and policies.irregular == "error":
        return raw.time
    return 1.0 / float(np.median(np.diff(rows.seconds)[~rows.cut[1:]]))
