"""A Chromium for the tests of the page, and what a hand does in it."""

import shutil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from clusterwhy.report.page import write_page, write_pictures
from clusterwhy.report.study_results import StudyResults

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's package `chromium`")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=swiftshader",
    "--enable-unsafe-swiftshader",
]


def written(study: StudyResults, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("agg")
    write_pictures(study, folder)
    write_page(study, folder)
    return folder / "report.html"


def area(tab: Any, name: str, axes: str = "xy") -> dict[str, float]:
    """Where the drawing area of a plot lies on the screen."""
    tab.locator(f"#{name}").scroll_into_view_if_needed()
    box = tab.locator(f"#{name} .draglayer .{axes} .nsewdrag").bounding_box()
    assert box is not None
    return box


def dragged(tab: Any, points: list[tuple[float, float]]) -> None:
    tab.mouse.move(*points[0])
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*point, steps=5)
    tab.mouse.up()
    tab.wait_for_timeout(400)


def title(tab: Any, panel: str) -> str:
    return str(tab.locator(f"#{panel} [data-part=title]").inner_text())
