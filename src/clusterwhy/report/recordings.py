"""One row per recording of a study: its windows, clusters, anomalies and noise."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import read_array
from clusterwhy.data.moments import dated, shown
from clusterwhy.report.annotations import called
from clusterwhy.report.page_data import hex_colour
from clusterwhy.report.study_results import StudyResults

MOST_ROWS = 200  # on the page


def recordings_table(study: StudyResults) -> pd.DataFrame | None:
    """One row per recording (group), in the order of the series; None without groups.

    Columns: `recording`, `from` and `to` (of its windows, as recorded), `windows`, and shares of its windows:
    `anomalous`, `noise`, and one column `cluster_<number>` for each cluster. Recordings without a whole window come
    last, with 0 windows and nothing else.
    """
    groups, names = study.data.groups, study.data.card.group_names
    if groups is None or not names:
        return None
    index, time = study.data.index, read_array(study.data.folder / "time.npy")
    first, last = time[index["start"].to_numpy()], time[index["stop"].to_numpy() - 1]
    anomalous, clusters = study.scores["anomalous"].to_numpy(), [one["cluster"] for one in study.summary["clusters"]]
    rows: list[dict[str, Any]] = []
    order, found = pd.factorize(groups)
    windows = np.split(np.argsort(order, kind="stable"), np.cumsum(np.bincount(order))[:-1])
    for group, own in zip(found, windows, strict=True):
        labels = study.labels[own]
        begins, ends = (shown(end, dated(time)) for end in (first[own].min(), last[own].max()))
        row = {"recording": names[group], "from": begins, "to": ends, "windows": len(own)}
        shares = {"anomalous": anomalous[own].mean(), "noise": (labels < 0).mean()}
        shares |= {f"cluster_{cluster}": (labels == cluster).mean() for cluster in clusters}
        rows.append(row | {name: float(np.round(share, 6)) for name, share in shares.items()})
    # too short for a window
    rows += [{"recording": name, "windows": 0} for group, name in enumerate(names) if group not in found]
    return pd.DataFrame(rows)


def shown_recordings(study: StudyResults, table: pd.DataFrame | None) -> dict[str, Any] | None:
    """The table for the page: its rows, the clusters with names and colours, and how many rows are left out."""
    if table is None:
        return None
    names = [str(name) for name in table if str(name).startswith("cluster_")]
    clusters = [int(name.removeprefix("cluster_")) for name in names]
    return {
        "rows": table.head(MOST_ROWS).to_dict("records"),
        "clusters": [(called(study, cluster), hex_colour(cluster)) for cluster in clusters],
        "noise_colour": hex_colour(-1),
        "n_more": max(0, len(table) - MOST_ROWS),
    }
