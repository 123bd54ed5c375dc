"""Pages that are opened in a browser."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.opening import CHROMIUM, FLAGS, written
from tests.synthetic_results import synthetic_results


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Opens a file; no request but for the file itself is answered, and no error is allowed.

    How each page looked in the end is kept in the folder that the variable SCREENSHOTS names.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 1600}, accept_downloads=True)
    faults: list[str] = []

    def opened(path: Path, fragment: str = "", missing: bool = False) -> Any:
        tab = context.new_page()
        tab.on("pageerror", lambda error: faults.append(str(error)))
        # a browser reports files that are not there
        tab.on("console", lambda said: faults.append(said.text) if said.type == "error" and not missing else None)
        tab.on("request", lambda asked: faults.append(asked.url) if asked.url.startswith("http") else None)
        tab.goto(f"{path.as_uri()}{fragment}")
        tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
        tab.wait_for_timeout(300)
        return tab

    yield opened
    if folder := os.environ.get("SCREENSHOTS"):
        for i, tab in enumerate(context.pages):
            tab.screenshot(path=Path(folder) / f"{request.node.name}_{i}.png", full_page=True)
    context.close()
    assert not faults


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    return written(synthetic_results(root / "artifacts"), root / "report")
