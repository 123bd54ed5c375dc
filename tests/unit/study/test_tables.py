"""Tables of a study: every number is one of its artifacts, at the time that the data have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly import missing_anywidget

from clusterwhy.artifacts.store import write_array, write_json, write_table
from clusterwhy.errors import ClusterWhyError
from clusterwhy.report.patterns import patterns
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import tables
from clusterwhy.study.lasso import lasso
from tests.synthetic_results import synthetic_results

START = "2024-03-01 06:00"


@pytest.fixture
def dated(tmp_path: Path) -> StudyResults:
    """A study with dates and a gap of an hour in the middle."""
    found = synthetic_results(tmp_path, start=START, gap_s=3600.0)
    values = np.linspace(0.0, 1.0, len(found.data.time_s))
    write_array(tmp_path / "score" / "sample_scores.npy", values)
    return found


def test_windows_have_dates_labels_clusters_and_scores(dated: StudyResults) -> None:
    table, data = tables.windows(dated), dated.data
    assert table.index.tolist() == dated.data.index["window"].tolist() and str(table["start"].dt.tz) == "UTC"
    assert table["start"].iloc[0] == pd.Timestamp(START, tz="UTC")
    # the last sample of a window, and the hour that is missing
    assert (table["stop"] - table["start"] == pd.Timedelta(seconds=(data.length - 1) / 10)).all()
    assert table["start"].diff().max() > pd.Timedelta(hours=1)
    assert table["label"].tolist() == [data.card.label_names[i] for i in data.labels]
    np.testing.assert_array_equal(table["cluster"], dated.labels)
    np.testing.assert_array_equal(table[["x", "y"]], dated.projection)
    assert table.index[table["anomalous"]].tolist() == [5] and table["score"].max() == 9.0


def test_recordings_have_the_times_of_their_windows(tmp_path: Path) -> None:
    found = synthetic_results(tmp_path, start=START, recordings=("first", "second"))
    table, windows = tables.recordings(found), tables.windows(found)
    assert table.index.tolist() == ["first", "second"] and table["windows"].sum() == len(windows)
    for name, row in table.iterrows():
        own = windows[windows["group"] == name]
        assert (row["from"], row["to"]) == (own["start"].min(), own["stop"].max())
    assert table["from"]["first"] == pd.Timestamp(START, tz="UTC")
    assert tables.recordings(synthetic_results(tmp_path / "one")).empty


def test_seconds_are_times_where_there_are_no_dates(tmp_path: Path) -> None:
    found = synthetic_results(tmp_path)
    table = tables.windows(found)
    np.testing.assert_allclose(table["start"], found.seconds)
    np.testing.assert_allclose(table["stop"], found.seconds + (found.data.length - 1) / 10)


def test_the_leading_channel_of_a_window_has_most_relevance(dated: StudyResults) -> None:
    by_channel = tables.window_channels(dated)
    assert by_channel.index.tolist() == dated.explained_windows["window"].tolist()
    np.testing.assert_array_equal(by_channel, dated.window_channels)
    table = tables.windows(dated)
    for window, row in by_channel.iterrows():
        towards = row if table.loc[window, "cluster"] >= 0 else -row  # what keeps noise out
        assert table.loc[window, "leading_channel"] == row.index[towards.to_numpy().argmax()]
    assert table["leading_channel"].notna().sum() == len(by_channel)


def test_no_channel_leads_without_relevance_or_where_it_is_masked(
    dated: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.array(dated.window_channels)
    values[0], values[2] = -1.0, [9.0, 2.0, 1.0]
    write_array(dated.folders["explain_windows"] / "channels.npy", values)
    monkeypatch.setattr(StudyResults, "masked", ("pressure",))
    found = StudyResults(dated.folders)
    leading = tables.windows(found)["leading_channel"]
    windows = found.explained_windows["window"].to_numpy()
    assert pd.isna(leading[windows[0]]) and leading[windows[2]] == "flow"


def test_clusters_have_their_visits_and_their_leading_channels(dated: StudyResults) -> None:
    table, windows = tables.clusters(dated), tables.windows(dated)
    assert table.index.tolist() == [0, 1, 2]
    for cluster, row in table.iterrows():
        own = windows[windows["cluster"] == cluster]
        assert row["n_windows"] == len(own) and row["first"] == own["start"].min() and row["last"] == own["stop"].max()
        inside = (windows["cluster"] == cluster).to_numpy()
        segment = np.searchsorted(dated.data.card.segments, dated.data.starts, side="right")
        begins = inside & ~(np.roll(inside, 1) & (np.roll(segment, 1) == segment))
        assert row["visits"] == begins.sum()
        assert row["leading"][0] == tables.channels(dated).loc[cluster].index[0]
    assert table["jaccard"].tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_channels_are_in_order_of_relevance_with_their_units(dated: StudyResults) -> None:
    table = tables.channels(dated)
    assert len(table) == 9 and table.loc[(0, "flow"), "unit"] == "bar"
    for cluster in (0, 1, 2):
        own = table.loc[cluster]["relevance"]
        assert own.is_monotonic_decreasing
        expected = dated.importance.query("cluster == @cluster").set_index("channel")["signed"]
        assert own.to_dict() == expected.to_dict()


def test_anomalies_have_times_and_channels(dated: StudyResults) -> None:
    (row,) = tables.anomalies(dated).to_dict("records")
    windows = tables.windows(dated)
    assert row["window"] == 5 and row["score"] == 9.0 and row["n_windows"] == 1
    assert row["start"] == windows.loc[5, "start"] and row["stop"] == windows.loc[5, "stop"]
    shares = dated.anomaly_channels.query("window == 5 and share > 0").sort_values("share", ascending=False)
    assert row["leading"] == tuple(shares["channel"]) and row["pattern"] == 0
    (pattern,) = tables.patterns(dated).to_dict("records")
    assert pattern["first"] == pattern["last"] == row["start"] and pattern["window"] == 5


def test_scores_of_samples_are_by_time(dated: StudyResults) -> None:
    table = tables.scores(dated)
    assert len(table) == len(dated.data.time_s) and table.index[0] == pd.Timestamp(START, tz="UTC")
    assert table["score"].iloc[-1] == 1.0


def test_a_lasso_selects_windows_by_their_ids(dated: StudyResults) -> None:
    figure = lasso(dated, "cluster")
    assert figure.selected == [] and figure.layout.dragmode == "lasso"
    # what the browser sends: the positions of the selected points in each trace
    points = {"trace_indexes": [2, 0, 2], "point_indexes": [3, 1, 0], "xs": [0.0] * 3, "ys": [0.0] * 3}
    figure._js2py_pointsCallback = {
        "event_type": "plotly_selected",
        "points": points,
        "device_state": None,
        "selector": {"type": "lasso", "selector_state": {"xs": [], "ys": []}},
    }
    members = np.flatnonzero(dated.labels == 1)
    assert figure.selected == sorted([np.flatnonzero(dated.labels < 0)[1], members[0], members[3]])


def test_a_lasso_says_what_widgets_need(dated: StudyResults, monkeypatch: pytest.MonkeyPatch) -> None:
    import plotly.graph_objects as go

    # what plotly gives where anywidget is missing
    monkeypatch.setattr(go, "FigureWidget", missing_anywidget.FigureWidget, raising=False)
    with pytest.raises(ClusterWhyError, match=r"clusterwhy\[notebook\]"):
        lasso(dated, "cluster")


def test_tables_of_a_study_without_clusters_and_alarms_have_their_columns(dated: StudyResults) -> None:
    folders = dated.folders
    write_json(folders["cluster"] / "summary.json", {"clusters": [], "timeline": []})
    write_json(folders["score"] / "segments.json", {"threshold": 99.0, "segments": []})
    write_table(folders["explain"] / "importance.csv", dated.importance[["cluster", "channel", "signed"]].head(0))
    write_table(folders["explain"] / "anomalies.parquet", dated.anomalies.head(0))
    write_table(folders["explain"] / "anomaly_channels.csv", dated.anomaly_channels.head(0))
    write_table(folders["explain"] / "anomaly_patterns.csv", dated.patterns.head(0))
    found = StudyResults(folders)
    for table, column in (
        (tables.clusters(found), "visits"),
        (tables.channels(found), "relevance"),
        (tables.anomalies(found), "leading"),
        (tables.patterns(found), "first"),
    ):
        assert table.empty and column in table
    assert patterns(found) == []


def test_a_cluster_without_windows_has_no_times(dated: StudyResults) -> None:
    record = {**dated.summary["clusters"][0], "cluster": 7, "n_windows": 0, "medoid_windows": []}
    write_json(dated.folders["cluster"] / "summary.json", {"clusters": [record], "timeline": []})
    row = tables.clusters(StudyResults(dated.folders)).loc[7]
    assert pd.isna(row["first"]) and row["visits"] == 0 and row["medoid"] is None
