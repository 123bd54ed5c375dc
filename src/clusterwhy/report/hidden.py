"""Groups inside a cluster that single channels tell apart, as the page tells them."""

from typing import Any

import numpy as np

from clusterwhy.data.windows import timeline
from clusterwhy.report import when
from clusterwhy.report.sparklines import strip
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.words import difference


def hidden(study: StudyResults, cluster: int) -> list[dict[str, Any]]:
    """The groups inside one cluster: windows, when they occur, and what their channel does beside the rest of it."""
    found = study.hidden_groups
    own = found[found["cluster"] == cluster]
    if own.empty:
        return []
    labels = np.full(len(study.labels), -1)
    labels[study.hidden_windows["window"]] = study.hidden_windows["group"]
    runs = timeline(labels, study.data.index)
    shown = []
    for row in own.to_dict("records"):
        words, values = difference(row, study.window_s)
        mine = [run for run in runs if run["cluster"] == row["group"]]
        shown.append(
            {
                "n_windows": row["n_windows"],
                "share": row["n_windows"] / row["n_compared"],
                "window": row["window"],
                "channel": str(row["channel"]),
                "words": words or "differs",
                "values": values,
                "apart": row["apart"],
                "when": when.visits(study, mine),
                "strip": strip(runs, row["group"], study.data.time_s),
            }
        )
    return shown
