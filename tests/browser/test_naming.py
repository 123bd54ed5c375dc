"""Names, notes and events on the page: shown as text everywhere, and written where the page is served."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterwhy.annotations.annotated import Sources, annotate_from
from clusterwhy.annotations.editing import Editor
from clusterwhy.report.naming import PageNames
from clusterwhy.report.server import PageServer
from clusterwhy.report.study_results import StudyResults
from tests.browser.opening import needs_browser, title, written
from tests.synthetic_results import synthetic_results

NAME, NOTE = "<script>alert(1)</script><img src=x>", "first <b>line</b>\nsecond"
EVENTS = f"start,end,name\n0,20,idle\n30,70,{NAME}\n45,46,blip\n"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    root = tmp_path_factory.mktemp("named")
    study, sources = synthetic_results(root / "artifacts"), Sources.beside(root / "artifacts")
    sources.events.write_text(EVENTS)
    editor = Editor(sources, study.known)
    editor.name_cluster(1, NAME, NOTE)
    editor.name_segment(500, 599, "odd", "why <i>so</i>")
    study = StudyResults.of(root / "artifacts", sources)
    written(study, root / "report")
    return study


def report_of(study: StudyResults) -> Path:
    return study.data.folder.parents[1] / "report" / "report.html"


@needs_browser
def test_names_notes_and_events_are_shown_as_text(visit: Any, named: StudyResults) -> None:
    tab = visit(report_of(named), "#window=30&selected=20_39")
    assert tab.locator("img[src=x], #tiles script, .card b:text('line')").count() == 0
    assert tab.locator(".tile h2 > [data-cluster]").nth(1).inner_text() == NAME
    tile = tab.locator(".tile").nth(1)
    assert "cluster 1" in tile.inner_text() and tile.locator(".remark").inner_text() == NOTE
    assert tab.locator(".tile").nth(0).inner_text().startswith("Cluster 0")
    card = tab.locator("#cluster-1")
    assert card.locator(".remark").inner_text() == NOTE and f"{NAME} (" in card.inner_text()
    assert tab.locator("#clusters .chip").all_text_contents() == ["noise", "cluster 0", NAME, "cluster 2"]
    assert NAME in title(tab, "window") and NAME in title(tab, "selection")
    strips = tab.locator("#series .y2tick text").all_text_contents()
    assert strips == ["event", "note", "label", "cluster"]
    texts = tab.locator("#series .annotation-text").all_text_contents()
    assert "odd" in texts and "idle" in texts and any(text.startswith("<scr") for text in texts)
    rows = tab.locator("#events table").first.locator("tbody tr")
    assert rows.count() == 3 and rows.nth(0).locator("td").first.inner_text() == NAME
    assert "100 %" in rows.nth(1).inner_text()
    assert tab.locator("#segment_notes tbody").inner_text().split("\t") == [
        "odd",
        "50.00 s to 59.90 s",
        "why <i>so</i>",
    ]
    rows.nth(1).locator("button").click()
    tab.wait_for_timeout(300)
    assert title(tab, "selection").startswith("12 windows selected: 12 of cluster 0")
    tab.locator("#segment_notes button").first.click()
    tab.wait_for_timeout(300)
    assert title(tab, "selection").startswith("6 windows selected")
    assert tab.locator("[data-rename]:visible, #remark:visible, dialog:visible").count() == 0, "a file has no form"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


@needs_browser
def test_without_names_and_events_the_page_has_no_section_for_them(visit: Any, made: Path) -> None:
    tab = visit(made)
    assert tab.locator("#events:visible, #to_events:visible, .remark:visible").count() == 0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[PageServer, Sources, StudyResults]]:
    sources = Sources.beside(tmp_path / "artifacts")
    study = synthetic_results(tmp_path / "artifacts")
    html = written(study, tmp_path / "report").read_text()
    server = PageServer(html, lambda windows, part, rules: None, ("own",), names=PageNames(study, sources))  # type: ignore[arg-type, return-value]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server, sources, study
    server.shutdown()
    server.server_close()
    thread.join()


@needs_browser
def test_a_name_is_given_on_the_page(browser: Any, served: tuple[PageServer, Sources, StudyResults]) -> None:
    server, sources, study = served
    tab, faults = browser.new_page(viewport={"width": 1280, "height": 1600}), []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("dialog", lambda shown: faults.append(shown.message))
    ready = "document.documentElement.dataset.ready !== undefined"
    tab.goto(f"{server.address}#window=30&selected=20_39")
    tab.wait_for_function(ready, timeout=120_000)
    tab.locator(".tile [data-rename='1']").click()
    dialog = tab.locator("#naming")
    assert dialog.locator("h3").inner_text() == "Name and note of cluster 1"
    dialog.locator("input").fill(NAME)
    dialog.locator("textarea").fill(NOTE)
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(path=Path(folder) / "naming.png")
    dialog.locator("[data-part=save]").click()
    dialog.wait_for(state="hidden")
    tab.wait_for_timeout(300)
    assert tab.locator(".tile h2 > [data-cluster]").nth(1).inner_text() == NAME
    assert tab.locator("#cluster-1 .remark").inner_text() == NOTE
    assert NAME in title(tab, "window") and NAME in title(tab, "selection")
    assert tab.locator("#clusters .chip").all_text_contents()[2] == NAME
    assert "Written to annotations.yaml" in tab.locator("#naming_said").inner_text()
    assert annotate_from(sources, study.known).clusters[1].name == NAME
    # the same name again is refused, and what was typed stays
    tab.locator("#cluster-0 [data-rename]").click()
    dialog.locator("input").fill(NAME)
    dialog.locator("input").press("Enter")
    dialog.locator("[data-part=fault]").wait_for(state="visible")
    assert "names that two clusters have" in dialog.inner_text() and dialog.locator("input").input_value() == NAME
    dialog.locator("[data-part=cancel]").click()
    tab.locator("#remark").click()
    dialog.locator("input").fill("busy")
    dialog.locator("[data-part=save]").click()
    dialog.wait_for(state="hidden")
    assert tab.locator("#segment_notes td").first.inner_text() == "busy"
    (segment,) = annotate_from(sources, study.known).segments
    starts = study.data.starts
    assert segment.spans == ((int(starts[20]), int(starts[39]) + study.data.length),)
    # opened again, before anything is drawn anew
    tab.goto(f"{server.address}?")
    tab.goto(server.address)
    tab.wait_for_function(ready, timeout=120_000)
    assert tab.locator(".tile h2 > [data-cluster]").nth(1).inner_text() == NAME
    assert "note" in tab.locator("#series .y2tick text").all_text_contents()
    tab.locator("#cluster-1 [data-rename]").click()
    assert dialog.locator("textarea").input_value() == NOTE
    dialog.locator("input").fill("")
    dialog.locator("textarea").fill("")
    dialog.locator("[data-part=save]").click()
    dialog.wait_for(state="hidden")
    assert tab.locator(".tile h2 > [data-cluster]").nth(1).inner_text() == "Cluster 1"
    assert tab.locator("#cluster-1 .remark:visible").count() == 0
    assert not annotate_from(sources, study.known).clusters
    tab.close()
    assert not [fault for fault in faults if "400" not in fault]
