"""Leak-free splits into train, validation and test windows, and a check for leaks."""

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.errors import DataError, LeakageError
from clusterwhy.types import BoolArray, FloatArray

PARTS = ("train", "validation", "test")


class SplitSettings(Settings):
    """A split by whole groups, with similar class shares in every part.

    One fold of scikit-learn's StratifiedGroupKFold; shares are counted in groups, so few groups meet them only roughly.
    """

    test_share: float = Field(gt=0.0, le=0.5)
    validation_share: float = Field(gt=0.0, le=0.5)

    def split(self, index: pd.DataFrame, names: tuple[str, ...], source: str, seed: int) -> np.ndarray:
        """The part of each window.

        Args:
            index: of `window_index`, with `label` and `group`.
            names: names of the labels.
            source: name of the series in messages.

        Returns:
            (window,) one of `PARTS`.

        Raises:
            DataError: windows have no labels or groups, there are too few groups, or a part lacks a class.
        """
        if faults := self._faults(index, names):
            raise DataError(source, faults)
        rng = np.random.default_rng(seed)
        part = np.full(len(index), "train", dtype="<U10")
        rest = np.arange(len(index))
        for name, share in (("test", self.test_share), ("validation", self.validation_share / (1.0 - self.test_share))):
            chosen = _fold(index.iloc[rest], share, rng)
            part[rest[chosen]] = name
            rest = np.delete(rest, chosen)
        faults = [
            f"no window of class {names[label]!r} in {name}: the class occurs in "
            f"{index.loc[index['label'] == label, 'group'].nunique()} groups; merge classes or choose another seed"
            for name in PARTS
            for label in sorted(set(range(len(names))) - set(index.loc[part == name, "label"]))
        ]
        if faults:
            raise DataError(source, faults)
        return part

    @staticmethod
    def _faults(index: pd.DataFrame, names: tuple[str, ...]) -> list[str]:
        missing = [column for column in ("label", "group") if column not in index]
        if missing:
            return [f"windows have no {column}: this dataset does not provide any" for column in missing]
        faults = [] if len(names) > 1 else [f"expected at least 2 classes, got {', '.join(names) or 'none'}"]
        n_groups, unlabelled = index["group"].nunique(), int((index["label"] < 0).sum())
        if n_groups < len(PARTS):
            faults.append(f"{n_groups} groups: train, validation and test need at least one each")
        if unlabelled:
            faults.append(f"{unlabelled} windows have no label: fill the empty cells of the column")
        return faults


def _fold(index: pd.DataFrame, share: float, rng: np.random.Generator) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    n_folds = max(2, min(round(1.0 / share), index["group"].nunique(), int(index["label"].value_counts().min())))
    # its own shuffle permutes class counts instead of groups (scikit-learn #32478): shuffle the group codes
    codes, names = pd.factorize(index["group"])
    shuffled = rng.permutation(len(names))[codes]
    folds = list(StratifiedGroupKFold(n_folds).split(index, index["label"], shuffled))
    return np.asarray(folds[rng.integers(n_folds)][1])


def check_split(
    values: FloatArray, index: pd.DataFrame, part: np.ndarray, group_names: tuple[str, ...], source: str
) -> None:
    """Refuse a split that leaks.

    Args:
        values: (time, channel).
        index: of `window_index`, with `group`.
        part: (window,) the part of each window; any number of parts.
        group_names: names of the groups, for the message.

    Raises:
        LeakageError: two parts share a group, samples or identical windows; lists the groups.
    """
    faults: list[str] = []
    leaking: set[int] = set()
    digests = np.array([_digest(values[a:b]) for a, b in zip(index["start"], index["stop"], strict=True)])
    for one, other in itertools.combinations(dict.fromkeys(part.tolist()), 2):
        for fault, groups in _leaks(index, part == one, part == other, digests, len(values)):
            faults.append(f"{fault.format(one=one, other=other)}: {', '.join(group_names[group] for group in groups)}")
            leaking |= set(groups)
    if faults:
        raise LeakageError(source, faults, [group_names[group] for group in sorted(leaking)])


def _leaks(
    index: pd.DataFrame, here: BoolArray, there: BoolArray, digests: np.ndarray, n_samples: int
) -> Iterator[tuple[str, list[int]]]:
    """What two parts share, and the groups concerned."""
    groups = index["group"].to_numpy()
    shared = np.intersect1d(groups[here], groups[there])
    if len(shared):
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
