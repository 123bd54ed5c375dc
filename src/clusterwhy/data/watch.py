"""The default recording: seglearn's smartwatch data (Burns et al. 2018, arXiv 1802.01489; BSD-3)."""

import hashlib
import importlib.metadata
import io
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError


class WatchRecordings(Settings):
    """One subject's seven exercises in a row, one arm, 50 Hz, six channels."""

    subject: int = Field(ge=1, le=10)
    side: int = Field(ge=0, le=1)
    sha256: str
    path: str | None = None  # None: the copy inside the installed seglearn wheel

    def read(self) -> Series:
        """Read the subject's recordings, in the order of the exercises.

        Raises:
            DataError: the file is missing or its bytes are not the pinned ones.
        """
        content = self._checked_bytes()
        # The published file is a pickled dict. It is unpickled only after its bytes proved to be
        # those of the pinned wheel, so it can do nothing that the wheel's author did not write.
        recordings: dict[str, Any] = np.load(io.BytesIO(content), allow_pickle=True).item()
        chosen = np.flatnonzero((recordings["subject"] == self.subject) & (recordings["side"] == self.side))
        chosen = chosen[np.argsort(recordings["y"][chosen], kind="stable")]
        pieces = [np.asarray(recordings["X"][i], dtype=np.float64) for i in chosen]
        values = np.concatenate(pieces)
        channels = tuple(str(name) for name in recordings["X_labels"])
        return Series(
            name=f"watch, subject {self.subject}, side {self.side}",
            values=values,
            time=np.arange(len(values)) / 50.0,
            rate_hz=50.0,
            channels=channels,
            units=tuple("g" if name.startswith("a") else "rad/s" for name in channels),
            train_stop=len(values),
            pieces=tuple(int(n) for n in np.cumsum([0, *(len(p) for p in pieces[:-1])])),
            labels=np.repeat(recordings["y"][chosen], [len(p) for p in pieces]).astype(np.int64),
            label_names=tuple(str(name) for name in recordings["y_labels"]),
            notes=(f"{len(pieces)} recordings joined; no window crosses from one to the next",),
        )

    def _checked_bytes(self) -> bytes:
        path = Path(self.path) if self.path else _wheel_file()
        if not path.is_file():
            raise DataError(str(path), ["no such file: install the locked dependencies (`make repro` does)"])
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            raise DataError(
                path.name,
                [f"sha256 is {digest}, expected {self.sha256}: not the published file, so it was not unpickled"],
            )
        return content


def _wheel_file() -> Path:
    return Path(str(importlib.metadata.distribution("seglearn").locate_file("seglearn/data/watch_dataset.npy")))
