"""Windows that both studies have placed: those of the same time, or B's windows by A's encoder."""

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from clusterwhy.application.applying import Application
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array
from clusterwhy.compute.workers import Workers
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared, window_of
from clusterwhy.study.comparison.sides import Side
from clusterwhy.types import BoolArray, FloatArray, IntArray

log = logging.getLogger(__name__)
LEAST_EQUAL = 0.9  # share of shared moments with equal values in recordings that are the same; gaps may be filled apart
TIME, MEMBERSHIP, NUMBER = "time", "membership", "number"


@dataclass(frozen=True)
class Shared:
    """The same windows in both studies.

    Attributes:
        by: `time`: windows of the same time in one recording; `membership`: windows of B, placed by A; `number`: both
            have the clusters of one fitted study, and no window is shared.
        a, b: (window,) cluster in A and in B, -1 is noise.
        rows_a, rows_b: (window,) positions of these windows; `rows_a` is empty where A has none.
    """

    by: str
    a: IntArray
    b: IntArray
    rows_a: IntArray
    rows_b: IntArray


def in_time(a: Side, b: Side) -> Shared | None:
    """Windows whose centres are nearest to each other, if both studies have read the same recording; else None.

    Of both studies, the one whose windows lie further apart has each of them paired with the nearest one of the other,
    at most half of that one's stride away, in the recording (group) of the same name. It is the same recording if at
    nine tenths of these moments the recorded values of the common channels are equal.
    """
    first, second = _Moments(a.results.data), _Moments(b.results.data)
    if first.dated != second.dated:
        return None
    turned = first.stride < second.stride
    rows, others = _nearest(*((second, first) if turned else (first, second)))
    rows_a, rows_b = (others, rows) if turned else (rows, others)
    if not len(rows) or not _equal(first, rows_a, second, rows_b):
        return None
    labels_a, labels_b = (np.asarray(x.results.labels) for x in (a, b))
    return Shared(TIME, labels_a[rows_a], labels_b[rows_b], rows_a, rows_b)


def by_number() -> Shared:
    """Nothing is shared."""
    none = np.zeros(0, dtype=np.int64)
    return Shared(NUMBER, none, none, none, none)


def by_membership(a: Side, b: Side, workers: Workers) -> Shared:
    """All windows of B in the clusters of A, as an application of A's study places them (`application.placing`)."""
    from clusterwhy.application.placing import place, twins_of

    limits, study = ApplicationSettings(), a.fitted
    with TemporaryDirectory(prefix="clusterwhy-") as folder:
        data = _scaled_as(study.data, b.results.data, Path(folder) / "prepare")
        applied = Application(study, data, Path(folder), workers, limits)
        placed = place(study, applied.embeddings, twins_of(data, study.data), limits)
    log.info("placed %s of B by the encoder of A", counted(len(placed.labels), "window"))
    labels, rows = np.asarray(b.results.labels), np.arange(len(placed.labels))
    return Shared(MEMBERSHIP, placed.labels, labels, np.zeros(0, dtype=np.int64), rows)


def _scaled_as(study: Prepared, data: Prepared, folder: Path) -> Prepared:
    """Windows of a recording with the channels, in the order and with the scaler of a study."""
    order = [data.channels.index(name) for name in study.channels]
    card = data.card
    values = np.asarray(data.values)[:, order]
    series = Series(
        card.name,
        values,
        np.asarray(read_array(data.folder / "time.npy")),
        card.rate_hz,
        study.channels,
        tuple(study.card.units),
        train_stop=0,
        segments=tuple(card.segments),
    )
    index = data.index[["window", "start", "stop"]].assign(train=False)
    window = window_of(card)
    centre, scale = np.asarray(study.card.centre), np.asarray(study.card.scale)
    return save_prepared(folder, series, index, window, centre, scale, study.card.constant_channels)


class _Moments:
    """Centres of the windows of a recording, in nanoseconds or seconds."""

    def __init__(self, data: Prepared) -> None:
        self.data = data
        self.time = np.asarray(read_array(data.folder / "time.npy"))
        self.dated = bool(np.issubdtype(self.time.dtype, np.integer))
        self.centres = data.starts + data.length // 2
        self.stride = data.card.stride / data.card.rate_hz

    @property
    def step(self) -> float:
        """Between samples, in units of `time`."""
        return (1e9 if self.dated else 1.0) / self.data.card.rate_hz

    def groups(self, named: bool) -> np.ndarray:
        """(window,) name of the recording, the same for all unless they have names."""
        codes = self.data.groups
        if not named or codes is None:
            return np.zeros(len(self.centres), dtype="<U1")
        return np.array(self.data.card.group_names)[codes]


def _nearest(coarse: _Moments, fine: _Moments) -> tuple[IntArray, IntArray]:
    """Positions of windows of `coarse`, and of the nearest ones of `fine`."""
    named = coarse.data.groups is not None and fine.data.groups is not None
    first, second = coarse.groups(named), fine.groups(named)
    most = 0.5 * fine.data.card.stride * fine.step + 1e-3 * fine.step
    found = []
    for name in np.intersect1d(first, second):
        rows, others = np.flatnonzero(first == name), np.flatnonzero(second == name)
        asked, known = coarse.time[coarse.centres[rows]], fine.time[fine.centres[others]]
        order = np.argsort(known, kind="stable")
        after = np.searchsorted(known[order], asked).clip(1, max(1, len(order) - 1))
        both = np.stack([order[after - 1], order[np.minimum(after, len(order) - 1)]])
        away = np.abs(known[both] - asked)
        best = both[away.argmin(axis=0), np.arange(len(rows))]
        near = away.min(axis=0) <= most
        found.append((rows[near], others[best[near]]))
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows, others = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, others


def _equal(first: _Moments, rows_a: IntArray, second: _Moments, rows_b: IntArray) -> bool:
    """Whether the recorded values at the centres of A's windows are those of B at the same time."""
    at_a, near_b = first.centres[rows_a], second.centres[rows_b]
    away = (first.time[at_a] - second.time[near_b]) / second.step
    at_b = (near_b + np.rint(away).astype(np.int64)).clip(0, len(second.time) - 1)
    same_time = np.abs(first.time[at_a] - second.time[at_b]) < 0.01 * min(first.step, second.step)
    if not same_time.any():
        return False
    names = [name for name in first.data.channels if name in second.data.channels]
    values_a, values_b = (_values(x, at[same_time], names) for x, at in ((first, at_a), (second, at_b)))
    return bool(names) and float(_close(values_a, values_b).mean()) >= LEAST_EQUAL


def _values(moments: _Moments, samples: IntArray, names: list[str]) -> FloatArray:
    data = moments.data
    return np.asarray(data.values[samples][:, [data.channels.index(name) for name in names]])


def _close(a: FloatArray, b: FloatArray) -> BoolArray:
    """(moment,) whether all channels agree, to a millionth of each one's range."""
    size = np.nanmax(np.abs(a), axis=0, initial=0.0)
    equal = (np.abs(a - b) <= 1e-6 * size) | (np.isnan(a) & np.isnan(b))
    return np.asarray(equal.all(axis=1))
