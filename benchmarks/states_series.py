"""Series whose states are known, and what other methods find in them.

MoCap, ActRecTut, UTSA and TSSB (../shared/data/states/README.md), and SKAB's runs, which are normal or have a fault
(../shared/data/skab/README.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import benchmark_data
from clusterwhy.types import FloatArray, IntArray

SUITES = ("TSSB", "UTSA", "MoCap", "ActRecTut", "SKAB")


@dataclass(frozen=True)
class Recorded:
    """A series whose states are known.

    Attributes:
        part: whether it was looked at when settings were chosen.
        load: values (time, channel), states (time,), and samples of a window as its authors suggest, if they do.
    """

    suite: str
    part: str
    name: str
    load: Callable[[], tuple[FloatArray, IntArray, int | None]]


def series() -> Iterator[Recorded]:
    """All series; SKAB's were not looked at."""
    folder = benchmark_data() / "states"
    for suite in SUITES[:-1]:
        for number, path in enumerate(sorted(folder.glob(f"{suite}_*.npz"))):
            part = "looked at" if number % 2 == 0 else "not looked at"
            yield Recorded(suite, part, path.stem, partial(_of_file, path))
    runs_of_skab = benchmark_data() / "skab" / "skab.npz"
    with np.load(runs_of_skab, allow_pickle=False) as held:
        names = held["names"].tolist()
    for name in names:
        yield Recorded("SKAB", "not looked at", f"SKAB_{name}", partial(_of_skab, runs_of_skab, name))


def _of_file(path: Path) -> tuple[FloatArray, IntArray, int]:
    with np.load(path, allow_pickle=False) as held:
        return held["values"].astype(np.float64), held["labels"].astype(np.int64), int(held["window"])


def _of_skab(path: Path, name: str) -> tuple[FloatArray, IntArray, None]:
    with np.load(path, allow_pickle=False) as held:
        return held[f"{name}__x"].astype(np.float64), held[f"{name}__label"].astype(np.int64), None


def published(names: set[str]) -> pd.DataFrame:
    """Figures of other methods for the same series, as their authors recorded them."""
    every = pd.read_csv(benchmark_data() / "states" / "peers.csv")
    every["series"] = every["suite"] + "_" + every["series"].str.removeprefix("SKAB_")
    return every[every["series"].isin(names)].assign(method=lambda table: table["method"] + " (published)")
