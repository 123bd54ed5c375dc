"""After how many samples does a recording repeat? Windows whose length follows from the recording."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.data.series import Series
from clusterwhy.data.windows import BeatWindows, WindowSettings
from clusterwhy.errors import DataError
from clusterwhy.types import FloatArray

MOST_SAMPLES = 1 << 18  # that are looked at
LEAST_CORRELATION = 0.2  # of 500 samples of noise, the highest is 0.08
AS_HIGH = 0.8  # of the highest peak: a day, not a week, where both repeat
UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
LEAST_WINDOWS = 20  # without overlap, that windows of periods leave in a recording
SHORTEST = 16  # samples in a window that is a part of the recording


@dataclass(frozen=True)
class Period:
    """What repeats.

    Attributes:
        samples: after how many.
        correlation: of the recording with itself, so much later; mean over channels.
        of_part: True where only the longest of several parts was looked at.
    """

    samples: int
    correlation: float
    of_part: bool = False


def period_of(series: Series) -> Period | None:
    """The dominant period of the longest part that is fitted on and has no gap; None if nothing repeats."""
    stops = (*series.segments[1:], len(series.values))
    spans = [
        (max(first, begin), min(stop, end))
        for first, stop in zip(series.segments, stops, strict=True)
        for begin, end in series.fitted_spans
    ]
    first, stop = max(spans, key=lambda span: span[1] - span[0])
    found = dominant_period(series.values[first : max(first, stop)])
    return None if found is None else replace(found, of_part=len(spans) > 1)


def dominant_period(values: FloatArray) -> Period | None:
    """The period with the highest autocorrelation, or a shorter one that has nearly as much; None if nothing repeats.

    Channels are standardised without their linear trend. A period is a peak of the mean of their autocorrelations after
    this was first below 0, at most a third of the samples, of which the first `MOST_SAMPLES` are looked at.

    Args:
        values: (time, channel), without gaps.
    """
    from scipy.signal import find_peaks

    found = _autocorrelation(values[:MOST_SAMPLES])
    found = found[: len(found) // 3]
    below = np.flatnonzero(found < 0.0)
    if not len(below):
        return None
    peaks = below[0] + find_peaks(found[below[0] :])[0]
    peaks = peaks[found[peaks] >= LEAST_CORRELATION]
    if not len(peaks):
        return None
    shortest = int(peaks[found[peaks] >= AS_HIGH * found[peaks].max()][0])
    return Period(shortest, float(found[shortest]))


def _autocorrelation(values: FloatArray) -> FloatArray:
    """(lag,) mean over channels, each divided by the number of products at its lag."""
    from scipy.signal import correlate, detrend

    n, total, channels = len(values), np.zeros(len(values)), 0
    for number in range(values.shape[1]):
        channel = values[:, number].astype(np.float64)
        if n < 2 or np.ptp(channel) == 0.0:
            continue
        flat = detrend(channel)
        flat -= flat.mean()
        if (variance := float(flat.var())) > 1e-12 * float(channel.var()):  # a straight line leaves rounding
            total += correlate(flat, flat, method="fft")[n - 1 :] / variance
            channels += 1
    return total / max(channels, 1) / np.arange(n, 0, -1)


class WindowOfRecording(Settings, ABC):
    """A choice of `conf/window` whose windows follow from the recording."""

    @abstractmethod
    def of(self, series: Series, period: Period | None) -> WindowSettings:
        """The windows of a recording.

        Raises:
            DataError: none follow.
        """


class WindowOfLength(WindowOfRecording):
    """A choice whose length follows from the recording.

    Attributes:
        overlap: share of a window that the next one has, too.
    """

    overlap: float = Field(ge=0.0, lt=1.0)

    def of(self, series: Series, period: Period | None) -> WindowSettings:
        """Length and stride for a recording.

        Raises:
            DataError: no length follows.
        """
        length = self.length(series, period)
        return WindowSettings(length=length, stride=max(1, round(length * (1.0 - self.overlap))))

    @abstractmethod
    def length(self, series: Series, period: Period | None) -> int:
        """Samples of a window."""


class WindowOfParts(WindowOfLength):
    """Windows that are a part of the recording, where nothing is known of what repeats.

    Attributes:
        parts: how many windows lie beside each other in the recording.
        longest: samples of a window at most.
    """

    parts: int = Field(ge=LEAST_WINDOWS)
    longest: int = Field(ge=SHORTEST)

    def length(self, series: Series, period: Period | None) -> int:
        """Samples of a window; too short a recording is told when it is cut."""
        return min(max(len(series.values) // self.parts, SHORTEST), self.longest)


class WindowOfPeriods(WindowOfLength):
    """Windows that hold some periods of the recording.

    Attributes:
        periods: how many.
    """

    periods: float = Field(gt=0.0)

    def length(self, series: Series, period: Period | None) -> int:
        """Samples of a window.

        Raises:
            DataError: nothing repeats, or windows are so long that too few fit.
        """
        ways = "choose `window` with a `length` in samples"
        if period is None:
            raise DataError(series.name, [f"nothing repeats in the recording, so windows have no length: {ways}"])
        length = max(2, round(self.periods * period.samples))
        if len(series.values) < LEAST_WINDOWS * length:
            periods = f"{self.periods:g} periods of {period.samples} samples are {length} samples"
            few = f"fewer than {LEAST_WINDOWS} windows beside each other fit into {len(series.values)}"
            raise DataError(series.name, [f"{periods}: {few}; {ways}"])
        return length


class WindowAroundBeats(WindowOfRecording):
    """One window around each annotated beat, so that beats of one kind are aligned.

    Attributes:
        before_s: seconds of a window before the beat.
        after_s: seconds from the beat on.
    """

    before_s: float = Field(ge=0.0)
    after_s: float = Field(gt=0.0)

    def of(self, series: Series, period: Period | None) -> BeatWindows:
        """Windows of so many samples of the recording."""
        before = round(self.before_s * series.rate_hz)
        length = max(2, before + max(1, round(self.after_s * series.rate_hz)))
        apart = np.diff(np.unique(series.beats)) if series.beats is not None else np.zeros(0)
        stride = min(length, max(1, round(float(np.median(apart))))) if len(apart) else length
        return BeatWindows(length=length, stride=stride, before=before)


def repeats_says(period: Period | None, length: int, rate_hz: float, chosen: bool = False) -> str:
    """How long a window is beside what repeats, in one sentence; "" where nothing repeats.

    Args:
        length: samples in one window.
        rate_hz: samples per second.
        chosen: windows are around something, so that no other length is advised.
    """
    if period is None:
        return ""
    held = length / period.samples
    what = "The longest part of the recording" if period.of_part else "The recording"
    lasts = _duration(period.samples / rate_hz)
    says = (
        f"{what} repeats every {period.samples} samples ({lasts}, correlation {period.correlation:.2f}): a window "
        f"holds {held:.1f} repetitions"
    )
    return f"{says}." if chosen or 1.0 <= held <= 4.0 else f"{says} (two with `window=periods`)."


def _duration(seconds: float) -> str:
    unit, one = next((unit, one) for unit, one in UNITS.items() if seconds >= one or unit == "s")
    return f"{seconds / one:.3g} {unit}"
