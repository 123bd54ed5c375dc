"""Relevance of windows summarised per cluster, with confidence intervals."""

import itertools

import numpy as np
import pandas as pd

from clusterwhy.errors import ShapeError
from clusterwhy.metrics.bootstrap import bootstrap_means, percentile_limits
from clusterwhy.metrics.shares import has_relevance, relevance_shares, signed_shares
from clusterwhy.types import FloatArray, IntArray


def mean_shares(relevance: FloatArray) -> FloatArray:
    """(channel,) mean signed share over windows with relevance; NaN where there is none."""
    shares = signed_shares(relevance[has_relevance(relevance)])
    return shares.mean(axis=0) if len(shares) else np.full(relevance.shape[1], np.nan)


def known_mean(values: FloatArray) -> FloatArray:
    """Mean over windows (window, ...) of what is not NaN; NaN where nothing is known."""
    count = (~np.isnan(values)).sum(axis=0)
    return np.asarray(np.nansum(values, axis=0) / np.where(count > 0, count, np.nan))


def member_agreement(relevance: FloatArray) -> float:
    """Mean cosine similarity between the channel shares of each window and the mean of the others, in [-1, 1].

    Near 1: the explanation of the cluster holds for each of its windows. Windows without any relevance are left out;
    NaN where fewer than two are left.
    """
    shares = signed_shares(relevance[has_relevance(relevance)])
    if len(shares) < 2:
        return float("nan")
    others = (shares.sum(axis=0, keepdims=True) - shares) / (len(shares) - 1)
    sizes = np.linalg.norm(shares, axis=1) * np.linalg.norm(others, axis=1)
    return float(((shares * others).sum(axis=1) / np.where(sizes > 0, sizes, 1.0)).mean())


def channel_contrast(own: FloatArray, rest: FloatArray, seed: int) -> dict[str, FloatArray]:
    """How much more a channel supports this cluster than it supports the other clusters.

    Args:
        own: (window, channel, time) relevance in the cluster.
        rest: (window, channel, time) relevance in all other clusters.

    Returns:
        `contrast` with `contrast_low` and `contrast_high`, (channel,) each: difference of mean signed
        shares and its 95 % bootstrap limits; NaN where there is no other cluster. Windows without any relevance are
        left out.
    """
    rng = np.random.default_rng(seed)
    inside, outside = (signed_shares(one[has_relevance(one)]) for one in (own, rest))
    if not len(inside) or not len(outside):
        nothing = np.full(own.shape[1], np.nan)
        return {"contrast": nothing, "contrast_low": nothing, "contrast_high": nothing}
    low, high = percentile_limits(bootstrap_means(inside, rng) - bootstrap_means(outside, rng))
    return {"contrast": mean_shares(own) - mean_shares(rest), "contrast_low": low, "contrast_high": high}


def shifts_to(template: FloatArray, windows: FloatArray, max_shift: int) -> IntArray:
    """Lag of each window behind a template, in samples, where their cross-correlation is greatest.

    Args:
        template: (channel, time).
        windows: (window, channel, time).
        max_shift: greatest accepted lag, in samples.

    Returns:
        (window,) lags in [-max_shift, max_shift]; cross-correlations are summed over channels and
        divided by the overlap, so that long lags are not penalised.
    """
    length = template.shape[1]
    centred = windows - windows.mean(axis=2, keepdims=True)
    target = template - template.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * length) * np.conj(np.fft.rfft(target, 2 * length))
    correlation = np.fft.irfft(spectrum.sum(axis=1), 2 * length)
    lags = np.arange(-max_shift, max_shift + 1)
    return np.asarray(lags[(correlation[:, lags] / (length - np.abs(lags))).argmax(axis=1)])


def shifted(relevance: FloatArray, lags: IntArray) -> FloatArray:
    """(window, channel, time) moved back by the lags; NaN where no sample exists."""
    moved = np.full(relevance.shape, np.nan, dtype=relevance.dtype)
    length = relevance.shape[2]
    for window, lag in enumerate(lags):
        first, last = max(0, -lag), min(length, length - lag)
        moved[window, :, first:last] = relevance[window, :, first + lag : last + lag]
    return moved


def time_bins(relevance: FloatArray, channels: tuple[str, ...], n_bins: int, dt_s: float, seed: int) -> pd.DataFrame:
    """Share of each channel in each stretch of time, with 95 % intervals over windows.

    Args:
        relevance: (window, channel, time), signed; NaN counts as 0. Windows without any are left out.
        n_bins: stretches of (nearly) equal length.
        dt_s: seconds between samples.
    """
    edges = np.linspace(0, relevance.shape[2], n_bins + 1).round().astype(int)
    return _in_stretches(relevance, channels, edges, dt_s, seed)


def time_bins_of_width(
    relevance: FloatArray, channels: tuple[str, ...], width: int, dt_s: float, seed: int
) -> pd.DataFrame:
    """The same for stretches of `width` samples; the last one may be shorter.

    Raises:
        ShapeError: a width below one sample.
    """
    return _in_stretches(relevance, channels, _edges(relevance.shape[2], width), dt_s, seed)


def time_bin_difference(
    first: FloatArray, second: FloatArray, channels: tuple[str, ...], width: int, dt_s: float, seed: int
) -> pd.DataFrame:
    """Which channels at which times matter more in one group of windows than in another, such as good and bad.

    Args:
        first: (window, channel, time) relevance of the first group, signed.
        second: (window, channel, time) of the second group.
        width: samples of a bin.

    Returns:
        One row per bin and channel, in the order of `time_bins_of_width`: mean shares in both groups, their
        difference (first - second) with limits of the bootstrap over windows of each group, and `apart` where the
        limits exclude 0. Limits hold for one row at a time: of many, 5 % are apart by chance. NaN where no window of a
        group has relevance.

    Raises:
        ShapeError: a width below one sample.
    """
    edges = _edges(first.shape[2], width)
    groups = [_shares_in(one, edges) for one in (first, second)]
    if all(map(len, groups)):
        means = [one.mean(axis=0) for one in groups]
        draws = [bootstrap_means(one, seed + n) for n, one in enumerate(groups)]
        low, high = percentile_limits(draws[0] - draws[1])
    else:
        means = [one.mean(axis=0) if len(one) else np.full(one.shape[1:], np.nan) for one in groups]
        low = high = np.full(means[0].shape, np.nan)
    values = {"first": means[0], "second": means[1], "difference": means[0] - means[1], "low": low, "high": high}
    return _rows(edges, channels, dt_s, values).assign(apart=((low > 0) | (high < 0)).ravel())


def _edges(length: int, width: int) -> IntArray:
    if width < 1:
        raise ShapeError(f"expected bins of one or more samples, got {width}")
    return np.minimum(np.arange(0, length + width, width), length)


def _in_stretches(
    relevance: FloatArray, channels: tuple[str, ...], edges: IntArray, dt_s: float, seed: int
) -> pd.DataFrame:
    mean, low, high = _mean_and_limits(_shares_in(relevance, edges), seed)
    return _rows(edges, channels, dt_s, {"signed": mean, "signed_low": low, "signed_high": high})


def _shares_in(relevance: FloatArray, edges: IntArray) -> FloatArray:
    """(window, stretch, channel) shares of windows with relevance."""
    known = np.nan_to_num(relevance)
    shares = relevance_shares(known[has_relevance(known)])
    return np.stack([shares[:, :, start:stop].sum(axis=2) for start, stop in itertools.pairwise(edges)], axis=1)


def _rows(edges: IntArray, channels: tuple[str, ...], dt_s: float, values: dict[str, FloatArray]) -> pd.DataFrame:
    """One row per stretch and channel, of values (stretch, channel)."""
    n_channels = len(channels)
    columns: dict[str, object] = {
        "channel": list(channels) * (len(edges) - 1),
        "start_s": np.repeat(edges[:-1] * dt_s, n_channels),
        "stop_s": np.repeat(edges[1:] * dt_s, n_channels),
    }
    return pd.DataFrame(columns | {name: value.ravel() for name, value in values.items()})


def channel_importance(relevance: FloatArray, channels: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Mean share of each channel over the explained windows of one cluster, with 95 % intervals.

    Args:
        relevance: (window, channel, time), signed.

    Returns:
        One row per channel: `absolute` is its share of all |relevance|; `signed` its summed
        relevance over all |relevance|, so that support and opposition stay apart. The
        limits are percentiles of 1000 bootstrap means over windows (Efron 1979). No shifting. Windows without
        any relevance are left out; NaN where none is left.
    """
    shares = relevance_shares(relevance[has_relevance(relevance)])
    columns: dict[str, object] = {"channel": list(channels)}
    for name, values in (("absolute", np.abs(shares).sum(axis=2)), ("signed", shares.sum(axis=2))):
        mean, low, high = _mean_and_limits(values, seed)
        columns |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns)


def _mean_and_limits(values: FloatArray, seed: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean over windows (window, ...) and its 95 % bootstrap limits; NaN without windows."""
    if not len(values):
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing, nothing
    low, high = percentile_limits(bootstrap_means(values, seed))
    return values.mean(axis=0), low, high


def time_map(relevance: FloatArray) -> FloatArray:
    """(channel, time) mean signed relevance, as a share of the mean summed |relevance|.

    NaN (of shifted windows) is left out; NaN where fewer than half of the windows have a value.
    """
    size = float(np.nansum(np.abs(relevance), axis=(1, 2)).mean())
    count = np.isfinite(relevance).sum(axis=0)
    mean = np.nansum(relevance, axis=0) / np.maximum(count, 1)
    return np.where(2 * count >= len(relevance), mean / (size or 1.0), np.nan)
