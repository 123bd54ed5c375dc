"""What a stage costs before it works: seconds of its imports, on the artifacts of the last `dvc repro`.

Writes docs/startup.md. Under two minutes:

    python -m benchmarks.startup
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml
from tqdm import tqdm

from clusterwhy.artifacts import write_text

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "tsai", "zennit", "umap", "hdbscan", "wandb")


def measure(stage: str) -> dict[str, object]:
    """Run a stage by hand (its outputs go to outputs/), with the time of every import."""
    command = [sys.executable, "-X", "importtime", "-m", f"pipeline.{stage}"]
    # training itself is not of interest here
    command += ["train.n_steps=1"] if stage == "train" else []
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TQDM_DISABLE": "1"}, capture_output=True, text=True)
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


def main() -> None:
    """Measure each stage once warm, write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    stages = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    for stage in tqdm(stages, desc="warm up", unit="stage"):
        measure(stage)
    table = pd.DataFrame([measure(stage) for stage in tqdm(stages, desc="measure", unit="stage")])
    text = f"""# Start-up of the stages

Written by `python -m benchmarks.startup`: the default study, warm file cache, imports timed by Python's
`-X importtime` (which itself slows them a little); `all` includes the work (training: one step).

{table.to_markdown(index=False, floatfmt=".1f")}
"""
    write_text(ROOT / "docs" / "startup.md", text)


if __name__ == "__main__":
    main()
