"""How a channel goes together with another one: their correlation, and by how much it comes later, changed alone."""

from collections.abc import Callable

import numpy as np

from clusterwhy.explanations.signal_lines import TINY, spread, straightened
from clusterwhy.types import FloatArray

RELATION, TIMING = "relation", "timing"
ALIKE = 0.5  # least correlation at some lag, below which no channel comes later than another
EQUAL = 0.05  # of correlations: of lags that are equally good, the shortest counts
MOST_LAG = 4  # the greatest lag is this part of a window

# of channels (window, time) and of a partner
Measure = Callable[[FloatArray, FloatArray], FloatArray]


def correlation(values: FloatArray, partner: FloatArray) -> FloatArray:
    """(...,) correlation of (..., time) around straight lines; NaN where one of them is constant."""
    own, others = straightened(values), straightened(partner)
    sizes = np.linalg.norm(own, axis=-1) * np.linalg.norm(others, axis=-1)
    flat = (spread(values) <= TINY) | (spread(partner) <= TINY)
    return np.where(flat, np.nan, (own * others).sum(axis=-1) / np.where(flat, 1.0, sizes))


def with_correlation(values: FloatArray, partner: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) of another correlation with its partner, and of the same straight line and spread.

    What a channel has of its partner's course becomes more or less, what it has of its own less or more. Unchanged
    where it has nothing of its own.
    """
    around, course = straightened(values), straightened(partner)
    course = course / np.maximum(np.linalg.norm(course, axis=-1, keepdims=True), TINY)
    rest = around - (around * course).sum(axis=-1, keepdims=True) * course
    size, of_rest = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (around, rest))
    own = rest / np.maximum(of_rest, TINY)
    made = size * (wanted[:, None] * course + np.sqrt(np.maximum(0.0, 1.0 - wanted[:, None] ** 2)) * own)
    return np.asarray(values - around + np.where(of_rest > 1e-3 * size, made, around))


def lag(values: FloatArray, partner: FloatArray) -> FloatArray:
    """(...,) samples by which (..., time) comes later than its partner; NaN where they are alike at no lag.

    NaN, too, where they are most alike at the greatest lag that is tried, since it may be greater.

    Where they are most alike, by the correlation of what overlaps. Of peaks that are equally high, as oscillations have
    them, the one with the shortest lag.
    """
    length = values.shape[-1]
    lags = np.arange(-(length // MOST_LAG), length // MOST_LAG + 1)
    found = _alike(straightened(values), straightened(partner), lags)
    is_peak = np.zeros(found.shape, dtype=bool)  # not at an end, beyond which they may be more alike
    is_peak[..., 1:-1] = (found[..., 1:-1] >= found[..., :-2]) & (found[..., 1:-1] >= found[..., 2:])
    highest = found.max(axis=-1, keepdims=True)
    distances = np.where(is_peak & (found >= highest - EQUAL), np.abs(lags), np.inf)
    flat = (spread(values) <= TINY) | (spread(partner) <= TINY)
    unknown = flat | (highest[..., 0] < ALIKE) | np.isinf(distances.min(axis=-1))
    return np.where(unknown, np.nan, lags[distances.argmin(axis=-1)])


def with_lag(values: FloatArray, partner: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) moved in time, to and fro at its ends, around the same straight line and of the same spread."""
    around, length = straightened(values), values.shape[-1]
    by = np.round(wanted - lag(values, partner)).astype(int)
    at = (np.arange(length) - by[:, None]) % (2 * (length - 1))
    moved = straightened(np.take_along_axis(around, np.minimum(at, 2 * (length - 1) - at), axis=-1))
    moved = moved * (spread(values) / np.maximum(moved.std(axis=-1), TINY))[:, None]
    return np.asarray(values - around + moved)


def _alike(values: FloatArray, partner: FloatArray, lags: np.ndarray) -> FloatArray:
    """(..., lag) correlation of the parts of (..., time) that overlap when the first comes so much later."""
    length = values.shape[-1]
    spectra = np.fft.rfft(values, 2 * length), np.fft.rfft(partner, 2 * length)
    products = np.fft.irfft(spectra[0] * np.conj(spectra[1]), 2 * length)[..., lags]
    # energy of the first samples, and so of the last ones
    first, second = (
        np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x**2, axis=-1)], axis=-1) for x in (values, partner)
    )
    later, earlier = np.maximum(lags, 0), np.maximum(-lags, 0)
    own = first[..., length - earlier] - first[..., later]
    others = second[..., length - later] - second[..., earlier]
    return np.asarray(products / np.sqrt(np.maximum(own * others, TINY)))


# property -> how it is measured and changed, and the least difference that is worth a test
RELATIONS: dict[str, tuple[Measure, Callable[[FloatArray, FloatArray, FloatArray], FloatArray], float]] = {
    RELATION: (correlation, with_correlation, 0.1),
    TIMING: (lag, with_lag, 1.0),
}
