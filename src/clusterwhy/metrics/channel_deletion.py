"""Channel deletion: does the target fall when the channels with the highest relevance are replaced?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import with_reasons
from clusterwhy.compute.rounding import ROUNDING
from clusterwhy.types import BoolArray, FloatArray, IntArray

# why a figure is NaN
NO_FALL = "replacing everything does not lower the mean target"
NONE_INSIDE = "no window has a target above 0 that changes when everything is replaced"
N_STEPS = 8  # points of a curve; a forward pass of all explained windows each


@dataclass(frozen=True)
class ChannelDeletion:
    """The effect of replacing channels in the order of a ranking.

    Attributes:
        area: mean height of the curve from 1 (nothing replaced) to 0 (all channels replaced); lower is more
            faithful, NaN where replacing all channels does not lower the mean target or there is only one to rank.
        flip_rate: of the windows whose target is above 0 and changes with all channels replaced, the share whose target
            falls to 0 or below with a third of them replaced (at least one); higher is more faithful, NaN where there
            is no such window.
    """

    area: float
    flip_rate: float


def fall_of(before: FloatArray, after: FloatArray) -> float:
    """How far the mean of targets (window,) falls, NaN where it does not fall by more than rounding."""
    start, end = float(before.mean()), float(after.mean())
    return start - end if start - end > ROUNDING * max(abs(start), abs(end)) else float("nan")


def can_flip(before: FloatArray, after: FloatArray) -> BoolArray:
    """(window,) targets above 0 that change when everything is replaced."""
    return np.asarray((before > 0) & (np.abs(before - after) > ROUNDING * np.abs(before)))


def flip_rate(targets: FloatArray) -> float:
    """Share of targets (window,) at 0 or below; NaN where there is none."""
    return float((targets <= 0).mean()) if len(targets) else float("nan")


def targets_of_replaced(
    target: Callable[[FloatArray], FloatArray], windows: FloatArray, others: FloatArray, masks: Sequence[BoolArray]
) -> FloatArray:
    """(mask, window) targets of windows with the values of other ones where a mask is true, in one call.

    Args:
        target: (window, channel, time) -> (window,).
        windows, others: (window, channel, time).
        masks: (window, channel, time) truth each, or what is broadcast to it; there may be none.
    """
    if not masks:
        return np.zeros((0, len(windows)))
    return target(np.concatenate([np.where(mask, others, windows) for mask in masks])).reshape(len(masks), -1)


def channel_deletion(
    target: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    others: FloatArray,
    rankings: Mapping[str, Sequence[IntArray]],
) -> dict[str, ChannelDeletion]:
    """How fast the target falls while channels are replaced, the most important first.

    Region perturbation (Samek et al. 2017) of whole channels, with values of other windows instead of noise. Every
    curve runs from 1 to 0, so that rankings of one cluster differ in the area only; compare with a random order.

    Args:
        target: (window, channel, time) -> (window,).
        windows: (window, channel, time) of one cluster.
        others: the same shape; windows from outside the cluster, whose channels replace those of `windows`.
        rankings: name -> one or several orders (window, channel), the most important channel first; the result is the
            mean over the orders.
    """
    n_channels = windows.shape[1]
    whole, without = target(windows), target(others)
    end, fall, inside = float(without.mean()), fall_of(whole, without), can_flip(whole, without)
    third = max(1, round(n_channels / 3))
    counts = np.unique([*np.linspace(0, n_channels, min(n_channels, N_STEPS) + 1).round().astype(int), third])

    def areas(ranking: IntArray) -> tuple[float, float]:
        places = np.argsort(ranking, axis=1)[:, :, None]
        after = targets_of_replaced(target, windows, others, [places < count for count in counts[1:-1]])
        curve = [1.0, *((after.mean(axis=1, dtype=np.float64) - end) / fall).tolist(), 0.0]
        flips = flip_rate((after[counts[1:-1].tolist().index(third)] if third < n_channels else without)[inside])
        area = float(np.trapezoid(curve, counts / n_channels))
        return area if n_channels > 1 and fall > 0 else float("nan"), flips

    found = {name: [areas(ranking) for ranking in orders] for name, orders in rankings.items()}
    return {name: ChannelDeletion(*np.mean(each, axis=0).tolist()) for name, each in found.items()}


def deletion_table(
    target: Callable[[FloatArray], FloatArray],
    windows: FloatArray,
    others: FloatArray,
    scores: Mapping[str, FloatArray],
    n_random: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Channel deletion of several rankings, and of `random` orders to compare with.

    Args:
        scores: ranking -> (window, channel), the highest is replaced first.
        n_random: random orders whose mean is taken.

    Returns:
        One row per `ranking`: `channel_deletion` (area), `flip_rate`, and why they are `undefined`.
    """
    orders = {name: [np.argsort(-values, axis=1, kind="stable")] for name, values in scores.items()}
    identity = np.tile(np.arange(windows.shape[1]), (len(windows), 1))
    orders["random"] = [rng.permuted(identity, axis=1) for _ in range(n_random)]
    found = channel_deletion(target, windows, others, orders)
    rows = [{"ranking": name, "channel_deletion": one.area, "flip_rate": one.flip_rate} for name, one in found.items()]
    reasons = {"channel_deletion": NO_FALL if windows.shape[1] > 1 else "there is only one channel to rank"}
    return with_reasons(pd.DataFrame(rows), reasons | {"flip_rate": NONE_INSIDE})
