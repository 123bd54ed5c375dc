"""What does a sweep of eight composites cost beside eight runs of the explain stage?

Both work on the artifacts of the last `dvc repro`, one after the other, three times in turn; the ratio of their wall
times is what counts. Writes docs/sweep.md. Ten minutes on two cores:

    python -m benchmarks.sweep
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml
from tqdm import tqdm

from clusterwhy.artifacts import write_text

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3


def seconds(*arguments: str) -> float:
    """Wall time of one command of the explain stage."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.explain", *arguments, "wandb.mode=disabled"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - began


def main() -> None:
    """Measure and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not (ROOT / "artifacts" / "cluster").is_dir():
        sys.exit("expected the artifacts of the pipeline below artifacts/: run `dvc repro` first")
    sweep = yaml.safe_load((ROOT / "conf" / "sweep" / "lrp_rules.yaml").read_text())
    rules = sweep["hydra"]["sweeper"]["params"]["composite"].split(",")
    together, apart, ratios = [], [], []
    for _ in tqdm(range(REPEATS), unit="pair"):
        together.append(seconds("sweep=lrp_rules"))
        alone = [seconds("attributor=once", "anomalies.count=0", f"composite={rule}") for rule in rules]
        apart.append(sum(alone))
        ratios.append(together[-1] / apart[-1])
    middle = [statistics.median(figures) for figures in (together, apart, ratios)]
    write_text(
        ROOT / "docs" / "sweep.md",
        f"""# Sweeps

Written by `python -m benchmarks.sweep`: medians of {REPEATS} pairs, on the default study.

| what | seconds |
|:--|--:|
| `python -m pipeline.explain sweep=lrp_rules`, {len(rules)} composites and their ranking | {middle[0]:.0f} |
| {len(rules)} single runs of `python -m pipeline.explain` for the same composites | {middle[1]:.0f} |
| ratio | {middle[2]:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |
""",
    )


if __name__ == "__main__":
    main()
