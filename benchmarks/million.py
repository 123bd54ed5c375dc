"""What does a million windows cost, from the file to the page?

The stages of dvc.yaml, one after the other in a copy of the project, on a made-up recording of 38 channels that a seed
makes: twelve regimes of unlike length that return, and short faults. Training is reduced (one small encoder, 20 steps),
everything else is as by default. Memory is that of a stage and its workers together, shared pages counted once. Hours
on two cores; begun again with the same folder, it goes on with the first stage that is not measured:

    python -m benchmarks.million --folder FOLDER
    python -m benchmarks.million --folder FOLDER --only 10000     # writes nothing
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import yaml
from matplotlib.figure import Figure

from benchmarks.record import ROOT, Result, record, shown
from clusterwhy.artifacts.store import write_text
from tests.conftest import Checkout, make_checkout

N_WINDOWS = (10_000, 100_000, 1_000_000)
CHANNELS, LENGTH, STRIDE, RATE_HZ = 38, 64, 16, 10.0
N_REGIMES, SPELL = 12, 2_000  # samples of a spell, on average
PART = 500_000  # samples made at a time
SETTINGS = {"dataset": "million", "window": "short", "train": "quick", "encoder": "inception_time_small", "encoders": 1}
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
POLL_S = 1.0


def write(path: Path, n_samples: int) -> None:
    """A recording (time, channel) float32: in each regime every channel swings at its own frequency and height."""
    rng = np.random.default_rng(0)
    height = rng.gamma(1.0, 1.0, (N_REGIMES, CHANNELS)).astype(np.float32)
    frequency = rng.uniform(0.02, 0.3, (N_REGIMES, CHANNELS)).astype(np.float32)
    spells = rng.geometric(1 / SPELL, 2 + 4 * n_samples // SPELL)
    regime = np.repeat(rng.integers(N_REGIMES, size=len(spells)), spells)[:n_samples]
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_samples, CHANNELS))
    for first in range(0, n_samples, PART):
        own = regime[first : first + PART]
        # whole turns are cut off in double precision
        turns = np.arange(first, first + len(own))[:, None] * frequency[own].astype(np.float64) % 1.0
        values = height[own] * np.sin(2 * np.pi * turns.astype(np.float32))
        values += 0.1 * rng.standard_normal(values.shape, dtype=np.float32)
        for start in rng.integers(0, len(own), len(own) // 20_000):
            values[start : start + 40, rng.integers(CHANNELS)] += 4.0
        array[first : first + len(own)] = values
    array.flush()


class Watch:
    """Peak memory of a process and what it starts: the sum of their proportional shares of pages."""

    def __init__(self, process: int) -> None:
        self.peak, self._process, self._ended = 0, psutil.Process(process), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(POLL_S):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total = 0
        try:
            for one in (self._process, *self._process.children(recursive=True)):
                total += one.memory_full_info().pss
        except psutil.Error:
            return 0
        return total

    def end(self) -> int:
        """Bytes at the peak."""
        self._ended.set()
        self._thread.join()
        return self.peak


def made(folder: Path, n_windows: int) -> Checkout:
    """A copy of the project with the recording, made once."""
    root = folder / "project"
    if (folder / "made").is_file():
        return Checkout(root)
    shutil.rmtree(folder, ignore_errors=True)
    checkout = make_checkout(root)
    shutil.copytree(ROOT / "conf", root / "conf", dirs_exist_ok=True)
    (root / "data" / "pump.csv").unlink()
    write(root / "data" / "million.npy", (n_windows - 1) * STRIDE + LENGTH)
    text = (root / "conf" / "dataset" / "numpy.yaml").read_text().replace("data/own.npy", "data/million.npy")
    text = text.replace("rate_hz: 1.0", f"rate_hz: {RATE_HZ}").replace("memory_share: 0.25", "memory_share: 0.5")
    write_text(root / "conf" / "dataset" / "million.yaml", text)
    checkout.set("window/short", length=LENGTH, stride=STRIDE)
    checkout.choose(**SETTINGS)
    (folder / "made").touch()
    return checkout


def measured(checkout: Checkout, stage: str, log: Path) -> dict[str, Any]:
    """Seconds, memory and disk of one stage, with one thread per core."""
    command = [sys.executable, "-m", f"pipeline.{stage}", "run=stage", "wandb.mode=disabled"]
    environment = {key: value for key, value in checkout.environment.items() if not key.endswith("_NUM_THREADS")}
    began, cpu = time.perf_counter(), _cpu_s()
    with log.open("w") as said:
        started = subprocess.Popen(command, cwd=checkout.root, env=environment, stdout=said, stderr=said)
        watch = Watch(started.pid)
        status = started.wait()
    seconds, peak = time.perf_counter() - began, watch.end()
    if status:
        sys.exit(f"{stage} ended with {status}\n{log.read_text()[-3000:]}")
    files = [path for path in (checkout.root / "artifacts" / stage).rglob("*") if path.is_file()]
    disk = sum(path.stat().st_size for path in files)
    row = {"stage": stage, "seconds": seconds, "processor (s)": _cpu_s() - cpu}
    return row | {"memory (MB)": peak / 1e6, "disk (MB)": disk / 1e6}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def chain(folder: Path, n_windows: int) -> list[dict[str, Any]]:
    """Figures of every stage; those in `stages.jsonl` of the folder are not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    checkout, kept = made(folder, n_windows), folder / "stages.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    known = {row["stage"] for row in rows}
    for stage in [stage for stage in STAGES if stage not in known]:
        row = {"windows": n_windows} | measured(checkout, stage, folder / f"{stage}.log")
        print(json.dumps(row), flush=True)
        rows.append(row)
        kept.open("a").write(json.dumps(row) + "\n")
    return sorted(rows, key=lambda row: list(STAGES).index(row["stage"]))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per stage: seconds by number of windows, their growth, and memory and disk of the most windows."""
    wide = rows.pivot(index="stage", columns="windows", values="processor (s)").loc[list(STAGES)]
    most = rows[rows["windows"] == rows["windows"].max()].set_index("stage").loc[list(STAGES)]
    table = wide.rename(columns=lambda n: f"{n:,}")
    table.loc["sum"] = table.sum()
    few, many = wide.columns[-2:]
    table[f"growth, {few:,} to {many:,}"] = table[f"{many:,}"] / table[f"{few:,}"]
    for column in ("seconds", "memory (MB)", "disk (MB)"):
        table[column] = most[column]
        table.loc["sum", column] = most[column].max() if "memory" in column else most[column].sum()
    return table.reset_index()


def section(result: Result) -> str:
    """What each stage takes."""
    return f"""
{N_WINDOWS[-1]:,} windows of {CHANNELS} channels x {LENGTH} samples, one every {STRIDE} samples: a recording of
{((N_WINDOWS[-1] - 1) * STRIDE + LENGTH) / 1e6:.0f} million samples. One small encoder (`inception_time_small`) is
trained for 20 steps; every other setting is the default. Seconds of processors by number of windows, and how they
grow where the windows grow tenfold; for the most windows also the seconds that passed on {result.machine["cores"]}
cores, beside other work, the memory of the stage with its workers, and the disk. The last row is the sum, of memory the
maximum.

{shown(result.table("stages"), 1)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Seconds of processors over windows, both axes logarithmic."""
    figure.set_size_inches(7, 4)
    axes, table = figure.subplots(), result.table("stages").set_index("stage")
    sizes = [column for column in table.columns if column.replace(",", "").isdigit()]
    for stage, row in table[sizes].iterrows():
        axes.plot([int(size.replace(",", "")) for size in sizes], row, "o-", markersize=4, label=stage)
    axes.set(xscale="log", yscale="log", xlabel="windows", ylabel="processor (s)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, bbox_to_anchor=(1.02, 1.0), loc="upper left")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where it works, and goes on if begun again")
    parser.add_argument("--only", type=int, choices=N_WINDOWS, help="one number of windows; writes nothing")
    options, began = parser.parse_args(), time.monotonic()
    folder, asked = options.folder.resolve(), [options.only] if options.only else N_WINDOWS
    rows = pd.DataFrame([row for n in asked for row in chain(folder / str(n), n)])
    if options.only:
        print(shown(rows, 1))
        return
    setup = {"channels": CHANNELS, "length": LENGTH, "stride": STRIDE, **SETTINGS}
    record("million", "--folder FOLDER", began - rows["seconds"].sum(), setup, {"stages": summary(rows)}, rows)


if __name__ == "__main__":
    main()
