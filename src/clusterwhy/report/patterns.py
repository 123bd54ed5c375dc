"""The patterns of alarms for the page: how often, when, and what their leading channels do."""

from typing import Any

import pandas as pd

from clusterwhy.report import when
from clusterwhy.report.study_results import MOST_PATTERNS, StudyResults

N_CHANNELS = 3  # leading ones
LEAST_SHARE = 0.1  # of the share of the first one


def patterns(study: StudyResults) -> list[dict[str, Any]]:
    """One row per pattern, the most frequent first; of many the first ones."""
    if study.patterns.empty:
        return []
    alarms = study.anomalies[study.anomalies["pattern"] >= 0]
    shares = study.anomaly_channels.merge(alarms[["window", "pattern"]], on="window")
    return [_pattern(study, row, shares) for row in study.patterns.head(MOST_PATTERNS).to_dict("records")]


def _pattern(study: StudyResults, row: dict[Any, Any], shares: pd.DataFrame) -> dict[str, Any]:
    starts, length = study.data.starts, study.data.length
    means = shares[shares["pattern"] == row["pattern"]].groupby("channel")["share"].mean()
    leading = means[means > max(0.0, LEAST_SHARE * means.max())].sort_values(ascending=False).head(N_CHANNELS)
    first, last = starts[row["first_window"]], starts[row["last_window"]] + length - 1
    return {
        "number": row["pattern"],
        "n_alarms": row["n_alarms"],
        "window": row["window"],
        "likeness": row["likeness"] if row["n_alarms"] > 1 else None,
        "when": when.span(study, int(first), int(last)),
        "channels": [{"channel": channel, "share": share} for channel, share in leading.items()],
    }
