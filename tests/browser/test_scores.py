"""Anomalies in every view: rings in the projection, the histogram of scores, cards; and labels in their strip."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.anomaly.motifs import COLUMNS
from clusterwhy.artifacts.store import write_table
from clusterwhy.report.study_results import StudyResults
from tests.browser.opening import needs_browser, title, written
from tests.synthetic_results import synthetic_results

RINGS = "document.getElementById('projection').data.at(-1)"
BARS = "document.getElementById('scores').data[0]"
SERIES = "document.getElementById('series')"


def slide(tab: Any, to: float) -> None:
    tab.locator("#threshold input").evaluate(
        "(slider, to) => { slider.step = 'any'; slider.value = to; slider.dispatchEvent(new Event('input')); }", to
    )
    tab.wait_for_timeout(200)


@needs_browser
def test_anomalous_windows_have_rings_that_follow_the_threshold(visit: Any, made: Path) -> None:
    study = StudyResults.of(made.parent.parent / "artifacts")
    scores, places = study.scores["score"].to_numpy(), study.projection
    tab = visit(made)

    def rings() -> np.ndarray:
        found = tab.evaluate(f"[Array.from({RINGS}.x), Array.from({RINGS}.y)]")
        return np.array(sorted(zip(*found, strict=True)))

    assert tab.evaluate(f"[{RINGS}.marker.symbol, {RINGS}.name]") == ["circle-open", "alarms"]
    np.testing.assert_allclose(rings(), places[[5]], atol=1e-5)
    slide(tab, 2.0)
    np.testing.assert_allclose(rings(), np.array(sorted(places[scores > 2.0].tolist())), atol=1e-5)
    assert 1 < len(rings()) < len(scores)
    tab.locator("#clusters button", has_text="cluster 0").click()
    tab.wait_for_timeout(300)
    kept = (scores > 2.0) & (study.labels != 0)
    np.testing.assert_allclose(rings(), np.array(sorted(places[kept].tolist())), atol=1e-5)


@needs_browser
def test_the_page_says_what_the_threshold_is(visit: Any, made: Path) -> None:
    note = visit(made).locator("#threshold .note")
    assert note.inner_text() == "The threshold of the study is the score that few exceed."


@needs_browser
def test_the_histogram_counts_every_window_and_shows_the_threshold(visit: Any, made: Path) -> None:
    scores = StudyResults.of(made.parent.parent / "artifacts").scores["score"].to_numpy()
    tab = visit(made)
    middles, counts, width = (np.array(tab.evaluate(f"{BARS}.{name}")) for name in ("x", "y", "width"))
    edges = np.append(middles - width / 2, middles[-1] + width / 2)
    np.testing.assert_allclose(edges[[0, -1]], [scores.min(), scores.max()], rtol=1e-6)
    edges[[0, -1]] += [-1e-6, 1e-6]
    np.testing.assert_array_equal(counts, np.histogram(scores, edges)[0])
    assert counts.sum() == len(scores)
    for threshold in (8.0, 2.0):
        if threshold != 8.0:
            slide(tab, threshold)
        colours = np.array(tab.evaluate(f"{BARS}.marker.color"))
        alarm = tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--alarm').trim()")
        np.testing.assert_array_equal(colours == alarm, middles > threshold)
        assert tab.evaluate("document.getElementById('scores').layout.shapes[0].x0") == threshold


@needs_browser
def test_dates_of_alarms_do_not_widen_a_phone(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", rate_hz=1 / 1800, start="2024-02-28T23:30")
    tab = visit(written(study, tmp_path / "report"))
    tab.set_viewport_size({"width": 360, "height": 844})
    tab.wait_for_timeout(600)
    assert "2024-03-01" in tab.locator("#segments").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


@needs_browser
def test_only_alarms_are_listed_and_the_rest_is_folded(visit: Any, made: Path) -> None:
    tab = visit(made)
    assert tab.locator("#anomalies .card").count() == 3
    assert [card.get_attribute("id") for card in tab.locator("#anomalies .card:visible").all()] == ["anomaly-5"]
    folded = tab.locator("#anomalies > details > summary")
    assert folded.inner_text() == "2 more explained windows below the threshold, not anomalous"
    folded.click()
    assert tab.locator("#anomalies .card:visible").count() == 3


@needs_browser
def test_labels_are_written_where_they_fit_in_colours_of_their_own(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", labels=("idle", "run", "n" * 60))
    tab = visit(written(study, tmp_path / "report"))
    said = tab.evaluate(f"{SERIES}.layout.annotations.map(({{ x, y, text }}) => [x, y, text])")
    assert [text for _, _, text in said] == ["idle", "run"], "a name that does not fit is not written"
    assert tab.locator("#labels").is_visible(), "but it is in the legend"
    row = tab.evaluate(f"{SERIES}.layout.yaxis2.ticktext").index("label")
    thirds = [study.data.time_s[-1] * part for part in (1 / 6, 3 / 6)]
    for (x, y, _), middle in zip(said, thirds, strict=True):
        assert abs(x - middle) < 2.0 and y == row
    strips = tab.evaluate(f"{SERIES}.data.filter((one) => one.type === 'heatmap').map((one) => one.colorscale)")
    of_clusters, of_labels = ({colour for _, colour in scale} for scale in strips)
    assert len(of_labels) == 3 and not of_labels & of_clusters
    tab = visit(tmp_path / "report" / "report.html", "#range=20~45")
    assert tab.evaluate(f"{SERIES}.layout.annotations.map(({{ text }}) => text)") == ["idle", "run"]
    short = synthetic_results(tmp_path / "short")
    tab = visit(written(short, tmp_path / "short_report"))
    assert not tab.locator("#labels").is_visible(), "all names are written"
    tab.locator("#colour").select_option("label")
    assert tab.locator("#labels").is_visible()


@needs_browser
def test_motifs_and_discords_are_folded_and_lead_to_their_windows(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", channels=("<b>odd", "flow", "current"))
    pairs = [("motif", 2, 32, 101, 0.5), ("discord", 9, 144, 7, 4.0)]
    rows = [
        (name, kind, 1, window, start, nearest, distance, "shapes")
        for name in study.data.channels
        for kind, window, start, nearest, distance in pairs
    ]
    write_table(tmp_path / "artifacts" / "score" / "motifs.csv", pd.DataFrame(rows, columns=COLUMNS))
    tab = visit(written(StudyResults.of(tmp_path / "artifacts"), tmp_path / "report"))
    found = tab.locator("#motifs")
    assert not found.locator("article").first.is_visible()
    found.locator("summary").click()
    assert found.locator("h3").all_inner_texts() == ["<b>odd", "flow bar", "current"]
    assert found.locator("path").count() == 12, "each window over its stretch"
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_timeout(600)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    found.get_by_role("button", name="window 9").first.click()
    assert title(tab, "window").startswith("Window 9")
