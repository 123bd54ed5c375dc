"""Leak-free splits into train, validation and test windows, and a check for leaks."""

import hashlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.artifacts.counts import counted
from clusterwhy.config import Settings
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError, LeakageError
from clusterwhy.types import BoolArray, FloatArray

PARTS = ("train", "validation", "test")
LEFT_OUT = "left out"


class Split(Settings, ABC):
    """A choice of `conf/split`: which windows a classifier learns from, is chosen by, and is tested on."""

    @property
    def within_groups(self) -> bool:
        """Whether training and validation may share groups; the test part never shares one."""
        return False

    @abstractmethod
    def split(self, index: pd.DataFrame, series: Series, seed: int) -> np.ndarray:
        """The part of each window.

        Args:
            index: of `window_index`, with `label` and `group`.

        Returns:
            (window,) one of `PARTS`, or `LEFT_OUT`.

        Raises:
            DataError: windows have no labels or groups, groups are too few or not those that are asked for, or a part
                lacks a class; lists all faults of a kind.
        """


class SplitSettings(Split):
    """A split by whole groups, with similar class shares in every part.

    One fold of scikit-learn's StratifiedGroupKFold; shares are counted in groups, so few groups meet them only roughly.
    """

    test_share: float = Field(gt=0.0, le=0.5)
    validation_share: float = Field(gt=0.0, le=0.5)

    def split(self, index: pd.DataFrame, series: Series, seed: int) -> np.ndarray:
        faults = faults_of_windows(index, series)
        if not faults and (n_groups := index["group"].nunique()) < len(PARTS):
            faults = [f"{n_groups} groups: train, validation and test need at least one each"]
        if faults:
            raise DataError(series.name, faults)
        rng = np.random.default_rng(seed)
        part = np.full(len(index), "train", dtype="<U10")
        rest = np.arange(len(index))
        for name, share in (("test", self.test_share), ("validation", self.validation_share / (1.0 - self.test_share))):
            chosen = _fold(index.iloc[rest], share, rng)
            part[rest[chosen]] = name
            rest = np.delete(rest, chosen)
        if faults := lacking(index, part, series, "merge classes or choose another seed"):
            raise DataError(series.name, faults)
        return part


def faults_of_windows(index: pd.DataFrame, series: Series) -> list[str]:
    """What keeps windows from any split: no labels or groups, one class, windows without a label."""
    missing = [column for column in ("label", "group") if column not in index]
    if missing:
        return [f"windows have no {column}: this dataset does not provide any" for column in missing]
    names, unlabelled = series.label_names, int((index["label"] < 0).sum())
    faults = [] if len(names) > 1 else [f"expected at least 2 classes, got {', '.join(names) or 'none'}"]
    if unlabelled:
        faults.append(f"{unlabelled} windows have no label: fill the empty cells of the column")
    return faults


def lacking(index: pd.DataFrame, part: np.ndarray, series: Series, mend: str) -> list[str]:
    """A fault for each class of which a part has no window."""
    return [
        f"no window of class {class_name!r} in {name}: the class occurs in "
        f"{counted(index.loc[index['label'] == label, 'group'].nunique(), 'group')}; {mend}"
        for name in PARTS
        for label, class_name in enumerate(series.label_names)
        if not (index.loc[part == name, "label"] == label).any()
    ]


def _fold(index: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    n_folds = max(2, min(round(1.0 / share), index["group"].nunique(), int(index["label"].value_counts().min())))
    # its own shuffle permutes class counts instead of groups (scikit-learn #32478): shuffle the group codes
    codes, names = pd.factorize(index["group"])
    shuffled = rng.permutation(len(names))[codes]
    folds = list(StratifiedGroupKFold(n_folds).split(index, index["label"], shuffled))
    return np.asarray(folds[rng.integers(n_folds)][1])


def check_split(index: pd.DataFrame, part: np.ndarray, series: Series, within_groups: bool = False) -> None:
    """Refuse a split that leaks.

    Args:
        index: of `window_index`, with `group`.
        part: (window,) the part of each window; any number of parts.
        within_groups: whether training and validation may share groups.

    Raises:
        LeakageError: two parts share a group, samples or identical windows; lists the groups.
    """
    faults: list[str] = []
    leaking: set[int] = set()
    values, group_names = series.values, series.group_names
    digests = np.array([_digest(values[a:b]) for a, b in zip(index["start"], index["stop"], strict=True)])
    for one, other in itertools.combinations(dict.fromkeys(part.tolist()), 2):
        may_share = within_groups and "test" not in (one, other)
        for fault, groups in _leaks(index, (part == one, part == other), digests, len(values), may_share):
            faults.append(f"{fault.format(one=one, other=other)}: {', '.join(group_names[group] for group in groups)}")
            leaking |= set(groups)
    if faults:
        raise LeakageError(series.name, faults, [group_names[group] for group in sorted(leaking)])


def _leaks(
    index: pd.DataFrame, parts: tuple[BoolArray, BoolArray], digests: np.ndarray, n_samples: int, may_share: bool
) -> Iterator[tuple[str, list[int]]]:
    """What two parts share, and the groups concerned."""
    (here, there), groups = parts, index["group"].to_numpy()
    shared = np.intersect1d(groups[here], groups[there])
    if len(shared) and not may_share:
        yield "groups in both {one} and {other}", shared.tolist()
    in_both = covered(index[here], n_samples) & covered(index[there], n_samples)
    if in_both.any():
        touched = [in_both[a:b].any() for a, b in zip(index["start"], index["stop"], strict=True)]
        found = np.unique(groups[touched & (here | there)])
        yield f"{int(in_both.sum())} samples are shared by windows of {{one}} and {{other}}", found.tolist()
    twins = there & np.isin(digests, digests[here])
    if twins.any():
        yield (
            f"{int(twins.sum())} windows of {{other}} are identical to windows of {{one}}",
            np.unique(groups[twins]).tolist(),
        )


def covered(index: pd.DataFrame, n_samples: int) -> BoolArray:
    """(time,) True for samples inside any window of the index."""
    edges = np.zeros(n_samples + 1, dtype=np.int64)
    np.add.at(edges, index["start"].to_numpy(), 1)
    np.add.at(edges, index["stop"].to_numpy(), -1)
    inside: BoolArray = edges.cumsum()[:-1] > 0
    return inside


def _digest(window: FloatArray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(window).tobytes(), digest_size=16).hexdigest()
