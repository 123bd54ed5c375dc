"""What only a served page offers: other settings tried beside the study's, and selections explained in parts."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clusterwhy.explanations.selections import ExplainedSelection
from clusterwhy.projection import Umap
from clusterwhy.report.server import PageServer
from clusterwhy.report.study_results import StudyResults
from tests.browser.opening import needs_browser, title
from tests.trial_studies import trials_of

PARTS: list[list[int]] = []  # that were asked for
GO = threading.Event()  # a part after the first waits for it


def explain(windows: list[int], part: list[int], rules: str) -> ExplainedSelection:
    """All relevance is in the first channel."""
    PARTS.append(part)
    assert len(PARTS) == 1 or GO.wait(60)
    values = np.zeros((len(part), 3, 32))
    values[:, 0] = 1.0
    relevance = SimpleNamespace(values=values, target=values.sum(axis=(1, 2)), gap=np.full(len(part), 0.01))
    losses = (f"missing: 2% in 1 of {len(part)} windows",)
    return ExplainedSelection(np.array(sorted(part)), relevance, losses)  # type: ignore[arg-type]


@pytest.fixture
def served(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageServer]:
    """UMAP is replaced by the first and the last feature, mirrored."""
    monkeypatch.setattr(Umap, "_of_sample", lambda self, points, seed: -points[:, [0, -1]])
    study = StudyResults.of(made.parent.parent / "artifacts")
    server = PageServer(made.read_text(), explain, ("own",), trials=trials_of(study))
    PARTS.clear()
    GO.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@needs_browser
def test_other_settings_recolour_and_move_the_points_until_one_goes_back(browser: Any, served: PageServer) -> None:
    tab, faults = browser.new_page(viewport={"width": 1280, "height": 1600}), []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(f"{served.address}#colour=score&selected=0_9")
    tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
    points = "document.getElementById('projection').data.filter((trace) => trace.name !== 'alarms').map((one) => one.x)"
    tab.locator("#colour").select_option("cluster")
    study = tab.evaluate(f"{points}.map((x) => Array.from(x))")
    panel, banner = tab.locator("#trials"), tab.locator("#tried")
    panel.locator("summary").click()
    slider = panel.get_by_label("number of clusters")
    assert not banner.is_visible() and slider.get_attribute("aria-valuetext") == "3 clusters"
    slider.focus()
    tab.keyboard.press("ArrowLeft")
    banner.wait_for(state="visible")
    assert banner.inner_text().startswith("Tried, not the study's: 2 clusters, agreement 0.")
    assert slider.get_attribute("aria-valuetext") == "2 clusters"
    assert "clusterer.selection=leaf clusterer.cluster_selection_epsilon=" in panel.locator("code").first.inner_text()
    assert tab.evaluate("document.getElementById('series')._fullLayout.yaxis2.ticktext").count("tried") == 1
    assert len(study) == 4 and tab.evaluate(f"{points}.length") == 2, "noise is in one of both"
    assert title(tab, "selection") == "10 windows selected: 10 of cluster 0", "the study's"
    panel.get_by_label("smallest cluster").fill("3")
    panel.locator("[data-part=run]").click()
    panel.get_by_text("clusterer.min_cluster_share: Input should be less than 1").wait_for(state="visible")
    panel.get_by_label("smallest cluster").fill("0.1")
    panel.get_by_label("neighbours").fill("15")
    tab.keyboard.press("Enter")
    panel.get_by_text("projection.n_neighbors=15").wait_for(state="visible")
    text = panel.locator("[data-part=keep]").inner_text()
    assert slider.get_attribute("aria-valuetext") == "3 clusters", "the study's again"
    assert "conf/clusterer/hdbscan.yaml and conf/projection/umap.yaml" in text
    assert tab.evaluate(f"{points}.map((x) => Array.from(x))") != study
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(path=Path(folder) / "trials.png", full_page=True)
    banner.get_by_role("button").click()
    assert tab.evaluate(f"{points}.map((x) => Array.from(x))") == study
    assert not banner.is_visible() and panel.get_by_label("neighbours").input_value() == "10"
    tab.close()
    assert not faults


@needs_browser
def test_a_selection_of_any_size_is_explained_in_parts_until_it_is_cancelled(browser: Any, served: PageServer) -> None:
    tab, faults = browser.new_page(viewport={"width": 1280, "height": 1600}), []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.goto(f"{served.address}#selected=0_49")
    tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
    panel = tab.locator("#selection")
    answer, ask, cancel = (panel.locator(f"[data-part={name}]") for name in ("answer", "ask", "stop"))
    ask.click()
    panel.get_by_text("own: relevance of 50 selected windows compared with all others").wait_for(state="visible")
    assert sorted(window for part in PARTS for window in part) == list(range(50))
    assert answer.inner_text().count("missing: 2%") == 1 and "Of 32 windows, missing: 2%" in answer.inner_text()
    assert max(map(len, PARTS)) <= 32 and not cancel.is_visible()
    assert panel.locator("[data-part=asked_bars] .bars .point").count() == 3
    PARTS.clear()
    GO.clear()
    ask.click()
    panel.get_by_text(re.compile(r"explained 4 of 50 windows, about \d+ s left")).wait_for(state="visible")
    assert panel.locator("progress").get_attribute("value") == "4" and ask.is_disabled()
    if folder := os.environ.get("SCREENSHOTS"):
        panel.screenshot(path=Path(folder) / "parts.png")
    cancel.click()
    # at once, though the server has not answered
    panel.get_by_text("own: relevance of 4 of 50 selected windows, drawn at random,").wait_for(state="visible")
    assert ask.is_enabled() and not panel.locator("progress").is_visible()
    GO.set()
    tab.evaluate("location.hash = '#selected=0_9'")
    tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
    assert answer.inner_text() == ""
    tab.close()
    assert not faults
