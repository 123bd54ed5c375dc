"""Alarms that are alike: one tile and one row for each pattern, none lost, none counted twice."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy.artifacts.store import write_array, write_json, write_table
from clusterwhy.report.patterns import patterns
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.tiles import Tiles
from tests.synthetic_results import synthetic_results

# window -> pattern of an alarm, the highest first; the last one is explained and no alarm
ALARMS = {40: 1, 5: 0, 12: 0, 20: 0, 30: -1}


@pytest.fixture
def study(tmp_path: Path) -> StudyResults:
    made = synthetic_results(tmp_path)
    starts, length, folder = made.data.starts, made.data.length, tmp_path / "explain"
    segments = [
        {"start": int(starts[w]), "stop": int(starts[w]) + length, "n_windows": 1}
        | {"peak_score": 20.0 - i, "peak_window": w}
        for i, w in enumerate(w for w, pattern in ALARMS.items() if pattern >= 0)
    ]
    write_json(tmp_path / "score" / "segments.json", {"threshold": 8.0, "segments": segments})
    table = made.anomalies.iloc[[0] * len(ALARMS)].assign(window=list(ALARMS), pattern=list(ALARMS.values()))
    write_table(folder / "anomalies.parquet", table)
    write_array(folder / "anomaly_relevance.npy", np.ones((len(ALARMS), 3, length), dtype=np.float32))
    rows = [
        {"window": w, "channel": name, "share": share * (1 if pattern else -1), "z_score": 1.0}
        for w, pattern in ALARMS.items()
        for name, share in zip(made.data.channels, (0.6, 0.02, -0.38), strict=True)
    ]
    write_table(folder / "anomaly_channels.csv", pd.DataFrame(rows))
    known = [(0, 3, 12, 5, 20, 0.8), (1, 1, 40, 40, 40, 1.0)]
    columns = ["pattern", "n_alarms", "window", "first_window", "last_window", "likeness"]
    write_table(folder / "anomaly_patterns.csv", pd.DataFrame(known, columns=columns))
    return StudyResults.of(tmp_path)


def test_a_row_tells_how_often_when_and_which_channels(study: StudyResults) -> None:
    first, second = patterns(study)
    assert (first["n_alarms"], first["window"], first["likeness"]) == (3, 12, 0.8)
    seconds, length = study.data.time_s, study.data.length
    ends = seconds[study.data.starts[5]], seconds[study.data.starts[20] + length - 1]
    assert first["when"] == study.clock.span(*map(float, ends))
    assert [one["channel"] for one in first["channels"]] == ["current"]
    assert first["channels"][0]["share"] == pytest.approx(0.38)
    assert [one["channel"] for one in second["channels"]] == ["pressure"] and second["likeness"] is None


def test_alarms_that_are_alike_share_a_tile(study: StudyResults) -> None:
    shown = Tiles(study).shown()
    assert [(one["window"], one["n_alike"]) for one in shown["anomalies"]] == [(40, 0), (5, 2)]
    assert shown["n_more"] == 0
    # the strip of the second tile has all three, in order
    places = [float(part.split(",")[0]) for part in shown["anomalies"][1]["strip"].split("M")[1:]]
    assert len(places) == 3 and places == sorted(places)


def test_an_alarm_that_no_channel_raises_is_not_called_equal_to_normal_windows(
    study: StudyResults, tmp_path: Path
) -> None:
    path = tmp_path / "explain" / "anomaly_channels.csv"
    table = pd.read_csv(path)
    table.loc[table["window"] == 40, "share"] = [-0.5, -0.3, -0.2]
    table.loc[table["window"].isin([5, 12, 20]), "share"] = np.nan
    write_table(path, table)
    lowered, equal = Tiles(StudyResults.of(tmp_path)).shown()["anomalies"]
    assert lowered["lanes"] == equal["lanes"] == []
    assert not lowered["same"] and equal["same"]


def test_the_highest_alarms_and_the_typical_ones_are_drawn(
    study: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterwhy.report.study_results.MOST_DRAWN", 1)
    assert study.drawn_anomalies == [0, 2]  # the highest one, and the most typical one of the other pattern
