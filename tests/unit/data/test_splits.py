"""Splits keep groups apart, and what leaks is named; windows carry the group and the label they should."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy.data.named_split import NamedSplit
from clusterwhy.data.series import Series
from clusterwhy.data.splits import LEFT_OUT, PARTS, SplitSettings, check_split, covered
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.datasets.basic_motions import BasicMotions
from clusterwhy.datasets.benchmarks import EcgArchive, VibrationArchive
from clusterwhy.datasets.watch import WatchSubjects
from clusterwhy.errors import DataError, LeakageError

WATCH_SHA = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
NAMES = tuple(f"person {i}" for i in range(12))
SPLIT = SplitSettings(test_share=0.25, validation_share=0.15)


def recordings(rng: np.random.Generator, n_groups: int = 12) -> Series:
    """Each person makes two recordings of 40 samples, one of each label."""
    n = n_groups * 80
    return Series(
        name="made",
        values=rng.normal(size=(n, 2)),
        time=np.arange(n) / 10,
        rate_hz=10.0,
        channels=("a", "b"),
        units=("", ""),
        train_stop=n,
        segments=tuple(range(0, n, 40)),
        labels=np.tile(np.repeat([0, 1], 40), n_groups),
        label_names=("rest", "walk"),
        groups=np.repeat(np.arange(n_groups), 80),
        group_names=NAMES[:n_groups],
    )


def valued(values: np.ndarray) -> Series:
    n = len(values)
    return Series("made", values, np.arange(float(n)), 1.0, ("a", "b"), ("", ""), n, group_names=NAMES)


@pytest.fixture
def index(rng: np.random.Generator) -> pd.DataFrame:
    return window_index(recordings(rng), WindowSettings(length=16, stride=8))


def test_no_group_is_in_two_parts_and_each_part_has_each_class(rng: np.random.Generator, index: pd.DataFrame) -> None:
    part = SPLIT.split(index, recordings(rng), 0)
    assert set(part) == set(PARTS)
    assert (index.groupby("group")["window"].agg(lambda rows: len(set(part[rows]))) == 1).all()
    assert all(set(index.loc[part == name, "label"]) == {0, 1} for name in PARTS)
    assert [index.loc[part == name, "group"].nunique() for name in PARTS] == [7, 2, 3]


def test_the_seed_determines_the_test_groups(rng: np.random.Generator, index: pd.DataFrame) -> None:
    parts = [SPLIT.split(index, recordings(rng), seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(parts[0], parts[1])
    assert (parts[0] != parts[2]).any()


def test_a_clean_split_does_not_leak(rng: np.random.Generator, index: pd.DataFrame) -> None:
    part = SPLIT.split(index, recordings(rng), 0)
    check_split(index, part, recordings(rng))


def test_a_group_on_both_sides_is_named(rng: np.random.Generator, index: pd.DataFrame) -> None:
    part = SPLIT.split(index, recordings(rng), 0)
    stray = index.index[(part == "test") & (index["start"] % 40 == 0)][0]
    part[stray] = "train"
    with pytest.raises(LeakageError) as caught:
        check_split(index, part, recordings(rng))
    assert caught.value.groups == (NAMES[index.loc[stray, "group"]],)
    # its neighbour starts eight samples later
    assert len(caught.value.faults) == 2 and "8 samples are shared by windows" in str(caught.value)


def test_overlapping_windows_of_two_groups_leak(rng: np.random.Generator) -> None:
    index = pd.DataFrame({"start": [0, 20, 28], "stop": [16, 36, 44], "group": [0, 1, 2]})
    with pytest.raises(
        LeakageError, match="8 samples are shared by windows of train and test: person 1, person 2"
    ) as caught:
        check_split(index, np.array(["train", "train", "test"]), valued(rng.normal(size=(50, 2))))
    assert caught.value.groups == ("person 1", "person 2")


def test_identical_windows_on_both_sides_leak(rng: np.random.Generator) -> None:
    values = rng.normal(size=(60, 2))
    values[40:56] = values[0:16]
    index = pd.DataFrame({"start": [0, 20, 40], "stop": [16, 36, 56], "group": [0, 1, 2]})
    part = np.array(["train", "train", "test"])
    with pytest.raises(LeakageError, match="1 windows of test are identical to windows of train: person 2"):
        check_split(index, part, valued(values))
    values[55, 1] += 1e-9
    check_split(index, part, valued(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="group"), "windows have no group"),
        (lambda t: t.drop(columns="label"), "windows have no label"),
        (lambda t: t[t["group"] < 2], "2 groups: train, validation and test need at least one each"),
        (lambda t: t.assign(label=t["label"] - 1), "48 windows have no label"),
        (lambda t: t[(t["label"] == 0) | (t["group"] == 3)], "no window of class 'walk' in"),
    ],
)
def test_windows_that_cannot_be_split_are_refused(
    rng: np.random.Generator, index: pd.DataFrame, change, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        SPLIT.split(change(index), recordings(rng), 0)


def test_named_groups_are_the_parts(rng: np.random.Generator, index: pd.DataFrame) -> None:
    split = NamedSplit(test=("person 1*",), validation=("person 0", "person [23]"), validation_share=None)
    part = split.split(index, recordings(rng), 0)
    found = {name: sorted(index.loc[part == name, "group"].unique()) for name in PARTS}
    assert found == {"train": [4, 5, 6, 7, 8, 9], "validation": [0, 2, 3], "test": [1, 10, 11]}
    check_split(index, part, recordings(rng), split.within_groups)


def test_without_a_named_validation_the_last_windows_of_each_class_and_training_group_are_taken(
    rng: np.random.Generator,
) -> None:
    series = replace(recordings(rng, n_groups=3), segments=(0, 80, 160))
    index = window_index(series, WindowSettings(length=8, stride=2))
    split = NamedSplit(test=("person 2",), validation=(), validation_share=0.25)
    part = split.split(index, series, 0)
    assert set(index.loc[part == "test", "group"]) == {2} and (part[index["group"] == 2] == "test").all()
    for _, own in index[index["group"] < 2].assign(part=part[index["group"] < 2]).groupby(["group", "label"]):
        kinds = own.sort_values("start")["part"].tolist()
        n_last = round(0.25 * len(own))
        assert kinds[-n_last:] == ["validation"] * n_last and "validation" not in kinds[:-n_last]
        assert kinds[-n_last - 3 : -n_last] == [LEFT_OUT] * 3, "three windows before it share samples with it"
    # in the middle, the first windows of `walk` share samples with the last ones of `rest`
    stop = index.loc[(part == "validation") & (index["label"] == 0) & (index["group"] == 0), "stop"].max()
    assert set(part[(index["group"] == 0) & (index["label"] == 1) & (index["start"] < stop)]) == {LEFT_OUT}
    kept = part != LEFT_OUT
    check_split(index[kept], part[kept], series, split.within_groups)
    with pytest.raises(LeakageError, match="groups in both train and validation: person 0, person 1"):
        check_split(index[kept], part[kept], series)


def test_a_test_part_may_not_share_groups_even_where_validation_does(
    rng: np.random.Generator, index: pd.DataFrame
) -> None:
    part = np.where(index["group"] < 6, "train", "test")
    part[0] = "test"
    with pytest.raises(LeakageError, match="groups in both test and train: person 0"):
        check_split(index, part, recordings(rng), within_groups=True)


def test_names_that_do_not_fit_the_groups_are_all_listed(rng: np.random.Generator, index: pd.DataFrame) -> None:
    split = NamedSplit(test=("person", "person 2", "*"), validation=("person 2", "machine*"), validation_share=None)
    with pytest.raises(DataError) as caught:
        split.split(index, recordings(rng), 0)
    first, second, both, left = caught.value.faults
    assert first.startswith("`split.test`: no group is called 'person'; near it are 'person 0', 'person 1'")
    assert second.startswith("`split.validation`: no group is called 'machine*'")
    assert both == "in both `split.test` and `split.validation`: 'person 2'"
    assert left.startswith("no group is left to train on: validation, test take all of 'person 0', ")


def test_a_named_part_without_a_class_is_refused(rng: np.random.Generator, index: pd.DataFrame) -> None:
    split = NamedSplit(test=("person 1",), validation=("person 2",), validation_share=None)
    poor = index[~((index["group"] == 1) & (index["label"] == 1) | (index["group"] == 2) & (index["label"] == 0))]
    with pytest.raises(DataError) as caught:
        split.split(poor, recordings(rng), 0)
    texts = [fault.partition(":")[0] for fault in caught.value.faults]
    assert texts == ["no window of class 'rest' in validation", "no window of class 'walk' in test"]


@pytest.mark.parametrize(("validation", "share"), [((), None), (("a",), 0.2)])
def test_validation_is_chosen_in_one_way(validation: tuple[str, ...], share: float | None) -> None:
    with pytest.raises(ValueError, match="set either `validation`, names of groups, or `validation_share`"):
        NamedSplit(test=("b",), validation=validation, validation_share=share)


def test_covered_samples_are_those_of_any_window(rng: np.random.Generator) -> None:
    starts = rng.integers(0, 90, size=7)
    index = pd.DataFrame({"start": starts, "stop": starts + 10})
    expected = np.array([any(a <= i < a + 10 for a in starts) for i in range(100)])
    np.testing.assert_array_equal(covered(index, 100), expected)


def test_windows_across_groups_are_dropped() -> None:
    groups = np.array([0] * 10 + [-1] * 3 + [1] * 10)
    values = np.zeros((23, 1))
    series = Series("made", values, np.arange(23.0), 1.0, ("a",), ("",), 23, groups=groups, group_names=("x", "y"))
    index = window_index(series, WindowSettings(length=4, stride=1))
    assert index["start"].tolist() == [*range(7), *range(13, 20)]
    assert index["group"].tolist() == [0] * 7 + [1] * 7
    assert index["window"].tolist() == list(range(14))
    with pytest.raises(DataError, match="no window of 12 samples lies within one group"):
        window_index(series, WindowSettings(length=12, stride=1))


def test_a_ranked_label_needs_one_sample_only() -> None:
    labels = np.zeros(12, dtype=np.int64)
    labels[5], labels[9] = 2, 1
    series = Series("made", np.zeros((12, 1)), np.arange(12.0), 1.0, ("a",), ("",), 12, labels=labels)
    most = window_index(series, WindowSettings(length=4, stride=4))
    assert most["label"].tolist() == [0, 0, 0]
    ranked = Series(**(vars(series) | {"label_ranks": (0, 1, 2)}))
    assert window_index(ranked, WindowSettings(length=4, stride=4))["label"].tolist() == [0, 2, 1]


def test_watch_subjects_are_groups_and_channels_can_be_chosen() -> None:
    read = WatchSubjects(subjects=[3, 1], channels=["az", "wx"], sha256=WATCH_SHA).read()
    whole = WatchSubjects(subjects=[1, 2, 3], channels=["ax", "ay", "az", "wx", "wy", "wz"], sha256=WATCH_SHA).read()
    assert read.channels == ("az", "wx") and read.units == ("g", "rad/s")
    assert read.groups is not None and whole.groups is not None and read.labels is not None
    assert read.group_names == ("subject 3", "subject 1") and len(read.segments) == 28
    for code, subject in enumerate((3, 1)):
        np.testing.assert_array_equal(
            read.values[read.groups == code], whole.values[whole.groups == subject - 1][:, 2:4]
        )
    assert (np.flatnonzero(np.diff(read.groups)) + 1).tolist() == [read.segments[14]]
    assert {*np.flatnonzero(np.diff(read.labels)) + 1} <= set(read.segments)
    with pytest.raises(DataError) as caught:
        WatchSubjects(subjects=[11], channels=["bx"], sha256=WATCH_SHA).read()
    assert len(caught.value.faults) == 2


def test_each_basic_motions_recording_is_one_window_and_one_group() -> None:
    index = window_index(BasicMotions().read(), WindowSettings(length=100, stride=100))
    assert index["group"].tolist() == list(range(80))
    assert index["label"].value_counts().tolist() == [20] * 4


@pytest.fixture
def beats(tmp_path: Path, rng: np.random.Generator) -> str:
    """Sixty seconds at 100 Hz, a beat each second in its middle; the 15th is atrial, the 40th ventricular."""
    symbols = np.array(["N"] * 60)
    symbols[15], symbols[40] = "A", "V"
    arrays = {"signal": rng.normal(size=(6000, 2)), "fs": 100.0, "channels": np.array(["I", "II"])}
    np.savez(tmp_path / "ecg.npz", beat_sample=np.arange(60) * 100 + 50, beat_symbol=symbols, **arrays)
    return str(tmp_path / "ecg.npz")


def test_an_ecg_window_has_the_label_of_the_most_abnormal_beat_inside(beats: str) -> None:
    classes = {"normal": ["N"], "premature": ["A", "V"]}
    read = EcgArchive(path=beats, train_share=1.0, classes=classes, block_s=None, gap_s=0.0).read()
    index = window_index(read, WindowSettings(length=300, stride=50))
    marks = np.array([1550, 4050])
    inside = [bool(((marks >= a) & (marks < b)).any()) for a, b in zip(index["start"], index["stop"], strict=True)]
    # marks lie on the edge of some windows, where half a QRS complex is inside
    clear = [np.abs(marks[:, None] - (a, b)).min() > 6 for a, b in zip(index["start"], index["stop"], strict=True)]
    assert read.label_names == ("normal", "premature")
    np.testing.assert_array_equal(index["label"][clear], np.array(inside)[clear])
    with pytest.raises(DataError, match="beats V are in no class"):
        EcgArchive(path=beats, train_share=1.0, classes={"n": ["N"], "a": ["A"]}, block_s=None, gap_s=0.0).read()


def test_adjacent_beats_are_never_in_windows_of_different_blocks(beats: str) -> None:
    read = EcgArchive(path=beats, train_share=1.0, classes=None, block_s=20.0, gap_s=2.0).read()
    index = window_index(read, WindowSettings(length=300, stride=50))
    assert read.group_names == ("block 0", "block 1", "block 2")
    ends = [(rows["start"].min(), rows["stop"].max()) for _, rows in index.groupby("group")]
    # between the last sample of a block and the first of the next lie two beats
    assert [later[0] - earlier[1] for earlier, later in itertools.pairwise(ends)] == [200, 200]


@pytest.mark.parametrize(("label", "labels", "groups"), [("y", 3, 2), ("speed_pct", 2, 3)])
def test_fan_recordings_are_grouped_by_the_variable_that_is_not_the_label(
    tmp_path: Path, rng: np.random.Generator, label: str, labels: int, groups: int
) -> None:
    arrays = {"classes": np.array(["n", "p", "o"]), "channels": np.array(["x", "y", "z"]), "fs": 50.0}
    about = {"y": np.repeat([0, 1, 2], 2), "speed_pct": np.tile([20, 60], 3)}
    np.savez(tmp_path / "fan.npz", X=rng.normal(size=(6, 3, 40)), **about, **arrays)
    read = VibrationArchive(path=str(tmp_path / "fan.npz"), label=label).read()
    index = window_index(read, WindowSettings(length=40, stride=40))
    assert (len(read.label_names), len(read.group_names)) == (labels, groups)
    assert not index.duplicated(["label", "group"]).any()
