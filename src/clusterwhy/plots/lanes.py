"""Channels of one window in lanes over their relevance, beside bars of their shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from clusterwhy.plots.figures import LINE
from clusterwhy.types import FloatArray

FILLED = 0.86  # of a lane's height


@dataclass(frozen=True)
class Lanes:
    """One window, and what it is compared with.

    Attributes:
        values: (channel, time) as recorded.
        beside: (other, channel, time) windows that it is compared with.
        relevance: (channel, time) shares of |relevance|.
        ranges: (channel, 2) lowest and highest value that a lane shows; it grows where the window exceeds them.
    """

    values: FloatArray
    beside: FloatArray
    relevance: FloatArray
    ranges: FloatArray

    def of(self, channels: Sequence[int]) -> "Lanes":
        """Some channels, in their order."""
        chosen = list(channels)
        return Lanes(self.values[chosen], self.beside[:, chosen], self.relevance[chosen], self.ranges[chosen])


def draw_lanes(ax: Axes, lanes: Lanes, duration: float, limit: float) -> Any:
    """Lines of the window over its relevance in per cent, the first channel on top; grey: the windows beside it."""
    n_channels, length = lanes.values.shape
    image = ax.imshow(
        lanes.relevance * 100,
        cmap="RdBu_r",
        vmin=-limit * 100,
        vmax=limit * 100,
        aspect="auto",
        interpolation="nearest",
        extent=(0, duration, n_channels - 0.5, -0.5),
    )
    times = (np.arange(length) + 0.5) * duration / length
    for i, (low, high) in enumerate(lanes.ranges):
        every = np.concatenate([lanes.values[i], lanes.beside[:, i].ravel(), [low, high]])
        least, most = np.nanmin(every), np.nanmax(every)
        span = (most - least) or 1.0
        for other in lanes.beside[:, i]:
            ax.plot(times, i + FILLED * (0.5 - (other - least) / span), color="#6b6b6b", linewidth=0.7, alpha=0.8)
        ax.plot(times, i + FILLED * (0.5 - (lanes.values[i] - least) / span), color=LINE, linewidth=1.1)
        ax.axhline(i + 0.5, color="white", linewidth=1.5)
    ax.set_ylim(n_channels - 0.5, -0.5)
    ax.set_xlim(0, duration)
    ax.set_yticks([])
    ax.tick_params(axis="x", labelsize=7)
    return image


def draw_bars(ax: Axes, shares: FloatArray, errors: FloatArray | None, colours: Any) -> None:
    """Shares of channels (channel,) in per cent, the first one on top.

    Args:
        errors: (2, channel) from the share down and up to the limits of its interval; None without.
        colours: of the bars.
    """
    positions = np.arange(len(shares))
    ax.barh(
        positions,
        100 * shares,
        xerr=None if errors is None else 100 * errors,
        color=colours,
        error_kw={"linewidth": 0.8},
    )
    ax.axvline(0, color=LINE, linewidth=0.6)
    ax.set_ylim(len(shares) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=7)
