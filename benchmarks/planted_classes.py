"""Made-up windows whose classes are known by channel and by moment: what an explanation ought to point at."""

from dataclasses import dataclass

import numpy as np

from clusterwhy.types import BoolArray, FloatArray, IntArray

N_CHANNELS, LENGTH = 6, 128
NOISE = 0.3  # standard deviation of what all channels hold, in units of a pattern's amplitude
# class -> its channels, and the stretch of time in which its pattern lies
SUPPORT: dict[int, tuple[tuple[int, ...], tuple[int, int]]] = {
    0: ((0,), (16, 64)),
    1: ((2,), (56, 104)),
    2: ((1, 4), (24, 96)),
    3: ((5,), (72, 120)),
}


@dataclass(frozen=True)
class PlantedClasses:
    """Windows (window, channel, time), their classes, and where (window, channel, time) each class' pattern lies."""

    windows: FloatArray
    labels: IntArray
    support: BoolArray


def planted_classes(n_per_class: int, seed: int) -> PlantedClasses:
    """Windows of four classes: a fast oscillation, a bump, two channels in antiphase, and a row of spikes.

    Patterns vary in amplitude, phase and place within their stretch; all channels hold noise that is alike in all
    classes, so that nothing but the pattern tells classes apart.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(SUPPORT)), n_per_class)
    windows = np.empty((len(labels), N_CHANNELS, LENGTH))
    # noise with memory, of unit variance
    shocks = rng.standard_normal((len(labels), N_CHANNELS, LENGTH + 50))
    state = np.zeros(shocks.shape[:2])
    for t in range(shocks.shape[2]):
        state = 0.7 * state + np.sqrt(1 - 0.7**2) * shocks[:, :, t]
        if t >= 50:
            windows[:, :, t - 50] = NOISE * state
    support = np.zeros(windows.shape, dtype=bool)
    for i, label in enumerate(labels):
        channels, (first, last) = SUPPORT[int(label)]
        support[i, list(channels), first:last] = True
        windows[i, list(channels), first:last] += rng.uniform(0.8, 1.2) * _pattern(int(label), last - first, rng)
    return PlantedClasses(windows.astype(np.float32), labels, support)


def _pattern(label: int, length: int, rng: np.random.Generator) -> FloatArray:
    """(channel, time) what a class adds in its stretch."""
    t, phase = np.arange(length), rng.uniform(0.0, 2.0 * np.pi)
    envelope = np.hanning(length)
    if label == 0:
        return (1.5 * envelope * np.sin(2.0 * np.pi * t / 6.0 + phase))[None]
    if label == 1:
        centre = rng.uniform(0.35, 0.65) * length
        return (2.0 * np.exp(-(((t - centre) / 7.0) ** 2)))[None]
    if label == 2:
        wave = 1.5 * envelope * np.sin(2.0 * np.pi * t / 18.0 + phase)
        return np.stack([wave, -wave])
    spikes = np.zeros(length)
    spikes[rng.integers(0, 8) :: 12] = 2.5
    return np.convolve(spikes, [0.5, 1.0, 0.5], mode="same")[None]
