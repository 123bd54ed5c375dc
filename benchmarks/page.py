"""How large is the page, how long does a browser take to show it, and does it follow the hand?

Made-up studies of 38 channels are written as `report` writes them, and each page is opened in a Chromium of its own
(two cores, no GPU: WebGL in software). The browser is watched from outside only once the page is ready, since watching
a page start slows it. Then the projection is pointed at, panned and zoomed. Six minutes on two cores; needs Debian's
package `chromium`:

    python -m benchmarks.page
    python -m benchmarks.page --quick    # 1,000 windows; writes nothing
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import Result, record, shown
from clusterwhy.report.page import write_page, write_pictures
from tests.synthetic_results import synthetic_results

N_WINDOWS = (1_000, 10_000, 100_000)
CHANNELS, LENGTH, STRIDE = 38, 128, 10
ROUNDS = 3
N_MOVES = 60
FLAGS = ("--headless=new", "--no-sandbox", "--use-gl=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run")
WAIT_S = 15.0  # before the page is looked at, and longer than it may take

# when frames were drawn
WATCH = """() => {
  window.shown = [];
  const step = (now) => { if (window.shown) { window.shown.push(now); requestAnimationFrame(step); } };
  step(performance.now());
}"""
SHOWN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  done(window.shown);
  window.shown = null;
})))"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
OVERVIEW = """() => new Promise((done) => new PerformanceObserver((seen) => done(seen.getEntries()[0].renderTime))
  .observe({ type: "element", buffered: true }))"""
RANGE = "() => document.getElementById('projection')._fullLayout.xaxis.range[0]"


def written(n_windows: int, root: Path) -> Path:
    """The page of a made-up study."""
    names = tuple(f"channel {i}" for i in range(CHANNELS))
    found = synthetic_results(root / "artifacts", n_windows, names, length=LENGTH, stride=STRIDE)
    folder = root / "report"
    folder.mkdir()
    write_pictures(found, folder)
    write_page(found, folder)
    return folder / "report.html"


@contextmanager
def opened(path: Path, wait_s: float) -> Iterator[Any]:
    """The page in a browser that nobody watched while it started."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium: install Debian's package `chromium`")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            chromium,
            *FLAGS,
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "--window-size=1280,1600",
        ]
        browser = subprocess.Popen([*command, path.as_uri()], stderr=subprocess.PIPE, text=True)
        try:
            assert browser.stderr is not None
            address = next(
                found[1] for line in browser.stderr if (found := re.search(r"listening on (ws://\S+)", line))
            )
            time.sleep(wait_s)
            with sync_playwright() as play:
                connected = play.chromium.connect_over_cdp(address)
                yield connected.contexts[0].pages[0]
        finally:
            browser.terminate()
            browser.wait(timeout=30)


def measure(path: Path, wait_s: float) -> dict[str, float]:
    """Seconds and memory of one opening, and the frames while it is panned and zoomed."""
    with opened(path, wait_s) as tab:
        tab.wait_for_function("document.documentElement.dataset.ready !== undefined", timeout=300_000)
        times, paint = tab.evaluate("() => ({...document.documentElement.dataset})"), tab.evaluate(PAINT)
        overview = tab.evaluate(OVERVIEW)
        heap = tab.evaluate("performance.memory.usedJSHeapSize")
        found = _frames(tab)
    return {
        "text (s)": paint / 1000,
        "overview (s)": overview / 1000,
        "first views (s)": float(times["drawn"]) / 1000,
        "ready (s)": float(times["ready"]) / 1000,
        "JavaScript heap (MB)": heap / 1e6,
        **found,
    }


def _frames(tab: Any) -> dict[str, float]:
    """Milliseconds from one frame to the next, on average, while the projection is panned, zoomed and pointed at."""
    box = tab.locator("#projection .draglayer .xy .nsewdrag").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.evaluate("Plotly.relayout('projection', { dragmode: 'pan' })")

    def move() -> None:
        for i in range(N_MOVES):
            tab.mouse.move(x + 2 * i, y + i)

    def pan() -> None:
        tab.mouse.move(x, y)
        tab.mouse.down()
        move()
        tab.mouse.up()

    def zoom() -> None:
        for _ in range(5):
            tab.mouse.wheel(0, -60)
            tab.wait_for_timeout(50)

    found = {}
    for name, act, moves in (("point", move, False), ("pan", pan, True), ("zoom", zoom, True)):
        before = tab.evaluate(RANGE)
        tab.evaluate(WATCH)
        act()
        times = tab.evaluate(SHOWN)
        steps = np.diff(times)
        found[f"{name} (ms per frame)"] = float(steps.mean())
        found[f"{name} (longest, ms)"] = float(steps.max())
        if moves and tab.evaluate(RANGE) == before:
            sys.exit(f"the projection did not follow: {name}")
    return found


def rows(quick: bool) -> pd.DataFrame:
    """Every opening of every page."""
    found = []
    with tempfile.TemporaryDirectory() as root:
        for n_windows in N_WINDOWS[:1] if quick else N_WINDOWS:
            path = written(n_windows, Path(root) / str(n_windows))
            beside = sum(piece.stat().st_size for piece in path.parent.glob("values_*.js"))
            sizes = {"page (MB)": path.stat().st_size / 1e6, "files beside it (MB)": beside / 1e6}
            for turn in tqdm(range(1 if quick else ROUNDS), desc=f"{n_windows} windows", unit="opening"):
                found.append({"windows": n_windows, "round": turn, **sizes, **measure(path, WAIT_S)})
    return pd.DataFrame(found)


def section(result: Result) -> str:
    """Sizes, seconds and frames, in Markdown."""
    table = result.table("openings")
    opening = table.drop(columns=[column for column in table if "ms" in column])
    frames = table[["windows", *[column for column in table if "ms" in column]]]
    setup = result.setup
    return f"""
A page of {setup["channels"]} channels, opened from the disk; medians of {setup["rounds"]} openings. *Text* is when
there is something to read, *overview* when the picture of projection, series and clusters is seen, *first views* when
projection and series of one's own take its place, *ready* when every view answers. Plotly's own start is a good part of
it, and the number of windows hardly any. Values of a long series lie in files beside the page, which works without
them; they are read when one looks closely.

{shown(opening, 1)}

While the projection is pointed at, panned and zoomed ({setup["gpu"]}); of more than 25,000 windows it draws some, and
counts all:

{shown(frames, 0)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Seconds until there is something to see."""
    figure.set_size_inches(8, 2.6)
    axes = figure.subplots()
    table = result.table("openings")
    table["windows"] = [f"{n:,} windows" for n in table["windows"]]
    kinds = {"text (s)": "text", "overview (s)": "overview"}
    kinds |= {"first views (s)": "first views", "ready (s)": "ready"}
    bars(axes, table, "windows", kinds)
    axes.set_xlabel("seconds")


def main() -> None:
    """Open pages of each size several times, and record the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest, once; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    mpl.use("agg")
    openings = rows(quick)
    table = openings.drop(columns="round").groupby("windows").median().reset_index()
    if quick:
        print(shown(table))
        return
    setup = {"channels": CHANNELS, "rounds": ROUNDS, "gpu": "no GPU: WebGL in software"}
    record("page", "", began, setup, {"openings": table}, openings)


if __name__ == "__main__":
    main()
