"""Do clusters of the default study find the exercises? Three subjects, three seeds, beside baselines.

Writes docs/watch.csv (every run), docs/watch.md (means) and the table in README.md. About a quarter of an
hour on two cores:

    python -m benchmarks.watch
    python -m benchmarks.watch --tables     # the tables again, from docs/watch.csv
"""

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from tqdm import tqdm

from clusterwhy.artifacts import write_table, write_text
from clusterwhy.clustering import Hdbscan, density_validity
from clusterwhy.config import build_settings
from clusterwhy.data.windows import window_index, windows_at
from clusterwhy.encoders.masked import embed
from clusterwhy.evaluation.clusters import label_agreement, spectral_features
from clusterwhy.seeding import seed_torch

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS, SEEDS = (1, 2, 3), (0, 1, 2)
# the chosen share and its neighbours: how much hangs on it?
SHARES = (0.03, 0.04, 0.05, 0.06, 0.08)
log = logging.getLogger("clusterwhy")


def chosen(**changes: dict[str, Any]) -> dict[str, Any]:
    """The settings that params.yaml chooses, with single values changed."""
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    groups = ("dataset", "scaler", "window", "encoder", "train", "projection", "clusterer")
    values: Any = {g: OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / g / f"{params[g]}.yaml")) for g in groups}
    return build_settings({group: value | changes.get(group, {}) for group, value in values.items()})


def run(subject: int, seed: int) -> list[dict[str, Any]]:
    """One row per kind of features and cluster share."""
    settings = chosen(dataset={"subject": subject})
    series = settings["dataset"].read()
    centre, scale = settings["scaler"].fit(series.values)
    values = ((series.values - centre) / scale).astype(np.float32)
    index = window_index(series, settings["window"])
    starts, length = index["start"].to_numpy(), settings["window"].length
    seed_torch(seed)
    encoder = settings["encoder"].build(len(series.channels), length)
    untrained = embed(encoder, values, starts, length, 128)
    began = time.monotonic()
    history = settings["train"].fit(encoder, values, starts, length, seed, lambda row: None)
    seconds = time.monotonic() - began
    windows = windows_at(values, starts, length)
    features = {
        "trained encoder (ours)": embed(encoder, values, starts, length, 128),
        "untrained encoder": untrained,
        "spectral features": spectral_features(windows),
        "raw windows": windows.reshape(len(windows), -1),
    }
    rows = []
    for method, points in features.items():
        placed = settings["projection"].fit(points, seed)
        for share in SHARES:
            clusterer = Hdbscan(space="projection", min_cluster_share=share, min_samples_share=share / 4)
            labels = clusterer.fit(placed).labels
            rows.append(
                {"subject": subject, "seed": seed, "method": method, "min_cluster_share": share}
                | {"n_windows": len(labels), "dbcv": density_validity(placed, labels, seed)}
                | label_agreement(index["label"].to_numpy(), labels)
            )
    log.info("subject %d seed %d: loss %.3f in %.0f s", subject, seed, history["validation_loss"].iloc[-1], seconds)
    return rows


def write_tables(table: pd.DataFrame) -> None:
    """docs/watch.md and the part of README.md between the `watch` marks."""
    share = chosen()["clusterer"].min_cluster_share
    figures = ["ari", "ami", "covering", "noise_share", "n_clusters", "dbcv"]
    own = table[table["min_cluster_share"] == share].groupby("method", sort=False)
    means = own[figures].mean()
    means.insert(1, "lowest ari", own["ari"].min())
    per_subject = own.apply(lambda t: t.groupby("subject")["ari"].mean(), include_groups=False)
    shares = table.groupby(["method", "min_cluster_share"], sort=False)["ari"].mean().unstack()
    validity = table.groupby(["method", "min_cluster_share"], sort=False)["dbcv"].mean().unstack()
    text = f"""# Clusters against the exercises

Written by `python -m benchmarks.watch`; every run is in `watch.csv`. Means over subjects
{", ".join(map(str, SUBJECTS))} and seeds {", ".join(map(str, SEEDS))}, with the values of `params.yaml`.
The labels take no part in training, windows or clustering. All rows use the same projection and clusterer;
noise counts as a label.

{means.to_markdown(floatfmt=".3f")}

ARI of each subject:

{per_subject.to_markdown(floatfmt=".3f")}

Mean ARI by `min_cluster_share`:

{shares.to_markdown(floatfmt=".3f")}

Mean DBCV by `min_cluster_share`, which needs no labels:

{validity.to_markdown(floatfmt=".3f")}
"""
    write_text(ROOT / "docs" / "watch.md", text)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition("<!-- benchmarks -->")
    short = means[["ari", "lowest ari", "ami", "covering", "noise_share"]].to_markdown(floatfmt=".3f")
    after = rest.partition("<!-- /benchmarks -->")[2]
    write_text(readme, f"{before}<!-- benchmarks -->\n{short}\n<!-- /benchmarks -->{after}")


def main() -> None:
    """Run all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true", help="no runs, only the tables from docs/watch.csv")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = ROOT / "docs" / "watch.csv"
    if not parser.parse_args().tables:
        jobs = [(subject, seed) for subject in SUBJECTS for seed in SEEDS]
        write_table(path, pd.DataFrame([row for job in tqdm(jobs, unit="run") for row in run(*job)]))
    write_tables(pd.read_csv(path))


if __name__ == "__main__":
    main()
