"""Do the classifiers of the studies hold on groups that they have not seen: people, speeds, recordings?

Every study of `studies/params.yaml` is trained with several seeds, each of which leaves out other groups, and each
beside a random forest on spectral features and a logistic regression on the same windows. Settings of the studies were
chosen with seeds 0 and 1; these start at 2. Studies whose data is not there are left out. An hour of one core:

    python -m benchmarks.classifiers
    python -m benchmarks.classifiers --only vibration_fan hybrid_fan    # these anew, the runs of others as they were
    python -m benchmarks.classifiers --quick    # one study, one seed; writes nothing
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from tqdm import tqdm

from benchmarks.record import ROOT, Result, record, shown, with_interval
from benchmarks.record import runs as recorded

FIRST_SEED, N_SEEDS = 2, 4
METHODS = {
    "network": "network (ours)",
    "random_forest": "random forest, spectral features",
    "logistic_regression": "logistic regression, spectral features",
}
FIGURES = ["balanced_accuracy", "macro_auroc", "log_loss", "ece"]


def studies() -> dict[str, dict[str, Any]]:
    """Those whose data is there."""
    every: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "studies" / "params.yaml"))
    return {name: study for name, study in every["studies"].items() if _path_is_there(study["dataset"])}


def _path_is_there(dataset: str) -> bool:
    path = OmegaConf.load(ROOT / "conf" / "dataset" / f"{dataset}.yaml").get("path")
    return path is None or (ROOT / path).exists()


def run(study: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """One row per method."""
    command = [sys.executable, "-m", "pipeline.classify", f"study={study}", f"seed={seed}", "wandb.mode=disabled"]
    done = subprocess.run([*command, f"hydra.run.dir={folder}"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{study} failed\n{done.stderr[-2000:]}")
    found = json.loads((folder / "metrics.json").read_text())
    classes = pd.read_csv(folder / "confusion.csv")["true"].nunique()
    about = {"study": study, "seed": seed, "classes": classes, "parameters": found["n_parameters"]}
    about |= {f"{part} windows": n for part, n in found["n_windows"].items()}
    about |= {f"{part} groups": n for part, n in found["n_groups"].items()}
    return [{**about, "method": name, **found["test"][key]} for key, name in METHODS.items()]


def section(result: Result) -> str:
    """How well classes of unseen groups are told, in Markdown."""
    methods, parts = result.table("methods"), result.table("studies")
    wide = methods.set_index(["study", "method"])["balanced_accuracy"].unstack().astype(float)
    ahead = [study for study, row in wide.iterrows() if row["network (ours)"] >= row.max()]
    words = {name: name.replace("_", " ").replace("ece", "calibration error") for name in FIGURES}
    names = ", ".join(map(str, ahead)) or "none"
    return f"""
Means over {result.setup["seeds"]} seeds, each of which keeps other groups (people, speeds, recordings, stretches of one
recording) for the test; no group is in two parts. Log loss and calibration error (15 bins) of the network are after its
temperature was fitted on validation groups.

{shown(methods, 3, words)}

The network has the best balanced accuracy in {len(ahead)} of {len(wide)} studies ({names}).

{shown(parts)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Balanced accuracy of each study, beside chance."""
    table, axes = result.table("methods"), figure.subplots()
    names = list(table["study"].unique())
    figure.set_size_inches(8, 1.2 + 0.6 * len(names))
    for i, (method, colour) in enumerate(zip(METHODS.values(), ("#0072B2", "#D55E00", "#009E73"), strict=True)):
        rows = table[table["method"] == method].set_index("study").loc[names]
        middle = rows["balanced_accuracy"]
        ends = [middle - rows["balanced_accuracy low"], rows["balanced_accuracy high"] - middle]
        at = np.arange(len(names)) + 0.2 * (i - 1)
        axes.errorbar(middle, at, xerr=ends, fmt="o", ms=5, color=colour, label=method)
    chance = 1.0 / result.table("studies").set_index("study").loc[names, "classes"]
    axes.scatter(chance, range(len(names)), marker="|", s=300, color="0.5", label="chance")
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 1.02), xlabel="balanced accuracy on unseen groups")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the study `ecg` with one seed; writes nothing")
    began, every = time.monotonic(), studies()
    parser.add_argument("--only", nargs="+", choices=every, default=list(every), help="studies to train anew")
    arguments = parser.parse_args()
    chosen = ["ecg"] if arguments.quick else arguments.only
    jobs = [(study, FIRST_SEED + i) for study in chosen for i in range(1 if arguments.quick else N_SEEDS)]
    rows = []
    with tempfile.TemporaryDirectory(dir=ROOT / "outputs") as folder:
        for study, seed in tqdm(jobs, unit="training"):
            rows += run(study, seed, Path(folder) / f"{study}_{seed}")
    runs = pd.DataFrame(rows)
    if not arguments.quick and (kept := [study for study in every if study not in chosen]):
        before = recorded("classifiers")
        runs = pd.concat([before[before["study"].isin(kept)], runs])
        runs = runs.sort_values("study", key=lambda names: names.map(list(every).index), kind="stable")
    methods = with_interval(runs, ["study", "method"], FIGURES)
    counted = ["classes", "parameters", *(name for name in runs if str(name).endswith((" windows", " groups")))]
    parts = runs.groupby("study", sort=False)[counted].median().astype(int).reset_index()
    print(shown(methods, 3), shown(parts), sep="\n\n")
    if not arguments.quick:
        tables = {"methods": methods, "studies": parts}
        only = f"--only {' '.join(chosen)}" if len(chosen) < len(every) else ""
        record("classifiers", only, began, {"studies": len(every), "seeds": N_SEEDS}, tables, runs)


if __name__ == "__main__":
    main()
