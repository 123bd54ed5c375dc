"""Readers for the layouts of public benchmark data (`../shared/data`), as plain `.npz` archives."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from clusterwhy.data.series import Series, fill_missing
from clusterwhy.datasets.bundled import Bundled
from clusterwhy.errors import DataError
from clusterwhy.readers.beats import beat_labels
from clusterwhy.types import IntArray


class Archive(Bundled):
    """An `.npz` file of plain arrays."""

    path: str

    def load(self, *keys: str) -> dict[str, np.ndarray]:
        """The arrays `keys` of the archive.

        Raises:
            DataError: the file or one of the arrays is missing.
        """
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise DataError(self.path, ["no such file: this dataset needs the benchmark data in ../shared/data"])
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

    def whole(self) -> Series:
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
            segments=(0, len(train)),
            anomalous=np.concatenate([np.zeros(len(train), dtype=bool), arrays["test_label"].astype(bool)]),
            notes=notes,
        )


class NabArchive(Archive):
    """NAB: one univariate series with labelled anomalies; the first `train_share` is the training span."""

    train_share: float

    def whole(self) -> Series:
        arrays = self.load("value", "time", "label", "channels")
        # irregular steps (daylight saving, gaps) start a new segment, which no window crosses
        steps = np.diff(arrays["time"])
        segments = (0, *(int(i) + 1 for i in np.flatnonzero(steps != np.median(steps))))
        return Series(
            name=Path(self.path).stem,
            values=arrays["value"].astype(np.float64),
            time=arrays["time"].astype(np.int64) * 1_000_000_000,
            rate_hz=1.0 / float(np.median(steps)),
            channels=_names(arrays["channels"]),
            units=("",),
            train_stop=round(self.train_share * len(steps)),
            segments=segments,
            anomalous=arrays["label"].astype(bool),
            notes=(f"{len(segments)} contiguous segments",),
        )


class SkabArchive(Archive):
    """SKAB: one experiment of the water-circulation test bench; the first 400 rows are the training span."""

    experiment: str

    def whole(self) -> Series:
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
    """A two-lead ECG with beat annotations.

    Without `classes`, a sample has the symbol of the nearest beat. With `classes`, such as {"normal": ["N"],
    "premature": ["A", "V"]} ordered from normal to most abnormal, it has the class of the nearest beat, and the first
    class if it is more than 60 ms (about half a QRS complex) from the beat's annotation. A window thus has the class
    of the most abnormal beat annotated inside. Premature beats differ by their timing, so windows must hold two beats
    or more.

    With `block_s`, each block of that many seconds is a group, without its last `gap_s`, so that no beat of one block
    is adjacent to a beat of the next.
    """

    train_share: float
    classes: dict[str, list[str]] | None
    block_s: float | None = Field(gt=0.0)
    gap_s: float = Field(ge=0.0)

    def whole(self) -> Series:
        arrays = self.load("signal", "fs", "beat_sample", "beat_symbol", "channels")
        signal = arrays["signal"].astype(np.float64)
        if np.issubdtype(arrays["signal"].dtype, np.integer):
            signal = signal / self.load("gain")["gain"]
        rate_hz = float(arrays["fs"])
        beats, symbols = arrays["beat_sample"].astype(np.int64), arrays["beat_symbol"]
        names, labels = beat_labels(beats, symbols, len(signal), rate_hz, self.classes, self.path)
        groups = self._blocks(len(signal), rate_hz)
        return Series(
            name=Path(self.path).stem,
            values=signal,
            time=np.arange(len(signal)) / rate_hz,
            rate_hz=rate_hz,
            channels=_names(arrays["channels"]),
            units=("mV",) * signal.shape[1],
            train_stop=round(self.train_share * len(signal)),
            labels=labels,
            label_names=names,
            label_ranks=tuple(range(len(names))) if self.classes is not None else (),
            groups=groups,
            group_names=() if groups is None else tuple(f"block {i}" for i in range(groups.max() + 1)),
        )

    def _blocks(self, n_samples: int, rate_hz: float) -> IntArray | None:
        if self.block_s is None:
            return None
        block, place = np.divmod(np.arange(n_samples) / rate_hz, self.block_s)
        return np.where(place < self.block_s - self.gap_s, block, -1).astype(np.int64)


class VibrationArchive(Archive):
    """Concatenated fan recordings; labels are the classes or the speeds, groups are the other of the two."""

    label: Literal["y", "speed_pct"]

    def whole(self) -> Series:
        arrays = self.load("X", "y", "speed_pct", "classes", "channels", "fs")
        recordings = arrays["X"].astype(np.float64)
        count, n_channels, steps = recordings.shape
        values = recordings.transpose(0, 2, 1).reshape(count * steps, n_channels)
        speeds, of_speed = np.unique(arrays["speed_pct"], return_inverse=True)
        layout = (arrays["y"], _names(arrays["classes"]))
        speed = (of_speed, tuple(f"{speed} %" for speed in speeds))
        (codes, names), (groups, group_names) = (layout, speed) if self.label == "y" else (speed, layout)
        rate_hz = float(arrays["fs"])
        return Series(
            name=Path(self.path).stem,
            values=values,
            time=np.arange(len(values)) / rate_hz,
            rate_hz=rate_hz,
            channels=_names(arrays["channels"]),
            # not stated in the file; gravity is 1 in every recording
            units=("g",) * n_channels,
            train_stop=len(values),
            segments=tuple(range(0, len(values), steps)),
            labels=np.repeat(codes, steps).astype(np.int64),
            label_names=names,
            groups=np.repeat(groups, steps).astype(np.int64),
            group_names=group_names,
        )
