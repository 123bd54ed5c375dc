"""What does a sweep of eight composites cost beside eight runs of the explain stage?

Both work on the artifacts of the last `dvc repro`, one after the other, three times in turn; the ratio of their wall
times is what counts. Ten minutes on two cores:

    python -m benchmarks.sweep
    python -m benchmarks.sweep --quick    # one pair, two composites; writes nothing
"""

import argparse
import subprocess
import sys
import time

import pandas as pd
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import dots
from benchmarks.record import ROOT, Result, miniature_table, record, shown

PAIRS = 3


def seconds(*arguments: str) -> float:
    """Wall time of one command of the explain stage."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pipeline.explain", *arguments, "wandb.mode=disabled"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - began


def pairs(rules: list[str], n_pairs: int) -> pd.DataFrame:
    """Seconds of a sweep and of single runs for the same composites, pair by pair."""
    rows = []
    for _ in tqdm(range(n_pairs), unit="pair"):
        together = seconds("sweep=lrp_rules", f"composite={','.join(rules)}")
        apart = [seconds("attributor=lrp", "anomalies.count=0", f"composite={rule}") for rule in rules]
        rows.append({"sweep (s)": together, "single runs (s)": sum(apart), "ratio": together / sum(apart)})
    return pd.DataFrame(rows)


def composites() -> list[str]:
    """What the sweep compares."""
    sweep = yaml.safe_load((ROOT / "conf" / "sweep" / "lrp_rules.yaml").read_text())
    return str(sweep["hydra"]["sweeper"]["params"]["composite"]).split(",")


def miniature() -> dict[str, float]:
    """A sweep of two composites as a ratio to two single runs."""
    return {"sweep of two / single runs": float(pairs(composites()[:2], 1)["ratio"].iloc[0])}


def section(result: Result) -> str:
    """The pairs, in Markdown."""
    table = result.table("pairs")
    return f"""
`python -m pipeline.explain sweep=lrp_rules` explains with {result.setup["composites"]} composites and ranks them;
beside it as many single runs for the same composites, on the artifacts of the default study, each pair one after the
other.

{shown(table)}

The sweep takes {table["ratio"].median():.2f} of the single runs (median of {len(table)} pairs).
"""


def figure(result: Result, figure: Figure) -> None:
    """Ratio of each pair."""
    table = result.table("pairs").assign(pair=lambda t: [f"pair {i + 1}" for i in range(len(t))])
    figure.set_size_inches(6, 1.8)
    axes = figure.subplots()
    dots(axes, table, "pair", "ratio", set(table["pair"]))
    axes.set(xlabel="sweep / single runs (seconds)", xlim=(0, 1))


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair, two composites; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    if not (ROOT / "artifacts" / "cluster").is_dir():
        sys.exit("expected the artifacts of the pipeline below artifacts/: run `dvc repro` first")
    rules = composites()
    if quick:
        print(shown(pairs(rules[:2], 1)))
        return
    table = pairs(rules, PAIRS)
    tables = {"pairs": table, "miniature": miniature_table(miniature())}
    record("sweep", "", began, {"pairs": PAIRS, "composites": len(rules)}, tables, table)


if __name__ == "__main__":
    main()
