"""Readers for the layouts of public benchmark data (`../shared/data`), as plain `.npz` archives."""

from pathlib import Path
from typing import Literal

import numpy as np

from clusterwhy.config import Settings
from clusterwhy.data.series import Series, fill_missing
from clusterwhy.errors import DataError


class Archive(Settings):
    """An `.npz` file of plain arrays."""

    path: str

    def load(self, *keys: str) -> dict[str, np.ndarray]:
        """The arrays `keys` of the archive.

        Raises:
            DataError: the file or one of the arrays is missing.
        """
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise DataError(self.path, ["no such file: this dataset needs the benchmark data beside the checkout"])
        try:
            with np.load(path, allow_pickle=False) as archive:
                missing = [key for key in keys if key not in archive.files]
                if missing:
                    raise DataError(
                        self.path, [f"no array {key!r}; it has {', '.join(archive.files[:8])}" for key in missing]
                    )
                return {key: archive[key] for key in keys}
        except (ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(self.path, [f"not readable as .npz: {error}"]) from error


def _names(array: np.ndarray) -> tuple[str, ...]:
    return tuple(str(name) for name in array)


class TrainTestArchive(Archive):
    """SMD and ASD: an unlabelled training span, then a test span with labelled anomalies."""

    step_s: float

    def read(self) -> Series:
        arrays = self.load("train", "test", "test_label", "channels")
        train, test = arrays["train"], arrays["test"]
        joined = np.concatenate([train, test]).astype(np.float64)
        channels = _names(arrays["channels"])
        values, notes = fill_missing(joined, channels, self.path, 0.05)
        return Series(
            name=Path(self.path).stem,
            values=values,
            time=np.arange(len(values)) * self.step_s,
            rate_hz=1.0 / self.step_s,
            channels=channels,
            units=("",) * len(channels),
            train_stop=len(train),
            pieces=(0, len(train)),
            anomalous=np.concatenate([np.zeros(len(train), dtype=bool), arrays["test_label"].astype(bool)]),
            notes=notes,
        )


class NabArchive(Archive):
    """NAB: one univariate series with anomaly windows; the first `train_share` fits everything."""

    train_share: float

    def read(self) -> Series:
        arrays = self.load("value", "time", "label", "channels")
        # steps that jump (daylight saving, gaps) start a new piece: no window crosses them
        steps = np.diff(arrays["time"])
        pieces = (0, *(int(i) + 1 for i in np.flatnonzero(steps != np.median(steps))))
        return Series(
            name=Path(self.path).stem,
            values=arrays["value"].astype(np.float64),
            time=arrays["time"].astype(np.int64) * 1_000_000_000,
            rate_hz=1.0 / float(np.median(steps)),
            channels=_names(arrays["channels"]),
            units=("",),
            train_stop=round(self.train_share * len(steps)),
            pieces=pieces,
            anomalous=arrays["label"].astype(bool),
            notes=(f"{len(pieces)} contiguous pieces",),
        )


class SkabArchive(Archive):
    """SKAB: one experiment of the water-circulation test bench; the first 400 rows fit everything."""

    experiment: str

    def read(self) -> Series:
        name = self.experiment
        arrays = self.load(f"{name}__x", f"{name}__time", f"{name}__label", "channels")
        values = arrays[f"{name}__x"].astype(np.float64)
        channels = _names(arrays["channels"])
        return Series(
            name=f"skab {name}",
            values=values,
            time=arrays[f"{name}__time"].astype(np.int64) * 1_000_000_000,
            rate_hz=1.0,
            channels=channels,
            units=("",) * len(channels),
            train_stop=min(400, len(values)),
            anomalous=arrays[f"{name}__label"].astype(bool),
            notes=("single seconds are missing; samples are treated as evenly spaced",),
        )


class EcgArchive(Archive):
    """A two-lead ECG with beat annotations; a sample carries the symbol of the nearest beat."""

    train_share: float

    def read(self) -> Series:
        arrays = self.load("signal", "fs", "beat_sample", "beat_symbol", "channels")
        signal = arrays["signal"].astype(np.float64)
        if np.issubdtype(arrays["signal"].dtype, np.integer):
            signal = signal / self.load("gain")["gain"]
        beats, rate_hz = arrays["beat_sample"].astype(np.int64), float(arrays["fs"])
        nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, np.arange(len(signal)))
        names, codes = np.unique(arrays["beat_symbol"].astype(str), return_inverse=True)
        return Series(
            name=Path(self.path).stem,
            values=signal,
            time=np.arange(len(signal)) / rate_hz,
            rate_hz=rate_hz,
            channels=_names(arrays["channels"]),
            units=("mV",) * signal.shape[1],
            train_stop=round(self.train_share * len(signal)),
            labels=codes[nearest].astype(np.int64),
            label_names=_names(names),
        )


class VibrationArchive(Archive):
    """Fan recordings (recording, channel, time), joined; labels are the classes or the speeds."""

    label: Literal["y", "speed_pct"]

    def read(self) -> Series:
        arrays = self.load("X", "y", "speed_pct", "classes", "channels", "fs")
        recordings = arrays["X"].astype(np.float64)
        count, n_channels, steps = recordings.shape
        values = recordings.transpose(0, 2, 1).reshape(count * steps, n_channels)
        codes, names = arrays["y"], _names(arrays["classes"])
        if self.label == "speed_pct":
            speeds, codes = np.unique(arrays["speed_pct"], return_inverse=True)
            names = tuple(f"{speed} %" for speed in speeds)
        rate_hz = float(arrays["fs"])
        return Series(
            name=Path(self.path).stem,
            values=values,
            time=np.arange(len(values)) / rate_hz,
            rate_hz=rate_hz,
            channels=_names(arrays["channels"]),
            units=("m/s²",) * n_channels,
            train_stop=len(values),
            pieces=tuple(range(0, len(values), steps)),
            labels=np.repeat(codes, steps).astype(np.int64),
            label_names=names,
        )
