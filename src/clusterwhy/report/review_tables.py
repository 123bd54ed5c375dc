"""Clusters and anomalies as tables for a review outside the page, one row each, with the file of its picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.report import when
from clusterwhy.report.annotations import name_table
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.tiles import Tiles

MOST_ROWS = 60  # clusters
CLUSTERS = ["cluster", "name", "note", "agreement", "n_windows", "share", "when", "leading", "what_they_do", "judged"]
CLUSTERS += ["jaccard"]
ANOMALIES = ["rank", "window", "when", "score", "above_threshold", "pattern", "n_alarms", "leading", "what_they_do"]


def cluster_review(study: StudyResults) -> pd.DataFrame:
    """One row per cluster, `MOST_ROWS` at most.

    Columns: as in `name_table`; `when` in words; `leading` channels with their signed share of relevance, and
    `what_they_do` in words and units; what judges that took no part in the explanation say of the order of channels
    (`judged`); the mean overlap with clusterings of resampled windows (`jaccard`).
    """
    overlap = study.stability.groupby("cluster")["jaccard"].mean()
    rows = []
    names = name_table(study).to_dict("records")
    for named, tile in zip(names[:MOST_ROWS], Tiles(study).clusters(), strict=False):
        row = named | {"when": tile["when"]} | _channels(tile["lanes"]) | {"judged": tile["badge"]["words"]}
        rows.append(row | {"jaccard": float(overlap.get(tile["cluster"], np.nan))})
    return pd.DataFrame(rows, columns=CLUSTERS)


def anomaly_review(study: StudyResults) -> pd.DataFrame:
    """One row per explained anomaly that has a picture, the highest score first (`rank` 1).

    Columns: `when` in words; `pattern` of alarms that are alike, and how many (`n_alarms`); `leading` channels with
    their share of relevance, and `what_they_do` in words and units.
    """
    tiles, data = Tiles(study), study.data
    alike = study.patterns.set_index("pattern")["n_alarms"]
    rows = []
    for row in study.drawn_anomalies:
        record = study.anomalies.iloc[row]
        window, pattern = int(record["window"]), int(record["pattern"])
        first = int(data.starts[window])
        score = float(study.scores["score"].iloc[window])
        rows.append(
            {
                "rank": row + 1,
                "window": window,
                "when": when.span(study, first, first + data.length - 1),
                "score": score,
                "above_threshold": score > study.threshold,
                "pattern": pattern,
                "n_alarms": int(alike.get(pattern, 0)),
            }
            | _channels(tiles.anomaly_lanes(row))
        )
    return pd.DataFrame(rows, columns=ANOMALIES)


def cluster_pictures(table: pd.DataFrame, folder: Path) -> list[Path | None]:
    """The picture of each row of `cluster_review`, in the folder of the page; None where nothing is explained."""
    paths = [folder / f"cluster_{cluster}.png" for cluster in table["cluster"]]
    return [path if path.is_file() else None for path in paths]


def anomaly_pictures(table: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Name, by rank, so that those of two studies stand side by side -> the picture of a row of `anomaly_review`."""
    rows = zip(table["rank"], table["window"], strict=True)
    return {f"anomaly_rank_{rank}": folder / f"anomaly_{window}.png" for rank, window in rows}


def _channels(lanes: list[dict[str, Any]]) -> dict[str, str]:
    leading = ", ".join(f"{lane['channel']} {lane['share']:+.0%}" for lane in lanes)
    told = [
        f"{lane['channel']} {lane['words']}" + (f" ({lane['values']})" if lane["values"] else "")
        for lane in lanes
        if lane["words"]
    ]
    return {"leading": leading, "what_they_do": "; ".join(told)}
