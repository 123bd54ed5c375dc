"""A prepared series on disk: recorded and scaled values, window index, card."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.cards import NormalPeriod, SeriesCard
from clusterwhy.artifacts.store import read_array, read_table, write_array, write_json, write_table
from clusterwhy.artifacts.validation import read_card
from clusterwhy.data.scaling import standardised
from clusterwhy.data.series import Normal, Series, end_to_end, in_spans
from clusterwhy.data.windows import BeatWindows, WindowSettings
from clusterwhy.types import BoolArray, FloatArray, IntArray

PART = 1 << 16  # samples that are scaled at a time


@dataclass(frozen=True)
class Prepared:
    """The artifacts of `prepare`, loaded lazily."""

    folder: Path

    @cached_property
    def card(self) -> SeriesCard:
        """Names, rate, windows and scaling of the series.

        Raises:
            ArtifactError: `series.json` is missing or not valid.
        """
        return read_card(self.folder / "series.json", SeriesCard)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.card.channels)

    @property
    def length(self) -> int:
        return self.card.length

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per window: window, start, stop, train, and label, group or anomalous if known."""
        return read_table(self.folder / "windows.parquet")

    @property
    def starts(self) -> IntArray:
        return self.index["start"].to_numpy()

    @cached_property
    def values(self) -> FloatArray:
        """(time, channel) as recorded."""
        return read_array(self.folder / "values.npy")

    @cached_property
    def scaled(self) -> FloatArray:
        """(time, channel) float32, standardised on the training span."""
        return read_array(self.folder / "scaled.npy")

    @cached_property
    def time_s(self) -> FloatArray:
        """(time,) seconds since the first sample; recordings of one clock, or far apart, follow one another."""
        return end_to_end(read_array(self.folder / "time.npy"), self._far_apart)

    @cached_property
    def _far_apart(self) -> list[int]:
        """First samples of recordings, if most of the time lies between recordings; else none."""
        if self.groups is None:
            return []
        time, segments = read_array(self.folder / "time.npy"), np.asarray(self.card.segments[1:], dtype=np.int64)
        after = np.searchsorted(self.starts, segments).clip(1, len(self.starts) - 1)
        begins = segments[self.groups[after] != self.groups[after - 1]]
        between = (time[begins] - time[begins - 1]).clip(min=0).sum()
        return [int(first) for first in begins] if between > max(0, time[-1] - time[0]) / 2 else []

    @cached_property
    def dates(self) -> tuple[tuple[float, float], ...]:
        """(`time_s`, milliseconds since 1970 UTC) of the first sample, and of each that follows one of another clock.

        Empty without dates.
        """
        time = read_array(self.folder / "time.npy")
        if not np.issubdtype(time.dtype, np.integer):
            return ()
        firsts = np.union1d([0, *self._far_apart], np.flatnonzero(np.diff(time) <= 0) + 1).astype(np.int64)
        return tuple((float(self.time_s[first]), float(time[first]) / 1e6) for first in firsts)

    @property
    def labels(self) -> IntArray | None:
        """(window,) most frequent label, if the series has labels."""
        return self.index["label"].to_numpy() if "label" in self.index else None

    @property
    def groups(self) -> IntArray | None:
        """(window,) index into `group_names`, if the series has groups."""
        return self.index["group"].to_numpy() if "group" in self.index else None

    @cached_property
    def fitted(self) -> BoolArray:
        """(time,) True for samples that fitted the scaler, the encoder and the detectors."""
        return in_spans(self.card.fitted_spans, len(self.values))

    @property
    def fitted_on(self) -> str:
        """Which part of the recording was fitted on, in words; "" for all of it."""
        card, n_samples = self.card, len(self.values)
        if card.normal is None and card.train_stop >= n_samples:
            return ""
        what = card.normal.says if card.normal else f"the first {_percent(card.train_stop / n_samples)} of the samples"
        return f"{what} ({_percent(float(self.index['train'].mean()))} of windows)"

    def fitted_says(self, subject: str = "Fitted") -> str:
        """What was fitted on, and what anomalies are judged by, in one sentence that begins with the subject.

        It holds for scores relative to a cluster, too: what is usual in one is that of its windows that were fitted on.
        """
        if part := self.fitted_on:
            return f"{subject} on {part}, so anomalies are judged by it."
        return f"{subject} on all windows, so anomalies are judged by the recording itself."

    @cached_property
    def anomalous_samples(self) -> Any:
        """(time,) bool, or None if no anomalies are labelled."""
        path = self.folder / "anomalous.npy"
        return read_array(path) if path.is_file() else None


def save_prepared(
    folder: Path,
    series: Series,
    index: pd.DataFrame,
    window: WindowSettings,
    centre: FloatArray,
    scale: FloatArray,
    constant_channels: list[str],
    repeats: str = "",
) -> Prepared:
    """Scale the series and write everything that `Prepared` reads.

    Args:
        folder: the output folder.
        series: as read, without dropped channels.
        index: of `window_index` with `window`.
        window: length and stride.
        centre: (channel,) subtracted from each channel.
        scale: (channel,) divisor of each channel.
        constant_channels: names of the channels that are constant in the training span.
        repeats: of `periods.repeats_says`.
    """
    write_array(folder / "values.npy", series.values)
    write_array(folder / "time.npy", series.time)
    scaled = np.empty(series.values.shape, dtype=np.float32)
    for first in range(0, len(scaled), PART):
        scaled[first : first + PART] = standardised(series.values[first : first + PART], centre, scale)
    write_array(folder / "scaled.npy", scaled)
    if series.anomalous is not None:
        write_array(folder / "anomalous.npy", series.anomalous)
    write_table(folder / "windows.parquet", index)
    card = SeriesCard(
        name=series.name,
        channels=list(series.channels),
        units=list(series.units),
        rate_hz=series.rate_hz,
        label_names=list(series.label_names),
        group_names=list(series.group_names) if series.groups is not None else None,
        notes=list(series.notes),
        length=window.length,
        stride=window.stride,
        before=window.before if isinstance(window, BeatWindows) else None,
        train_stop=series.train_stop,
        segments=list(series.segments),
        constant_channels=constant_channels,
        centre=centre.tolist(),
        scale=scale.tolist(),
        normal=_period(series.normal),
        repeats=repeats,
    )
    write_json(folder / "series.json", card.model_dump(exclude_none=True))
    return Prepared(folder)


def window_of(card: SeriesCard) -> WindowSettings:
    """What the windows of a prepared series were cut by, for other series."""
    if card.before is None:
        return WindowSettings(length=card.length, stride=card.stride)
    return BeatWindows(length=card.length, stride=card.stride, before=card.before)


def _period(normal: Normal | None) -> NormalPeriod | None:
    return None if normal is None else NormalPeriod(says=normal.says, spans=[list(span) for span in normal.spans])


def _percent(share: float) -> str:
    """Whole per cent, or two digits of less than ten."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.2g} %"
