"""How a channel differs: its level, spread, slope, frequency or shape, its relation to another channel or its timing.

Relevance says which channel makes a cluster, not what it does there. For the leading channels each property of a window
is changed alone: set to what it is in the most similar windows outside the cluster, and everything else is left as it
is. Where the membership then falls, the property is what counts: a counterfactual (Wachter et al. 2018) in one property
of one channel. Relation and timing refer to a partner, the channel to which they differ most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.explanations.relations import RELATIONS
from clusterwhy.explanations.signal_lines import TINY, level, slope, spread, straightened, times
from clusterwhy.explanations.units import SHAPE
from clusterwhy.types import FloatArray

N_CHANNELS, N_WINDOWS = 3, 16  # leading ones of a cluster; changed windows of it
PEAK = 0.3  # share of the power beside a dominant frequency, below which there is none
COLUMNS = ["channel", "property", "partner", "own", "usual", "fall", "n_left", "n_windows"]

Measure = Callable[[FloatArray], FloatArray]
Change = Callable[[FloatArray, FloatArray], FloatArray]


def frequency(values: FloatArray) -> FloatArray:
    """(...,) dominant frequency in cycles per sample; NaN where it has less than `PEAK` of the power."""
    power = np.abs(np.fft.rfft(straightened(values), axis=-1)) ** 2
    power[..., 0] = 0.0
    peak = power.argmax(axis=-1)
    near = np.abs(np.arange(power.shape[-1]) - peak[..., None]) <= 1
    total = power.sum(axis=-1)
    share = (power * near).sum(axis=-1) / np.where(total > 0, total, 1.0)
    return np.where(share >= PEAK, peak / values.shape[-1], np.nan)


def with_level(values: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) of another mean."""
    return np.asarray(values + (wanted - level(values))[:, None])


def with_spread(values: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) of another standard deviation around the same straight line."""
    around, own = straightened(values), spread(values)
    return np.asarray(values + around * (wanted / np.maximum(own, TINY) - 1.0)[:, None])


def with_slope(values: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) of another slope and the same mean."""
    return np.asarray(values + (wanted - slope(values))[:, None] * times(values.shape[1]))


def with_frequency(values: FloatArray, wanted: FloatArray) -> FloatArray:
    """(window, time) played faster or slower, to and fro where it ends too early, around the same straight line."""
    length, around, own = values.shape[1], straightened(values), frequency(values)
    made = []
    for one, ratio in zip(around, wanted / own, strict=True):
        at = np.arange(length) * ratio % (2 * (length - 1))
        made.append(np.interp(np.minimum(at, 2 * (length - 1) - at), np.arange(length), one))
    played = straightened(np.stack(made))
    played = played * (spread(values) / np.maximum(played.std(axis=1), TINY))[:, None]
    return np.asarray(values - around + played)


def with_shape(values: FloatArray, others: FloatArray) -> FloatArray:
    """(window, time) with the course of other windows, of the same straight line and spread as before."""
    course = straightened(others)
    course = course * (spread(values) / np.maximum(course.std(axis=1), TINY))[:, None]
    return np.asarray(values - straightened(values) + course)


PROPERTIES: Mapping[str, tuple[Measure, Change]] = {
    "level": (level, with_level),
    "spread": (spread, with_spread),
    "slope": (slope, with_slope),
    "frequency": (frequency, with_frequency),
}


def property_table(
    membership: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    similar: FloatArray,
    ranking: FloatArray,
    channels: Sequence[str],
) -> pd.DataFrame:
    """What membership loses when one property of one leading channel is as usual.

    Args:
        membership: (window, channel, time) -> (window,), positive inside the cluster.
        windows: (window, channel, time) of the cluster; the first `N_WINDOWS` that are inside count.
        similar: (window, other, channel, time) the most similar windows outside it, which say what is usual.
        ranking: (channel,) the higher, the more it leads.

    Returns:
        One row per channel and property: the `partner` of a relation or a timing, else ""; `own` and `usual` value
        (medians; NaN of a shape), `fall` (share of the mean membership that is lost), `n_left` of `n_windows` whose
        membership falls to 0 or below.
    """
    before = membership(windows)
    inside = np.flatnonzero(before > 0)[:N_WINDOWS]
    if not len(inside):
        return pd.DataFrame(columns=COLUMNS)
    windows, similar, before = windows[inside], similar[inside], before[inside]
    rows: list[dict[str, object]] = []
    changed: list[FloatArray] = []
    for channel in np.argsort(-np.nan_to_num(ranking, nan=-np.inf), kind="stable")[:N_CHANNELS]:
        own, others = windows[:, channel], similar[:, :, channel]
        for change in [*_changes(own, others), *_relation_changes(windows, similar, channel)]:
            partner = "" if change.partner is None else channels[change.partner]
            rows.append({"channel": channels[channel], "property": change.name, "partner": partner})
            rows[-1] |= {"own": change.own, "usual": change.usual}
            whole = windows.copy()
            whole[:, channel] = change.made
            changed.append(whole)
    if not rows:
        return pd.DataFrame(columns=COLUMNS)
    after = membership(np.concatenate(changed)).reshape(len(rows), -1)
    table = pd.DataFrame(rows)
    table["fall"] = 1.0 - after.mean(axis=1) / before.mean()
    table["n_left"] = (after <= 0).sum(axis=1)
    return table.assign(n_windows=len(windows))[COLUMNS]


def deviation_table(window: FloatArray, normal: FloatArray, channels: Sequence[str]) -> pd.DataFrame:
    """How much each channel of one window changes when one property is as in normal windows; no network is asked.

    Args:
        window: (channel, time) scaled values.
        normal: (other, channel, time) what is usual.

    Returns:
        One row per channel and property but the shape: `own` and `usual` value and `size`, the root mean square of the
        change.
    """
    rows = [
        {"channel": channels[i], "property": one.name, "own": one.own, "usual": one.usual}
        | {"size": float(np.sqrt(np.mean((one.made - window[i]) ** 2)))}
        for i in range(len(channels))
        for one in _changes(window[None, i], normal[None, :, i])
        if one.name != SHAPE
    ]
    return pd.DataFrame(rows, columns=["channel", "property", "own", "usual", "size"])


@dataclass(frozen=True)
class _Changed:
    """One property of one channel, changed alone.

    Attributes:
        own, usual: medians.
        made: (window, time) with the usual one.
        partner: position of the channel that it refers to.
    """

    name: str
    own: float
    usual: float
    made: FloatArray
    partner: int | None = None


def _changes(own: FloatArray, others: FloatArray) -> list[_Changed]:
    """The properties that windows (window, time) have.

    Args:
        others: (window, other, time).
    """
    found = []
    for name, (measure, change) in PROPERTIES.items():
        value, usual = measure(own), _median(measure(others))
        known = np.isfinite(value) & np.isfinite(usual)
        if known.mean() <= 0.5:
            continue
        made = own.copy()
        made[known] = change(own[known], usual[known])
        found.append(_Changed(name, float(np.median(value[known])), float(np.median(usual[known])), made))
    if (spread(own) > TINY).all() and (spread(others[:, 0]) > TINY).all():
        found.append(_Changed(SHAPE, float("nan"), float("nan"), with_shape(own, others[:, 0])))
    return found


def _relation_changes(windows: FloatArray, similar: FloatArray, channel: int) -> list[_Changed]:
    """Relation and timing to the partner where they differ most, if they differ.

    Args:
        windows: (window, channel, time).
        similar: (window, other, channel, time).
    """
    found = []
    for name, (measure, change, least) in RELATIONS.items():
        best: tuple[float, int, FloatArray, FloatArray] | None = None
        for partner in range(windows.shape[1]):
            if partner == channel:
                continue
            value = measure(windows[:, channel], windows[:, partner])
            usual = _median(measure(similar[:, :, channel], similar[:, :, partner]))
            known = np.isfinite(value) & np.isfinite(usual)
            differs = abs(float(np.median(value[known]) - np.median(usual[known]))) if known.mean() > 0.5 else 0.0
            if differs >= (best[0] if best else least) and differs > 0:
                best = differs, partner, value, usual
        if best is None:
            continue
        _, partner, value, usual = best
        known, made = np.isfinite(value) & np.isfinite(usual), windows[:, channel].copy()
        made[known] = change(made[known], windows[known, partner], usual[known])
        own, theirs = float(np.median(value[known])), float(np.median(usual[known]))
        found.append(_Changed(name, own, theirs, made, partner))
    return found


def _median(values: FloatArray) -> FloatArray:
    """(window,) median of what is known of (window, other); NaN where nothing is."""
    known = np.isfinite(values).any(axis=1)
    found = np.full(len(values), np.nan)
    found[known] = np.nanmedian(values[known], axis=1)
    return found
