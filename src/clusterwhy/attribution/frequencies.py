"""Relevance per frequency: the inverse Fourier transform as a virtual layer in front of the network.

A signal x is the inverse transform of its coefficients y. Relevance is carried back through that linear layer as
through any other, in proportion to contributions (virtual inspection layer, Vielhaben et al. 2024):
R_k = Re(y_k conj(m_k)) / N, with m the transform of the multipliers R / x. Both signs of a frequency and both its parts
count together, so relevance stays real and adds up to that of the cells.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.errors import ShapeError
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.targets import Target

NEAR_ZERO = 0.01  # of a channel's root mean square: the largest multiplier is 100 times that of a usual value


@dataclass(frozen=True)
class FrequencyRelevance:
    """Relevance per frequency.

    Attributes:
        frames: (window, channel, frame, frequency) with sign, in units of the target; one frame is the whole window.
        frequencies_hz: (frequency,) from 0 to half the sampling rate.
        times_s: (frame,) middle of each frame, from the beginning of the window.
        shared: (window, channel) share of |relevance| that lay on values near 0 and was shared by power.
    """

    frames: FloatArray
    frequencies_hz: FloatArray
    times_s: FloatArray
    shared: FloatArray

    @cached_property
    def values(self) -> FloatArray:
        """(window, channel, frequency) with sign; the sum over frequencies is that over time of the cells."""
        return np.asarray(self.frames.sum(axis=2))


def relevance_by_frequency(
    relevance: FloatArray,
    signals: FloatArray,
    rate_hz: float,
    frame: int | None = None,
    near_zero: float = NEAR_ZERO,
) -> FrequencyRelevance:
    """Relevance of windows per frequency, by a virtual (short-time) Fourier layer before the network.

    Args:
        relevance: (window, channel, time) of the signals' cells, by a method whose relevance is a multiplier times the
            value: gradient x input, integrated gradients from zero, DeepLIFT, LRP without a `flat`, `box`, `w_square`
            or `sign` first layer. It says which frequencies, not only which values, the target depends on.
        signals: (window, channel, time) what relevance is of: the windows, or their difference to one reference each.
        rate_hz: samples per second.
        frame: samples of a frame of the short-time transform (Hann windows, half overlapping); None transforms the
            whole window at once.
        near_zero: values up to this share of the channel's root mean square have no known multiplier. Their relevance
            is shared in proportion to the power of each frequency.

    Raises:
        ShapeError: axes do not fit, values are not finite, or a number is out of range; all faults are listed.
    """
    _check(relevance, signals, rate_hz, frame, near_zero)
    x, r = np.asarray(signals, dtype=np.float64), np.asarray(relevance, dtype=np.float64)
    known = np.abs(x) > near_zero * np.sqrt(np.square(x).mean(axis=2, keepdims=True))
    layer = _Frames.of(x.shape[2], frame)
    found = layer.inner(x, np.where(known, r / np.where(known, x, 1.0), 0.0))
    found += layer.by_power(x, np.where(known, 0.0, r))
    size = np.abs(r).sum(axis=2)
    shared = np.where(known, 0.0, np.abs(r)).sum(axis=2) / np.where(size > 0, size, 1.0)
    frequencies = np.fft.rfftfreq(len(layer.taper), 1.0 / rate_hz)
    middles = (layer.starts + (len(layer.taper) - 1) / 2.0) / rate_hz
    return FrequencyRelevance(found, frequencies, middles, shared)


def difference_by_frequency(
    network: "nn.Module",
    windows: "FloatArray | torch.Tensor",
    references: "FloatArray | torch.Tensor",
    rate_hz: float,
    target: "Target" = None,
    frame: int | None = None,
) -> FrequencyRelevance:
    """Which frequencies make windows unlike their references: `explain_difference`, and the spectrum of the difference.

    The mean over references of the relevance of each difference, so the sum over frequencies of a channel is that of
    `explain_difference`.

    Args:
        network, windows, references, target: as in `explain_difference`.
        rate_hz, frame: as in `relevance_by_frequency`.

    Raises:
        CompositeError: an operation has no rule.
        ShapeError: shapes do not fit, or a number is out of range.
    """
    from clusterwhy.attribution.differences import explain_difference
    from clusterwhy.propagation.inputs import as_references_of_each, as_windows, dtype_of

    data = as_windows(windows, dtype_of(network)).detach().cpu()
    others = as_references_of_each(references, data).detach().cpu()
    each = others.expand(len(data), *others.shape[-3:])
    found = []
    for own in each.unbind(dim=1):
        relevance = explain_difference(network, data, own[:, None], target).values
        found.append(relevance_by_frequency(relevance, (data - own).numpy(), rate_hz, frame))
    frames, shared = (np.mean([getattr(one, name) for one in found], axis=0) for name in ("frames", "shared"))
    return FrequencyRelevance(frames, found[0].frequencies_hz, found[0].times_s, shared)


@dataclass(frozen=True)
class _Frames:
    """A tapered short-time transform that can be inverted.

    Attributes:
        starts: (frame,) first sample of each; the first may lie before the signal, the last ends after it.
        taper: (sample,) factor of each sample of a frame.
        length: samples of the signal.
    """

    starts: IntArray
    taper: FloatArray
    length: int

    @classmethod
    def of(cls, length: int, frame: int | None) -> "_Frames":
        if frame is None:
            return cls(np.zeros(1, dtype=int), np.ones(length), length)
        hop = frame // 2
        taper = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(frame) / frame)
        return cls(np.arange(-hop, length, hop), taper, length)

    def inner(self, x: FloatArray, multipliers: FloatArray) -> FloatArray:
        """(window, channel, frame, frequency) products of x and multipliers (window, channel, time) per frequency."""
        return self._products(self._cut(x), self._cut(multipliers / self._weight()))

    def by_power(self, x: FloatArray, rest: FloatArray) -> FloatArray:
        """(window, channel, frame, frequency) a rest of relevance (window, channel, time), shared by the power of x.

        Of a frame without power, the frequency 0 takes it.
        """
        tapered = self._cut(x)
        power = self._products(tapered, tapered).clip(min=0.0)
        part = (self._cut(rest / self._weight()) * self.taper).sum(axis=3)
        whole = power.sum(axis=3, keepdims=True)
        constant = np.arange(power.shape[3]) == 0
        shares = np.where(whole > 0, power / np.where(whole > 0, whole, 1.0), constant)
        return np.asarray(part[..., None] * shares)

    def _products(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Re(y conj(m)) / N of (..., sample), both signs of a frequency together; adds up to the sum of products."""
        n = len(self.taper)
        both = np.full(n // 2 + 1, 2.0)
        both[0] = 1.0
        if n % 2 == 0:
            both[-1] = 1.0
        return np.asarray((np.fft.rfft(first) * np.fft.rfft(second).conj()).real * both / n)

    def _weight(self) -> FloatArray:
        """(time,) sum of squared tapers over each sample."""
        total = np.zeros(self.length)
        for start, inside in zip(self.starts, self._inside(), strict=True):
            total[start + np.flatnonzero(inside)] += self.taper[inside] ** 2
        return total

    def _inside(self) -> BoolArray:
        """(frame, sample) whether it lies in the signal."""
        at = self.starts[:, None] + np.arange(len(self.taper))
        return np.asarray((at >= 0) & (at < self.length))

    def _cut(self, x: FloatArray) -> FloatArray:
        """(window, channel, frame, sample) tapered, 0 outside the signal."""
        at = np.clip(self.starts[:, None] + np.arange(len(self.taper)), 0, self.length - 1)
        return np.asarray(x[..., at] * (self.taper * self._inside()))


def _check(relevance: FloatArray, signals: FloatArray, rate_hz: float, frame: int | None, near_zero: float) -> None:
    faults = []
    if np.ndim(relevance) != 3 or np.shape(relevance) != np.shape(signals):
        faults.append(
            "expected relevance and signals (window, channel, time) of one shape, got "
            f"{np.shape(relevance)} and {np.shape(signals)}"
        )
    faults += [
        f"{name} holds values that are not finite: leave those windows out"
        for name, one in (("relevance", relevance), ("signals", signals))
        if not np.isfinite(one).all()
    ]
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        faults.append(f"rate_hz is {rate_hz}: give the samples per second, above 0")
    if frame is not None and not 4 <= frame <= np.shape(signals)[-1:][0]:
        faults.append(f"frame is {frame}: give 4 to {np.shape(signals)[-1:][0]} samples, the length of the windows")
    if not 0 <= near_zero < 1:
        faults.append(f"near_zero is {near_zero}: give a share of the root mean square, from 0 to below 1")
    if faults:
        raise ShapeError("relevance by frequency: " + "; ".join(faults))
