"""Values of a series too long for the page: in files beside it, which the page reads when they are looked at.

The page works without them; then it shows the least and greatest values of each stretch however near one looks.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clusterwhy.report.array_encoding import quantised, scale, text
from clusterwhy.report.study_results import Findings
from clusterwhy.types import FloatArray

# numbers of the series in the page itself
MOST_VALUES = 4_000_000
OF_ENVELOPE = 1_000_000  # of a longer one: least and greatest values of stretches
IN_A_PIECE = 1_000_000  # numbers


@dataclass(frozen=True)
class Pieces:
    """How the files beside the page are cut.

    Attributes:
        samples: of each piece but the last.
        count: number of pieces.
        offset, step: of each channel; a whole number q stands for offset + step * q.
        n_places: stretches by whose least and greatest values the page itself shows the series.
        key: of the series: a page takes no pieces of another.
    """

    samples: int
    count: int
    n_places: int
    key: str
    offset: FloatArray
    step: FloatArray

    @classmethod
    def of(cls, found: Findings) -> "Pieces | None":
        """None where the whole series is in the page."""
        values = found.data.values
        if values.size <= MOST_VALUES:
            return None
        samples = max(1, IN_A_PIECE // values.shape[1])
        offset, step = scale(values.T, np.int16)
        n_places, key = OF_ENVELOPE // (2 * values.shape[1]), hashlib.sha256(values.tobytes()).hexdigest()[:16]
        return cls(samples, -(-len(values) // samples), n_places, key, offset, step)

    @property
    def about(self) -> dict[str, Any]:
        """What the page must know to ask for them."""
        names = [self.name(number) for number in range(self.count)]
        known = {"samples": self.samples, "names": names, "key": self.key}
        return known | {"offset": self.offset.tolist(), "step": self.step.tolist()}

    @staticmethod
    def name(number: int) -> str:
        """The file of a piece."""
        return f"values_{number:05d}.js"

    def files(self, found: Findings) -> Iterator[tuple[str, str]]:
        """Name and text of each file: a script, since a page opened from a disk may read nothing else."""
        for number in range(self.count):
            part = found.data.values[number * self.samples : (number + 1) * self.samples].T
            whole = quantised(part, self.offset, self.step, np.int16)
            yield self.name(number), f'clusterwhyPiece("{self.key}", {number}, "{text(whole)}");\n'
