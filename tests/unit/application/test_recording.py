"""A new recording as a study reads it."""

from pathlib import Path

import numpy as np
import pytest

from clusterwhy.application.recording import (
    admitted,
    by_policies_of,
    save_recording,
    without_normal,
    without_range_of,
)
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.cards import SeriesCard
from clusterwhy.data.series import Series
from clusterwhy.datasets.watch import WatchRecordings
from clusterwhy.errors import DataError
from clusterwhy.readers.tables import CsvFile

STRICT = ApplicationSettings(risk=0.01, reach=1.5)
LENIENT = STRICT.model_copy(update={"missing_channels": "mask", "added_channels": "leave_out"})
CARD = SeriesCard(
    name="fitted",
    channels=["pressure", "flow"],
    units=["bar", ""],
    rate_hz=20.0,
    label_names=[],
    notes=[],
    length=10,
    stride=5,
    train_stop=100,
    segments=[0],
    constant_channels=["valve"],
    centre=[1.0, 2.0],
    scale=[2.0, 4.0],
)


def recording(channels: tuple[str, ...] = ("flow", "pressure"), rate_hz: float = 20.0, n: int = 40) -> Series:
    values = np.arange(n * len(channels), dtype=float).reshape(n, -1)
    return Series("new", values, np.arange(n) / rate_hz, rate_hz, channels, ("",) * len(channels), train_stop=n)


def test_channels_are_taken_by_name_in_the_order_of_the_study() -> None:
    found = admitted(recording(), CARD, STRICT)
    assert found.channels == ("pressure", "flow") and found.units == ("bar", "")
    np.testing.assert_array_equal(found.values, recording().values[:, ::-1])


def test_a_channel_that_was_constant_and_dropped_is_no_added_channel() -> None:
    assert admitted(recording(("flow", "valve", "pressure")), CARD, STRICT).channels == ("pressure", "flow")


def test_missing_and_added_channels_and_another_rate_are_refused_in_one_list() -> None:
    with pytest.raises(DataError) as raised:
        admitted(recording(("pressure", "flow_1", "speed"), rate_hz=25.0), CARD, STRICT)
    assert [fault.kind for fault in raised.value.records] == [
        *("missing-channel", "added-channel", "added-channel", "other-rate")
    ]
    said = str(raised.value)
    assert "'flow' is missing; is it 'flow_1' now?" in said and "leave_out" in said and "25 samples per second" in said


def test_a_masked_channel_is_zero_in_scaled_units_and_an_added_one_is_left_out(tmp_path: Path) -> None:
    series = admitted(recording(("speed", "flow")), CARD, LENIENT)
    assert series.channels == ("pressure", "flow") and len(series.notes) == 2
    data = save_recording(tmp_path, series, CARD)
    assert not np.asarray(data.scaled[:, 0]).any() and np.asarray(data.scaled[:, 1]).any()
    np.testing.assert_array_equal(series.values[:, 1], recording(("speed", "flow")).values[:, 1])


def test_a_recording_without_any_channel_of_the_study_is_refused_also_where_channels_may_be_masked() -> None:
    with pytest.raises(DataError, match="'pressure' is missing"):
        admitted(recording(("speed", "torque")), CARD, LENIENT)


def test_a_recording_is_scaled_by_the_scaler_of_the_study(tmp_path: Path) -> None:
    data = save_recording(tmp_path, admitted(recording(), CARD, STRICT), CARD)
    expected = (recording().values[:, ::-1] - CARD.centre) / CARD.scale
    np.testing.assert_allclose(data.scaled, expected, rtol=1e-6)
    assert data.starts.tolist() == [0, 5, 10, 15, 20, 25, 30] and not data.index["train"].any()
    assert data.card.centre == CARD.centre and data.card.train_stop == 0


def test_a_recording_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"window\.length"):
        save_recording(tmp_path, admitted(recording(n=9), CARD, STRICT), CARD)


def test_the_policies_are_those_of_the_study_whatever_the_file_says() -> None:
    study = CsvFile(path="a.csv", time="t", gaps="split", max_gap=9, memory_share=0.5)
    new = CsvFile(path="b.csv", time="when", decimal=",", max_gap=2)
    found, told = by_policies_of(new, study)
    assert (found.path, found.time, found.decimal) == ("b.csv", "when", ",")
    assert (found.gaps, found.max_gap, found.memory_share) == ("split", 9, new.memory_share)
    assert told == [
        "`gaps: split` of the study is used, not `interpolate`",
        "`max_gap: 9` of the study is used, not `2`",
    ]


def test_data_without_policies_are_read_as_they_are() -> None:
    watch = WatchRecordings(subject=2, side=1, sha256="x", path=None)
    assert by_policies_of(watch, CsvFile(path="a.csv", time="t")) == (watch, [])


def test_a_recording_is_read_without_a_known_good_period_and_another_one_is_told() -> None:
    study = CsvFile(path="pump.csv", time="t", normal={"from": "2024-03-01", "to": "2024-03-14"})
    same, told = without_normal(study.model_copy(update={"path": "next.csv"}), study)
    assert same.normal == () and told == []
    other, told = without_normal(CsvFile(path="next.csv", time="t", normal={"label": "ok"}), study)
    assert other.normal == () and "is not used" in told[0]
    assert without_normal(CARD, study) == (CARD, [])


def test_a_range_of_the_file_of_the_study_is_not_that_of_another_file() -> None:
    study = CsvFile(path="pump.csv", time="t", **{"from": "2024-03-01", "to": "2024-03-14"})
    other, told = without_range_of(study.model_copy(update={"path": "next.csv"}), study)
    assert other.span.is_open and "pump.csv: next.csv is read from beginning to end" in told[0]
    assert without_range_of(study, study) == (study, [])
    chosen = CsvFile(path="next.csv", time="t", **{"from": "2024-04-01"})
    assert without_range_of(chosen, study) == (chosen, [])
    watch = WatchRecordings(subject=1, side=1, sha256="x", path=None, to=60)
    other, told = without_range_of(watch.model_copy(update={"subject": 2}), watch)
    assert other.span.is_open and "subject: 2, side: 1 is read from beginning to end" in told[0]
    assert without_range_of(watch.model_copy(update={"sha256": "y"}), watch)[1] == []
