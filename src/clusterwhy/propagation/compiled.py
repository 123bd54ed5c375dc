"""Compiled loops (numba) of what torch needs many passes over memory for, in `propagation.straight_lines`.

Arrays are float32 or float64 on the CPU. Values that are not finite stay so: `np.minimum` carries them, `min` may not.
"""

import numpy as np
from numba import njit, vectorize

from clusterwhy.types import FloatArray


@vectorize(["float32(float32, float32, float32)", "float64(float64, float64, float64)"], cache=True)  # type: ignore[untyped-decorator]
def times_share_above(start: float, end: float, arriving: float) -> float:
    """`arriving` times the share of the way from `start` to `end` above 0, of which 0 and 0 have none."""
    size = np.abs(start) + np.abs(end)
    twice_above = (start + np.abs(start)) + (end + np.abs(end))
    return twice_above / (size + size) * arriving if size > 0 else size * arriving


@njit(nogil=True, cache=True, error_model="numpy")
def add_shares_of_leaders(
    here: FloatArray,
    there: FloatArray,
    arriving: FloatArray,
    found: FloatArray,
    bounds: FloatArray,
    stride: int,
    padding: int,
    dilation: int,
) -> None:
    """Add to `found` each input's share of the line on which it is the greatest of its place, times `arriving`.

    Args:
        here, there: (window, time, channel) both ends; `there` may be one window for all.
        arriving: (window, place, channel) multipliers of the maxima.
        found: (window, time, channel), changed.
        bounds: (2, tap, channel) of the share of one place; overwritten.
        stride, padding, dilation: of the maximum.
    """
    n_windows, length, n_channels = here.shape
    n_taps, low, high = bounds.shape[1], bounds[0], bounds[1]
    for n in range(n_windows):
        other = n if len(there) > 1 else 0
        for place in range(arriving.shape[1]):
            first = place * stride - padding
            low[:], high[:] = -1, 1
            for i in range(n_taps):
                a = first + i * dilation
                if a < 0 or a >= length:  # padding never wins
                    continue
                for j in range(i + 1, n_taps):
                    b = first + j * dilation
                    if b < 0 or b >= length:
                        continue
                    for c in range(n_channels):
                        start, end = there[other, a, c] - there[other, b, c], here[n, a, c] - here[n, b, c]
                        size = np.abs(start) + np.abs(end)
                        # where the two change places; -1 to 1 are the ends of the way
                        turn = (start + end) / size if size > 0 else here.dtype.type(1)
                        falls = np.sign(start - end)  # 1: i leads before the turn and j after it; -1: j before it
                        high[i, c] = np.minimum(high[i, c], np.maximum(turn, -falls))
                        low[i, c] = np.maximum(low[i, c], -np.maximum(turn, falls))
                        high[j, c] = np.minimum(high[j, c], -np.minimum(turn, -falls))
                        low[j, c] = np.maximum(low[j, c], np.minimum(turn, falls))
            for i in range(n_taps):
                a = first + i * dilation
                if 0 <= a < length:
                    for c in range(n_channels):
                        share = np.maximum(high[i, c] - low[i, c], 0) * here.dtype.type(0.5)
                        found[n, a, c] += share * arriving[n, place, c]


def compile_loops() -> None:
    """Compile them into numba's cache, some seconds: `make` does so when it sets the environment up."""
    ends = np.zeros((1, 2, 1), dtype=np.float32)
    add_shares_of_leaders(ends, ends, ends, ends.copy(), np.zeros((2, 2, 1), dtype=np.float32), 1, 0, 1)
