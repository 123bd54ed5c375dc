"""The first screen: what a reader sees of each cluster and each anomaly before anything is clicked."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clusterwhy.artifacts.store import write_table
from clusterwhy.explanations.leading import COLUMNS
from clusterwhy.report.study_results import StudyResults
from tests.browser.opening import needs_browser, title, written
from tests.synthetic_results import synthetic_results

SIX = tuple(f"channel {i}" for i in range(6))
# contrast of text and ground (WCAG 2, relative luminance), of every text in a tile
CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255);
  const light = (colour) => parts(colour).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const texts = Array.from(document.querySelectorAll(".tile *")).filter((one) => one.innerText && !one.children.length);
  return texts.map((one) => {
    const ground = getComputedStyle(one.closest(".tile")).backgroundColor;
    const pair = [getComputedStyle(one).color, ground].map(light);
    return [one.innerText, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
  });
}"""


def tile(tab: Any, name: str) -> Any:
    return tab.locator(".tile").filter(has=tab.locator("h2", has_text=name))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cluster 0 hides a group, 1 loses against the z-score by one judge, 2 against random orders; the alarm ends."""
    root = tmp_path_factory.mktemp("told")
    study = synthetic_results(root / "artifacts")
    judged = study.judged.copy()
    own, first = judged["ranking"] == "relevance", judged["judge"] == judged["judge"].iloc[0]
    judged.loc[own & first & (judged["cluster"] == 1), ["area", "verdict"]] = [0.6, "worse"]
    judged.loc[(judged["ranking"] == "random") & first & (judged["cluster"] == 2), "area"] = 0.35
    write_table(root / "artifacts" / "evaluate" / "judged.csv", judged)
    anomalies = study.anomalies.assign(**dict(zip(COLUMNS, (3.0, 8.5, 8.9), strict=True)))
    write_table(root / "artifacts" / "explain" / "anomalies.parquet", anomalies)
    inside = {"group": 0, "cluster": 0, "n_windows": 4, "n_compared": 20, "window": 3, "channel": "flow"}
    inside |= {"property": "spread", "own": 5.0, "usual": 2.0, "apart": 6.0, "unit": "bar"}
    write_table(root / "artifacts" / "evaluate" / "hidden_groups.csv", pd.DataFrame([inside]))
    windows = pd.DataFrame({"window": [2, 3, 4, 8], "group": 0})
    write_table(root / "artifacts" / "evaluate" / "hidden_windows.csv", windows)
    return written(StudyResults.of(root / "artifacts"), root / "report")


@needs_browser
def test_each_cluster_and_anomaly_has_a_tile(visit: Any, told: Path) -> None:
    tab = visit(told)
    assert tab.locator(".tile").count() == 5, "three clusters, noise, one anomaly"
    first = tile(tab, "Cluster 0").inner_text()
    assert "33 %" in first and "20 windows" in first and "0.00 s to" not in first
    assert "pressure" in first and "is higher: 2.0 against 1.0 bar" in first
    assert "Holds 1 group that" in first and "flow swings wider, 4 windows, 2 times" in first
    assert "Holds" not in tile(tab, "Cluster 1").inner_text()
    card = tab.locator("#cluster-0").inner_text()
    assert "4 windows (20 %), 2 times" in card and "flow swings wider: 5.0 against 2.0 bar" in card
    assert "differs in no single property" in tile(tab, "Cluster 1").inner_text()
    badges = [tile(tab, f"Cluster {i}").locator(".badge").first.inner_text() for i in range(3)]
    assert badges == [
        "better than z-score: 2 of 2 judges",
        "worse than z-score: 1 of 2 judges",
        "no better than random: 1 of 2 judges",
    ]
    assert "not reliable: overlap 0.50" in tile(tab, "Cluster 2").inner_text()
    noise = tile(tab, "Noise").inner_text()
    assert "2 windows" in noise and "2 nearest to cluster 2" in noise
    study = StudyResults.of(told.parent.parent / "artifacts")
    alarm = tile(tab, "Anomaly")
    assert "score above 8" in alarm.inner_text() and "8.0 to 11.1 s" in alarm.inner_text()
    leading = study.anomaly_channels[study.anomaly_channels["window"] == 5].sort_values("share", ascending=False)
    assert alarm.locator("b").all_inner_texts() == ["9", *leading["channel"].head(3)]
    assert alarm.locator(".lane path").count() == 6, "each channel over that of a normal window"
    assert alarm.locator(".badge.better").inner_text() == "no alarm without them: 3"
    figures = str(alarm.locator(".badge").get_attribute("title"))
    assert figures.startswith("score 9, threshold 8;") and all(one in figures for one in ("3,", "8.5,", "8.9"))
    assert tab.locator("details.summaries").count() == 0, "nothing is said twice"


@needs_browser
def test_a_tile_selects_its_cluster_and_opens_the_card_of_an_anomaly(visit: Any, told: Path) -> None:
    tab = visit(told, "#colour=score")
    tab.evaluate("window.kept = true")
    box = tile(tab, "Cluster 1").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 6)  # anywhere on it
    tab.wait_for_timeout(900)
    assert title(tab, "selection").startswith("20 windows selected: 20 of cluster 1")
    for link, target in (("why", "#cluster-1"), ("Anomaly", "#anomaly-5")):
        tab.evaluate("scrollTo(0, 0)")
        tab.get_by_role("link", name=link).nth(1 if link == "why" else 0).click()
        tab.wait_for_timeout(1200)
        assert tab.locator(target).evaluate("card => Math.abs(card.getBoundingClientRect().top) < 60")
    tab.locator("nav").get_by_role("link", name="Reliability").click()
    tab.wait_for_timeout(900)
    assert tab.evaluate("window.kept"), "the page was not loaded again"
    assert "colour=score" in tab.url and title(tab, "selection").startswith("20 windows selected")


@needs_browser
def test_seven_clusters_fit_on_one_screen_and_a_phone(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.synthetic_results.N_CLUSTERS", 7)
    study = synthetic_results(tmp_path / "artifacts", n_windows=140, channels=SIX, labels=(*SIX, "stop"))
    names = pd.concat([study.properties.assign(channel=name) for name in SIX])
    write_table(tmp_path / "artifacts" / "explain" / "properties.csv", names)
    path = written(StudyResults.of(tmp_path / "artifacts"), tmp_path / "report")
    tab = visit(path)
    tab.set_viewport_size({"width": 1440, "height": 900})
    assert tab.locator(".tile").count() == 9
    assert tab.locator(".tile.alarm .badge").count() == 0, "no figures, no badge"
    bottom = tab.locator(".tiles").evaluate("tiles => tiles.getBoundingClientRect().bottom + scrollY")
    assert bottom <= 900
    for width in (1440, 1024, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_timeout(600)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        cut = tab.locator(".tile, .tile p").evaluate_all(
            "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)"
        )
        assert cut == []
    for theme in ("light", "dark"):
        tab.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        weak = [(text, ratio) for text, ratio in tab.evaluate(CONTRASTS) if ratio < 4.5]
        assert weak == []
    tab.emulate_media(media="print")
    assert tab.locator(".tile").first.evaluate("tile => getComputedStyle(tile).breakInside") == "avoid"
    assert tab.locator(".tile .lane").first.is_visible()
    assert not tab.locator("nav").is_visible()


@needs_browser
def test_badges_stay_in_their_tiles(visit: Any, told: Path) -> None:
    tab = visit(told)
    for width in (1440, 1280, 340):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_timeout(600)
        beyond = tab.locator(".badge, .alike").evaluate_all(
            "all => all.map((one) => [one, one.closest('.tile')].map((box) => box.getBoundingClientRect().right))"
        )
        assert len(beyond) >= 4 and all(right <= edge for right, edge in beyond)


@needs_browser
def test_without_alarms_the_page_says_so(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts")
    folder = tmp_path / "artifacts" / "score"
    (folder / "segments.json").write_text('{"threshold": 9.5, "segments": []}')
    write_table(folder / "scores.parquet", study.scores.assign(anomalous=False))
    tab = visit(written(StudyResults.of(tmp_path / "artifacts"), tmp_path / "report"))
    assert tab.locator(".tile.alarm").count() == 0
    assert "No window is anomalous: the highest score is 9, the threshold 9.5." in tab.locator("#tiles").inner_text()


@needs_browser
def test_a_card_of_many_channels_fits_the_screen(visit: Any, tmp_path: Path) -> None:
    names = tuple(f"XMEAS{i}" for i in range(52))
    study = synthetic_results(tmp_path / "artifacts", channels=names)
    tab = visit(written(study, tmp_path / "report"))
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.wait_for_timeout(600)
    for card in tab.locator(".card:visible").all():
        assert card.bounding_box()["height"] <= 900
    rest = tab.locator("#cluster-0 details").first
    assert not rest.locator("table").is_visible()
    rest.locator("summary").click()
    assert rest.locator("tbody tr").count() == 52, "the rest on demand"
    assert "no unit" not in tab.locator("body").inner_text()
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.wait_for_timeout(600)
    assert tab.locator("#cluster-0 img").bounding_box()["width"] >= 700, "the picture is scrolled, not shrunk"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
