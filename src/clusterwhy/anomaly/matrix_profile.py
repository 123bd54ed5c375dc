"""How unlike any stretch of the training span is a window? The matrix profile (Yeh et al. 2016), channel by channel."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, DetectorInput, Fitted, Nearest, Scores
from clusterwhy.compute.progress import progress
from clusterwhy.compute.seeding import drawn
from clusterwhy.errors import ConfigError
from clusterwhy.types import FloatArray, IntArray

SHORTEST = 3  # samples of a window that STUMPY compares
BETWEEN = -1  # where a searched series has no sample


class MatrixProfile(Detector):
    """Distance of each channel of a window to the most similar stretch of that channel in the training span.

    Stretches begin at every sample, lie inside one segment and inside training windows, and begin at least
    `exclusion` times the length of a window away from the window itself, which would otherwise find itself. The score
    is the mean over channels. A channel that is constant in one of two stretches only is sqrt(length) away, one that is
    constant in both 0.

    Args:
        normalise: compare shapes: each stretch has mean 0 and standard deviation 1 (a distance of at most
            2 sqrt(length)). False: compare scaled values, so that level and size count.
        exclusion: share of the length of a window.
        sample: training windows whose stretches are searched, at most, drawn at random.
    """

    normalise: bool
    exclusion: float = Field(ge=0.0, le=1.0)
    sample: int = Field(ge=1)

    def score(self, inputs: DetectorInput) -> Scores:
        return self.score_new(inputs, {}, inputs)

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        if inputs.length < SHORTEST:
            raise ConfigError("detector", [f"needs windows of {SHORTEST} samples or more, got {inputs.length}"])
        searched = Searched.of(study, self.sample)
        reach = int(np.ceil(self.exclusion * inputs.length))
        same = inputs.values.shape == study.values.shape and np.array_equal(inputs.values, study.values)
        n_channels = inputs.values.shape[1]
        channels = np.empty((len(inputs.starts), n_channels))
        firsts = np.empty(channels.shape, dtype=np.int64)
        # numba compiles at the first search, which would spoil the estimate of what is left
        searched.channel(0, self.normalise).distances(study.values[: study.length, 0].astype(np.float64))
        with progress(desc="match", unit="window", total=channels.size) as bar:
            for channel in range(n_channels):
                series = searched.channel(channel, self.normalise)
                for i, start in enumerate(inputs.starts):
                    query = inputs.values[start : start + inputs.length, channel].astype(np.float64)
                    distances = series.distances(query)
                    itself = start if same else searched.nearest(distances)[1] if inputs.train[i] else None
                    channels[i, channel], firsts[i, channel] = searched.nearest(distances, itself, reach)
                    bar.update()
        if alone := inputs.starts[~np.isfinite(channels).all(axis=1)].tolist():
            fault = f"no stretch of the training span to compare the window at sample {alone[0]} with"
            raise ConfigError(
                "detector", [f"{fault}, and {len(alone) - 1} others: train on more, or lower `exclusion`"]
            )
        return Scores(channels.mean(axis=1), channels, nearest=Nearest(firsts, channels, self.normalise))


@dataclass(frozen=True)
class Searched:
    """The stretches of a series that windows are compared with.

    Attributes:
        values: (time, channel) of the series.
        samples: (position,) of the samples of training windows in order; `BETWEEN` where a run of them ends.
        length: of a stretch.
    """

    values: FloatArray
    samples: IntArray
    length: int

    @classmethod
    def of(cls, study: DetectorInput, most: int) -> "Searched":
        """Of at most so many training windows."""
        starts = study.starts[study.train]
        if len(starts) > most:
            starts = np.sort(starts[drawn(len(starts), most, study.seed)])
        inside = np.zeros(len(study.values) + 1, dtype=np.int64)
        np.add.at(inside, starts, 1)
        np.add.at(inside, starts + study.length, -1)
        samples = np.flatnonzero(np.cumsum(inside)[:-1] > 0)
        segment = np.searchsorted(np.asarray(study.segments), samples, side="right")
        ends = np.flatnonzero((np.diff(samples) > 1) | (np.diff(segment) > 0)) + 1
        return cls(study.values, np.insert(samples, ends, BETWEEN), study.length)

    @cached_property
    def firsts(self) -> IntArray:
        """(stretch,) first sample of the stretch at each position; `BETWEEN` where it crosses the end of a run."""
        ends = np.concatenate([[0], np.cumsum(self.samples == BETWEEN)])
        crossed = ends[self.length :] > ends[: len(ends) - self.length]
        return np.where(crossed, BETWEEN, self.samples[: len(crossed)])

    def channel(self, channel: int, normalise: bool) -> "SearchedChannel":
        """One channel, with what each search of it needs."""
        found = self.values[:, channel].astype(np.float64)[self.samples]
        found[self.samples == BETWEEN] = np.nan
        return SearchedChannel.of(found, self.length, normalise)

    def nearest(self, distances: FloatArray, itself: int | None = None, reach: int = 1) -> tuple[float, int]:
        """The least distance, and the first sample of the stretch that is so near.

        Stretches that begin less than `reach` samples from a window `itself` are left out. The distance is infinite
        where there is no other.
        """
        if itself is not None:
            distances = np.where(np.abs(self.firsts - itself) < max(reach, 1), np.inf, distances)
        position = distances.argmin()
        return float(distances[position]), int(self.firsts[position])


@dataclass(frozen=True)
class SearchedChannel:
    """A channel that many windows are searched in.

    Attributes:
        values: (position,) 0 where there is none.
        known: what STUMPY would compute anew for each search, by the name of its argument.
    """

    values: FloatArray
    known: dict[str, Any]

    @classmethod
    def of(cls, values: FloatArray, length: int, normalise: bool) -> "SearchedChannel":
        from stumpy import core

        if normalise:
            plain, mean, deviation, constant = core.preprocess(values, length)
            return cls(plain, {"M_T": mean, "Σ_T": deviation, "T_subseq_isconstant": constant})
        plain, finite = core.preprocess_non_normalized(values, length)
        return cls(plain, {"normalize": False, "T_subseq_isfinite": finite})

    def distances(self, window: FloatArray) -> FloatArray:
        """(stretch,) Euclidean distances of a window; infinite where a stretch crosses the end of a run."""
        # not `stumpy.stump`: compiling it takes a minute in every process, and between two series it leaves nothing
        # out, so that a window that begins shortly after the training span would find itself
        from stumpy import mass

        return np.asarray(mass(window, self.values, **self.known), dtype=np.float64)
