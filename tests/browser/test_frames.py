"""The page in a frame of another page, as W&B shows it."""

import html
from pathlib import Path
from typing import Any

import pytest

from tests.browser.opening import needs_browser

pytestmark = needs_browser
# as the content of a sandboxed frame, which has no address; and from an address of its own
FRAMES = {"content": '<iframe sandbox="allow-scripts" srcdoc="{content}">', "file": '<iframe src="{address}">'}


@pytest.mark.parametrize("kind", FRAMES)
def test_the_page_works_in_a_frame(visit: Any, made: Path, tmp_path: Path, kind: str) -> None:
    frame = FRAMES[kind].format(content=html.escape(made.read_text()), address=made.as_uri())
    host = tmp_path / "host.html"
    host.write_text(
        f"<!doctype html><html data-ready><style>iframe {{ width: 95vw; height: 90vh }}</style>{frame}</iframe>"
    )
    page = visit(host).frames[1]
    page.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
    page.locator("#tiles [data-cluster='1']").first.click()
    page.locator("#selection [data-part=title]", has_text="20 windows").wait_for(timeout=20_000)
