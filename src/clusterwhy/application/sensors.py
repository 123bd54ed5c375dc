"""Whether the sensors of a new recording still measure as they did: checks before any score is believed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.types import BoolArray, FloatArray, IntArray

COLUMNS = ["channel", "check", "share", "says"]
FEWEST = 10  # samples at a limit
CLIPPED = 0.01  # share of samples at a limit from which on a channel may be saturated
OTHER_SCALE = 10.0  # ratio of spreads from which on the unit may be another
OUTSIDE = 0.05  # share of samples outside the range of the study that is told
FACTORS = {1e3: "a thousand times", 1e-3: "a thousandth of", 60.0: "60 times", 1 / 60.0: "a 60th of"}
ALIKE = 0.3  # of the logarithm: how near a ratio of spreads is to such a factor


@dataclass(frozen=True)
class Sensor:
    """One channel of a new recording beside that of the study, (time,) each, as recorded."""

    name: str
    new: FloatArray
    old: FloatArray
    unit: str
    old_unit: str

    def faults(self, length: int) -> Iterator[tuple[str, float, str]]:
        """What is wrong: the check, the share of samples it concerns, a sentence.

        Args:
            length: samples in a window.
        """
        if self.unit and self.old_unit and self.unit != self.old_unit:
            yield "other unit", 1.0, f"is given in {self.unit}, the study's in {self.old_unit}"
        if not self.new.any() and self.old.any():
            yield "all zero", 1.0, "is zero all the time"
        elif (frozen := _frozen(self.new, max(length, 2 * _longest_run(self.old)))).any():
            yield "frozen", float(frozen.mean()), f"keeps one value for up to {_longest_run(self.new)} samples"
        else:
            yield from self._saturated()
            yield from self._scale()

    def _saturated(self) -> Iterator[tuple[str, float, str]]:
        for limit, says in ((self.new.max(), "highest"), (self.new.min(), "lowest")):
            count, share = int((self.new == limit).sum()), float((self.new == limit).mean())
            usual = max(float((self.old == end).mean()) for end in (self.old.max(), self.old.min()))
            if count >= FEWEST and share > CLIPPED and share > 5.0 * usual:
                yield "saturated", share, f"lies at its {says} value, {limit:.4g}, in {share:.1%} of the samples"

    def _scale(self) -> Iterator[tuple[str, float, str]]:
        new, old = _spread(self.new), _spread(self.old)
        if old == 0 < new:
            yield "no longer constant", 1.0, "varies, and was constant in the study"
            return
        if new == 0:
            return  # told as frozen
        ratio = new / old
        if not 1.0 / OTHER_SCALE < ratio < OTHER_SCALE:
            nearest = min(FACTORS, key=lambda factor: abs(np.log(ratio / factor)))
            known = abs(np.log(ratio / nearest)) < ALIKE
            by = FACTORS[nearest] if known else f"{ratio:.3g} times"
            yield "other scale", 1.0, f"varies by {by} what it did in the study: is it in another unit?"
        low, high = self.old.min(), self.old.max()
        outside = float(((self.new < low) | (self.new > high)).mean())
        if outside > OUTSIDE:
            yield "outside its range", outside, f"leaves the range of the study, {low:.4g} to {high:.4g}"


def sensor_checks(sensors: list[Sensor], length: int) -> pd.DataFrame:
    """One row per channel and check that fails, with `COLUMNS`; empty where all is as in the study.

    Args:
        sensors: of each channel.
        length: samples in a window.
    """
    rows = [(sensor.name, *fault) for sensor in sensors for fault in sensor.faults(length)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"share": float})


def _runs(values: FloatArray) -> tuple[IntArray, IntArray]:
    """First samples and lengths of runs of one value."""
    firsts = np.append(0, np.flatnonzero(np.diff(values) != 0) + 1)
    return firsts, np.diff(np.append(firsts, len(values)))


def _longest_run(values: FloatArray) -> int:
    return int(_runs(values)[1].max())


def _frozen(values: FloatArray, longest: int) -> BoolArray:
    """(time,) True in runs of one value longer than `longest` samples."""
    lengths = _runs(values)[1]
    return np.repeat(lengths > longest, lengths)


def _spread(values: FloatArray) -> float:
    """Between the 5 % and the 95 % quantile, else the standard deviation: of channels that rarely change."""
    low, high = np.quantile(values, [0.05, 0.95])
    return float(high - low) if high > low else float(values.std())
