"""Does a test fail when the guard that it is about is taken away?

Each guard of guards.yaml is taken out of a copy of the project, and the tests that are named beside it have to fail;
before that, all of them have to pass. A quarter of an hour on two cores:

    python -m benchmarks.guards
    python -m benchmarks.guards --only "W&B"      # guards of one area; writes nothing
    python -m benchmarks.guards --make FOLDER     # only the copy, for `python -m pytest --study FOLDER`
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import ROOT, Result, miniature_table, record, shown
from tests.conftest import make_checkout

GUARDS = Path(__file__).with_suffix(".yaml")
MADE = ("artifacts", "reports")
N_AT_ONCE = 2


def guards() -> list[dict[str, str]]:
    """What is taken away, and which tests must fail then."""
    found: list[dict[str, str]] = yaml.safe_load(GUARDS.read_text())
    return found


def make(root: Path) -> None:
    """A copy of the project with a finished study, in which the tests can be run."""
    checkout = make_checkout(root)
    for name in ("benchmarks", "docs"):
        shutil.copytree(ROOT / name, root / name)
    checkout.run("dvc", "repro")


def tested(root: Path, test: str, chosen: str) -> subprocess.CompletedProcess[str]:
    """Run tests in the copy, on its own study."""
    command = ("-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", f"--study={root}")
    paths = os.pathsep.join((str(root / "src"), str(root)))
    return subprocess.run(
        [sys.executable, *command, test, "-k", chosen],
        cwd=root,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


def check_with_all(root: Path, chosen: list[dict[str, str]]) -> None:
    """With every guard in its place all of the tests pass."""
    for test in dict.fromkeys(guard["test"] for guard in chosen):
        any_of = " or ".join(f"({guard['chosen']})" for guard in chosen if guard["test"] == test)
        if (done := tested(root, test, any_of)).returncode != 0:
            sys.exit(f"{test} -k {any_of!r} fails with the guards\n{done.stdout[-3000:]}")


def without(root: Path, guard: dict[str, str]) -> str:
    """Take a guard away, test, put it back: the test that fails, an empty string if none does."""
    path, kept = root / guard["file"], (root / guard["file"]).read_text()
    if kept.count(guard["text"]) != 1:
        sys.exit(f"{guard['file']} has {guard['text']!r} {kept.count(guard['text'])} times, expected once: {GUARDS}")
    path.write_text(kept.replace(guard["text"], guard["instead"]))
    try:
        done = tested(root, guard["test"], guard["chosen"])
    finally:
        path.write_text(kept)
        # what was let in may have changed the study
        for folder in MADE:
            shutil.rmtree(root / folder)
            shutil.copytree(root / "kept" / folder, root / folder)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return failed[0].removeprefix("FAILED ").split(" - ")[0].partition("::")[2] if failed else ""


def section(result: Result) -> str:
    """Guards and the tests that miss them."""
    return f"""
Each guard was taken out of a copy of the project ([guards.yaml](../benchmarks/guards.yaml) says how), and the tests
that are about it were run: {result.setup["red"]} of {result.setup["guards"]} guards are missed by a test.

{shown(result.table("guards"), 0)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Guards of each area, and how many of them are missed."""
    figure.set_size_inches(8, 3)
    found = result.table("guards")
    counts = found.groupby("area", sort=False)["missed by"].apply(lambda tests: (tests != "").sum()).reset_index()
    axes = figure.subplots()
    bars(axes, counts, "area", {"missed by": "missed by a test"})
    axes.get_legend().remove()
    axes.set_xlabel("guards taken away that a test misses")


def main() -> None:
    """Make a copy, take each guard away, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="an area of guards.yaml")
    parser.add_argument("--make", type=Path, help="make the copy there, and nothing else")
    arguments, began = parser.parse_args(), time.monotonic()
    if arguments.make:
        return make(arguments.make.resolve())
    chosen = [guard for guard in guards() if arguments.only in (None, guard["area"])]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / "project"
        make(root)
        for made in MADE:
            shutil.copytree(root / made, root / "kept" / made)
        copies = [root, *(Path(shutil.copytree(root, root.with_name(f"copy{i}"))) for i in range(1, N_AT_ONCE))]
        check_with_all(root, chosen)
        free: queue.Queue[Path] = queue.Queue()
        for copy in copies:
            free.put(copy)

        def one(guard: dict[str, str]) -> dict[str, str]:
            place = free.get()
            try:
                missed = without(place, guard)
            finally:
                free.put(place)
            return {"area": guard["area"], "guard against": guard["what"], "missed by": missed}

        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            rows = list(tqdm(pool.map(one, chosen), total=len(chosen), unit="guard"))
    runs = pd.DataFrame(rows)
    red = int((runs["missed by"] != "").sum())
    print(shown(runs, 0))
    if arguments.only is None:
        ratios = miniature_table({"guards missed by a test": red / len(runs)})
        record("guards", "", began, {"guards": len(runs), "red": red}, {"guards": runs, "miniature": ratios}, runs)
    if red < len(runs):
        sys.exit(f"{len(runs) - red} guards can be taken away without a test that fails")
    return None


if __name__ == "__main__":
    main()
