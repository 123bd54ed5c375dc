"""A split by names: the files, machines or people of each part are those that the user says."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from clusterwhy.artifacts.patterns import matches, near_names
from clusterwhy.data.series import Series
from clusterwhy.data.splits import LEFT_OUT, PARTS, Split, covered, faults_of_windows, lacking
from clusterwhy.errors import DataError
from clusterwhy.types import BoolArray

SHOWN = 8  # groups named in a message


class NamedSplit(Split):
    """Test and validation groups by their names or patterns of names; all others train.

    Args:
        test: patterns of the groups that are tested on.
        validation: patterns of the groups that choose the weights; empty: `validation_share`.
        validation_share: of the windows of each class in each training group, the last ones in time. Training windows
            that share samples with them are left out.
    """

    test: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...]
    validation_share: float | None = Field(gt=0.0, le=0.5)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.validation) == (self.validation_share is not None):
            raise ValueError(
                "set either `validation`, names of groups, or `validation_share`, a share of the time of training "
                "groups, and the other one to [] or null"
            )
        return self

    @property
    def within_groups(self) -> bool:
        return self.validation_share is not None

    def split(self, index: pd.DataFrame, series: Series, seed: int) -> np.ndarray:
        if faults := faults_of_windows(index, series):
            raise DataError(series.name, faults)
        names = [series.group_names[code] for code in np.unique(index["group"])]
        if faults := self._faults(names):
            raise DataError(series.name, faults)
        named = np.array([self._part(name) for name in series.group_names], dtype="<U10")
        part: np.ndarray = named[index["group"].to_numpy()]
        mend = "name other groups or merge classes"
        if self.validation_share is not None:
            part[_last(index, part == "train", self.validation_share)] = "validation"
            both = covered(index[part == "validation"], len(series.values))
            shared = [both[a:b].any() for a, b in zip(index["start"], index["stop"], strict=True)]
            part[(part == "train") & np.array(shared)] = LEFT_OUT
            mend += ", or change `validation_share`"
        if faults := lacking(index, part, series, mend):
            raise DataError(series.name, faults)
        return part

    def _part(self, name: str) -> str:
        for part in ("test", "validation"):
            if any(matches(name, pattern) for pattern in getattr(self, part)):
                return part
        return "train"

    def _faults(self, names: Sequence[str]) -> list[str]:
        """Patterns that match no group, groups in two parts, and no group that is left to train."""
        chosen = {part: getattr(self, part) for part in ("test", "validation")}
        faults = [
            f"`split.{part}`: no group is called {pattern!r}; near it are {_listed(near_names(pattern, names))}"
            for part, patterns in chosen.items()
            for pattern in patterns
            if not any(matches(name, pattern) for name in names)
        ]
        found = {part: {name for name in names for one in own if matches(name, one)} for part, own in chosen.items()}
        if both := sorted(found["test"] & found["validation"]):
            faults.append(f"in both `split.test` and `split.validation`: {_listed(both)}")
        if not set(names) - found["test"] - found["validation"]:
            faults.append(f"no group is left to train on: {', '.join(PARTS[1:])} take all of {_listed(names)}")
        return faults


def _last(index: pd.DataFrame, training: BoolArray, share: float) -> BoolArray:
    """(window,) whether it is among the last of the training windows of its class and group."""
    own = index[training].groupby(["group", "label"])["start"]
    last = np.zeros(len(index), dtype=bool)
    last[training] = own.rank(method="first") > own.transform("size") - (share * own.transform("size")).round()
    return last


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
