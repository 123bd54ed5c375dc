"""Does `dvc repro` end with the same bytes however often it is killed?

A small study of the tests is made once undisturbed, then from nothing again and again: `dvc repro` and everything it
started are killed (SIGKILL) at a random moment, and the same command is given again, until it ends. After each kill
every artifact with its final name must be whole, and at each end all files must be those of the undisturbed run. A
little more than a second per kill beside the work that is lost; an hour for 200 on two cores:

    python -m benchmarks.kills --kills 200
    python -m benchmarks.kills --kills 3      # writes nothing
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import Result, miniature_table, record, shown
from tests.conftest import make_checkout

FEWEST = 100  # kills that are recorded
# of the time of an undisturbed run, from a run's start to its kill, in the mean of an exponential distribution: most
# kills come soon, and some late enough for the longest stage to get further
MEAN_SHARE = 0.06
MADE = ("artifacts", "reports")


def digests(root: Path) -> dict[str, str]:
    """Every file below artifacts/ and reports/ that has its final name."""
    files = [path for folder in MADE for path in sorted((root / folder).rglob("*")) if path.is_file()]
    named = [path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    return {str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest() for path in named}


def broken(root: Path, whole: dict[str, str]) -> list[str]:
    """Folders of stages that are there, but not with all of their files as they should be."""
    found = digests(root)
    stages = {tuple(Path(name).parts[:2]) for name in found if name.startswith("artifacts/")}
    expected = {name: value for name, value in whole.items() if tuple(Path(name).parts[:2]) in stages}
    there = {name: value for name, value in found.items() if name.startswith("artifacts/")}
    return sorted(name for name in expected.keys() | there.keys() if expected.get(name) != there.get(name))


def begin(root: Path) -> subprocess.Popen[bytes]:
    """`dvc repro`, its output in a file."""
    environment = os.environ | {"WANDB_MODE": "disabled", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")}
    with (root / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"], cwd=root, env=environment, stdout=said, stderr=said
        )


def kill(root: Path) -> None:
    """End every process that works in the folder, at once."""
    for _ in range(2):
        for process in psutil.process_iter(["cwd"]):
            if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(root):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def empty(root: Path) -> None:
    """Take away all that a run made, what DVC remembers included."""
    for name in (*MADE, "outputs", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "dvc.lock").unlink(missing_ok=True)


def small_evidence(root: Path) -> None:
    """Let `evaluate`, most of a run's time, measure less."""
    path = root / "conf" / "evidence" / "standard.yaml"
    smaller = {"resamples": 2, "encoder_seeds": 1}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | smaller))


def finish(root: Path) -> dict[str, str]:
    """The digests of an undisturbed run."""
    if begin(root).wait() != 0:
        sys.exit(f"dvc repro failed\n{(root / 'said.txt').read_text()[-3000:]}")
    return digests(root)


def one_life(
    root: Path, whole: dict[str, str], mean_s: float, draw: random.Random, left: int, until: float, bar: tqdm
) -> list[dict[str, object]]:
    """From nothing to the end, killed up to `left` times on the way, and not after the moment `until`."""
    rows: list[dict[str, object]] = []
    unlocked = False
    empty(root)
    while True:
        running, more = begin(root), len(rows) < left and time.monotonic() < until
        try:
            code = running.wait(0.5 + draw.expovariate(1 / mean_s) if more else None)
        except subprocess.TimeoutExpired:
            kill(root)
            running.wait()
            said = re.findall(r"Running stage '(\w+)'", (root / "said.txt").read_text())
            rows.append(
                {
                    "at work": said[-1] if said else "DVC itself",
                    "lock of DVC broken": False,
                    "broken": json.dumps(broken(root, whole)),
                    "training went on": "training goes on after" in (root / "said.txt").read_text(),
                }
            )
            bar.update()
            unlocked = False
            continue
        if code != 0 and rows and not unlocked and "RWLock-file" in (root / "said.txt").read_text():
            # of DVC's own: what the README says helps
            unlocked = True
            rows[-1]["lock of DVC broken"] = True
            subprocess.run([sys.executable, "-m", "pipeline.unlock"], cwd=root, check=True, capture_output=True)
            continue
        if code != 0:
            sys.exit(f"after {len(rows)} kills dvc repro failed\n{(root / 'said.txt').read_text()[-3000:]}")
        same = digests(root) == whole
        return [row | {"same bytes in the end": same} for row in rows]


def section(result: Result) -> str:
    """Kills by what was at work."""
    return f"""
`dvc repro` of a small study, killed (SIGKILL, with everything it started) at random moments and started again until it
ended: {result.setup["kills"]} kills in {result.setup["lives"]} runs from nothing. *Broken*: an artifact under its final
name that was not whole after the kill. *Other bytes*: kills after which the run ended with a file that is not the
undisturbed run's. What is not in the table was never at work at a kill.

{shown(result.table("kills"), 0)}

After {result.setup["locks"]} of the kills DVC could not read its own list of locks, `rwlock`, which it does
not write at once; `make repro`, or `python -m pipeline.unlock`, takes it away. {result.setup["went on"]} of the runs
that were killed later had gone on with an unfinished training instead of from
its first step.
"""


def figure(result: Result, figure: Figure) -> None:
    """Kills of each stage."""
    figure.set_size_inches(8, 3)
    axes = figure.subplots()
    bars(axes, result.table("kills").iloc[:-1], "at work", {"kills": "kills survived"})
    axes.set_xlabel("kills")


def main() -> None:
    """Kill, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help=f"below {FEWEST}: writes nothing")
    parser.add_argument("--minutes", type=float, default=120.0, help="no kill after them (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments, began = parser.parse_args(), time.monotonic()
    draw, rows, lives = random.Random(arguments.seed), [], 0
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tqdm(total=arguments.kills, unit="kill") as bar,
    ):
        root = Path(folder).resolve() / "project"
        make_checkout(root)
        small_evidence(root)
        started = time.monotonic()
        whole = finish(root)
        mean_s = MEAN_SHARE * (time.monotonic() - started)
        until = began + 60 * arguments.minutes
        while len(rows) < arguments.kills and time.monotonic() < until:
            rows += one_life(root, whole, mean_s, draw, arguments.kills - len(rows), until, bar)
            lives += 1
    runs = pd.DataFrame(rows)
    by_stage = runs.groupby("at work", sort=False)
    table = pd.DataFrame(
        {
            "kills": by_stage.size(),
            "broken": by_stage["broken"].apply(lambda found: (found != "[]").sum()),
            "other bytes": by_stage["same bytes in the end"].apply(lambda same: (~same).sum()),
        }
    )
    table = pd.concat([table, table.sum().to_frame("all").T]).rename_axis("at work").reset_index()
    print(shown(table, 0))
    if len(rows) >= FEWEST:
        setup = {
            "kills": len(rows),
            "lives": lives,
            "locks": int(runs["lock of DVC broken"].sum()),
            "went on": int(runs["training went on"].sum()),
        }
        ratios = miniature_table({"broken or other bytes": float(table[["broken", "other bytes"]].to_numpy().sum())})
        record("kills", f"--kills {arguments.kills}", began, setup, {"kills": table, "miniature": ratios}, runs)
    if table[["broken", "other bytes"]].to_numpy().any():
        sys.exit(runs[(runs["broken"] != "[]") | ~runs["same bytes in the end"]].to_string())


if __name__ == "__main__":
    main()
