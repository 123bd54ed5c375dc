"""How far a new recording has drifted from the fitted one: energy distance (Székely & Rizzo 2013), with an interval."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.types import BoolArray, FloatArray

MOST = 600  # points of a recording, evenly spread over it
BLOCKS = 12  # stretches that are left out in turn for the interval
STRETCHES = 20  # of the fitted recording, beside its rest: what is usual
Z = 1.96  # standard errors of a 95 % interval
COLUMNS = ["kind", "channel", "distance", "low", "high", "usual", "drifted"]


@dataclass(frozen=True)
class Drift:
    """Energy distance between two recordings, in standard deviations (as a square root, like scipy's).

    Attributes:
        distance: between new and fitted points.
        low, high: its 95 % interval, by leaving out stretches of time (block jackknife).
        usual: the 95 % quantile of distances between a stretch of the fitted recording, as long as the new one where it
            can be, and the rest of it.
    """

    distance: float
    low: float
    high: float
    usual: float

    @property
    def drifted(self) -> bool:
        """Whether the new recording is further away than stretches of the fitted one are, beyond doubt."""
        return self.low > self.usual


def spread_out(points: FloatArray, most: int = MOST) -> FloatArray:
    """At most `most` points (point, ...), evenly spread in time."""
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))])


def drift(new: FloatArray, old: FloatArray) -> Drift:
    """The drift between points (point, dimension) in order of time, of which at most `MOST` are used."""
    from scipy.spatial.distance import cdist

    new, old = spread_out(new), spread_out(old)
    every = np.concatenate([new, old])
    distances, is_new = cdist(every, every), np.arange(len(every)) < len(new)
    found = _energy(distances, is_new, ~is_new)
    error = float(np.hypot(_jackknife(distances, is_new, is_new), _jackknife(distances, is_new, ~is_new)))
    between_old = distances[len(new) :, len(new) :]
    size = max(1, min(len(new), len(old) // 2))
    firsts = np.unique(np.linspace(0, len(old) - size, STRETCHES).round().astype(int))
    inside = [(np.arange(len(old)) >= first) & (np.arange(len(old)) < first + size) for first in firsts]
    usual = [_energy(between_old, part, ~part) for part in inside]
    return Drift(found, max(0.0, found - Z * error), found + Z * error, float(np.quantile(usual, 0.95)))


def _energy(distances: FloatArray, one: BoolArray, other: BoolArray) -> float:
    """As `scipy.stats.energy_distance`, from distances (point, point) of points in any number of dimensions."""
    across = distances[np.ix_(one, other)].mean()
    within = distances[np.ix_(one, one)].mean() + distances[np.ix_(other, other)].mean()
    return float(np.sqrt(max(0.0, 2.0 * across - within)))


def _jackknife(distances: FloatArray, is_new: BoolArray, which: BoolArray) -> float:
    """Standard error of the distance, by leaving out stretches of one of the recordings in turn."""
    blocks = [block for block in np.array_split(np.flatnonzero(which), BLOCKS) if len(block)]
    if len(blocks) < 2:
        return 0.0
    left = []
    for block in blocks:
        kept = np.ones(len(which), dtype=bool)
        kept[block] = False
        left.append(_energy(distances, is_new & kept, ~is_new & kept))
    return float(np.sqrt((len(left) - 1) * np.var(left)))


def drift_table(
    channels: tuple[str, ...], new: FloatArray, old: FloatArray, embeddings: tuple[FloatArray, FloatArray]
) -> pd.DataFrame:
    """One row per channel and one for the embedding, with `COLUMNS`.

    Args:
        channels: their names.
        new, old: (time, channel) scaled values of the two recordings.
        embeddings: (window, feature) of the new and of the fitted windows, standardised by the fitted ones.
    """
    new, old = spread_out(new), spread_out(old)
    found = [("channel", name, drift(new[:, [i]], old[:, [i]])) for i, name in enumerate(channels)]
    # distances in many dimensions grow with their number: as if there were one
    size = np.sqrt(embeddings[0].shape[1])
    found.append(("embedding", "", drift(*(spread_out(one) / size for one in embeddings))))
    rows = [(kind, name, one.distance, one.low, one.high, one.usual, one.drifted) for kind, name, one in found]
    return pd.DataFrame(rows, columns=COLUMNS)
