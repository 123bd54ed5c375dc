"""The ranking of a rule sweep, as `pipeline.rank` wrote it, for the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clusterwhy.artifacts.store import read_json, read_table
from clusterwhy.errors import ArtifactError

# column of ranking.csv -> column on the page
OVERALL = {
    "rank": "rank",
    "job": "changed settings",
    "channel_deletion.relevance": "channel deletion",
    "channel_deletion.lrp": "channel deletion, LRP alone",
    "channel_deletion.z_score": "channel deletion, z-score",
    "channel_deletion.random": "channel deletion, random",
    "flip_rate.relevance": "flip rate",
    "median_abs_gap": "median gap",
}


@dataclass(frozen=True)
class Ranking:
    """The result of a sweep.

    Attributes:
        folder: of the sweep.
        overall: one row per job, the most faithful first.
        by_cluster: channel deletion of each job (row) for each cluster (column).
        picture: ranking.png.
        said: what orders the jobs.
    """

    folder: Path
    overall: pd.DataFrame
    by_cluster: pd.DataFrame
    picture: Path
    said: str


def read_ranking(folder: Path, inputs_md5: Mapping[str, str]) -> Ranking:
    """The ranking of a sweep over the same clusters.

    Args:
        folder: of a multirun of `explain`.
        inputs_md5: artifact -> MD5 of the artifacts that the page shows.

    Raises:
        ArtifactError: there is no ranking, or a job of it explained other artifacts.
    """
    picture = folder / "ranking.png"
    if not (folder / "ranking.csv").is_file() or not picture.is_file():
        raise ArtifactError(
            f"no ranking in {folder}: set `ranking` to the folder of a finished sweep, written by "
            "`python -m pipeline.explain sweep=lrp_rules`, or to null"
        )
    faults = []
    for path in sorted(folder.glob("*/provenance.json")):
        known = read_json(path)["inputs_md5"]
        other = [name for name, md5 in inputs_md5.items() if known.get(name, md5) != md5]
        if other:
            faults.append(f"job {path.parent.name} explained other artifacts: {', '.join(other)}")
    if faults:
        raise ArtifactError(
            f"the ranking in {folder} belongs to other clusters, run the sweep again: {'; '.join(faults)}"
        )
    table = read_table(folder / "ranking.csv")
    overall = table[table["cluster"] == "all"]
    shown = [name for name in OVERALL if name in overall]
    key = "channel_deletion.relevance"
    if key not in table or overall[key].nunique() < 2:
        # the attributor has its own rules: the changes of the jobs show in plain LRP only
        key = "channel_deletion.lrp" if "channel_deletion.lrp" in table else key
    single = table[table["cluster"] != "all"]
    by_cluster = single.pivot_table(key, "job", "cluster", sort=False).reindex(overall["job"])
    names = {name: f"cluster {name}" for name in by_cluster}
    by_cluster = by_cluster.rename(columns=names).rename_axis(index=OVERALL["job"], columns=None)
    text = folder / "ranking.md"
    # a ranking of an earlier version begins with its table
    first = text.read_text().partition("\n")[0] if text.is_file() else ""
    said = "" if first.startswith("|") else first
    return Ranking(folder, overall[shown].rename(columns=OVERALL), by_cluster.reset_index(), picture, said)
