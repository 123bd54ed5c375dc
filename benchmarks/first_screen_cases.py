"""Made-up recordings whose states and events are known, and the answers that a reader should find."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

HOURS, SAMPLES, BEGINS = 17_420, 960, 160  # of the grid; of each run of the process, and when its fault begins
METERS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
N_SENSORS, N_PARTS, N_RUNS = 52, 8, 6


@dataclass(frozen=True)
class Known:
    """A state or an event.

    Attributes:
        spans: first sample of each visit, and the one after the last.
        channels: those that show it, any of which is right.
        words: what a leading channel does, any of which is right.
    """

    name: str
    spans: tuple[tuple[int, int], ...]
    channels: tuple[str, ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerSheet:
    """Files to be read, one after the other, and what is known of them.

    Attributes:
        tables: one for each recording, with a column of dates.
        states: what neither they nor an event covers is a state, too.
    """

    tables: Sequence[pd.DataFrame]
    states: tuple[Known, ...]
    events: tuple[Known, ...]

    @property
    def n_samples(self) -> int:
        """Of all recordings together."""
        return sum(len(table) for table in self.tables)

    def truth(self) -> np.ndarray:
        """(sample,) number of the state, 0 is the usual one; -1 in an event."""
        found = np.zeros(self.n_samples, dtype=np.int64)
        for number, state in enumerate(self.states, start=1):
            for first, stop in state.spans:
                found[first:stop] = number
        for event in self.events:
            for first, stop in event.spans:
                found[first:stop] = -1
        return found


def grid(seed: int = 0) -> AnswerSheet:
    """Seven meters of a grid, hourly for two years: days and weeks, a slow temperature, three states, two events."""
    rng = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    day, week = 2 * np.pi * hour / 24, 2 * np.pi * hour / 168
    swing = {}
    for name, size in zip(METERS[:-1], (1.0, 0.6, 2.0, 0.8, 1.2, 0.5), strict=True):
        phase = rng.uniform(0, 2 * np.pi)
        swing[name] = size * (np.sin(day + phase) + 0.4 * np.sin(2 * day + phase) + 0.3 * np.sin(week + phase))
    states = (
        Known("second shift", ((1000, 2500), (7000, 8400), (13_000, 14_300)), ("MUFL",), ("swings wider",)),
        Known("line stopped", ((3200, 4200), (9400, 10_300), (15_200, 16_100)), ("LUFL",), ("swings less",)),
        # it is cold then
        Known("heating", ((5000, 6300), (11_000, 12_300)), ("HULL", "OT"), ("is higher", "is lower")),
    )
    for first, stop in states[0].spans:
        swing["MUFL"][first:stop] *= 2.5
    for first, stop in states[1].spans:
        swing["LUFL"][first:stop] *= 0.05
    for first, stop in states[2].spans:
        swing["HULL"][first:stop] += 2.5
    values = np.stack([swing[name] for name in METERS[:-1]], axis=1) + 5.0 + rng.normal(0, 0.15, (HOURS, 6))
    warmth = 15 + 6 * np.sin(2 * np.pi * hour / 8766) + 1.5 * np.sin(day) + 0.5 * (values[:, 0] - 5.0)
    values = np.column_stack([values, warmth + rng.normal(0, 0.3, HOURS)])
    events = (
        Known("inverted meter", ((4500, 4560),), ("MULL",)),
        Known("frozen meter", ((8800, 8848),), ("HUFL",)),
    )
    mirrored, frozen = slice(*events[0].spans[0]), slice(*events[1].spans[0])
    values[mirrored, 3] = 2 * values[mirrored, 3].mean() - values[mirrored, 3]
    values[frozen, 0] = values[frozen.start, 0]
    table = pd.DataFrame(values.round(3), columns=list(METERS))
    table.insert(0, "date", pd.date_range("2016-07-01", periods=HOURS, freq="h"))
    return AnswerSheet([table], states, events)


def process(seed: int = 0) -> AnswerSheet:
    """Six runs of a process with 52 sensors on eight coupled parts: normal, four faults that last, one short one."""
    rng = np.random.default_rng(seed)
    names = [f"XMEAS{i + 1:02d}" for i in range(N_SENSORS)]
    main, second = np.arange(N_SENSORS) % N_PARTS, rng.integers(0, N_PARTS, N_SENSORS)
    weights = np.zeros((N_PARTS, N_SENSORS))
    weights[second, np.arange(N_SENSORS)] = 0.3
    weights[main, np.arange(N_SENSORS)] = 1.0
    of_part = [tuple(names[i] for i in range(N_SENSORS) if weights[part, i] > 0) for part in range(N_PARTS)]
    parts = lfilter([1.0], [1.0, -0.9], rng.normal(size=(N_RUNS * SAMPLES + 200, N_PARTS)), axis=0)[200:]
    parts /= parts.std(axis=0)

    def of_run(run: int) -> tuple[int, int]:
        return run * SAMPLES + BEGINS, (run + 1) * SAMPLES

    states = (
        Known("feed is high", (of_run(1),), of_part[2], ("is higher",)),
        Known("valve hunts", (of_run(2),), of_part[5], ("swings wider", "faster")),
        Known("mixing varies", (of_run(3),), of_part[1], ("swings wider",)),
        Known("loop is stuck", (of_run(4),), of_part[6], ("swings less",)),
    )
    spans = [slice(*state.spans[0]) for state in states]
    parts[spans[0], 2] += 3.5
    parts[spans[1], 5] += 2.5 * np.sin(2 * np.pi * np.arange(SAMPLES - BEGINS) / 12)
    parts[spans[2], 1] *= 3.5
    parts[spans[3], 6] *= 0.05
    values = parts @ weights + 0.2 * rng.normal(size=(N_RUNS * SAMPLES, N_SENSORS))
    at = 5 * SAMPLES + 500
    event = Known("one sensor goes its own way", ((at, at + 64),), (names[29],))
    values[at : at + 64, 29] = -1.5 * values[at : at + 64, 29]
    values = 50.0 + 4.0 * values
    tables = []
    for run in range(N_RUNS):
        part = slice(run * SAMPLES, (run + 1) * SAMPLES)
        table = pd.DataFrame(values[part].round(3), columns=names)
        begins = pd.Timestamp("2025-03-03 06:00") + pd.Timedelta(days=7 * run)
        table.insert(0, "date", pd.date_range(begins, periods=SAMPLES, freq="3min"))
        tables.append(table)
    return AnswerSheet(tables, states, (event,))


WITHOUT_TRAINING = {"encoder": "statistics", "train": "none", "encoders": 1, "detector": "relation_and_shape"}
# name -> the sheet, and choices of params.yaml beside the default ones
CASES: dict[str, tuple[Callable[[], AnswerSheet], dict[str, Any]]] = {
    "grid": (grid, {}),
    "grid, statistics": (grid, WITHOUT_TRAINING),
    "process": (process, {}),
    "process, statistics": (process, WITHOUT_TRAINING),
}
