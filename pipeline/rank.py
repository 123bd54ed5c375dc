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

from clusterwhy.artifacts.store import read_table, write_table, write_text
from clusterwhy.errors import ArtifactError
from pipeline._console import one_message
from pipeline._labels import changed, wandb_settings
from pipeline._parameters import ROOT
from pipeline._sweeps import composites_without_effect, jobs_of, ranked_by, track_sweep

log = logging.getLogger("clusterwhy")


def gather(folder: Path) -> pd.DataFrame:
    """One row per job and cluster (and one, `all`, per job): its overrides, its metrics and the leading channels.

    Raises:
        ArtifactError: the folder holds no finished job.
    """
    from clusterwhy.report.rules import leading_table, leading_words

    rows = []
    for place in jobs_of(folder):
        overrides = yaml.safe_load((place / ".hydra" / "overrides.yaml").read_text())
        job = {"job": changed(overrides), "number": int(place.name)}
        rows.append(job | {"cluster": "all"} | _flat(json.loads((place / "metrics.json").read_text())))
        quality = pd.read_csv(place / "quality.csv")
        explained = pd.read_parquet(place / "explained.parquet")
        leading = leading_table(read_table(place / "importance.csv"))
        write_table(place / "leading_channels.csv", leading)
        words = leading_words(leading)
        gaps = explained["gap"].abs().groupby(explained["cluster"]).median()
        for cluster, own in quality.groupby("cluster"):
            areas = {
                f"{measure}.{ranking}": value
                for measure in ("channel_deletion", "flip_rate")
                for ranking, value in zip(own["ranking"], own[measure], strict=True)
            }
            known = {"cluster": str(cluster), "leading": words.get(cluster, ""), "median_abs_gap": gaps[cluster]}
            rows.append(job | known | areas)
    if not rows:
        raise ArtifactError(f"no finished job below {folder}: expected the folder of a multirun of pipeline.explain")
    table = pd.DataFrame(rows)
    # the composite changes the LRP ranking only if the attributor has rules of its own
    keys = [key for key in ("channel_deletion.relevance", "channel_deletion.lrp") if key in table]
    overall = table[table["cluster"] == "all"].set_index("job")[keys]
    table["rank"] = (
        table["job"].map(overall.groupby(keys, dropna=False).ngroup().rank(method="min")) if keys else float("nan")
    )
    table.insert(0, "rank", table.pop("rank"))
    return table.sort_values(["rank", "job", "cluster"], kind="stable", ignore_index=True)


def rank(folder: Path) -> tuple[pd.DataFrame, str]:
    """Write ranking.csv, ranking.md and ranking.png to the folder of the sweep, and a picture of each job's channels.

    Returns:
        The rows of the jobs as a whole, and a sentence on what orders them.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("agg")
    tracking = wandb_settings()
    table = gather(folder)
    overall = table[table["cluster"] == "all"].dropna(axis=1, how="all")
    said = ranked_by(folder, overall)
    write_table(folder / "ranking.csv", table)
    leading = table[table["cluster"] != "all"].pivot_table("leading", "cluster", "job", aggfunc="first", sort=False)
    parts = [said, _markdown(overall), "Leading channels of each cluster:", _markdown(leading.reset_index())]
    write_text(folder / "ranking.md", "\n\n".join(parts) + "\n")
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
    track_sweep(tracking, folder, table, said)
    return overall, said


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
    """Hydra callback: say what a multirun of `explain` cannot change before it begins, and rank its jobs at its end."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if said := composites_without_effect(config):
            log.warning("%s", said)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if any(folder.glob("*/quality.csv")):
            overall, said = rank(folder)
            sys.stdout.write(f"{_markdown(overall)}\n{said}\nranking in {folder}\n")


def main() -> None:
    """Rank a sweep, the newest one unless a folder is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder below sweeps/explain; default: the newest")
    folder = parser.parse_args().folder or max((ROOT / "sweeps" / "explain").glob("*"), default=None)
    with one_message():
        if folder is None:
            raise ArtifactError("no sweep below sweeps/explain: run `python -m pipeline.explain sweep=lrp_rules` first")
        overall, said = rank(folder)
        sys.stdout.write(f"{_markdown(overall)}\n{said}\n")


if __name__ == "__main__":
    main()
