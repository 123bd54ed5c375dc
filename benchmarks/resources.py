"""Does a stage take as much memory and disk as it was said to need?

The stages of dvc.yaml, one after the other in a copy of the project, on made-up recordings of growing size; what
`pipeline/_resource_estimates.py` estimates beside what each took. A quarter of an hour on two cores:

    python -m benchmarks.resources
    python -m benchmarks.resources --largest 3000      # writes nothing
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.record import ROOT, Result, miniature_table, record, shown
from tests.conftest import make_checkout

SIZES = ((2_400, 3), (48_000, 6), (240_000, 24))  # samples, channels
STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
TOLD = re.compile(r"peak memory (\d+) MB \(estimated before: (\d+) MB, and ([\d.]+) MB of disk")
IN_ONE_PROCESS = ("wandb.mode=disabled", "workers.backend=here")


def write(path: Path, n_samples: int, n_channels: int) -> None:
    """A recording of three regimes, 20 Hz."""
    rng = np.random.default_rng(n_samples)
    t = np.arange(n_samples) / 20
    regime = (np.arange(n_samples) // (n_samples // 6)) % 3
    frequency = 0.7 + 1.3 * np.arange(n_channels) / n_channels
    values = np.sin(2 * np.pi * t[:, None] * frequency) * (regime[:, None] == np.arange(n_channels) % 3)
    table = pd.DataFrame(values + 0.1 * rng.normal(size=values.shape), columns=[f"c{i:02d}" for i in range(n_channels)])
    table.insert(0, "time", t)
    table.round(6).to_csv(path, index=False)


def section(result: Result) -> str:
    """Estimates and what was taken."""
    table = result.table("stages")
    ratios = {what: table[f"{what} estimated"] / table[f"{what} taken"] for what in ("memory", "disk")}
    return f"""
What each stage estimates before it begins ([_resource_estimates.py](../pipeline/_resource_estimates.py)), and its
measured peak in one process, in MB. An estimate below the peak admits work that does not fit; one far above it refuses
work that does. Estimated / taken is {ratios["memory"].min():.2f} to {ratios["memory"].max():.2f} for memory and
{ratios["disk"].min():.2f} to {ratios["disk"].max():.2f} for disk. Workers of `explain` and `evaluate` come on top; they
are started only where memory is left for them.

{shown(table, 2)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Estimate over what was taken."""
    figure.set_size_inches(9, 4)
    for axes, what in zip(figure.subplots(1, 2), ("memory", "disk"), strict=True):
        for stage, rows in result.table("stages").groupby("stage", sort=False):
            axes.plot(rows[f"{what} taken"], rows[f"{what} estimated"], marker="o", label=stage)
        axes.axline((100, 100), slope=1, color="0.6", linewidth=1, label="as much")
        axes.set(xscale="log", yscale="log", xlabel=f"{what} taken, MB", ylabel=f"{what} estimated, MB")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def main() -> None:
    """Run, measure, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=SIZES[-1][0], help="samples; fewer than all: writes nothing")
    arguments, began, rows = parser.parse_args(), time.monotonic(), []
    sizes = [size for size in SIZES if size[0] <= arguments.largest]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tqdm(total=len(sizes) * len(STAGES), unit="stage") as bar,
    ):
        checkout = make_checkout(Path(folder).resolve() / "project")
        for n_samples, n_channels in sizes:
            write(checkout.root / "data" / "pump.csv", n_samples, n_channels)
            for stage in STAGES:
                done = checkout.run("python", "-m", f"pipeline.{stage}", "run=stage", *IN_ONE_PROCESS)
                made = [path for path in (checkout.root / "artifacts" / stage).rglob("*") if path.is_file()]
                peak, memory, disk = map(float, TOLD.findall(done.stdout + done.stderr)[-1])
                rows.append(
                    {
                        "stage": stage,
                        "samples": n_samples,
                        "channels": n_channels,
                        "memory estimated": memory,
                        "memory taken": peak,
                        "disk estimated": disk,
                        "disk taken": sum(path.stat().st_size for path in made) / 1e6,
                    }
                )
                bar.update()
    runs = pd.DataFrame(rows)
    print(shown(runs, 0))
    share = {what: runs[f"{what} estimated"] / runs[f"{what} taken"] for what in ("memory", "disk")}
    if len(sizes) == len(SIZES):
        ratios = {f"{what} estimated / taken, least": float(ratio.min()) for what, ratio in share.items()}
        ratios |= {f"{what} estimated / taken, most": float(ratio.max()) for what, ratio in share.items()}
        setup = {"sizes": ", ".join(f"{samples} x {channels}" for samples, channels in sizes)}
        record("resources", "", began, setup, {"stages": runs, "miniature": miniature_table(ratios)}, runs)
    if low := [what for what, ratio in share.items() if (ratio < 1).any()]:
        sys.exit(f"stages took more {' and '.join(low)} than they were said to need")


if __name__ == "__main__":
    main()
