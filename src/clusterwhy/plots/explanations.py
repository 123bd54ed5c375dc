"""Windows with their relevance: one method, several methods, class averages, and time bins.

Relevance is drawn behind the signal: red supports the target, blue opposes it, white is 0.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from scipy.special import stdtrit

from clusterwhy.artifacts.counts import counted
from clusterwhy.errors import ShapeError
from clusterwhy.metrics.bootstrap import bootstrap_means, percentile_limits
from clusterwhy.plots.figures import LINE
from clusterwhy.plots.names import shown, with_unit
from clusterwhy.types import FloatArray

SIGNED = "RdBu_r"
SUPPORTS, OPPOSES = "#b2182b", "#2166ac"
BAND = "#8c8c8c"
SHARE = "relevance (% of the window's |relevance|)"
NO_REASONS: Mapping[str, str] = MappingProxyType({})
IntervalName = Literal["bootstrap", "standard error"]


@dataclass(frozen=True)
class Signals:
    """Names, units and time step of windows (window, channel, time).

    Attributes:
        channels: name of each channel.
        units: unit of each channel, "" where unknown.
        dt_s: seconds between samples.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    dt_s: float

    def seconds(self, length: int) -> FloatArray:
        """(time,) of each sample."""
        return np.arange(length) * self.dt_s

    def ends(self, start: int, stop: int) -> tuple[float, float]:
        """Edges of samples start to stop - 1 in seconds: half a sample beyond the first and last."""
        return (start - 0.5) * self.dt_s, (stop - 0.5) * self.dt_s


def shares(relevance: FloatArray) -> FloatArray:
    """(..., channel, time) in per cent of the window's total |relevance|, comparable between methods."""
    size = np.abs(relevance).sum(axis=(-2, -1), keepdims=True)
    return np.asarray(100.0 * relevance / np.where(size > 0, size, 1.0))


def limit_of(*maps: FloatArray, quantile: float = 0.995) -> float:
    """One colour limit for all compared panels; 0.5 % of the cells are clipped to it."""
    sizes = np.concatenate([np.abs(one).ravel() for one in maps])
    return float(np.quantile(sizes, quantile)) or float(sizes.max()) or 1.0


def draw_colours(ax: Axes, signals: Signals, relevance: FloatArray, limit: float) -> AxesImage:
    """Relevance (time,) as colours from -limit to limit, over the full panel height, behind everything else."""
    image = AxesImage(
        ax,
        cmap=SIGNED,
        norm=Normalize(-limit, limit),
        interpolation="nearest",
        extent=(*signals.ends(0, len(relevance)), 0.0, 1.0),
        zorder=0,
    )
    image.set_data(relevance[None])
    image.set_transform(ax.get_xaxis_transform())
    image.set_clip_path(ax.patch)
    ax.add_image(image)
    ax.set_xlim(signals.ends(0, len(relevance)))
    ax.tick_params(labelsize=6)
    return image


def draw_relevance(ax: Axes, signals: Signals, values: FloatArray, relevance: FloatArray, limit: float) -> AxesImage:
    """One channel of a window (time,) over the colours of its relevance (time,)."""
    if values.shape != relevance.shape or values.ndim != 1:
        raise ShapeError(f"expected values and relevance (time,), got {values.shape} and {relevance.shape}")
    ax.plot(signals.seconds(len(values)), values, color=LINE, linewidth=0.9)
    return draw_colours(ax, signals, relevance, limit)


def draw_methods(
    axes: Any,
    signals: Signals,
    window: FloatArray,
    maps: Mapping[str, FloatArray],
    limit: float,
    why: Mapping[str, str] = NO_REASONS,
) -> AxesImage:
    """The same window with the relevance of several methods, in the same colours.

    Args:
        axes: (channel, method) panels.
        signals: names and units.
        window: (channel, time).
        maps: name of a method -> relevance (channel, time), such as `shares`.
        limit: colour limit of all panels.
        why: method -> why its relevance is 0 everywhere, told in its panels where it is.
    """
    windows, relevance = np.stack([window] * len(maps)), np.stack(list(maps.values()))
    return draw_windows(
        axes, signals, windows, relevance, [shown(name) for name in maps], limit, list(map(why.get, maps))
    )


def draw_windows(
    axes: Any,
    signals: Signals,
    windows: FloatArray,
    relevance: FloatArray,
    titles: Sequence[str],
    limit: float,
    why: Sequence[str | None] = (),
) -> AxesImage:
    """Windows with their relevance side by side, in the same colours.

    Args:
        axes: (channel, window) panels.
        signals: names and units.
        windows: (window, channel, time).
        relevance: (window, channel, time), such as `shares`.
        titles: of the windows, with names as by `shown`.
        limit: colour limit of all panels.
        why: of each window, why its relevance is 0 everywhere, if it is.
    """
    if axes.shape != windows.shape[1::-1] or relevance.shape != windows.shape:
        raise ShapeError(
            f"expected windows and relevance (window, channel, time) and panels (channel, window), got "
            f"{windows.shape}, {relevance.shape} and {axes.shape}"
        )
    for column, window, own, title, reason in zip_longest(axes.T, windows, relevance, titles, why):
        for ax, values, one in zip(column, window, own, strict=True):
            image = draw_relevance(ax, signals, values, one, limit)
        if not own.any():
            text = textwrap.fill("0 everywhere" + (f": {reason}" if reason else ""), 36)
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
            column[0].text(
                0.5,
                0.5,
                text.replace("$", r"\$"),
                ha="center",
                va="center",
                fontsize=5,
                transform=column[0].transAxes,
                bbox=box,
            )
        column[0].set_title(title, fontsize=8)
    name_panels(axes, signals)
    return image


def name_panels(axes: Any, signals: Signals) -> None:
    """Channels with units at the left of panels (channel, ...), time below them."""
    for row, channel, unit in zip(axes, signals.channels, signals.units, strict=True):
        row[0].set_ylabel(with_unit(channel, unit), rotation=0, ha="right", va="center", fontsize=7)
    name_time(axes[-1])


def name_time(axes: Sequence[Axes]) -> None:
    """Label the time axis below the panels."""
    for ax in axes:
        ax.set_xlabel("time in window (s)", fontsize=7)


def draw_average(
    ax: Axes, signals: Signals, windows: FloatArray, interval: IntervalName, confidence: float, seed: int = 0
) -> None:
    """Mean of one channel of many windows (window, time), with a confidence band of the mean.

    Args:
        ax: panel.
        signals: seconds between samples.
        windows: (window, time) of one channel.
        interval: `bootstrap` (percentiles of means over windows drawn with replacement) or `standard error`
            (Student's t).
        confidence: pointwise, not simultaneous for the whole curve.
        seed: of the bootstrap.
    """
    seconds, mean = signals.seconds(windows.shape[1]), windows.mean(axis=0)
    low, high = mean_limits(windows, interval, confidence, seed)
    method = "bootstrap" if interval == "bootstrap" else "standard error"
    ax.fill_between(seconds, low, high, color=BAND, alpha=0.55, linewidth=0, label=f"{confidence:.0%} ({method})")
    ax.plot(seconds, mean, color=LINE, linewidth=1.0, label=f"mean of {counted(len(windows), 'window')}")
    ax.set_xlim(signals.ends(0, windows.shape[1]))
    ax.tick_params(labelsize=6)


def mean_limits(windows: FloatArray, interval: IntervalName, confidence: float, seed: int) -> FloatArray:
    """(low and high, time) limits of the mean of windows (window, time); the mean itself for a single window."""
    count, mean = len(windows), windows.mean(axis=0)
    if count < 2:
        return np.stack([mean, mean])
    if interval == "bootstrap":
        return percentile_limits(bootstrap_means(windows, seed), confidence)
    half = stdtrit(count - 1, 0.5 + confidence / 2) * windows.std(axis=0, ddof=1) / np.sqrt(count)
    return np.stack([mean - half, mean + half])


def draw_time_bins(axes: Sequence[Axes], signals: Signals, table: pd.DataFrame) -> None:
    """Signed share of relevance in each time bin, one panel per channel with the same limits.

    Args:
        axes: (channel,) panels.
        signals: names of the channels in the table.
        table: of `time_bins` or `time_bins_of_width`.
    """
    columns = ["signed", "signed_low", "signed_high"]
    own = table[table["channel"].isin(signals.channels)]
    sizes = np.nan_to_num(105.0 * own[columns].to_numpy(dtype=float))
    low, high = min(0.0, float(sizes.min())), max(0.0, float(sizes.max()))
    ends = own["start_s"].min() - signals.dt_s / 2, own["stop_s"].max() - signals.dt_s / 2
    for ax, channel in zip(axes, signals.channels, strict=True):
        own = table[table["channel"] == channel]
        values = 100.0 * own[columns].to_numpy().T
        start, width = own["start_s"].to_numpy(), (own["stop_s"] - own["start_s"]).to_numpy()
        errors = np.stack([values[0] - values[1], values[2] - values[0]]).clip(min=0.0)
        ax.bar(
            start - signals.dt_s / 2,
            values[0],
            width,
            align="edge",
            color=np.where(values[0] > 0, SUPPORTS, OPPOSES),
            edgecolor="white",
            linewidth=0.4,
            yerr=errors,
            error_kw={"linewidth": 0.7, "ecolor": LINE},
        )
        ax.axhline(0.0, color=LINE, linewidth=0.6)
        ax.set_xlim(ends)
        ax.set_ylim(low, high if high > low else 1.0)
        ax.set_ylabel(shown(channel), rotation=0, ha="right", va="center", fontsize=7)
        ax.tick_params(labelsize=6)
    name_time(axes[-1:])


def draw_attention(ax: Axes, weights: FloatArray, seconds: float, limit: float | None = None) -> AxesImage:
    """Attention of each position in time (rows) to each other (columns).

    Args:
        ax: panel.
        weights: (time, time), rows sum to 1.
        seconds: length of the window, divided evenly among the positions.
        limit: maximum weight of all compared panels; that of this panel if None.
    """
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise ShapeError(f"expected attention weights (time, time), got {weights.shape}")
    image = ax.imshow(
        weights,
        cmap="cividis",
        vmin=0.0,
        vmax=float(weights.max()) if limit is None else limit,
        interpolation="nearest",
        extent=(0.0, seconds, seconds, 0.0),
    )
    ax.set_xlabel("attends to time (s)", fontsize=7)
    ax.set_ylabel("time in window (s)", fontsize=7)
    ax.tick_params(labelsize=6)
    return image
