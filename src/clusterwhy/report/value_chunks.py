"""Values of a series too long for the page: in files beside it, which the page reads when they are looked at.

The page works without them; then it shows the least and greatest values of each stretch however near one looks.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusterwhy.report.array_encoding import quantised, scale, text
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

# numbers of the series in the page itself
MAX_VALUES_IN_PAGE = 4_000_000
ENVELOPE_VALUES = 1_000_000  # of a longer one: least and greatest values of stretches
PER_CHUNK = 1_000_000  # numbers


@dataclass(frozen=True)
class ValueChunks:
    """How the files beside the page are cut.

    Attributes:
        samples: of each chunk but the last.
        count: number of chunks.
        offset, step: of each channel; a whole number q stands for offset + step * q.
        n_places: stretches by whose least and greatest values the page itself shows the series.
        key: of the series: a page takes no chunks of another.
    """

    samples: int
    count: int
    n_places: int
    key: str
    offset: FloatArray
    step: FloatArray

    @classmethod
    def of(cls, study: StudyResults) -> "ValueChunks | None":
        """None where the whole series is in the page."""
        values = study.data.values
        if values.size <= MAX_VALUES_IN_PAGE:
            return None
        samples = max(1, PER_CHUNK // values.shape[1])
        offset, step = scale(values.T, np.int16)
        n_places, key = ENVELOPE_VALUES // (2 * values.shape[1]), hashlib.sha256(values.tobytes()).hexdigest()[:16]
        return cls(samples, -(-len(values) // samples), n_places, key, offset, step)

    @property
    def about(self) -> dict[str, Any]:
        """What the page must know to ask for them."""
        names = [self.name(number) for number in range(self.count)]
        known = {"samples": self.samples, "names": names, "key": self.key}
        return known | {"offset": self.offset.tolist(), "step": self.step.tolist()}

    @staticmethod
    def name(number: int) -> str:
        """The file of a chunk."""
        return f"values_{number:05d}.js"

    def files(self, study: StudyResults) -> Iterator[tuple[str, str]]:
        """Name and text of each file: a script, since a page opened from a disk may read nothing else."""
        for number in range(self.count):
            part = study.data.values[number * self.samples : (number + 1) * self.samples].T
            whole = quantised(part, self.offset, self.step, np.int16)
            yield self.name(number), f'clusterwhyChunk("{self.key}", {number}, "{text(whole)}");\n'
