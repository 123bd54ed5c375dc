"""Arrays too large for the page: chunk files beside it, which the page loads on demand.

Without the files the page still works: at every zoom level it shows the minimum and maximum of time buckets, and of
relevance the channels.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusterwhy.report.array_encoding import quantised, scale, text
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

MAX_VALUES_IN_PAGE = 4_000_000  # a series with more values is stored in chunk files
ENVELOPE_VALUES = 1_000_000  # minima and maxima in the page for such a series
PER_CHUNK = 1_000_000  # values in one chunk file
MAX_CELLS_IN_PAGE = 3_000_000  # of relevance


@dataclass(frozen=True)
class ValueChunks:
    """The layout of the chunk files.

    Attributes:
        samples: in each chunk except the last.
        count: number of chunks.
        n_buckets: time buckets whose minima and maxima are in the page itself.
        key: hash of the series; the page refuses chunks of another series.
        offset, step: of each channel; the integer q stands for offset + step * q.
    """

    samples: int
    count: int
    n_buckets: int
    key: str
    offset: FloatArray
    step: FloatArray

    @classmethod
    def of(cls, study: StudyResults) -> "ValueChunks | None":
        """The layout for a study; None if the whole series fits into the page."""
        values = study.data.values
        if values.size <= MAX_VALUES_IN_PAGE:
            return None
        samples = max(1, PER_CHUNK // values.shape[1])
        offset, step = scale(values.T, np.int16)
        n_buckets, digest = ENVELOPE_VALUES // (2 * values.shape[1]), hashlib.sha256()
        for first in range(0, len(values), samples):
            digest.update(values[first : first + samples].tobytes())
        return cls(samples, -(-len(values) // samples), n_buckets, digest.hexdigest()[:16], offset, step)

    @property
    def about(self) -> dict[str, Any]:
        """Metadata that the page needs to load them."""
        names = [self.name(number) for number in range(self.count)]
        known = {"samples": self.samples, "names": names, "key": self.key}
        return known | {"offset": self.offset.tolist(), "step": self.step.tolist()}

    @staticmethod
    def name(number: int) -> str:
        """File name of a chunk."""
        return f"values_{number:05d}.js"

    def files(self, study: StudyResults) -> Iterator[tuple[str, str]]:
        """Name and content of each file: scripts, since a page opened from disk may load nothing else."""
        for number in range(self.count):
            part = study.data.values[number * self.samples : (number + 1) * self.samples].T
            whole = quantised(part, self.offset, self.step, np.int16)
            yield self.name(number), f'clusterwhyChunk("{self.key}", {number}, "{text(whole)}");\n'


@dataclass(frozen=True)
class RelevanceChunks:
    """The layout of the files with the relevance of single windows.

    Attributes:
        windows: in each file except the last.
        count: number of files.
        key: hash of the relevance; the page refuses files of another study.
    """

    windows: int
    count: int
    key: str

    @classmethod
    def of(cls, study: StudyResults) -> "RelevanceChunks | None":
        """The layout for a study; None if all fits into the page."""
        if study.levels.size <= MAX_CELLS_IN_PAGE:
            return None
        windows = max(1, PER_CHUNK // study.levels[0].size)
        return cls(windows, -(-len(study.levels) // windows), hashlib.sha256(study.levels.tobytes()).hexdigest()[:16])

    @property
    def about(self) -> dict[str, Any]:
        """Metadata that the page needs to load them."""
        return {"windows": self.windows, "names": [self.name(number) for number in range(self.count)], "key": self.key}

    @staticmethod
    def name(number: int) -> str:
        """File name of a chunk."""
        return f"relevance_{number:05d}.js"

    def files(self, study: StudyResults) -> Iterator[tuple[str, str]]:
        """Name and content of each file."""
        for number in range(self.count):
            part = np.asarray(study.levels[number * self.windows : (number + 1) * self.windows])
            yield self.name(number), f'clusterwhyRelevance("{self.key}", {number}, "{text(part)}");\n'
