"""How far a new recording has drifted from what a study was fitted on: energy distance (Székely & Rizzo 2013)."""

from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import pandas as pd

from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import LEAST_NORMAL
from clusterwhy.types import BoolArray, FloatArray, IntArray

Points = TypeVar("Points", FloatArray, IntArray)

MOST = 600  # points of a recording, evenly spread over it
BLOCKS = 12  # stretches that are left out in turn for the interval
STRETCHES = 20  # of the reference, beside its rest: what is usual
Z = 1.96  # standard errors of a 95 % interval
COLUMNS = ["kind", "channel", "distance", "low", "high", "usual", "drifted", "reference"]


@dataclass(frozen=True)
class Reference:
    """The part of a study's recording that drift is measured against.

    Attributes:
        samples: (time,) True inside.
        windows: (window,) True inside.
        says: which part it is, in words.
    """

    samples: BoolArray
    windows: BoolArray
    says: str

    @classmethod
    def of(cls, data: Prepared) -> Self:
        """The known-good period or training span, since faults elsewhere would hide a drift; else the whole recording.

        Also the whole where the training span holds fewer than `LEAST_NORMAL` windows: they cannot say what is usual.
        """
        train = data.index["train"].to_numpy(dtype=bool)
        if data.fitted_on and train.sum() >= LEAST_NORMAL:
            return cls(data.fitted, train, data.fitted_on)
        return cls(np.ones(len(data.values), dtype=bool), np.ones(len(train), dtype=bool), "the whole recording")

    def standardised(self, points: FloatArray, fitted: FloatArray) -> FloatArray:
        """(window, feature) points with the moments of the reference; as they are if that is the whole recording.

        Args:
            points: of any windows.
            fitted: of the study's windows.
        """
        from sklearn.preprocessing import StandardScaler

        if self.windows.all():
            return points
        return np.asarray(StandardScaler().fit(fitted[self.windows]).transform(points))


@dataclass(frozen=True)
class Drift:
    """Energy distance between a recording and the reference, in standard deviations (as a square root, like scipy's).

    Attributes:
        distance: between new points and those of the reference.
        low, high: its 95 % interval, by leaving out stretches of time (block jackknife).
        usual: the 95 % quantile of distances between a stretch of the reference, as long as the new recording where it
            can be, and the rest of it.
    """

    distance: float
    low: float
    high: float
    usual: float

    @property
    def drifted(self) -> bool:
        """Whether the new recording is further away than stretches of the reference are, beyond doubt."""
        return self.low > self.usual


def spread_out(points: Points, most: int = MOST) -> Points:
    """At most `most` points (point, ...), evenly spread in time."""
    return points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))]


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
    channels: tuple[str, ...],
    new: FloatArray,
    old: FloatArray,
    embeddings: tuple[FloatArray, FloatArray],
    reference: str,
) -> pd.DataFrame:
    """One row per channel and one for the embedding, with `COLUMNS`.

    Args:
        channels: their names.
        new, old: (time, channel) scaled values of the new recording and of the reference.
        embeddings: (window, feature) of the windows of both, standardised by those of the reference.
        reference: what it is, in words.
    """
    new, old = spread_out(new), spread_out(old)
    found = [("channel", name, drift(new[:, [i]], old[:, [i]])) for i, name in enumerate(channels)]
    # distances in many dimensions grow with their number: as if there were one
    size = np.sqrt(embeddings[0].shape[1])
    found.append(("embedding", "", drift(*(spread_out(one) / size for one in embeddings))))
    rows = [(kind, name, one.distance, one.low, one.high, one.usual, one.drifted) for kind, name, one in found]
    return pd.DataFrame(rows, columns=COLUMNS[:-1]).assign(reference=reference)
