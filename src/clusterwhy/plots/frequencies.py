"""Relevance per frequency: bars for one channel, a map for all channels, and a map over time and frequency."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from clusterwhy.attribution.frequencies import FrequencyRelevance
from clusterwhy.plots.explanations import OPPOSES, SIGNED, SUPPORTS, limit_of
from clusterwhy.plots.names import shown

FREQUENCY = "frequency (Hz)"


def draw_spectrum(ax: Axes, found: FrequencyRelevance, window: int, channel: int) -> None:
    """Bars of the relevance of one channel of a window, by frequency: red supports the target, blue opposes it."""
    values = found.values[window, channel]
    width = 0.8 * found.frequencies_hz[1]
    ax.bar(found.frequencies_hz, values, width, color=np.where(values >= 0, SUPPORTS, OPPOSES))
    ax.axhline(0.0, color="0.5", linewidth=0.8)
    ax.set(xlabel=FREQUENCY, ylabel="relevance (units of the target)")


def draw_channels(ax: Axes, found: FrequencyRelevance, window: int, channels: Sequence[str]) -> AxesImage:
    """A row per channel, a column per frequency."""
    values, step = found.values[window], found.frequencies_hz[1]
    last = found.frequencies_hz[-1] + step / 2
    image = _map(ax, values, (-step / 2, last, len(channels) - 0.5, -0.5))
    ax.set(xlabel=FREQUENCY, yticks=range(len(channels)), yticklabels=[shown(name) for name in channels])
    return image


def draw_frames(ax: Axes, found: FrequencyRelevance, window: int, channel: int) -> AxesImage:
    """Time to the right, frequency upwards, of one channel of a window explained in short frames."""
    values, step = found.frames[window, channel].T, found.frequencies_hz[1]
    hop = found.times_s[1] - found.times_s[0] if len(found.times_s) > 1 else 2.0 * found.times_s[0]
    ends = found.times_s[0] - hop / 2, found.times_s[-1] + hop / 2
    image = _map(ax, values[::-1], (*ends, -step / 2, found.frequencies_hz[-1] + step / 2))
    ax.set(xlabel="time in window (s)", ylabel=FREQUENCY)
    return image


def _map(ax: Axes, values: np.ndarray, extent: tuple[float, float, float, float]) -> AxesImage:
    limit = limit_of(values)
    return ax.imshow(
        values, cmap=SIGNED, vmin=-limit, vmax=limit, aspect="auto", extent=extent, interpolation="nearest"
    )
