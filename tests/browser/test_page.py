"""The page in a real browser: what it shows when people click, circle, draw, slide, export and share."""

import csv
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.artifacts.store import read_table, write_json, write_table
from clusterwhy.errors import DataError
from clusterwhy.propagation.relevance import Relevance
from clusterwhy.report.array_encoding import envelope, pack, pack_for_drawing
from clusterwhy.report.page import script_json
from clusterwhy.report.page_data import explained_windows, view_data
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import views
from tests.browser.opening import area, dragged, needs_browser, title, written
from tests.conftest import Checkout
from tests.synthetic_results import synthetic_results

HOSTILE = (
    '<script>document.title="taken"</script>',
    '"><img src=x onerror=document.title="taken">',
    "</script><b>bold</b> %{x} {{ 7 * 7 }}",
    "😀 العربية שלום",
    "n" * 200,
)


# noise and clusters, without the rings around anomalies
GROUPS = "document.getElementById('projection').data.filter((trace) => trace.name !== 'alarms')"
PLOT = "document.querySelector('#window [data-part=plot]')"
# the inspected window, not the one that it is compared with
SOLID = f"({PLOT}.data || []).filter((trace) => trace.mode === 'lines' && !trace.line.dash)"


def note_of(tab: Any) -> str:
    return str(tab.locator("#window [data-part=note]").inner_text())


def cells(tab: Any) -> np.ndarray:
    """(channel, time) relevance of the inspected window, in per cent; the page draws the last channel first."""
    return np.array(tab.evaluate(f"{PLOT}.data.find((trace) => trace.type === 'heatmap').z"))[::-1]


def expected_cells(study: StudyResults, window: int) -> np.ndarray:
    row = study.explained_windows["window"].tolist().index(window)
    levels = np.asarray(study.levels[row], dtype=float)
    return 100 * levels / np.abs(levels).sum()


@needs_browser
def test_the_overview_image_is_shown_until_the_views_are_drawn(browser: Any, visit: Any, made: Path) -> None:
    tab = visit(made)
    assert tab.locator("#provenance #overview img").count() == 1 and tab.locator("#explore #overview").count() == 0
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    still = context.new_page()
    still.goto(made.as_uri())
    picture = still.locator("#explore #overview img")
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 1000
    drawn, views = picture.bounding_box(), still.locator("#explore .views").bounding_box()
    assert drawn["height"] <= views["height"] and drawn["width"] <= views["width"] and drawn["width"] > 1000
    context.close()


@needs_browser
def test_a_click_on_a_point_shows_its_window(visit: Any, made: Path) -> None:
    tab = visit(made)
    assert "No window" in title(tab, "window")
    cards = [tab.locator(f"#cluster-{cluster}").inner_text() for cluster in (0, 2)]
    assert "overlap 0.90 (lowest 0.90) with 2 clusterings of resampled windows: very stable." in cards[0]
    assert "overlap 0.50 (lowest 0.50)" in cards[1] and "not reliable" in cards[1]
    assert "Uncertain: cluster 1, 2." in tab.locator("#trust").inner_text()
    offered = tab.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert not tab.locator("#selection [data-part=ask]").is_visible(), "no server behind a file"
    assert "Download plot" in offered and not [name for name in offered if re.search("share|cloud", name, re.I)]
    # points are where the projection of the made-up clusters has its centres
    at = tab.evaluate(
        "(() => { const d = document.getElementById('projection'), b = d.querySelector('.draglayer .xy .nsewdrag')"
        ".getBoundingClientRect(), l = d._fullLayout; return [b.x + l.xaxis.d2p(d.data[2].x[10]), b.y + "
        "l.yaxis.d2p(d.data[2].y[10])]; })()"
    )
    tab.mouse.move(*at)
    tab.wait_for_timeout(200)
    tab.mouse.click(*at)
    tab.wait_for_timeout(500)
    # noise, then the clusters: the third trace is cluster 1
    found = re.match(r"Window (\d+): .* cluster 1 ", title(tab, "window"))
    assert found is not None
    assert f"window={found[1]}" in tab.url
    assert "Nearest in the embedding" in tab.locator("#window [data-part=near]").inner_text()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(200)
    assert title(tab, "window").startswith(f"Window {int(found[1]) + 1}:")
    tab.keyboard.press("Escape")
    assert "No window" in title(tab, "window")


@needs_browser
def test_a_lasso_selects_windows_and_the_selection_is_described(visit: Any, made: Path, tmp_path: Path) -> None:
    tab = visit(made)
    box = area(tab, "projection")
    x, y, w, h = box["x"] + 3, box["y"] + 3, box["width"] - 6, box["height"] - 6
    dragged(tab, [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y + 2)])
    assert title(tab, "selection").startswith("60 windows selected: 20 of cluster")
    said = tab.locator("#selection [data-part=note]").inner_text()
    assert "the most central one in the projection" in said and "mean of the 59 explained windows" in said
    assert tab.locator("#selection [data-part=bars] .bars .point").count() == 3
    with tab.expect_download() as download:
        tab.locator("#csv").click()
    download.value.save_as(tmp_path / "windows.csv")
    rows = list(csv.DictReader((tmp_path / "windows.csv").read_text().splitlines()))
    assert [int(row["window"]) for row in rows] == list(range(60))
    study = StudyResults.of(made.parent.parent / "artifacts")
    names = [f"relevance of {name}" for name in study.data.channels]
    shares = study.window_channels / study.explained_windows["size"].to_numpy()[:, None]
    np.testing.assert_allclose([float(rows[3].pop(name)) for name in names], shares[2], atol=1e-5)  # without window 1
    assert {rows[1][name] for name in names} == {""}
    assert rows[3] | {"score": ""} == {
        "window": "3",
        "start_sample": "48",
        "stop_sample": "80",
        "start_s": "4.8",
        "stop_s": "8",
        "cluster": "0",
        "cluster_name": "cluster 0",
        "strength": rows[3]["strength"],
        "score": "",
        "label": "idle",
        "explained_cluster": "0",
    }
    tab.locator("#clear").click()
    assert "No windows selected" in title(tab, "selection")


RECORDINGS = ("run 1", "a recording with a very long name that has no room in its lane" * 2, *HOSTILE[:3], "last")


def test_the_table_of_recordings_counts_their_windows(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", recordings=RECORDINGS)
    page = written(study, tmp_path / "report").read_text()
    table = pd.read_csv(tmp_path / "report" / "recordings.csv")
    assert table["recording"].tolist() == list(RECORDINGS) and table["windows"].sum() == len(study.data.starts)
    shares = table[["noise", "cluster_0", "cluster_1", "cluster_2"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    assert (table["windows"] * table["anomalous"]).sum() == pytest.approx(1.0, abs=1e-4), "one window is anomalous"
    assert shares[0].argmax() == 1 and shares[-1].argmax() == 3 and table["noise"].iloc[-1] > 0
    last = study.data.index[study.data.groups == len(RECORDINGS) - 1]
    assert table["from"].iloc[-1] == f"{last['start'].min() / 10:g} s"
    assert "What each recording holds" in page and "&lt;script&gt;document.title" in page
    assert HOSTILE[0] not in page
    written(synthetic_results(tmp_path / "one"), tmp_path / "alone")
    assert not (tmp_path / "alone" / "recordings.csv").exists()
    assert "What each recording holds" not in (tmp_path / "alone" / "report.html").read_text()


@needs_browser
def test_recordings_have_a_lane_with_their_names_and_a_row_that_selects_them(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", recordings=RECORDINGS)
    tab = visit(written(study, tmp_path / "report"))
    figure = "document.getElementById('series')"
    assert tab.evaluate(f"{figure}._fullLayout.yaxis2.ticktext") == ["label", "recording", "cluster"]
    # in the lane of the recordings; names of labels are in that below
    shown = tab.evaluate(f"{figure}.layout.annotations.filter((one) => one.y === 1).map((one) => one.text)")
    assert len(shown) == len(RECORDINGS) and shown[0] == "run 1" and shown[-1] == "last" and "…" in shown[1]
    lane = tab.evaluate(f"{figure}.data.filter((one) => one.type === 'heatmap' && one.y[0] === 1)[0].z[0]")
    changes = sum(one != other for one, other in itertools.pairwise(lane) if None not in (one, other))
    assert changes == len(RECORDINGS) - 1
    tab.locator("[data-recording]").nth(2).click()
    tab.wait_for_timeout(500)
    own = int((study.data.groups == 2).sum())
    assert title(tab, "selection").startswith(f"{own} windows selected")
    assert tab.title() == "clusterwhy: made up"


@needs_browser
def test_points_and_channels_are_shown_as_the_address_says(visit: Any, tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts", recordings=RECORDINGS)
    path = written(study, tmp_path / "report")
    tab = visit(path, "#colour=recording&size=11&opacity=0.4&hiddenChannels=0&window=3&selected=3_9")
    marker = "document.getElementById('projection').data[0].marker"
    assert tab.evaluate(f"[{marker}.size, {marker}.opacity]") == [11, 0.4]
    order = np.argsort(study.labels >= 0, kind="stable")
    assert tab.evaluate(f"Array.from({marker}.color)") == study.data.groups[order].tolist()
    assert HOSTILE[0] in tab.locator("#recording_names").inner_text() and not tab.locator("#labels").is_visible()
    tab.locator("#view summary").focus()
    tab.keyboard.press("Enter")
    tab.get_by_label("opacity").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(f"{marker}.opacity") == 0.45 and "opacity=0.45" in tab.url
    tab.get_by_role("button", name="usual points").click()
    assert tab.evaluate(f"[{marker}.size, {marker}.opacity]") == [6, 1] and "size" not in tab.url
    lanes = "document.getElementById('series')._fullLayout.yaxis.ticktext.length"
    shown = []
    for which in ("none", "all"):
        tab.get_by_role("button", name=which, exact=True).click()
        tab.wait_for_timeout(300)
        shown.append(tab.evaluate(lanes))
    assert shown == [0, 3] and "hiddenChannels" not in tab.url
    odd = visit(path, "#size=99&opacity=0")
    assert odd.evaluate(f"[{marker}.size, {marker}.opacity]") == [6, 1]


@needs_browser
def test_a_brush_after_a_lasso_selects_at_once(visit: Any, made: Path) -> None:
    tab = visit(made)
    box = area(tab, "projection")
    x, y, w, h = box["x"] + 3, box["y"] + 3, box["width"] - 6, box["height"] - 6
    dragged(tab, [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y + 2)])
    assert title(tab, "selection").startswith("60 windows selected")
    tab.locator("#cluster-1 [data-cluster]").first.click()
    tab.wait_for_timeout(400)
    assert title(tab, "selection").startswith("20 windows selected")
    dragged(tab, [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y + 2)])
    strip = area(tab, "series", "xy3")
    middle = strip["y"] + strip["height"] / 2
    dragged(tab, [(strip["x"] + 2, middle), (strip["x"] + strip["width"] / 3 - 2, middle)])
    assert re.match(r"(19|20|21) windows selected", title(tab, "selection"))


@needs_browser
@pytest.mark.parametrize("n_windows", [60, 4000, 4050])
def test_a_series_with_a_gap_is_drawn_and_nothing_joins_its_sides(visit: Any, tmp_path: Path, n_windows: int) -> None:
    """All values, and the envelope of a long series."""
    gap_s = 40.0 * n_windows / 60
    study = synthetic_results(tmp_path / "artifacts", n_windows=n_windows, gap_s=gap_s)
    tab = visit(written(study, tmp_path / "report"))
    lines, strip, scores = tab.evaluate(
        "(() => { const { data } = document.getElementById('series');"
        " return [data[0], data[1], data.find((one) => one.yaxis === 'y3')].map(({ x, y, z }) =>"
        " [Array.from(x), Array.from(z ? z[0] : y)]); })()"
    )
    unit = tab.evaluate("JSON.parse(document.getElementById('about').textContent).clock.seconds")
    half = n_windows * 16 / 10 / 2 / unit
    gap = half + 0.05 * half, half + gap_s / unit - 0.05 * half
    for x, y in (lines, scores):
        assert all(value is not None and np.isfinite(value) for value in x)
        points = list(zip(x, y, strict=True))
        joined = [
            (a, b)
            for (a, left), (b, right) in itertools.pairwise(points)
            if left is not None and right is not None and left == left and right == right and a < gap[0] and b > gap[1]
        ]
        assert joined == []
        known = [x for x, y in points if y is not None and y == y]
        assert min(known) < 0.1 * half and max(known) > gap[1] + 0.8 * half
    inside = {code for x, code in zip(*strip, strict=True) if gap[0] < x < gap[1]}
    assert inside == {None}
    # the strip in the card of the cluster on both sides, in per cent of the series
    path = str(tab.locator("#cluster-1 .strip path").get_attribute("d"))
    rows = [(float(x), float(width)) for x, width in re.findall(r"M([\d.]+),0h([\d.]+)v", path)]
    end = study.data.time_s[-1] / unit
    assert [x * end / 100 > half for x, _ in rows] == [False, True]
    assert all((x + width) * end / 100 < gap[0] or x * end / 100 > gap[1] for x, width in rows)
    assert "Occurs 2 times" in tab.locator("#cluster-1").inner_text()


@needs_browser
def test_of_many_windows_a_subset_is_drawn_and_the_lasso_selects_all(visit: Any, made: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.html"
    few.write_text(made.read_text().replace("const MOST_POINTS = 25000;", "const MOST_POINTS = 15;"))
    tab = visit(few)
    count = f"{GROUPS}.reduce((n, trace) => n + trace.x.length, 0)"
    # every fourth, the anomalous one, and the outermost on each side
    n_drawn = tab.evaluate(count)
    assert tab.locator("#drawn").inner_text().startswith(f"{n_drawn} of 60 windows are drawn") and 16 <= n_drawn <= 20
    box = area(tab, "projection")
    left, top = box["x"] + 3, box["y"] + 3
    right, bottom = left + box["width"] - 6, top + box["height"] - 6
    dragged(tab, [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    assert title(tab, "selection").startswith("60 windows selected")
    # near a cluster all of its windows are drawn
    tab.mouse.move(left + box["width"] / 2, top + box["height"] / 2)
    tab.evaluate("Plotly.relayout('projection', { 'xaxis.range': [-2, 2], 'yaxis.range': [-2, 2] })")
    tab.wait_for_function(f"{count} !== {n_drawn}")
    own = tab.evaluate(f"{GROUPS}.map((trace) => trace.x.length)")
    assert sum(own) <= 20 and max(own) >= 10


@needs_browser
def test_dragging_along_the_series_highlights_points(visit: Any, made: Path, tmp_path: Path) -> None:
    tab = visit(made)
    box = area(tab, "series")
    y = box["y"] + box["height"] / 2
    dragged(tab, [(box["x"] + 2, y), (box["x"] + box["width"] / 3 - 2, y)])
    assert re.match(r"(19|20) windows selected: (19|20) of cluster 0", title(tab, "selection"))
    traces = tab.evaluate(f"{GROUPS}.map((trace) => trace.selectedpoints.length)")
    assert traces == [0, sum(traces), 0, 0], "noise, then the clusters"
    lit = sum(traces)
    assert lit in (19, 20)
    with tab.expect_download() as download:
        tab.locator("#json").click()
    chosen = json.loads(Path(download.value.path()).read_text())
    assert chosen["name"] == "made up" and chosen["windows"] == list(range(lit))
    # what sets it apart
    tab.locator("#contrast").select_option("rest")
    said = tab.locator("#selection [data-part=note]").inner_text()
    assert f"one of the others ({60 - lit} windows, {60 - lit} explained)" in said
    tab.locator("#keep").click()
    assert "B: " in tab.locator("#kept").inner_text() and "other=0_" in tab.url


def most_central(study: StudyResults, windows: list[int]) -> int:
    """That with the least sum of distances to the others in the projection; all but window 1 are explained."""
    places = study.projection[windows].astype(float)
    sums = np.linalg.norm(places[:, None] - places, axis=2).sum(axis=1)
    return min((window for window in windows if window != 1), key=lambda window: float(sums[windows.index(window)]))


@needs_browser
def test_a_selection_shows_its_most_central_window_and_no_mean(visit: Any, made: Path) -> None:
    study = StudyResults.of(made.parent.parent / "artifacts")
    own, rest = list(range(12)), list(range(12, 60))
    central, dotted = most_central(study, own), most_central(study, rest)
    tab = visit(made, "#selected=0_11&contrast=rest")
    data = "document.querySelector('#selection [data-part=plot]').data"
    heat = np.array(tab.evaluate(f"{data}.find((trace) => trace.type === 'heatmap').z"))[::-1]
    np.testing.assert_allclose(heat, expected_cells(study, central), atol=1e-4)
    for window, style in ((central, "!trace.line.dash"), (dotted, "trace.line.dash")):
        lines = tab.evaluate(
            f"{data}.filter((trace) => trace.mode === 'lines' && {style}).map((trace) => trace.customdata)"
        )
        start = study.data.starts[window]
        np.testing.assert_allclose(lines, study.data.values[start : start + study.data.length].T, atol=1e-3)
    said = tab.locator("#selection [data-part=note]").inner_text()
    assert f"Line: window {central}," in said and f"Dotted: window {dotted}," in said


@needs_browser
def test_the_threshold_moves_the_segments(visit: Any, made: Path) -> None:
    tab = visit(made)
    words, chips = tab.locator("#threshold output"), tab.locator("#segments .chip")
    assert "1 window in 1 segment above (of the study)" in words.inner_text() and chips.count() == 1
    tab.locator("#threshold input").evaluate(
        "slider => { slider.value = slider.min; slider.dispatchEvent(new Event('input')); }"
    )
    assert "(of the study)" not in words.inner_text() and "threshold=" in tab.url
    n = int(re.search(r": (\d+) windows", words.inner_text())[1])  # type: ignore[index]
    assert n >= 58
    chips.first.click()
    assert title(tab, "window").startswith("Window 5:")


@needs_browser
def test_a_view_is_shared_by_its_address(visit: Any, made: Path) -> None:
    view = "#colour=deviation%3A1&window=7&selected=3_9&hiddenClusters=-1&range=2~20&theme=dark&path=1"
    tab = visit(made, view)
    assert title(tab, "window").startswith("Window 7:") and title(tab, "selection").startswith("7 windows selected")
    assert tab.locator("#colour").input_value() == "deviation:1"
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert tab.locator("#clusters button").first.get_attribute("aria-pressed") == "false"
    low, high = tab.evaluate("document.getElementById('series').layout.xaxis.range")
    assert (low, high) == (2, 20)
    tab.keyboard.press("ArrowLeft")
    again = visit(made, tab.url[tab.url.index("#") :])
    assert title(again, "window").startswith("Window 6:")
    # an address that the page cannot have produced
    odd = visit(made, "#window=99999&selected=x.5_2.-3&colour=mean%3A77&threshold=abc&range=5~1&hiddenChannels=0_400")
    assert "No window" in title(odd, "window") and odd.locator("#colour").input_value() == "cluster"


@needs_browser
def test_names_from_data_are_shown_as_text(visit: Any, tmp_path: Path) -> None:
    found = synthetic_results(tmp_path / "artifacts", channels=HOSTILE, labels=HOSTILE[:3], name=HOSTILE[0])
    tab = visit(written(found, tmp_path / "report"), "#window=1&selected=0_59&colour=label")
    assert tab.title() == f"clusterwhy: {HOSTILE[0]}"
    assert tab.locator("h1").inner_text() == HOSTILE[0]
    assert tab.locator("img[src=x], #explore script").count() == 0
    assert HOSTILE[0] in title(tab, "window")
    assert [tab.locator("#channels .chip").nth(i).text_content() for i in range(5)] == [
        f"{name} (bar)" if i % 2 else name for i, name in enumerate(HOSTILE)
    ]
    lanes = tab.locator("#series .ytick text").all_text_contents()
    assert any("<script>" in text for text in lanes) and "49" not in "".join(lanes)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280, "long names do not widen the page"


@needs_browser
def test_times_are_those_of_the_data(visit: Any, tmp_path: Path) -> None:
    found = synthetic_results(tmp_path / "artifacts", clock=1.01)
    tab = visit(written(found, tmp_path / "report"), "#window=50")
    first = found.data.time_s[found.data.starts[50]]
    assert first == pytest.approx(80.8) and title(tab, "window").startswith(f"Window 50: {first:.2f} s to")
    # drawing from 40 s to 60 s selects the windows whose centres lie there
    tab = visit(tmp_path / "report" / "report.html", "#range=40~60")
    box = area(tab, "series")
    y = box["y"] + box["height"] / 2
    dragged(tab, [(box["x"] + 1, y), (box["x"] + box["width"] - 1, y)])
    middles = found.data.time_s[found.data.starts] + found.data.length / 20
    n = int(((middles >= 40) & (middles <= 60)).sum())
    assert title(tab, "selection").startswith(f"{n} windows selected")


@needs_browser
def test_data_with_dates_are_told_by_dates(visit: Any, tmp_path: Path) -> None:
    """One sample a minute; a month after half."""
    study = synthetic_results(
        tmp_path / "artifacts", rate_hz=1 / 60, start="2024-02-28T23:30", gap_s=30 * 86400.0, n_windows=60
    )
    path = written(study, tmp_path / "report")
    tab = visit(path, "#window=2&selected=2_3")
    # windows begin every 16 minutes
    assert title(tab, "window").startswith("Window 2: 2024-02-29 00:02 to 00:34 UTC, cluster 0")
    assert "2024-02-28 23:30 to " in tab.locator("#cluster-0").inner_text()
    assert "2024-03-" in tab.locator("#cluster-2").inner_text()
    axis = tab.evaluate("document.getElementById('series').layout.xaxis.title.text")
    assert axis == "time since 2024-02-28 23:30 UTC (d)"
    with tab.expect_download() as download:
        tab.locator("#csv").click()
    (first, _) = csv.DictReader(Path(download.value.path()).read_text().splitlines())
    assert first["start"] == "2024-02-29 00:02 UTC" and first["stop"] == "2024-02-29 00:34 UTC"


@needs_browser
def test_a_phone_shows_the_views_one_below_the_other(visit: Any, made: Path) -> None:
    tab = visit(made)
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.wait_for_timeout(500)
    first, second = (tab.locator(f"#{name}").bounding_box() for name in ("projection", "series"))
    assert first["y"] + first["height"] <= second["y"] + 1 and second["width"] <= 390
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def drawn(tab: Any) -> list[np.ndarray]:
    """What the series shows of each channel: one line with gaps between channels."""
    values = tab.evaluate(
        "Array.from(document.getElementById('series').data[0].customdata, (v) => (isNaN(v) ? null : v))"
    )
    ends = [i for i, value in enumerate(values) if value is None]
    return [np.array(values[first + 1 : last]) for first, last in itertools.pairwise([-1, *ends])]


@needs_browser
def test_a_long_series_is_drawn_by_its_envelope(visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterwhy.report.value_chunks.MAX_VALUES_IN_PAGE", 1200)
    monkeypatch.setattr("clusterwhy.report.value_chunks.ENVELOPE_VALUES", 1200)
    found = synthetic_results(tmp_path / "artifacts", n_windows=200)
    path = written(found, tmp_path / "report")
    for chunk in path.parent.glob("values_*.js"):
        chunk.unlink()
    tab = visit(path, "#selected=0_40&window=1", missing=True)
    kept = np.union1d(found.explained["window"], found.anomalies["window"])
    assert tab.locator("#selection [data-part=bars] .bars .point").count() == 3
    values, pressure = drawn(tab)[0], found.data.values[:, 0]
    assert values.max() == pytest.approx(pressure.max(), abs=1e-3) and len(values) <= 400
    assert values.min() == pytest.approx(pressure.min(), abs=1e-3)
    unkept = next(window for window in range(200) if window not in kept)
    tab = visit(path, f"#window={unkept}", missing=True)
    assert tab.locator("#beside").is_visible()
    assert tab.evaluate(f"{SOLID}.length") == 0


@needs_browser
def test_a_page_of_very_many_windows_leaves_out_what_each_window_would_add(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterwhy.report.page_data.MOST_NEAR", 100)
    monkeypatch.setattr("clusterwhy.report.page_data.MOST_MOMENTS", 1200)
    found = synthetic_results(tmp_path / "artifacts", n_windows=201)
    path, asked = written(found, tmp_path / "report"), explained_windows(found)
    near = "#window [data-part=near]"
    for row, window in enumerate(asked[[0, -1]]):
        tab = visit(path, f"#window={window}&colour=mean:0&selected=0_40")
        chips = tab.locator(f"{near} .chip").evaluate_all("all => all.map((one) => Number(one.dataset.window))")
        assert chips == found.nearest(5, asked)[[0, -1]][row].tolist()
        # no means: the colour in the address is ignored, and not offered
        assert tab.locator("#colour").input_value() == "cluster"
        assert tab.locator("#colour optgroup").count() == 0
    unknown = next(window for window in range(201) if window not in asked)
    tab = visit(path, f"#window={unknown}")
    assert tab.locator(f"{near} .chip").count() == 0
    assert "only those explained for their cluster" in tab.locator(near).inner_text()


@needs_browser
def test_long_series_are_shown_in_days_with_the_labelled_anomalies(visit: Any, tmp_path: Path) -> None:
    found = synthetic_results(tmp_path / "artifacts", n_windows=200, rate_hz=1 / 1800)
    marked = np.zeros(len(found.data.values), dtype=bool)
    marked[320:640] = True
    marked[-1] = True
    np.save(tmp_path / "artifacts" / "prepare" / "anomalous.npy", marked)
    tab = visit(written(found, tmp_path / "report"), "#window=3")
    start = 3 * 16 * 1800 / 86400
    assert f"Window 3: {start:.3f} d to {start + 32 / 48:.3f} d" in title(tab, "window")
    assert f"{5 * 16 / 48:.2f} to" in tab.locator(".tile.alarm").inner_text()
    figure = "document.getElementById('series')"
    assert tab.evaluate(f"{figure}.layout.xaxis.title.text") == "time since the first sample (d)"
    plot = "document.querySelector('#window [data-part=plot]')"
    assert tab.evaluate(f"{plot}.layout.xaxis.title.text") == "time in the window (min)"
    assert tab.evaluate(f"{plot}.data[1].x.at(-1)") == pytest.approx(31 * 30)
    assert tab.evaluate(f"{figure}.layout.yaxis2.ticktext") == ["anomaly label", "label", "cluster"]
    strip = tab.evaluate(f"{figure}.data.filter((trace) => trace.type === 'heatmap').find((trace) => trace.y[0] === 0)")
    times, codes = np.array(strip["x"]), np.array(strip["z"][0])
    half = (times[1] - times[0]) / 2
    expected = (times + half > 320 / 48) & (times - half < 640 / 48)
    expected[-1] = True
    assert (codes != expected).sum() <= 2, "only the positions at both ends may differ"
    assert {text for text, code in zip(strip["text"][0], codes, strict=True) if code} == {"labelled as an anomaly"}


@needs_browser
def test_with_its_chunk_files_a_long_series_is_shown_at_full_resolution(
    visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterwhy.report.value_chunks.MAX_VALUES_IN_PAGE", 1200)
    monkeypatch.setattr("clusterwhy.report.value_chunks.ENVELOPE_VALUES", 1200)
    monkeypatch.setattr("clusterwhy.report.value_chunks.PER_CHUNK", 300)  # 100 samples of three channels
    found = synthetic_results(tmp_path / "artifacts", n_windows=200)
    path = written(found, tmp_path / "report")
    n_samples = len(found.data.values)
    assert len(list(path.parent.glob("values_*.js"))) == -(-n_samples // 100)
    tab = visit(path, "#range=12~25")
    tab.wait_for_function("document.getElementById('series').data[0].customdata.length > 700")
    # half a screen more on both sides, 10 samples a second
    for channel, values in enumerate(drawn(tab)):
        np.testing.assert_allclose(values, found.data.values[55:316, channel], atol=1e-3)
    kept = np.union1d(found.explained["window"], found.anomalies["window"])
    # one whose samples lie in two files
    window = next(w for w in range(200) if w not in kept and found.data.starts[w] % 100 > 70)
    tab = visit(path, f"#window={window}")
    tab.wait_for_function(f"{SOLID}.length === 3")
    shown = tab.evaluate(f"{SOLID}[1].customdata")
    start = found.data.starts[window]
    np.testing.assert_allclose(shown, found.data.values[start : start + found.data.length, 1], atol=1e-3)
    assert not tab.locator("#beside").is_visible()
    # chunks of another series, damaged or truncated: no values are shown, and the page says so
    chunk = path.parent / f"values_{start // 100:05d}.js"
    whole = chunk.read_text()
    key = re.search(r'"(\w+)"', whole)[1]
    for changed in (whole.replace(key, "0" * 16), whole[:60] + "AAAA" + whole[64:], ""):
        chunk.write_text(changed)
        tab = visit(path, f"#window={window}")
        tab.locator("#beside").wait_for(state="visible")
        assert tab.evaluate(f"{SOLID}.length") == 0


@needs_browser
def test_any_window_shows_its_relevance(visit: Any, made: Path) -> None:
    study = StudyResults.of(made.parent.parent / "artifacts")
    tab = visit(made, "#window=40")
    note = tab.locator("#window [data-part=note]")
    assert "Red supports cluster 2, blue opposes it" in note.inner_text() and "By one encoder" in note.inner_text()
    assert "Dotted: window 1, the most similar one outside cluster 2" in note.inner_text()
    assert tab.evaluate(f"{SOLID}.length") == 3 == tab.evaluate(f"{PLOT}.data.filter((t) => t.line?.dash).length")
    np.testing.assert_allclose(cells(tab), expected_cells(study, 40), atol=1e-4)
    tab = visit(made, "#window=59")  # noise
    assert "Noise; the nearest cluster is cluster 2: blue keeps this window out of it" in note_of(tab)
    assert "the most similar one in cluster 2" in note_of(tab)
    card = tab.locator("#noise").inner_text()
    assert "2 windows, 3 % of all, belong to no cluster" in card and "current (" in card
    tab.locator("#noise .chip").first.click()
    assert title(tab, "window").startswith(("Window 58:", "Window 59:"))
    tab = visit(made, "#window=1")
    assert "was not explained: `coverage`" in note_of(tab)


@needs_browser
def test_an_anomaly_says_why_it_is_in_its_cluster_and_why_it_is_anomalous(visit: Any, made: Path) -> None:
    tab = visit(made, "#window=5")
    assert "Red supports cluster 0" in note_of(tab)
    tab.get_by_role("button", name="why anomalous").click()
    assert "what differs from the nearest normal windows" in note_of(tab) and "why=anomaly" in tab.url
    tab.keyboard.press("ArrowRight")  # no anomaly
    assert "Red supports cluster 0" in note_of(tab)
    assert not tab.locator("#window [data-part=why]").is_visible()
    tab.locator("#cluster-1 [data-window]").first.click()
    assert "why=" not in tab.url
    tab.locator("#anomaly-5 .chip").first.click()
    assert "what differs from the nearest normal windows" in note_of(tab)


@needs_browser
def test_relevance_of_many_windows_is_in_files(visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterwhy.report.value_chunks.MAX_CELLS_IN_PAGE", 1000)
    monkeypatch.setattr("clusterwhy.report.value_chunks.PER_CHUNK", 7 * 96)  # seven windows
    study = synthetic_results(tmp_path / "artifacts")
    path = written(study, tmp_path / "report")
    assert len(list(path.parent.glob("relevance_*.js"))) == 9  # 59 windows
    tab = visit(path, "#window=40&selected=20_30")
    tab.wait_for_function(f"{PLOT}.data.some((trace) => trace.type === 'heatmap')")
    np.testing.assert_allclose(cells(tab), expected_cells(study, 40), atol=1e-4)
    tab.wait_for_function("document.querySelector('#selection [data-part=plot]').data[0].type === 'heatmap'")
    assert "mean of the 11 explained windows" in tab.locator("#selection [data-part=note]").inner_text()
    # windows 36 to 42 are in the sixth file: without it, channels are still shown
    (path.parent / "relevance_00005.js").write_text("")
    tab = visit(path, "#window=40")
    tab.locator("#beside").wait_for(state="visible")
    assert not tab.evaluate(f"{PLOT}.data.some((trace) => trace.type === 'heatmap')")
    assert tab.locator("#window [data-part=bars] .bars .point").count() == 3


@needs_browser
def test_the_page_of_a_real_study(visit: Any, study: Checkout) -> None:
    tab = visit(study.root / "artifacts" / "report" / "report.html", "#window=3")
    channels = [tab.locator("#channels .chip").nth(i).text_content() for i in range(3)]
    assert channels == ["pressure", "flow", "current"]
    n_clusters = len(StudyResults.of(study.root / "artifacts").summary["clusters"])
    assert tab.locator("#pages .card:not(#noise)").count() == n_clusters > 0
    n_drawn = len(StudyResults.of(study.root / "artifacts").drawn_anomalies)
    assert tab.locator("#anomalies .card img").count() == n_drawn >= 3
    tab.locator("#pages [data-cluster='0']").click()
    assert re.search(r"windows selected: \d+ of cluster 0$", title(tab, "selection"))


def unpacked(text: str, dtype: str, shape: tuple[int, ...]) -> Any:
    import base64
    import zlib

    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=f"<{np.dtype(dtype).str[1:]}").reshape(shape)


def test_packed_arrays_are_decoded_to_the_same_values(rng: np.random.Generator) -> None:
    for values in (np.arange(-3, 300), np.array([True, False]), rng.normal(size=(4, 5)).astype(np.float32)):
        packed = pack("x", values)
        np.testing.assert_array_equal(unpacked(packed.text, packed.dtype, packed.shape), values)
    values = rng.normal(size=(3, 50)) * [[1.0], [1e6], [0.0]]
    values[0, 7] = np.nan
    packed = pack_for_drawing("x", values)
    levels = unpacked(packed.text, packed.dtype, packed.shape).astype(float)
    levels[levels == -32768] = np.nan
    back = np.array(packed.offset)[:, None] + np.array(packed.step)[:, None] * levels
    worst = np.nanmax(np.abs(back - values), axis=1)
    assert (worst <= np.nanmax(values, axis=1) / 30000 + 1e-12).all() and np.isnan(back[0, 7])


def test_empty_arrays_stay_empty() -> None:
    for packed in (pack("x", np.zeros((0, 3))), pack_for_drawing("x", np.zeros((0, 3, 8)), np.int8)):
        assert packed.shape[0] == 0 and unpacked(packed.text, packed.dtype, packed.shape).size == 0


@pytest.mark.parametrize("at_once", [1024, 7])
def test_the_envelope_encloses_every_value(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("clusterwhy.report.array_encoding.BUCKETS_AT_ONCE", at_once)
    values = rng.normal(size=(2, 1003))
    values[1, 4] = np.nan
    low, high = envelope(values, 100)
    edges = [*((np.arange(100) * 1003) // 100), 1003]
    for bucket, (a, b) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_array_equal(low[:, bucket], np.nanmin(values[:, a:b], axis=1))
        np.testing.assert_array_equal(high[:, bucket], np.nanmax(values[:, a:b], axis=1))


def test_json_in_the_page_cannot_end_the_script() -> None:
    names = ["</script><script>", "<!--", "a & b", "é\u2028"]
    text = script_json(names)
    assert "<" not in text and ">" not in text and json.loads(text) == names


def test_neighbours_do_not_overlap_the_window(tmp_path: Path) -> None:
    found = synthetic_results(tmp_path)
    near, starts = found.nearest(5, np.arange(len(found.labels))), found.data.starts
    assert (np.abs(starts[near] - starts[:, None]) >= found.data.length).all()
    distances = np.linalg.norm(found.embeddings[near] - found.embeddings[:, None], axis=2)
    assert (np.diff(distances, axis=1) >= -1e-6).all()
    others = np.linalg.norm(found.embeddings - found.embeddings[8], axis=1)
    others[np.abs(starts - starts[8]) < found.data.length] = np.inf
    assert others.argmin() == near[8, 0]


def test_the_level_of_a_cluster_is_the_mean_of_its_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = synthetic_results(tmp_path)
    own = found.moments[0][:, found.labels == 1]
    np.testing.assert_allclose(found.level(1), own.mean(axis=1), rtol=1e-6)
    monkeypatch.setattr("clusterwhy.report.study_results.MOST_MEMBERS", own.shape[1] // 2)
    np.testing.assert_allclose(
        found.level(1), own[:, :: -(-own.shape[1] // (own.shape[1] // 2))].mean(axis=1), rtol=1e-6
    )


def test_notebook_figures_show_the_same_numbers_as_the_page(tmp_path: Path) -> None:
    found = synthetic_results(tmp_path, channels=(HOSTILE[0], "a$b$", "current"))
    places = views.projection(found)
    assert [trace.name for trace in places.data] == ["noise", "cluster 0", "cluster 1", "cluster 2"]
    assert sum(len(trace.x) for trace in places.data) == 60
    by_score = views.projection(found, "score").data[0]
    np.testing.assert_array_equal(by_score.marker.color, found.scores["score"])
    which = int(found.explained["window"].iloc[5])
    heat = views.window(found, which).data[0]
    np.testing.assert_allclose(np.abs(heat.z).sum(), 100.0, rtol=1e-5)
    start = found.data.starts[which]
    np.testing.assert_array_equal(heat.customdata, found.data.values[start : start + found.data.length].T)
    names = views.window(found, which).layout.yaxis.ticktext
    assert names[0].startswith("&lt;script&gt;") and names[1] == "a&#36;b&#36; (bar)"
    np.testing.assert_array_equal(views.cluster(found, 1).data[0].z, 100 * found.maps[1])
    said = views.summary(found, 1)
    assert (
        said.n_windows == 20
        and said.jaccard == pytest.approx(0.7)
        and said.channels["channel"][0] == found.data.channels[1]
    )
    html = said._repr_html_()
    assert "cluster 1" in html and "Jaccard overlap 0.70" in html and html.count("<tr") == 4
    with pytest.raises(DataError, match="expected one of the clusters 0, 1, 2, got 9"):
        views.summary(found, 9)
    lines = views.series(found).data
    assert lines[0].y.max() == found.data.values[:, 0].max() and len(lines) == 4
    for wrong in (
        lambda: views.window(found, 99),
        lambda: views.cluster(found, 9),
        lambda: views.projection(found, "x"),
    ):
        with pytest.raises(DataError, match="expected"):
            wrong()


def test_relevance_has_a_notebook_representation(rng: np.random.Generator) -> None:
    values = rng.normal(size=(20, 3, 8))
    values[0, 2] += 100.0
    relevance = Relevance(values, values.sum(axis=(1, 2)), np.zeros(20), {"composite": "<b>rules</b>"})
    shown = relevance._repr_html_()
    assert "20 x 3 x 8" in shown and "2 (+9" in shown and "&lt;b&gt;rules" in shown and "<b>rules" not in shown


@pytest.mark.parametrize("highest", [9.1, 9.2, 9.3, 9.4])
def test_a_score_that_equals_the_threshold_is_not_above_it(tmp_path: Path, highest: float) -> None:
    synthetic_results(tmp_path)
    path, segments = tmp_path / "score" / "scores.parquet", tmp_path / "score" / "segments.json"
    table = read_table(path)
    write_table(path, table.assign(score=table["score"].where(table["score"] < 9.0, highest)))
    write_json(segments, json.loads(segments.read_text()) | {"threshold": highest})
    about = view_data(StudyResults.of(tmp_path), None, None).about
    assert float(np.float32(highest)) <= about["threshold"] == pytest.approx(highest)
