"""One explained window as a figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from clusterwhy.errors import ShapeError
from clusterwhy.plots.explanations import Signals
from clusterwhy.plots.pages import methods_figure
from clusterwhy.propagation.relevance import NOTHING, Relevance, channel_names, seconds_per_sample
from clusterwhy.types import FloatArray


def plot_relevance(
    found: Relevance,
    window: int = 0,
    channels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    rate_hz: float | None = None,
    recorded: FloatArray | None = None,
) -> Figure:
    """One explained window: each channel over the colours of its relevance, red for the target, blue against it.

    Colours are shares of the window's |relevance|; of more than 12 channels those with the most of it are drawn.

    Args:
        found: relevance of windows.
        window: its position; negative ones count from the last.
        channels: their names; None: their positions.
        units: their units, "" where a channel has none.
        rate_hz: samples per second; None: time is in samples.
        recorded: (window, channel, time) to draw instead of the scaled values that the network read.

    Raises:
        ShapeError: no such window, not one name or unit per channel, a rate that is not positive, recorded windows of
            another shape, or windows that were not kept.
    """
    n_windows, n_channels, _ = found.values.shape
    drawn = found.windows if recorded is None else np.asarray(recorded)
    if drawn is None:
        raise ShapeError("the windows were not kept beside their relevance: `replace(found, windows=...)`")
    if not -n_windows <= window < n_windows:
        raise ShapeError(f"no window {window}: there are {n_windows}, 0 to {n_windows - 1}")
    if drawn.shape != found.values.shape:
        raise ShapeError(f"expected recorded windows {found.values.shape}, got {drawn.shape}")
    if units is not None and (isinstance(units, str) or len(units) != n_channels):
        raise ShapeError(f"expected {n_channels} units, got {units!r}")
    names = tuple(f"channel {name}" if channels is None else name for name in channel_names(channels, n_channels))
    signals = Signals(names, tuple(units or [""] * n_channels), seconds_per_sample(rate_hz))
    method = str(found.provenance.get("method", "relevance"))
    title = f"target {found.target[window]:.4g}"
    if np.isfinite(found.bias_share[window]):  # of methods whose relevance is meant to add up
        title += f", relevance adds up to {found.values[window].sum():.4g}"
    why = {method: found.provenance.get(NOTHING, "")}
    figure = methods_figure(signals, drawn[window], {method: found.values[window]}, title, why)
    if rate_hz is None:
        for ax in figure.axes:
            if ax.get_xlabel():
                ax.set_xlabel("sample in window", fontsize=7)
    return figure
