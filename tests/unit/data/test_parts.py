"""Parts of bundled and benchmark datasets: the same settings and faults as for users' files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clusterwhy.data.series import Series
from clusterwhy.datasets.basic_motions import BasicMotions
from clusterwhy.datasets.benchmarks import EcgArchive, NabArchive, TrainTestArchive
from clusterwhy.errors import DataError
from tests.conftest import ROOT

CONF = sorted(path for path in (ROOT / "conf" / "dataset").glob("*.yaml") if "clusterwhy.datasets." in path.read_text())
DAY = 86_400


def nab(folder: Path, **chosen: Any) -> Series:
    """Ten days of one sample an hour, with an hour missing on the second."""
    time = np.delete(1_709_251_200 + 3600 * np.arange(240), 30)  # from 2024-03-01
    label = np.arange(239) % 50 == 0
    np.savez(folder / "nab.npz", value=np.arange(239.0)[:, None], time=time, label=label, channels=["temperature"])
    return NabArchive(path=str(folder / "nab.npz"), train_share=0.5, **chosen).read()


def smd(folder: Path, **chosen: Any) -> Series:
    """40 samples of training, then 60 with anomalies; one a minute."""
    values = np.arange(300.0).reshape(100, 3)
    label = np.arange(60) >= 50
    np.savez(folder / "smd.npz", train=values[:40], test=values[40:], test_label=label, channels=["a1", "a2", "b"])
    return TrainTestArchive(path=str(folder / "smd.npz"), step_s=60.0, **chosen).read()


@pytest.mark.parametrize("path", CONF, ids=lambda path: path.stem)
def test_every_bundled_dataset_has_the_settings_of_a_part(path: Path) -> None:
    settings = yaml.safe_load(path.read_text())
    assert {key: settings[key] for key in ("from", "to", "include", "exclude")} == {
        "from": None,
        "to": None,
        "include": [],
        "exclude": [],
    }


def test_days_of_a_dated_recording_are_read_and_a_share_counts_in_them(tmp_path: Path) -> None:
    whole, found = nab(tmp_path), nab(tmp_path, **{"from": "2024-03-02", "to": "2024-03-04"})
    rows = np.arange(24, 95)  # 72 hours but one
    np.testing.assert_array_equal(found.values, whole.values[rows])
    np.testing.assert_array_equal(found.time, whole.time[rows])
    np.testing.assert_array_equal(found.anomalous, whole.anomalous[rows])  # type: ignore[index]
    assert found.segments == (0, 6) and found.train_stop == 36
    assert any("71 of 239 rows are read" in note for note in found.notes)
    assert nab(tmp_path, **{"from": "2024-03-01"}).values.shape == whole.values.shape


def test_seconds_and_patterns_choose_of_a_recording_without_dates(tmp_path: Path) -> None:
    found = smd(tmp_path, **{"from": 1200, "to": 4740, "exclude": ["a2"]})
    np.testing.assert_array_equal(found.values, np.arange(300.0).reshape(100, 3)[20:80][:, [0, 2]])
    assert found.channels == ("a1", "b") and found.segments == (0, 20) and found.train_stop == 20
    assert found.units == ("", "") and not found.anomalous.any()  # type: ignore[union-attr]
    later = smd(tmp_path, **{"from": 2400, "normal": {"from": 2400, "to": 4000}})
    assert later.fitted_spans == ((0, 27),) and len(later.values) == 60


def test_a_part_across_recordings_keeps_their_boundaries_and_names(tmp_path: Path) -> None:
    whole, found = BasicMotions().read(), BasicMotions(**{"from": 25, "to": 44.9, "include": ["a?"]}).read()
    np.testing.assert_array_equal(found.values, whole.values[250:450, :3])
    assert found.segments == (0, 50, 150) and found.channels == ("ax", "ay", "az")
    assert found.group_names == ("recording 2", "recording 3", "recording 4")
    np.testing.assert_array_equal(found.groups, np.repeat([0, 1, 2], [50, 100, 50]))
    np.testing.assert_array_equal(found.labels, whole.labels[250:450])  # type: ignore[index]


def test_samples_between_two_groups_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "ecg.npz"
    signal, beats = np.zeros((400, 2)), np.arange(5, 400, 10)
    np.savez(path, signal=signal, fs=10, beat_sample=beats, beat_symbol=np.full(40, "N"), channels=["I", "II"])
    given = {"path": str(path), "train_share": 1.0, "classes": None, "block_s": 10.0, "gap_s": 2.0}
    found = EcgArchive(**given, **{"from": 15, "to": 34.9}).read()
    expected = np.repeat([0, -1, 1, -1, 2], [30, 20, 80, 20, 50])
    np.testing.assert_array_equal(found.groups, expected)
    assert found.group_names == ("block 1", "block 2", "block 3")


def test_all_that_is_wrong_with_a_part_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        smd(tmp_path, **{"from": "2024-03-01", "include": ["temp*"], "exclude": ["c"]})
    assert [fault.kind for fault in raised.value.records] == ["no-match", "no-match", "wrong-clock"], raised.value
    assert "the recording has no dates: give seconds" in str(raised.value)
    with pytest.raises(DataError, match=r"2024-03-01T00:00:00 UTC to 2024-03-10T23:00:00 UTC"):
        nab(tmp_path, **{"from": 0, "to": DAY})
    with pytest.raises(DataError, match="leave no channel"):
        smd(tmp_path, exclude=["*"])
    with pytest.raises(DataError, match="`from` leaves out the training span: name what is known to be good"):
        smd(tmp_path, **{"from": 2400})
