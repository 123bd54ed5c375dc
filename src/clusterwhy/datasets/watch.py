"""seglearn's smartwatch recordings (Burns et al. 2018, arXiv 1802.01489; BSD-3): 7 exercises, 10 people, both arms."""

import hashlib
import importlib.metadata
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from clusterwhy.data.series import Series
from clusterwhy.datasets.bundled import Bundled
from clusterwhy.errors import DataError
from clusterwhy.types import IntArray


class _OnlyArrays(pickle.Unpickler):
    """Unpickles arrays of numbers and text only; refuses everything callable."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes in pickles of Python 2
            return lambda text, encoding: str(text).encode("latin1")
        plain = module.replace("numpy.core.", "numpy._core.")
        if (plain, name) in {
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            return super().find_class(plain, name)
        raise pickle.UnpicklingError(f"refused to load {module}.{name} from the file")


class WatchFile(Bundled):
    """The published file: recordings with six channels at 50 Hz."""

    sha256: str
    path: str | None = None  # None: the copy inside the installed seglearn wheel

    def recordings(self) -> dict[str, Any]:
        """`X` (a list of (time, channel)), `y`, `subject`, `side`, `X_labels`, `y_labels`.

        Raises:
            DataError: the file is missing or its bytes are not the pinned ones.
        """
        content = self._checked_bytes()
        # The published file is a pickled dict of arrays with a pinned digest. Even with another digest in the settings,
        # the unpickler loads nothing but arrays.
        try:
            stream = io.BytesIO(content)
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            found: dict[str, Any] = _OnlyArrays(stream).load().item()
        except (pickle.UnpicklingError, ValueError, EOFError, AttributeError, IndexError, KeyError) as error:
            raise DataError(self.path or "seglearn", [f"not readable as recordings: {error}"]) from error
        return found

    def _checked_bytes(self) -> bytes:
        path = Path(self.path) if self.path else _wheel_file()
        if not path.is_file():
            raise DataError(str(path), ["no such file: install the locked dependencies (`make repro` does)"])
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise DataError(
                path.name,
                [f"sha256 is {digest}, expected {self.sha256}: not the published file, so it is not unpickled"],
            )
        return content


class WatchRecordings(WatchFile):
    """The seven exercises of one subject and arm, concatenated."""

    subject: int = Field(ge=1, le=10)
    side: int = Field(ge=0, le=1)

    def whole(self) -> Series:
        """Read the subject's recordings, in the order of the exercises.

        Raises:
            DataError: the file is missing or its bytes are not the pinned ones.
        """
        recordings = self.recordings()
        chosen = np.flatnonzero((recordings["subject"] == self.subject) & (recordings["side"] == self.side))
        chosen = chosen[np.argsort(recordings["y"][chosen], kind="stable")]
        return _joined(recordings, chosen, f"watch, subject {self.subject}, side {self.side}", {})


class WatchSubjects(WatchFile):
    """Several subjects, both arms: labels are the exercises, groups the subjects."""

    subjects: list[int] = Field(min_length=1)
    channels: list[str] = Field(min_length=1)

    def whole(self) -> Series:
        """Read the recordings of all subjects, one subject after the other.

        Raises:
            DataError: the file is missing, its bytes are not the pinned ones, or it has no such subject or channel.
        """
        recordings = self.recordings()
        all_channels = [str(name) for name in recordings["X_labels"]]
        faults = [
            f"no channel {name!r}; it has {', '.join(all_channels)}"
            for name in self.channels
            if name not in all_channels
        ]
        faults += [f"no subject {n}" for n in self.subjects if n not in recordings["subject"]]
        if faults:
            raise DataError("watch", faults)
        of_recording = np.asarray(recordings["subject"])
        chosen = np.concatenate([np.flatnonzero(of_recording == subject) for subject in self.subjects])
        lengths = [len(recordings["X"][i]) for i in chosen]
        groups = np.repeat([self.subjects.index(n) for n in of_recording[chosen]], lengths).astype(np.int64)
        extra = {"groups": groups, "group_names": tuple(f"subject {n}" for n in self.subjects)}
        kept = [all_channels.index(name) for name in self.channels]
        return _joined(recordings, chosen, f"watch, {len(self.subjects)} subjects", extra, kept)


def _joined(
    recordings: dict[str, Any], chosen: IntArray, name: str, extra: dict[str, Any], kept: list[int] | None = None
) -> Series:
    columns = slice(None) if kept is None else kept
    segments = [np.asarray(recordings["X"][i], dtype=np.float64)[:, columns] for i in chosen]
    values = np.concatenate(segments)
    channels = tuple(str(channel) for channel in np.asarray(recordings["X_labels"])[columns])
    return Series(
        name=name,
        values=values,
        time=np.arange(len(values)) / 50.0,
        rate_hz=50.0,
        channels=channels,
        units=tuple("g" if channel.startswith("a") else "rad/s" for channel in channels),
        train_stop=len(values),
        segments=tuple(int(n) for n in np.cumsum([0, *(len(p) for p in segments[:-1])])),
        labels=np.repeat(recordings["y"][chosen], [len(p) for p in segments]).astype(np.int64),
        label_names=tuple(str(label) for label in recordings["y_labels"]),
        notes=(f"{len(segments)} recordings concatenated; no window crosses a boundary",),
        **extra,
    )


def _wheel_file() -> Path:
    return Path(str(importlib.metadata.distribution("seglearn").locate_file("seglearn/data/watch_dataset.npy")))
