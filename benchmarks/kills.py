"""Do stages, and `dvc repro`, end with the same bytes however often they are killed?

A small study of the tests is made once undisturbed. Then each stage is made again from nothing and killed (SIGKILL) at
random moments, as often as every other stage, before it may end; and, with `--repros`, `dvc repro` from nothing with
everything that it started. After each kill every artifact with its final name must be whole, and at each end all files
must be those of the undisturbed run. A quarter of an hour for 200 kills of stages on two cores:

    python -m benchmarks.kills --kills 200
    python -m benchmarks.kills --kills 200 --repros 100      # an hour more
    python -m benchmarks.kills --kills 9      # writes nothing
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import ROOT, Result, miniature_table, record, shown
from tests.conftest import make_checkout
from tests.stage_server import StageServer

FEWEST = 100  # kills that are recorded
# from the start of `dvc repro` to its kill, in the mean of an exponential distribution: most kills come soon, and some
# late enough for the longest stage to get further
MEAN_S = 12.0
MADE = ("artifacts", "reports")
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
Row = dict[str, Any]


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


def small_evaluation(root: Path) -> None:
    """Let `evaluate`, most of a run's time, measure less."""
    path = root / "conf" / "evaluation" / "standard.yaml"
    smaller = {"resamples": 2}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | smaller))


def finish(root: Path) -> dict[str, str]:
    """The digests of an undisturbed run."""
    if begin(root).wait() != 0:
        sys.exit(f"dvc repro failed\n{(root / 'said.txt').read_text()[-3000:]}")
    return digests(root)


def one_stage(
    root: Path, stages: StageServer, stage: str, whole: dict[str, str], kills: int, draw: random.Random
) -> list[Row]:
    """A stage from nothing to the end, killed `kills` times on the way."""
    began = time.monotonic()
    if (done := stages.run(f"pipeline.{stage}", "run=stage")).returncode != 0:
        sys.exit(done.said)
    took = time.monotonic() - began
    shutil.rmtree(root / "artifacts" / stage)
    (root / "reports" / f"{stage}.json").unlink()
    rows: list[Row] = []
    while len(rows) < kills:
        child = stages.start(f"pipeline.{stage}", "run=stage")
        time.sleep(draw.uniform(0.0, took))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        ended = stages.wait()
        if ended.returncode == 0:
            # it was quicker, or went on with what an earlier run had trained
            shutil.rmtree(root / "artifacts" / stage)
            took *= 0.9
            continue
        rows.append(
            {
                "at work": stage,
                "broken": json.dumps(broken(root, whole)),
                "went on": "training resumes after" in ended.said,
            }
        )
    if (done := stages.run(f"pipeline.{stage}", "run=stage")).returncode != 0:
        sys.exit(f"{stage} failed after {kills} kills\n{done.said}")
    same = digests(root) == whole
    return [row | {"same bytes in the end": same} for row in rows]


def one_life(root: Path, whole: dict[str, str], left: int, draw: random.Random) -> list[Row]:
    """`dvc repro` from nothing to the end, killed up to `left` times on the way."""
    rows: list[Row] = []
    unlocked = False
    empty(root)
    while True:
        running, more = begin(root), len(rows) < left
        try:
            code = running.wait(0.5 + draw.expovariate(1 / MEAN_S) if more else None)
        except subprocess.TimeoutExpired:
            kill(root)
            running.wait()
            said = re.findall(r"Running stage '(\w+)'", (root / "said.txt").read_text())
            rows.append(
                {
                    "at work": said[-1] if said else "DVC itself",
                    "lock of DVC broken": False,
                    "broken": json.dumps(broken(root, whole)),
                    "went on": "training resumes after" in (root / "said.txt").read_text(),
                }
            )
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
    setup = result.setup
    repros = f"and {setup['repros']} kills of `dvc repro` with everything it had started, " if setup["repros"] else ""
    return f"""
The stages of a small study, each made from nothing and killed (SIGKILL) at random moments before it may end:
{setup["kills"]} kills, {repros}by what was at work. *Broken*: an artifact under its final name that was not whole after
the kill. *Other bytes*: kills after which the end has a file that is not the undisturbed run's.

{shown(result.table("kills"), 0)}

{setup["went on"]} of the runs that were killed had gone on with an unfinished training instead of from its first step.
After {setup["locks"]} kills DVC could not read its own list of locks, `rwlock`, which it does not write at once; `make
repro`, or `python -m pipeline.unlock`, takes it away.
"""


def figure(result: Result, figure: Figure) -> None:
    """Kills of each stage."""
    figure.set_size_inches(8, 3)
    axes = figure.subplots()
    bars(axes, result.table("kills").iloc[:-1], "at work", {"kills": "kills survived"})
    axes.get_legend().remove()
    axes.set_xlabel("kills survived")


def main() -> None:
    """Kill, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help=f"of stages; below {FEWEST}: writes nothing")
    parser.add_argument("--repros", type=int, default=0, help="kills of `dvc repro` (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments, began = parser.parse_args(), time.monotonic()
    draw, rows = random.Random(arguments.seed), list[Row]()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tqdm(total=arguments.kills + arguments.repros, unit="kill") as bar,
    ):
        root = Path(folder).resolve() / "project"
        checkout = make_checkout(root)
        small_evaluation(root)
        whole = finish(root)
        stages = StageServer(root, checkout.environment | {"WANDB_MODE": "disabled"})
        for i, stage in enumerate(STAGES):
            kills = arguments.kills // len(STAGES) + (i < arguments.kills % len(STAGES))
            rows += one_stage(root, stages, stage, whole, kills, draw)
            bar.update(kills)
        stages.close()
        while len(rows) < arguments.kills + arguments.repros:
            rows += one_life(root, whole, arguments.kills + arguments.repros - len(rows), draw)
            bar.update(len(rows) - bar.n)
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
    if arguments.kills >= FEWEST:
        setup = {
            "kills": arguments.kills,
            "repros": arguments.repros,
            "locks": int(runs.get("lock of DVC broken", pd.Series(dtype=bool)).fillna(False).sum()),
            "went on": int(runs["went on"].sum()),
        }
        ratios = miniature_table({"broken or other bytes": float(table[["broken", "other bytes"]].to_numpy().sum())})
        record(
            "kills",
            f"--kills {arguments.kills} --repros {arguments.repros}",
            began,
            setup,
            {"kills": table, "miniature": ratios},
            runs,
        )
    if table[["broken", "other bytes"]].to_numpy().any():
        sys.exit(runs[(runs["broken"] != "[]") | ~runs["same bytes in the end"]].to_string())


if __name__ == "__main__":
    main()
