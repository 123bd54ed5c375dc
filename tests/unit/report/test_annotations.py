"""Names and events in the tables of the page and of `Study`, and in its figures."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from clusterwhy.annotations.annotated import Sources
from clusterwhy.annotations.editing import Editor
from clusterwhy.plots import figures
from clusterwhy.report.annotations import event_intervals, event_table, events_within, name_table, segment_table
from clusterwhy.report.page_sections import sections
from clusterwhy.report.pictures import overview
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import tables, views
from tests.synthetic_results import synthetic_results

EVENTS = {"idle": [(0.0, 20.0)], "maintenance": [(30.0, 50.0), (45.0, 80.0)], "blip": [(31.0, 31.2)]}
NAME = "a <b>bold</b> $name$"


def annotated_study(root: Path, **options: object) -> StudyResults:
    """With a name and a note on cluster 1, a segment, and `EVENTS`."""
    study = synthetic_results(root / "artifacts", **options)  # type: ignore[arg-type]
    sources = Sources.beside(root / "artifacts")
    rows = [f"{start},{end},{name}" for name, spans in EVENTS.items() for start, end in spans]
    sources.events.write_text("\n".join(["start,end,name", *rows]) + "\n")
    editor = Editor(sources, study.known)
    editor.name_cluster(1, NAME, "line one\nline two")
    editor.name_segment(500, 599, "odd", "why")
    return StudyResults.of(root / "artifacts", sources)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return annotated_study(tmp_path_factory.mktemp("named"))


def nearest_labels(study: StudyResults) -> np.ndarray:
    """(sample,) label of the window with the nearest centre that covers it; -2 for none."""
    data, found = study.data, np.full(len(study.data.values), -2)
    for sample in range(len(found)):
        covering = np.flatnonzero((data.starts <= sample) & (sample < data.starts + data.length))
        if len(covering):
            apart = np.abs(data.starts[covering] + data.length / 2 - sample - 0.5)
            found[sample] = study.labels[covering[apart.argmin()]]
    return found


def test_shares_of_events_are_those_of_their_samples(study: StudyResults) -> None:
    labels, time = nearest_labels(study), study.data.time_s
    centres, table = study.data.starts + study.data.length // 2, event_table(study).set_index("name")
    assert list(table.index) == ["maintenance", "idle", "blip"], "the longest first"
    for name, spans in EVENTS.items():
        inside = np.logical_or.reduce([(time >= a - 1e-9) & (time <= b + 1e-9) for a, b in spans])
        row = table.loc[name]
        assert row["intervals"] == len(spans) and row["windows"] == inside[centres].sum()
        assert row["seconds"] == pytest.approx(inside.sum() / study.data.card.rate_hz)
        for column, label in {"noise": -1, "cluster_0": 0, "cluster_1": 1, "cluster_2": 2, "no_window": -2}.items():
            assert row[column] == pytest.approx((labels[inside] == label).mean(), abs=1e-5), (name, column)
        anomalous = study.scores["anomalous"].to_numpy()[inside[centres]]
        expected = anomalous.mean() if len(anomalous) else np.nan
        assert row["anomalous"] == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert table.loc["idle", "cluster_0"] == 1.0
    within = events_within(study)
    whole = (time >= 30 - 1e-9) & (time <= 80 + 1e-9)
    expected = ((labels == 1) & whole).sum() / (labels == 1).sum()
    assert dict(within[1])["maintenance"] == pytest.approx(expected) and within[1][0][0] == "maintenance"


def test_each_event_and_segment_has_a_row(study: StudyResults) -> None:
    found = event_intervals(study)
    assert found["name"].tolist() == ["idle", "maintenance", "maintenance", "blip"]
    assert found["cluster"].tolist() == [0, 1, 1, 0] and found["cluster_share"].iloc[0] == 1.0
    assert found.iloc[0][["start", "end", "first_sample", "last_sample"]].tolist() == ["0 s", "20 s", 0, 200]
    (row,) = segment_table(study).to_dict("records")
    assert row == {"name": "odd", "note": "why", "start": "50 s", "end": "59.9 s"} | {
        "first_sample": 500,
        "last_sample": 599,
    }


def test_names_are_in_the_tables_of_a_study(study: StudyResults) -> None:
    table = name_table(study).set_index("cluster")
    assert table["name"].tolist() == ["", NAME, ""] and table.loc[1, "agreement"] == 1.0
    clusters = tables.clusters(study)
    assert clusters["name"].tolist() == ["", NAME, ""] and clusters.loc[1, "note"] == "line one\nline two"
    windows = tables.windows(study)
    assert (windows["name"] == windows["cluster"].map({-1: "noise", 0: "cluster 0", 1: NAME, 2: "cluster 2"})).all()
    assert set(tables.channels(study).loc[1, "name"]) == {NAME}


def test_names_are_in_figures_as_text(study: StudyResults, tmp_path: Path) -> None:
    assert "a &lt;b&gt;bold&lt;/b&gt; &#36;name&#36;" in [one.name for one in views.projection(study).data]
    said = views.summary(study, 1)._repr_html_()
    assert "a &lt;b&gt;bold&lt;/b&gt; $name$ (cluster 1)" in said and "line one" in said
    mpl.use("agg")
    overview(study, tmp_path / "overview")
    text = (tmp_path / "overview.svg").read_text()
    assert all(f"<!-- {word} -->" in text for word in ("note", "event", "idle", "maintenance"))


def test_a_name_that_begins_with_an_underline_is_in_the_legend() -> None:
    ax = Figure().subplots()
    figures.draw_projection(ax, np.zeros((2, 2)), np.array([0, 1]), {0: "_own", 1: "cluster 1"}.__getitem__)
    assert [text.get_text().strip() for text in ax.get_legend().get_texts()] == ["_own", "cluster 1"]


def test_of_overlapping_events_the_shorter_one_is_in_front() -> None:
    ax = Figure().subplots()
    times = np.arange(1000) / 10
    figures.draw_intervals(ax, [(400, 600, "inner"), (0, 1000, "outer")], times, "event")
    texts = [(one.get_text(), one.get_position()[0]) for one in ax.texts]
    assert [text for text, _ in texts] == ["outer", "inner", "outer"]
    assert texts[1][1] == pytest.approx(50.0, abs=0.2)


def test_sections_call_clusters_by_their_names(study: StudyResults, tmp_path: Path) -> None:
    from clusterwhy.report.page import write_pictures

    mpl.use("agg")
    write_pictures(study, tmp_path)
    found = sections(study, tmp_path, None)
    assert [one["called"] for one in found["clusters"]] == ["cluster 0", NAME, "cluster 2"]
    assert found["clusters"][1]["events"][0].startswith("maintenance (")
    assert any(NAME in row["meaning"] for row in found["trust"]), "the sentence on uncertain clusters"
    assert found["tiles"]["clusters"][1]["note"] == "line one\nline two"


def test_a_study_without_annotations_has_numbers(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path)
    assert [study.cluster_name(c) for c in (-1, 0, 2)] == ["noise", "cluster 0", "cluster 2"]
    assert study.cluster_names([0, 2]) == "cluster 0, 2"
    assert event_table(study).empty and name_table(study)["name"].eq("").all()
    pd.testing.assert_series_equal(
        name_table(study)["share"], pd.Series(name="share", data=[c["share"] for c in study.summary["clusters"]])
    )


def test_names_come_before_numbers_in_a_list(study: StudyResults) -> None:
    assert study.cluster_names([2, 1, 0]) == f"{NAME}, cluster 2, 0"
