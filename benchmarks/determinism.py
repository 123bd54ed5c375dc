"""What is the same when everything is done again, and how far apart is what cannot be the same?

A small study of the tests is made by `dvc repro` from nothing: twice alike, with and without W&B's recording, with
another number of threads, and with another seed. Every file is compared with the first run's, and what differs by how
much. A quarter of an hour on two cores:

    python -m benchmarks.determinism
    python -m benchmarks.determinism --only again      # one comparison; writes nothing
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

from benchmarks.kills import digests, small_evaluation
from benchmarks.record import Result, miniature_table, record, shown
from tests.conftest import make_checkout

# what differs from the first run: environment, seed
FIRST = ({"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}, 0)
OTHERS = {
    "again": FIRST,
    "with W&B's recording": ({"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}, 0),
    "two threads": ({"OMP_NUM_THREADS": "2", "WANDB_MODE": "disabled"}, 0),
    "another seed": ({"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}, 1),
}
SAME = ("again", "with W&B's recording")


def repro(folder: Path, environment: dict[str, str], seed: int) -> Path:
    """A study from nothing; its folder."""
    checkout = make_checkout(folder / "project")
    small_evaluation(checkout.root)
    checkout.choose(seed=seed)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=checkout.root,
        env=os.environ | checkout.environment | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"dvc repro failed\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return checkout.root


def array(root: Path, name: str) -> np.ndarray:
    return np.load(root / "artifacts" / f"{name}.npy")


def shares(root: Path) -> np.ndarray:
    """|relevance| of each channel of each cluster, (cluster, channel)."""
    table = pd.read_csv(root / "artifacts" / "explain" / "importance.csv")
    return table.pivot(index="cluster", columns="channel", values="absolute").to_numpy()


def correlation(first: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; NaN where the two are not of one shape."""
    if first.shape != other.shape:
        return float("nan")
    return float(np.corrcoef(first.ravel(), other.ravel())[0, 1])


def compared(first: Path, other: Path) -> dict[str, float]:
    """How alike two studies are."""
    one, two = digests(first), digests(other)
    scores = [pd.read_parquet(root / "artifacts/score/scores.parquet")["score"].to_numpy() for root in (first, other)]
    embeddings = [array(root, "embed/embeddings") for root in (first, other)]
    distances = [np.linalg.norm(each[:, None] - each[None], axis=2) for each in embeddings]
    return {
        "files": float(len(one)),
        "other bytes": float(sum(one.get(name) != two.get(name) for name in one.keys() | two.keys())),
        "distances of embeddings": correlation(*distances),
        "scores": correlation(*scores),
        "ARI of clusters": float(adjusted_rand_score(array(first, "cluster/labels"), array(other, "cluster/labels"))),
        "shares of channels": correlation(shares(first), shares(other)),
    }


def section(result: Result) -> str:
    """Files and spread."""
    return f"""
Each study made from nothing and compared with the first one: files with other bytes; Pearson correlation of all
distances between embeddings, of anomaly scores and of each channel's share of |relevance| per cluster (empty where the
number of clusters differs); adjusted Rand index of the clusters.

{shown(result.table("runs").astype({"files": int, "other bytes": int}), 4)}

Threads change the order in which floats are added, and training carries that on. UMAP on other platforms and reductions
on a GPU do the same; neither can be measured on this machine.
"""


def figure(result: Result, figure: Figure) -> None:
    """How alike each study is to the first one."""
    figure.set_size_inches(9, 3)
    axes, found = figure.subplots(), result.table("runs")
    for i, what in enumerate(("distances of embeddings", "scores", "ARI of clusters")):
        axes.plot(found[what].astype(float), np.arange(len(found)) + 0.2 * (i - 1), "o", label=what)
    axes.axvline(1.0, color="0.6", linewidth=1)
    axes.set_yticks(range(len(found)), found["run"])
    axes.set_xlim(0.0, 1.03)
    axes.invert_yaxis()
    axes.set_xlabel("agreement with the first run (1: the same)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def main() -> None:
    """Make the studies, compare, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=OTHERS)
    arguments, began, rows = parser.parse_args(), time.monotonic(), []
    chosen = {name: how for name, how in OTHERS.items() if arguments.only in (None, name)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        first = repro(Path(folder).resolve() / "first", *FIRST)
        for i, (name, how) in enumerate(tqdm(chosen.items(), unit="study")):
            other = repro(Path(folder).resolve() / f"other{i}", *how)
            rows.append({"run": name} | compared(first, other))
    runs = pd.DataFrame(rows)
    print(shown(runs, 4))
    different = runs[runs["run"].isin(SAME)]["other bytes"].sum()
    if arguments.only is None:
        by_run = runs.set_index("run")
        ratios = {
            "other bytes, again and with W&B": float(different),
            "ARI, two threads": float(by_run.at["two threads", "ARI of clusters"]),
        }
        record("determinism", "", began, {"seed": 0}, {"runs": runs, "miniature": miniature_table(ratios)}, runs)
    if different:
        sys.exit("the same seed did not give the same bytes")


if __name__ == "__main__":
    main()
