"""Labels of samples from annotations of heart beats, and the samples that beats are at."""

from collections.abc import Mapping, Sequence

import numpy as np

from clusterwhy.errors import DataError, Fault
from clusterwhy.types import FloatArray, IntArray

REACH_S = 0.06  # about half a QRS complex


def beat_labels(
    beats: IntArray,
    symbols: np.ndarray,
    n_samples: int,
    rate_hz: float,
    classes: Mapping[str, Sequence[str]] | None,
    source: str,
) -> tuple[tuple[str, ...], IntArray]:
    """Names of labels, and the label of each sample as an index into them.

    Without `classes`, a sample has the symbol of the nearest beat. With `classes`, such as {"normal": ["N"],
    "premature": ["A", "V"]} ordered from normal to most abnormal, it has the class of the nearest beat, and the first
    class if it is more than 60 ms from the beat's annotation.

    Args:
        beats: (beat,) sample of each beat, in order; at least one.
        symbols: (beat,) its symbol.
        source: of the recording, for messages.

    Raises:
        DataError: beats that are in no class.
    """
    samples = np.arange(n_samples)
    nearest = np.searchsorted((beats[1:] + beats[:-1]) / 2, samples)
    names, codes = np.unique(symbols.astype(str), return_inverse=True)
    if classes is None:
        return tuple(str(name) for name in names), codes[nearest].astype(np.int64)
    owner = {symbol: i for i, members in enumerate(classes.values()) for symbol in members}
    if unknown := [str(name) for name in names if name not in owner]:
        text = f"beats {', '.join(unknown)} are in no class of `dataset.classes`"
        raise DataError(source, [Fault("no-class", text)])
    of_beat = np.array([owner[str(symbol)] for symbol in symbols])
    near = np.abs(samples - beats[nearest]) <= REACH_S * rate_hz
    return tuple(classes), np.where(near, of_beat[nearest], 0).astype(np.int64)


def beats_at(beats_s: FloatArray, time: FloatArray, rate_hz: float) -> IntArray:
    """(beat,) nearest sample of each beat, without those in parts that were cut out or not read.

    Args:
        beats_s: (beat,) seconds, in order.
        time: (time,) seconds of the samples.
    """
    after = np.searchsorted(time, beats_s).clip(1, len(time) - 1)
    nearest = after - (beats_s - time[after - 1] < time[after] - beats_s)
    found: IntArray = nearest[np.abs(time[nearest] - beats_s) <= 0.501 / rate_hz].astype(np.int64)
    return found
