"""Encodes arrays for the page: quantised if they are only drawn, deflated, base64."""

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clusterwhy.types import FloatArray

BUCKETS_AT_ONCE = 1024  # whose minima and maxima are taken at a time
STEPS = {np.int8: 127, np.int16: 32767}


@dataclass(frozen=True)
class Packed:
    """One encoded array.

    Attributes:
        name: key of the array in the page.
        dtype: NumPy dtype of its little-endian bytes.
        shape: of the array.
        text: its bytes, deflated, in base64.
        offset, step: the quantised value q stands for offset + step * q, one pair per row; empty if not quantised.
        turn: when the page decodes it: 0 before the first views, 1 before the other views, 2 after all views.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    text: str
    offset: tuple[float, ...] = ()
    step: tuple[float, ...] = ()
    turn: int = 0

    @property
    def about(self) -> dict[str, Any]:
        """Metadata that the page needs to decode it."""
        return {"dtype": self.dtype, "shape": self.shape, "offset": self.offset, "step": self.step, "turn": self.turn}


def pack(name: str, values: npt.ArrayLike, turn: int = 0) -> Packed:
    """An array without loss: integers in the smallest dtype that holds them, floats as float32."""
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    elif array.dtype == bool:
        array = array.astype(np.uint8)
    else:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        kinds = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)
        array = array.astype(next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max))
    return Packed(name, array.dtype.name, array.shape, text(array), turn=turn)


def pack_for_drawing(
    name: str, values: FloatArray, dtype: type[np.int8] | type[np.int16] = np.int16, turn: int = 0
) -> Packed:
    """Quantised values, in steps of 1/254 (int8) or 1/65534 (int16) of the range of each row (first axis).

    The lowest integer stands for a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    flat = array.reshape(len(array), math.prod(array.shape[1:]))
    offset, step = scale(flat, dtype)
    whole = quantised(flat, offset, step, dtype).reshape(array.shape)
    return Packed(name, whole.dtype.name, whole.shape, text(whole), tuple(offset.tolist()), tuple(step.tolist()), turn)


def packed_levels(name: str, levels: np.ndarray, step: FloatArray, turn: int = 0) -> Packed:
    """Values that are quantised already: (row, ...) integers, times the step of each row."""
    steps = tuple(np.asarray(step, dtype=float).tolist())
    return Packed(name, levels.dtype.name, levels.shape, text(levels), (0.0,) * len(steps), steps, turn)


def scale(flat: FloatArray, dtype: type[np.int8] | type[np.int16]) -> tuple[FloatArray, FloatArray]:
    """Offset and step that map the finite values of each row of (row, position) to the integer range of `dtype`."""
    known = np.isfinite(flat)
    high = np.max(flat, axis=1, where=known, initial=-np.inf)
    low = np.min(flat, axis=1, where=known, initial=np.inf)
    none = ~known.any(axis=1)
    low, high = np.where(none, 0.0, low), np.where(none, 0.0, high)
    return (low + high) / 2, (high - low) / (2 * STEPS[dtype])


def quantised(
    flat: FloatArray, offset: FloatArray, step: FloatArray, dtype: type[np.int8] | type[np.int16]
) -> np.ndarray:
    """Integers q with (row, position) values near offset + step * q; the lowest integer stands for not finite."""
    levels = np.round((flat - offset[:, None]) / np.where(step > 0, step, 1.0)[:, None])
    # the levels are symmetric and leave the lowest integer unused
    return np.where(np.isfinite(flat), levels, -STEPS[dtype] - 1).astype(dtype)


def text(array: np.ndarray) -> str:
    """Little-endian bytes of an array, deflated, in base64."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 6)).decode()


def envelope(values: FloatArray, n_buckets: int) -> tuple[FloatArray, FloatArray]:
    """Minimum and maximum in each of `n_buckets` equally long time buckets.

    Args:
        values: (channel, time).
        n_buckets: at most the number of samples.

    Returns:
        Two arrays (channel, bucket); NaN where a bucket has no finite value.
    """
    n_samples = values.shape[1]
    edges = (np.arange(n_buckets + 1) * n_samples) // n_buckets
    found = []
    for first in range(0, n_buckets, BUCKETS_AT_ONCE):
        own = edges[first : first + BUCKETS_AT_ONCE + 1]
        part = values[:, own[0] : own[-1]]
        known, starts = np.isfinite(part), own[:-1] - own[0]
        low = np.minimum.reduceat(np.where(known, part, np.inf), starts, axis=1)
        high = np.maximum.reduceat(np.where(known, part, -np.inf), starts, axis=1)
        found.append((np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)))
    lows, highs = zip(*found, strict=True)
    return np.concatenate(lows, axis=1), np.concatenate(highs, axis=1)
