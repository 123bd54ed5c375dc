"""Windows: the window index, and copies of windows by their starts."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field, model_validator

from clusterwhy.config import Settings
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, ShapeError
from clusterwhy.types import BoolArray, FloatArray, IntArray

LEAST_NORMAL = 10  # windows that a known-good period must hold: every tenth validates the encoder
SHOWN = 5  # spans named in a message


class WindowSettings(Settings):
    """Length and stride of the windows, in samples."""

    length: int = Field(ge=2)
    stride: int = Field(ge=1)

    @model_validator(mode="after")
    def _overlap(self) -> Self:
        if self.stride > self.length:
            raise ValueError(
                f"stride {self.stride} > length {self.length}: samples between windows would be "
                "lost; choose a stride of at most the length"
            )
        return self

    def starts(self, series: Series) -> IntArray:
        """(window,) first sample of each window, none of them across two segments.

        Raises:
            DataError: no segment is as long as one window.
        """
        stops = [*series.segments[1:], len(series.values)]
        starts = np.concatenate(
            [
                np.arange(first, stop - self.length + 1, self.stride)
                for first, stop in zip(series.segments, stops, strict=True)
            ]
        )
        if not len(starts):
            longest = max(stop - first for first, stop in zip(series.segments, stops, strict=True))
            raise DataError(
                series.name,
                [f"the longest segment has {longest} samples, `window.length` is {self.length}: shorten the windows"],
            )
        return starts

    def labels(self, labels: IntArray, ranks: IntArray, starts: IntArray) -> list[int]:
        """The most frequent label in each window, or the one of the highest rank.

        Args:
            labels: (time,) of the series.
            ranks: of each label; empty where they have none.
        """
        return [_label(labels[start : start + self.length], ranks) for start in starts]


class BeatWindows(WindowSettings):
    """Windows around the annotated beats of a series, one for each.

    Attributes:
        stride: usual distance of two beats, at most the length.
        before: samples of a window before its beat.
    """

    before: int = Field(ge=0)

    def starts(self, series: Series) -> IntArray:
        """(window,) first sample of the window of each beat, without those across two segments or beyond the ends.

        Raises:
            DataError: there are no annotated beats, or none has a whole window.
        """
        if series.beats is None:
            advice = "`dataset=wfdb` with `label: beats` has them; else choose another `window`"
            raise DataError(series.name, [f"windows around beats need annotated beats, and there are none: {advice}"])
        starts = np.unique(series.beats) - self.before
        edges = np.array([*series.segments, len(series.values)])
        # of no segment are samples beyond the ends
        whole = np.searchsorted(edges, starts, "right") == np.searchsorted(edges, starts + self.length - 1, "right")
        if not whole.any():
            wanted = f"{self.before} samples before and {self.length - self.before} from it on, in one segment"
            advice = "shorten `window.before_s` and `window.after_s`"
            raise DataError(series.name, [f"none of {len(starts)} beats has {wanted}: {advice}"])
        found: IntArray = starts[whole]
        return found

    def labels(self, labels: IntArray, ranks: IntArray, starts: IntArray) -> list[int]:
        """The label of each window's beat, whatever else is in the window."""
        return [int(label) for label in labels[starts + self.before]]


def window_index(series: Series, settings: WindowSettings) -> pd.DataFrame:
    """The window index: one row per window, in time order.

    Returns:
        Columns `window` (stable id), `start`, `stop` (samples, stop exclusive), `train` (whole
        window in one of `fitted_spans`), and where the series has them `label` (the most frequent
        label inside, the one of the highest rank, or the beat's), `group` (windows of two groups are left out) and
        `anomalous` (any anomalous sample inside).

    Raises:
        DataError: no window fits, none lies within one group, or too few lie in the spans.
    """
    starts = settings.starts(series)
    if series.groups is not None:
        starts = starts[_in_one_group(series.groups, starts, settings.length)]
        if not len(starts):
            raise DataError(
                series.name, [f"no window of {settings.length} samples lies within one group: shorten the windows"]
            )
    stop_samples = starts + settings.length
    table = pd.DataFrame({"window": np.arange(len(starts)), "start": starts, "stop": stop_samples})
    table["train"] = wholly_inside(series.fitted_spans, starts, settings.length)
    if faults := _few_fitted(series, int(table["train"].sum()), settings.length):
        raise DataError(series.name, faults)
    if series.labels is not None:
        ranks = np.asarray(series.label_ranks)
        table["label"] = settings.labels(series.labels, ranks, starts)
    if series.groups is not None:
        table["group"] = series.groups[starts]
    if series.anomalous is not None:
        table["anomalous"] = [bool(series.anomalous[a:b].any()) for a, b in zip(starts, stop_samples, strict=True)]
    return table


def wholly_inside(spans: Sequence[Sequence[int]], starts: IntArray, length: int) -> BoolArray:
    """(window,) whether windows lie wholly inside one of the spans.

    Args:
        spans: (first sample, sample after the last) of each, in order and without overlap.
        starts: (window,) first samples.
        length: samples in one window.
    """
    if not spans:
        return np.zeros(len(starts), dtype=bool)
    firsts, stops = np.asarray(spans).T
    last = np.searchsorted(firsts, starts, side="right") - 1  # the span that begins last before the window
    inside: BoolArray = (last >= 0) & (starts + length <= stops[last])
    return inside


def _few_fitted(series: Series, count: int, length: int) -> list[str]:
    if series.normal is None:
        return [] if count else [f"no window lies in the training span (first {series.train_stop} samples)"]
    if count >= LEAST_NORMAL:
        return []
    sizes = ", ".join(str(stop - start) for start, stop in series.normal.spans[:SHOWN])
    more = ", ..." if len(series.normal.spans) > SHOWN else ""
    return [
        f"`normal` ({series.normal.says}) holds {count} windows, {LEAST_NORMAL} are needed: it has runs of "
        f"{sizes}{more} samples, and a window of {length} lies wholly inside one of them; lengthen it, or shorten the "
        "windows or their stride"
    ]


def _in_one_group(groups: IntArray, starts: IntArray, length: int) -> BoolArray:
    changes = np.concatenate([[0], np.cumsum(np.diff(groups) != 0)])
    alike: BoolArray = changes[starts] == changes[starts + length - 1]
    return alike & (groups[starts] >= 0)


def _label(labels: IntArray, ranks: IntArray) -> int:
    values, counts = np.unique(labels, return_counts=True)
    return int(values[(ranks[values] if len(ranks) else counts).argmax()])


def windows_at(values: FloatArray, starts: IntArray, length: int) -> FloatArray:
    """Copies of windows of a series.

    Args:
        values: (time, channel).
        starts: first sample of each window.
        length: samples in one window.

    Returns:
        (window, channel, time).

    Raises:
        ShapeError: `values` is not (time >= length, channel).
    """
    if values.ndim != 2 or len(values) < length:
        raise ShapeError(f"expected (time >= {length}, channel), got {values.shape}")
    return np.ascontiguousarray(sliding_window_view(values, length, axis=0)[starts])


def timeline(labels: IntArray, index: pd.DataFrame) -> list[dict[str, int]]:
    """Runs of consecutive windows with the same label, in samples (stop exclusive)."""
    change = np.flatnonzero(np.diff(labels)) + 1
    firsts, lasts = np.append(0, change), np.append(change, len(labels)) - 1
    starts, stops = index["start"].to_numpy(), index["stop"].to_numpy()
    return [
        {"cluster": int(labels[a]), "start": int(starts[a]), "stop": int(stops[b]), "n_windows": int(b - a + 1)}
        for a, b in zip(firsts, lasts, strict=True)
    ]
