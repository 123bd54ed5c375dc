"""Rank the jobs of a sweep of `explain` in one table: python -m pipeline.rank [FOLDER]."""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from clusterwhy.artifacts.store import write_table, write_text
from clusterwhy.errors import ArtifactError
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, track
from pipeline._console import one_message
from pipeline._labels import sweep_group, wandb_settings
from pipeline._parameters import ROOT
from pipeline._paths import git_revision, main_root

log = logging.getLogger("clusterwhy")


def gather(folder: Path) -> pd.DataFrame:
    """One row per job and cluster (and one, `all`, per job): its overrides and its metrics.

    Raises:
        ArtifactError: the folder holds no finished job.
    """
    rows = []
    for metrics in sorted(folder.glob("*/metrics.json"), key=lambda path: int(path.parent.name)):
        overrides = yaml.safe_load((metrics.parent / ".hydra" / "overrides.yaml").read_text())
        job = {"job": ", ".join(o for o in overrides if not o.startswith(("sweep=", "run=", "wandb")))}
        rows.append(job | {"cluster": "all"} | _flat(json.loads(metrics.read_text())))
        quality = pd.read_csv(metrics.parent / "quality.csv")
        explained = pd.read_parquet(metrics.parent / "explained.parquet")
        gaps = explained["gap"].abs().groupby(explained["cluster"]).median()
        for cluster, own in quality.groupby("cluster"):
            areas = {
                f"{measure}.{ranking}": value
                for measure in ("channel_deletion", "flip_rate")
                for ranking, value in zip(own["ranking"], own[measure], strict=True)
            }
            rows.append(job | {"cluster": str(cluster), "median_abs_gap": gaps[cluster]} | areas)
    if not rows:
        raise ArtifactError(f"no finished job below {folder}: expected the folder of a multirun of pipeline.explain")
    table = pd.DataFrame(rows)
    # the composite changes the LRP ranking only if the attributor has rules of its own
    keys = [key for key in ("channel_deletion.relevance", "channel_deletion.lrp") if key in table]
    overall = table[table["cluster"] == "all"].set_index("job")[keys]
    table["rank"] = (
        table["job"].map(overall.groupby(keys, dropna=False).ngroup().rank(method="min")) if keys else float("nan")
    )
    return table.sort_values(["rank", "job", "cluster"], kind="stable", ignore_index=True)


def rank(folder: Path) -> pd.DataFrame:
    """Write ranking.csv, ranking.md and ranking.png to the folder of the sweep, track them, and return the table."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("agg")
    table = gather(folder)
    overall = table[table["cluster"] == "all"].dropna(axis=1, how="all")
    write_table(folder / "ranking.csv", table)
    write_text(folder / "ranking.md", _markdown(overall) + "\n")
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(overall)), layout="constrained")
    ax = figure.subplots()
    positions = range(len(overall))
    for name, mark in (("relevance", "o"), ("lrp", "."), ("z_score", "|"), ("random", "x")):
        if f"channel_deletion.{name}" in overall:
            ax.plot(overall[f"channel_deletion.{name}"], positions, mark, label=name, markersize=7)
    ax.set_yticks(positions, overall["job"], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel("channel deletion (area; lower is more faithful)")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "ranking.png", dpi=130)
    group = sweep_group(folder)
    labels = RunLabels("rank", f"rank-{group}", group, ("sweep",), "Rank the jobs of a sweep.")
    with track(wandb_settings(), main_root(), labels, {}, {"git_revision": git_revision()}) as tracker:
        tracker.table("ranking", table.astype({"cluster": str}))
        tracker.figure("ranking", folder / "ranking.png")
        tracker.artifact(Collection.of("rank", folder.name), folder / "ranking.csv")
    return overall


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested metrics as a flat mapping with dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _markdown(table: pd.DataFrame) -> str:
    """The table as text; `undefined` in empty cells."""
    shown: str = table.astype(object).where(table.notna(), "undefined").to_markdown(index=False, floatfmt=".4g")
    return shown


class RankWhenDone(Callback):
    """Hydra callback: rank the jobs when a multirun of `explain` ends."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if any(folder.glob("*/quality.csv")):
            sys.stdout.write(_markdown(rank(folder)) + f"\nranking in {folder}\n")


def main() -> None:
    """Rank a sweep, the newest one unless a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder below sweeps/explain; default: the newest")
    folder = parser.parse_args().folder or max((ROOT / "sweeps" / "explain").glob("*"), default=None)
    with one_message():
        if folder is None:
            raise ArtifactError("no sweep below sweeps/explain: run `python -m pipeline.explain sweep=lrp_rules` first")
        sys.stdout.write(_markdown(rank(folder)) + "\n")


if __name__ == "__main__":
    main()
