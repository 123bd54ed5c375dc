"""Windows around annotated beats: where they start, whose label they have, and that further series are cut alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clusterwhy.application.recording import save_recording
from clusterwhy.artifacts.store import read_json, write_json
from clusterwhy.config import build_settings
from clusterwhy.data.periods import WindowAroundBeats
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared, window_of
from clusterwhy.data.windows import BeatWindows, WindowSettings, window_index
from clusterwhy.errors import DataError
from tests.conftest import ROOT

BEATS = np.array([3, 20, 41, 49, 70, 97])
AROUND = WindowAroundBeats(before_s=0.5, after_s=1.0)  # 5 samples before, 10 from the beat on


def series(**changes: Any) -> Series:
    values = np.random.default_rng(0).normal(size=(100, 2))
    known: dict[str, Any] = {
        **{"name": "heart", "values": values, "time": np.arange(100) / 10.0, "rate_hz": 10.0, "channels": ("II", "V5")},
        **{"units": ("mV", "mV"), "train_stop": 100, "beats": BEATS},
    }
    return Series(**known | changes)


def starts(**changes: Any) -> list[int]:
    made = series(**changes)
    found: list[int] = window_index(made, AROUND.of(made, None))["start"].tolist()
    return found


def test_each_beat_with_a_whole_window_has_one_that_begins_before_it() -> None:
    assert AROUND.of(series(), None) == BeatWindows(length=15, stride=15, before=5)
    assert starts() == [15, 36, 44, 65]
    assert starts(beats=np.array([5, 5, 90])) == [0, 85]
    # none across two segments
    assert starts(segments=(0, 50)) == [15, 65]
    assert starts(segments=(0, 15, 44)) == [15, 44, 65]


def test_a_window_holds_its_beat_however_short_it_is() -> None:
    made = series(beats=np.array([0, 20]))
    assert window_index(made, WindowAroundBeats(before_s=0.5, after_s=0.01).of(made, None))["start"].tolist() == [15]


def test_the_usual_distance_of_beats_stands_for_a_stride() -> None:
    assert AROUND.of(series(beats=np.array([10, 17, 24, 60])), None).stride == 7
    assert AROUND.of(series(beats=np.array([10])), None).stride == 15


def test_a_window_has_the_label_of_its_beat_and_not_of_its_neighbour() -> None:
    labels = np.zeros(100, dtype=np.int64)
    labels[48:51] = 1
    made = series(labels=labels, label_names=("normal", "premature"), label_ranks=(0, 1))
    assert window_index(made, AROUND.of(made, None))["label"].tolist() == [0, 0, 1, 0]
    assert window_index(made, WindowSettings(length=15, stride=15))["label"].tolist()[3] == 1


def test_what_keeps_windows_from_being_cut_is_told() -> None:
    with pytest.raises(DataError, match="need annotated beats, and there are none: `dataset=wfdb` with `label: beats`"):
        starts(beats=None)
    with pytest.raises(DataError, match="none of 2 beats has 5 samples before and 10 from it on, in one segment"):
        starts(beats=np.array([4, 91]))


def test_further_series_are_cut_as_the_stored_one(tmp_path: Path) -> None:
    made = series()
    window = AROUND.of(made, None)
    save_prepared(tmp_path, made, window_index(made, window), window, np.zeros(2), np.ones(2), [])
    assert window_of(Prepared(tmp_path).card) == window
    (tmp_path / "new").mkdir()
    new = save_recording(tmp_path / "new", series(beats=np.array([30, 61])), Prepared(tmp_path).card)
    assert new.starts.tolist() == [25, 56] and new.card.before == 5
    # studies that were made before say nothing of beats
    card = read_json(tmp_path / "series.json")
    write_json(tmp_path / "series.json", {name: value for name, value in card.items() if name != "before"})
    assert window_of(Prepared(tmp_path).card) == WindowSettings(length=15, stride=15)


def test_the_option_of_conf_builds_windows_around_beats() -> None:
    option = yaml.safe_load((ROOT / "conf" / "window" / "around_beats.yaml").read_text())
    made = series(rate_hz=360.0)
    assert build_settings({"window": option})["window"].of(made, None).length == 90 + 162
