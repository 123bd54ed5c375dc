"""Groups inside a cluster that single channels tell apart: what the encoder may have missed.

An encoder mixes channels, so a state that shows in few of them, or in the size of noise, may lie in one cluster with
the usual one. The level, spread and change of every channel (`encoders.statistics`) have clusters of their own; those
that lie inside one cluster of the study, and that one channel tells from the rest of it, are hidden groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.encoders.masked import embed
from clusterwhy.encoders.statistics import StatisticsNetwork
from clusterwhy.types import BoolArray, FloatArray, IntArray

FLOOR = 0.01  # as in conf/encoder/statistics.yaml
INSIDE = 0.9  # share of a group that lies in one cluster; and most of the cluster that one group may be
APART = 2.0  # standard deviations between the means of a group and of the rest of its cluster, at least
FEATURES = ("level", "spread", "change")
COLUMNS = ["group", "cluster", "n_windows", "n_compared", "window", "channel", "property", "own", "usual", "apart"]


@dataclass(frozen=True)
class HiddenGroups:
    """Groups of windows inside clusters, the largest of the first cluster first.

    Attributes:
        table: one row per `group` and the `cluster` that it is in: `n_windows` of it, of `n_compared` of the cluster;
            the `window` nearest to its mean; the `channel` and `property` (level, spread or change) that tell it from
            the rest of the cluster; by how many standard deviations the channel is `apart`; medians in the group
            (`own`) and in the rest (`usual`).
        windows: one row per `window` that is in a group.
    """

    table: pd.DataFrame
    windows: pd.DataFrame


def channel_statistics(values: FloatArray, starts: IntArray, length: int) -> FloatArray:
    """(window, 3 * channel) level, log spread and log change of every channel.

    Args:
        values: (time, channel), scaled.
        starts: (window,) first samples.
        length: of a window.
    """
    return embed(StatisticsNetwork(values.shape[1], FLOOR), values, starts, length, 128)  # type: ignore[arg-type]


def hidden_groups(
    labels: IntArray, groups: IntArray, statistics: FloatArray, windows: IntArray, channels: Sequence[str]
) -> HiddenGroups:
    """The groups that lie inside one cluster, and what tells each from the rest of it.

    Args:
        labels: (window,) clusters of the study, -1 is noise.
        groups: (window,) clusters of `statistics`, -1 is noise.
        statistics: (window, 3 * channel) of `channel_statistics`.
        windows: (window,) ids.
        channels: names.
    """
    rows: list[dict[str, object]] = []
    members: list[pd.DataFrame] = []
    for cluster in np.unique(labels[labels >= 0]):
        inside = labels == cluster
        numbers, sizes = np.unique(groups[inside & (groups >= 0)], return_counts=True)
        for group in numbers[np.argsort(-sizes, kind="stable")]:
            own = inside & (groups == group)
            if own.sum() < INSIDE * (groups == group).sum() or own.sum() > INSIDE * inside.sum():
                continue
            told = _told(statistics, own, inside & ~own, channels)
            if told["apart"] < APART:
                continue
            far = np.square(statistics[own] - statistics[own].mean(axis=0)).sum(axis=1)
            ids, number = windows[own], len(rows)
            row = {"group": number, "cluster": int(cluster), "n_windows": len(ids), "n_compared": int(inside.sum())}
            rows.append(row | {"window": int(ids[far.argmin()])} | told)
            members.append(pd.DataFrame({"window": ids, "group": number}))
    none = pd.DataFrame({"window": windows[:0], "group": np.zeros(0, dtype=np.int64)})
    return HiddenGroups(pd.DataFrame(rows, columns=COLUMNS), pd.concat([none, *members], ignore_index=True))


def _told(statistics: FloatArray, own: BoolArray, rest: BoolArray, channels: Sequence[str]) -> dict[str, Any]:
    """What tells two sets of windows apart, and its medians.

    It is the channel and property that differ most; the spread of that channel, which is to be seen, stands for its
    change if it is `APART`, too.
    """
    one, other = statistics[own], statistics[rest]
    variance = (len(one) * one.var(axis=0) + len(other) * other.var(axis=0)) / (len(one) + len(other))
    apart = np.abs(one.mean(axis=0) - other.mean(axis=0)) / np.sqrt(np.maximum(variance, 1e-12))
    feature, channel = divmod(int(apart.argmax()), len(channels))
    sizes = apart[channel :: len(channels)]
    if FEATURES[feature] == "change" and sizes[FEATURES.index("spread")] >= APART:
        feature = FEATURES.index("spread")
    name, best = FEATURES[feature], feature * len(channels) + channel
    medians = [float(np.median(part[:, best])) for part in (one, other)]
    if name != "level":
        medians = [math.sqrt(max(math.exp(2.0 * median) - FLOOR, 0.0)) for median in medians]
    told = {"channel": channels[channel], "property": name, "own": medians[0], "usual": medians[1]}
    return told | {"apart": float(sizes.max())}
