"""A known-good period: which samples it holds, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.artifacts.cards import SeriesCard
from clusterwhy.artifacts.validation import read_card
from clusterwhy.config import build_settings
from clusterwhy.data.scaling import ScalerSettings
from clusterwhy.data.series import Normal, Series, constant_channels, spans_of
from clusterwhy.data.storage import save_prepared
from clusterwhy.data.windows import LEAST_NORMAL, WindowSettings, window_index
from clusterwhy.errors import ArtifactError, ConfigError, DataError
from clusterwhy.readers.tables import CsvFile

WINDOWS = WindowSettings(length=8, stride=3)
STATES = np.repeat(["idle", "run", "fault", "run", "7"], 100)


def csv(folder: Path, times: Any, **settings: Any) -> Series:
    """500 rows in five states, read with these settings."""
    table = pd.DataFrame({"t": times, "p": np.arange(500.0), "q": np.sin(np.arange(500.0)), "state": STATES})
    table.to_csv(folder / "own.csv", index=False)
    return CsvFile(path=str(folder / "own.csv"), **{"time": "t", "label": "state"} | settings).read()


def hours(start: str = "2024-03-01T00:00") -> Any:
    return pd.date_range(start, periods=500, freq="h").strftime("%Y-%m-%dT%H:%M")


def faults(folder: Path, times: Any, **settings: Any) -> list[str]:
    with pytest.raises(DataError) as raised:
        csv(folder, times, **settings)
    return [fault.kind for fault in raised.value.records]


def test_a_date_is_a_whole_day_at_both_ends(tmp_path: Path) -> None:
    series = csv(tmp_path, hours(), normal={"from": "2024-03-02", "to": "2024-03-03"})
    assert series.normal is not None and series.normal.spans == ((24, 72),)
    assert series.normal.says == "2024-03-02 to 2024-03-03"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # midnight in Berlin is 23:00 UTC of the day before
        ({"timezone": "Europe/Berlin"}, (0, 24)),
        ({}, (0, 24)),
        ({"normal": {"from": "2024-03-01T00:00+01:00", "to": "2024-03-01T05:00Z"}}, (0, 6)),
        ({"normal": {"from": "2024-03-01 03:00", "to": "2024-03-01T05:00"}}, (3, 6)),
        ({"normal": {"from": "2024-03-21"}}, (480, 500)),
        ({"normal": {"to": "2024-03-01T01:30:00"}}, (0, 2)),
    ],
)
def test_dates_have_the_time_zone_of_the_stamps_or_their_own(
    tmp_path: Path, settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    day = {"normal": {"from": "2024-03-01", "to": "2024-03-01"}}
    assert csv(tmp_path, hours(), **day | settings).normal.spans == (expected,)


def test_dates_of_stamps_with_an_offset_are_those_of_utc(tmp_path: Path) -> None:
    stamps = [f"{stamp}+01:00" for stamp in hours("2024-02-29T20:00")]  # from 19:00 UTC
    assert csv(tmp_path, stamps, normal={"from": "2024-03-01", "to": "2024-03-01"}).normal.spans == ((5, 29),)


def test_seconds_are_those_of_the_file_and_rounding_does_not_matter(tmp_path: Path) -> None:
    times = 0.1 * np.arange(500)  # 0.30000000000000004 is in the file
    assert csv(tmp_path, times, normal={"from": 0.1, "to": 0.3}).normal.spans == ((1, 4),)
    assert csv(tmp_path, 1000 + times, normal={"from": 1000.1, "to": 1000.2}).normal.spans == ((1, 3),)


def test_spans_and_labels_are_joined_and_conditions_of_one_span_hold_together(tmp_path: Path) -> None:
    normal = [{"from": 10, "to": 19}, {"from": 15, "to": 29}, {"label": ["fault", 7]}, {"to": 140, "label": "run"}]
    series = csv(tmp_path, np.arange(500), normal=normal)
    assert series.normal.spans == ((10, 30), (100, 141), (200, 300), (400, 500))
    assert series.normal.says == (
        "10 s to 19 s and 15 s to 29 s and samples labelled 'fault' or '7' and "
        "the first sample to 140 s, samples labelled 'run'"
    )


def test_groups_that_share_a_clock_each_have_the_span(tmp_path: Path) -> None:
    table = pd.DataFrame({"t": np.tile(np.arange(100), 2), "p": np.arange(200.0), "m": np.repeat(["a", "b"], 100)})
    table.to_csv(tmp_path / "two.csv", index=False)
    series = CsvFile(path=str(tmp_path / "two.csv"), time="t", group="m", normal={"from": 5, "to": 9}).read()
    assert series.normal.spans == ((5, 10), (105, 110))


def test_training_windows_lie_wholly_inside_a_span() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        inside = np.repeat(rng.random(40) < 0.6, 13)
        spans = spans_of(inside)
        made = Series("made", np.zeros((520, 1)), np.arange(520.0), 1.0, ("a",), ("",), 520, normal=Normal(spans, ""))
        index = window_index(made, WINDOWS)
        expected = [inside[start : start + 8].all() for start in index["start"]]
        assert index["train"].tolist() == expected and 0 < sum(expected) < len(expected)
        np.testing.assert_array_equal(made.fitted_values, made.values[inside])


def test_all_faults_of_all_spans_are_told_at_once(tmp_path: Path) -> None:
    normal = [
        {"from": "2025-01-01", "to": "2025-02-01"},
        {"to": "2023-02-01"},
        {"from": "2024-03-05", "to": "2024-03-04"},
        {"from": 0, "to": 100},
        {"label": ["runs", "idle"]},
        {"from": "2024-03-01", "to": "2024-03-02", "label": "fault"},
    ]
    with pytest.raises(DataError) as raised:
        csv(tmp_path, hours(), normal=normal)
    kinds = [fault.kind for fault in raised.value.records]
    assert kinds == ["span-outside", "span-outside", "backward-span", "wrong-clock", "unknown-label", "empty-span"]
    said = str(raised.value)
    assert "runs from 2024-03-01T00:00:00 UTC to 2024-03-21T19:00:00 UTC" in said
    assert "no label 'runs'; it has 'run'" in said and "give dates such as 2024-03-01" in said


def test_dates_need_dates_and_labels_need_labels(tmp_path: Path) -> None:
    normal = [{"to": "2024-03-01"}, {"label": "run"}]
    kinds = faults(tmp_path, np.arange(500), label=None, leave_out=["state"], normal=normal)
    assert kinds == ["wrong-clock", "no-labels"]


def test_a_span_that_reaches_beyond_the_recording_is_cut_and_told(tmp_path: Path) -> None:
    series = csv(tmp_path, hours(), normal={"from": "2024-02-01", "to": "2024-03-31"})
    assert series.normal.spans == ((0, 500),)
    assert "begins before the first sample" in series.notes[-2] and "ends after the last sample" in series.notes[-1]
    assert csv(tmp_path, hours(), normal={"from": "2024-03-01", "to": "2024-03-21"}).notes == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"normal": {"from": "1 March"}}, "expected a date such as 2024-03-01"),
        ({"normal": {"from": "2024-W09"}}, "expected a date such as 2024-03-01"),
        ({"normal": {"from": True, "to": 5}}, "expected a date such as 2024-03-01"),
        ({"normal": {}}, "expected `from` and `to`, `label` or `recording`"),
        ({"normal": {"label": False}}, "quote words"),
        ({"normal": [{"form": 1}]}, r"normal\.0\.form"),
        ({"normal": {"to": 5}, "train_share": 0.5}, "`normal` and `train_share: 0.5` both"),
    ],
)
def test_settings_of_a_period_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    target = {"_target_": "clusterwhy.readers.tables.CsvFile", "path": "x.csv", "time": "t"}
    with pytest.raises(ConfigError, match=said):
        build_settings({"dataset": target | settings})


def test_too_few_windows_in_a_period_are_refused_with_their_number(tmp_path: Path) -> None:
    enough = csv(tmp_path, np.arange(500), normal={"from": 0, "to": 7 + 3 * (LEAST_NORMAL - 1)})
    assert window_index(enough, WINDOWS)["train"].sum() == LEAST_NORMAL
    few = csv(tmp_path, np.arange(500), normal=[{"from": 0, "to": 6 + 3 * (LEAST_NORMAL - 1)}, {"from": 90, "to": 95}])
    with pytest.raises(DataError, match=f"holds {LEAST_NORMAL - 1} windows, {LEAST_NORMAL} are needed.* 34, 6 samples"):
        window_index(few, WINDOWS)


def test_scaler_and_constant_channels_see_the_period_only(tmp_path: Path) -> None:
    series = csv(tmp_path, np.arange(500), normal=[{"from": 100, "to": 199}, {"from": 300, "to": 349}])
    kept = np.r_[100:200, 300:350]
    centre, scale = ScalerSettings(kind="standard", constant_channels="keep").fit(series.fitted_values)
    np.testing.assert_allclose(centre, series.values[kept].mean(axis=0))
    np.testing.assert_allclose(scale, series.values[kept].std(axis=0))
    assert constant_channels(series.fitted_values) == []


def saved(folder: Path, series: Series) -> Any:
    index = window_index(series, WINDOWS)
    return save_prepared(folder, series, index, WINDOWS, np.zeros(2), np.ones(2), [])


def test_a_prepared_series_says_what_anomalies_are_relative_to(tmp_path: Path) -> None:
    period = saved(tmp_path / "a", csv(tmp_path, hours(), normal={"from": "2024-03-02", "to": "2024-03-08"}))
    share = 100 * period.index["train"].mean()
    assert period.fitted_says() == (
        f"Fitted on 2024-03-02 to 2024-03-08 ({share:.2g} % of windows), so anomalies are judged by it."
    )
    assert np.flatnonzero(period.fitted).tolist() == list(range(24, 192))
    whole = saved(tmp_path / "b", csv(tmp_path, hours()))
    assert whole.fitted_says() == "Fitted on all windows, so anomalies are judged by the recording itself."
    first = saved(tmp_path / "c", csv(tmp_path, hours(), train_share=0.2))
    assert first.fitted_says("The study was fitted").startswith("The study was fitted on the first 20 % of the samples")


@pytest.mark.parametrize(
    "normal",
    [
        {"says": "x", "spans": []},
        {"says": "x", "spans": [[5, 5]]},
        {"says": "x", "spans": [[0, 9], [8, 20]]},
        {"says": "x", "spans": [[0, 9, 12]]},
        {"says": "a\nb", "spans": [[0, 9]]},
        {"spans": [[0, 9]]},
    ],
)
def test_a_damaged_period_in_series_json_is_refused(tmp_path: Path, normal: dict[str, Any]) -> None:
    saved(tmp_path / "a", csv(tmp_path, hours()))
    path = tmp_path / "a" / "series.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normal": normal}))
    with pytest.raises(ArtifactError, match=r"normal|period"):
        read_card(path, SeriesCard)
