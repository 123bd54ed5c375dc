"""What every detector takes and gives: a score for each window, higher is more anomalous."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from clusterwhy.config import Settings
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import ConfigError
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

    WindowWork = Callable[[MaskedEncoder, FloatArray, IntArray], FloatArray]

PART = 1024  # windows that are cut out of the series at a time
# what a detector has learned from training windows, by name
Fitted = dict[str, FloatArray]


@dataclass(frozen=True)
class DetectorInput:
    """What a detector may use.

    Attributes:
        values: (time, channel), scaled.
        starts: (window,) first sample of each window.
        length: samples in one window.
        train: (window,) True where a window may be fitted on.
        embeddings: (window, feature).
        projection: (window, 2).
        load_encoder: loads the trained encoder; called only by detectors that predict values.
        seed: for detectors that draw random numbers.
        map: computes `work(encoder, values, starts)` over shards of all windows; None computes all at once.
        segments: first sample of each contiguous segment of the values.
    """

    values: FloatArray
    starts: IntArray
    length: int
    train: BoolArray
    embeddings: FloatArray
    projection: FloatArray
    load_encoder: Callable[[], "MaskedEncoder"]
    seed: int
    map: "Callable[[WindowWork], FloatArray] | None" = None
    segments: Sequence[int] = (0,)

    def over_windows(self, work: "WindowWork") -> FloatArray:
        """`work(encoder, values, starts)` for all windows."""
        if self.map is not None:
            return self.map(work)
        return work(self.load_encoder(), self.values, self.starts)

    def in_parts(self, work: "Callable[[FloatArray], FloatArray]") -> FloatArray:
        """`work` of all windows (window, channel, time), a part of them at a time."""
        parts = np.split(self.starts, range(PART, len(self.starts), PART))
        return np.concatenate([work(windows_at(self.values, part, self.length)) for part in parts])

    @cached_property
    def windows(self) -> FloatArray:
        """(window, channel, time)."""
        return windows_at(self.values, self.starts, self.length)


@dataclass(frozen=True)
class Nearest:
    """The stretch of a series that each channel of a window is most like.

    Attributes:
        starts: (window, channel) first sample of that stretch.
        distances: (window, channel).
        shapes: True where shapes were compared (mean 0 and standard deviation 1), False where scaled values were.
    """

    starts: IntArray
    distances: FloatArray
    shapes: bool


@dataclass(frozen=True)
class Scores:
    """Scores of all windows.

    Attributes:
        windows: (window,) score.
        channels: (window, channel) its contributions, if the detector has them.
        fitted: what the detector has learned from training windows; the score of another window needs no more.
        nearest: what each channel was most like, if the detector searches for it.
    """

    windows: FloatArray
    channels: FloatArray | None = None
    fitted: Fitted = field(default_factory=dict)
    nearest: Nearest | None = None


class Detector(Settings, ABC):
    """A choice of `conf/detector`.

    Attributes:
        local: True where a score is relative to similar windows already; `conf/relative_to` leaves it as it is.
    """

    local: ClassVar[bool] = False

    @abstractmethod
    def score(self, inputs: DetectorInput) -> Scores:
        """A score for each window."""

    def score_new(self, inputs: DetectorInput, fitted: Fitted, study: DetectorInput) -> Scores:
        """A score for each window of a new recording, by what was learned from a study.

        Args:
            inputs: of the new recording; `train` is True where a window equals one that was fitted on.
            fitted: by the detector (`Scores.fitted`).
            study: what the detector was fitted on.

        Raises:
            ConfigError: the detector cannot score windows that it was not given.
        """
        raise ConfigError("detector", [f"{type(self).__name__} has no `score_new`: it cannot score a new recording"])
