"""Take the pictures of README.md and docs/report.md from the report of the last `dvc repro`.

    python -m benchmarks.pictures

`docs/overview.png` and `docs/anomalies.png` are copies of the report's figures. `docs/tiles.png` and
`docs/the_page.png` are of the page, the views with the most anomalous window inspected and its cluster selected; they
need Debian's package `chromium`.
"""

import argparse
import itertools
import shutil
import sys
from pathlib import Path

import pandas as pd

from benchmarks.record import ROOT

DOCS = ROOT / "docs"
FLAGS = ("--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader")
WIDTH, HEIGHT = 1280, 1250  # pixels; the views, without the sections below them


def most_anomalous(artifacts: Path) -> int:
    """The explained window with the highest score.

    Raises:
        SystemExit: no anomaly was explained.
    """
    explained = pd.read_parquet(artifacts / "explain" / "anomalies.parquet")
    if explained.empty:
        sys.exit("no anomaly was explained: nothing to show in docs/anomalies.png")
    return int(explained.loc[explained["score"].idxmax(), "window"])


def page_address(artifacts: Path, window: int) -> str:
    """The page with a window inspected and the windows of its cluster selected."""
    clusters = pd.read_parquet(artifacts / "cluster" / "clusters.parquet").set_index("window")["cluster"]
    members = sorted(clusters.index[clusters == clusters[window]])
    # runs of windows, as the page writes them
    runs = [[one for _, one in run] for _, run in itertools.groupby(enumerate(members), lambda pair: pair[1] - pair[0])]
    selected = ".".join(str(run[0]) if len(run) == 1 else f"{run[0]}_{run[-1]}" for run in runs)
    page = (artifacts / "report" / "report.html").resolve().as_uri()
    return f"{page}#window={window}&selected={selected}&theme=light"


def take_screenshot(address: str, path: Path) -> None:
    """The tiles and, in a picture of their own, the views of the page as PNG.

    Raises:
        SystemExit: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("docs/the_page.png was not taken: install Debian's package `chromium`")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=list(FLAGS))
        try:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(address)
            page.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=120_000)
            page.locator(".tiles").screenshot(path=path.with_name("tiles.png"))
            page.evaluate("document.getElementById('explore').scrollIntoView()")
            page.wait_for_timeout(1_000)
            page.screenshot(path=path)
        finally:
            browser.close()


def main() -> None:
    """Copy the figures, then show the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path, nargs="?", default=ROOT / "artifacts", help="of a finished `dvc repro`")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures (default: docs/)")
    options = parser.parse_args()
    report = options.artifacts / "report"
    if not (report / "report.html").is_file():
        sys.exit(f"no report in {report}: run `dvc repro` first")
    window = most_anomalous(options.artifacts)
    shutil.copyfile(report / "overview.png", options.out / "overview.png")
    shutil.copyfile(report / f"anomaly_{window}.png", options.out / "anomalies.png")
    take_screenshot(page_address(options.artifacts, window), options.out / "the_page.png")


if __name__ == "__main__":
    main()
