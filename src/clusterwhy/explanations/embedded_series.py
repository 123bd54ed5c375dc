"""A series, its windows and their embeddings: what every explanation starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import read_array
from clusterwhy.data.windows import windows_at
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.data.storage import Prepared
    from clusterwhy.encoders.masked import MaskedEncoder

MOST_DRAWN = 256  # windows to compare with


@dataclass(frozen=True)
class EmbeddedSeries:
    """A series cut into windows, with the encoder and its embeddings.

    Attributes:
        encoder: in evaluation mode.
        values: (time, channel), scaled as in training.
        index: the window index: `window`, `start`, `stop` and `train` of each window.
        embeddings: (window, feature).
        channels: their names.
        dt_s: seconds between samples.
        fitted_spans: (first sample, sample after the last) of each part that was fitted on; empty: the whole series.
    """

    encoder: "MaskedEncoder"
    values: FloatArray
    index: pd.DataFrame
    embeddings: FloatArray
    channels: tuple[str, ...]
    dt_s: float
    fitted_spans: Sequence[Sequence[int]] = ()

    @classmethod
    def of(cls, data: "Prepared", encoder: "MaskedEncoder", embeddings: FloatArray) -> Self:
        """From the artifacts of the stages `prepare`, `train` and `embed`."""
        known, step = np.asarray(embeddings), 1.0 / data.card.rate_hz
        return cls(encoder, data.scaled, data.index, known, data.channels, step, data.card.fitted_spans)

    def replicates(self, train: Path, embed: Path) -> list[Self]:
        """The same series with the encoders of other seeds, from the artifacts of the stages `train` and `embed`."""
        from clusterwhy.encoders.storage import load_encoder, replicate_folders

        return [
            replace(self, encoder=load_encoder(folder), embeddings=read_array(embed / f"{folder.name}.npy"))
            for folder in replicate_folders(train)
        ]

    @property
    def explainable(self) -> bool:
        """Whether there is a network: vectors may have been given without one."""
        from clusterwhy.encoders.without_network import lacks_network

        return not lacks_network(self.encoder)

    def check_network(self) -> None:
        """Refuse vectors that were given without a network.

        Raises:
            ConfigError: there is none.
        """
        from clusterwhy.encoders.without_network import check_network

        check_network(self.encoder)

    @cached_property
    def starts(self) -> IntArray:
        """(window,) first sample of each window."""
        return self.index["start"].to_numpy()

    @property
    def length(self) -> int:
        """Samples in one window."""
        return int(self.index["stop"].iloc[0] - self.index["start"].iloc[0])

    @cached_property
    def box(self) -> tuple[FloatArray, FloatArray]:
        """(channel,) lowest and highest values."""
        return np.asarray(self.values.min(axis=0)), np.asarray(self.values.max(axis=0))

    def window_ids(self, positions: IntArray) -> IntArray:
        """(chosen window,) ids of the windows at these positions of the index."""
        return self.index["window"].to_numpy()[positions]

    def windows(self, positions: IntArray) -> FloatArray:
        """(chosen window, channel, time) values of the windows at these positions of the index."""
        return windows_at(self.values, self.starts[positions], self.length)

    def windows_outside(self, labels: IntArray, cluster: int, seed: int) -> FloatArray:
        """(window, channel, time) up to `MOST_DRAWN` windows outside a cluster, drawn at random (`outside`)."""
        return self.windows(outside(labels, cluster, seed))


def outside(labels: IntArray, cluster: int, seed: int) -> IntArray:
    """Positions of up to `MOST_DRAWN` windows outside a cluster, drawn at random.

    From the whole series if all windows belong to the cluster.

    Args:
        labels: (window,) cluster of each window, -1 is noise.
    """
    found = np.flatnonzero(labels != cluster)
    if not len(found):
        found = np.arange(len(labels))
    return np.random.default_rng([seed, cluster]).permutation(found)[:MOST_DRAWN]


@dataclass(frozen=True)
class Clustered:
    """A series whose windows have clusters.

    Attributes:
        series: the windows.
        labels: (window,) cluster, -1 is noise.
        strengths: (window,) membership strength.
    """

    series: EmbeddedSeries
    labels: IntArray
    strengths: FloatArray
