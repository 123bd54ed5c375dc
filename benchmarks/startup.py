"""What does the chain of stages add to the work, and what does a stage cost before it works?

The chain is run from nothing (`dvc repro --force`) with W&B off, then again with nothing to do. Useful work is what the
stages report as their own; imports are timed by Python's `-X importtime`, warm file cache. Ten minutes on two
cores, after a `dvc repro`:

    python -m benchmarks.startup
    python -m benchmarks.startup --quick    # imports of one stage; writes nothing
"""

import argparse
import os
import re
import subprocess
import sys
import time

import pandas as pd
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import ROOT, Result, miniature_table, record, shown

HEAVY = ("torch", "tsai", "zennit", "umap", "hdbscan", "wandb")


def stages() -> list[str]:
    """The stages of dvc.yaml."""
    return list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def measure(stage: str) -> dict[str, object]:
    """Run a stage by hand (its outputs go to outputs/), with the time of every import."""
    command = [sys.executable, "-X", "importtime", "-m", f"pipeline.{stage}"]
    # training itself is not of interest here
    command += ["train.n_steps=1"] if stage == "train" else []
    began = time.perf_counter()
    environment = os.environ | {"TQDM_DISABLE": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{stage} failed; run `dvc repro` first\n{done.stderr[-2000:]}")
    rows = [line.split(":", 1)[1].split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    own = {row[2].strip(): float(row[0]) for row in rows if row[0].strip().isdigit()}
    return {
        "stage": stage,
        "imports (s)": sum(own.values()) / 1e6,
        "all (s)": wall,
        "modules": len(own),
        "heavy": ", ".join(name for name in HEAVY if name in own),
    }


def repro(*arguments: str) -> tuple[float, float]:
    """Wall time of `dvc repro` and the seconds that its stages report for their own work."""
    began = time.perf_counter()
    environment = os.environ | {"WANDB_MODE": "disabled"}
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"dvc repro failed\n{(done.stdout + done.stderr)[-2000:]}")
    text = done.stdout + done.stderr
    return wall, sum(float(found) for found in re.findall(r"done in (\d+\.\d+) s", text))


def miniature() -> dict[str, float]:
    """Imports of stages as a ratio to those of torch alone."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    torch_s = time.perf_counter() - began
    return {
        f"{stage} / import torch": float(str(measure(stage)["imports (s)"])) / torch_s for stage in ("embed", "explain")
    }


def section(result: Result) -> str:
    """The chain and the stages, in Markdown."""
    chain, table = result.table("chain"), result.table("stages")
    return f"""
The whole chain from nothing and with nothing to do. *Work* is what stages report as their own, from their first line
to their last artifact, imports on the way included; the rest is the start of Python and Hydra, and DVC's checks.

{shown(chain, 1)}

Imports of each stage (`-X importtime`, which slows them a little, warm file cache), and the stage run by hand
(training: one step):

{shown(table, 1)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Imports and all of each stage."""
    figure.set_size_inches(8, 3)
    axes = figure.subplots()
    bars(axes, result.table("stages"), "stage", {"imports (s)": "imports", "all (s)": "all (training: one step)"})
    axes.set_xlabel("seconds")


def main() -> None:
    """Measure each stage once warm, and the chain, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one stage; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    if quick:
        print(shown(pd.DataFrame([measure("prepare")])))
        return
    for stage in tqdm(stages(), desc="warm up", unit="stage"):
        measure(stage)
    table = pd.DataFrame([measure(stage) for stage in tqdm(stages(), desc="measure", unit="stage")])
    rows = []
    for what, arguments in (("from nothing", ("--force",)), ("nothing to do", ())):
        wall, work = repro(*arguments)
        rows.append({"dvc repro": what, "wall (s)": wall, "work (s)": work, "rest (s)": wall - work})
    setup = {"stages": len(table), "study": "the default one"}
    tables = {"stages": table, "chain": pd.DataFrame(rows), "miniature": miniature_table(miniature())}
    record("startup", "", began, setup, tables, table)


if __name__ == "__main__":
    main()
