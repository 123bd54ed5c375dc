"""Motifs and discords for the page: each window over the stretch that it is most like."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.anomaly.motifs import DISCORD, MOTIF
from clusterwhy.report import when
from clusterwhy.report.sparklines import sparkline
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

MOST_CHANNELS = 20  # that are drawn


def motifs(study: StudyResults) -> dict[str, Any] | None:
    """The variables of `motifs.html`; None where the detector searches for no stretches.

    Of many channels, those whose first discord is most unlike anything are drawn.
    """
    table = study.motifs
    if table is None or table.empty:
        return None
    table = table.assign(channel=table["channel"].astype(str))
    first = table[(table["kind"] == DISCORD) & (table["rank"] == 1)].set_index("channel")["distance"]
    drawn = set(first.sort_values(ascending=False, kind="stable").index[:MOST_CHANNELS])
    names = [name for name in study.data.channels if name in drawn]
    return {
        "channels": [_channel(study, name, table[table["channel"] == name]) for name in names],
        "n_more": len(first) - len(names),
        "shapes": table["compared"].iloc[0] == "shapes",
        "uncorrelated": float(np.sqrt(2 * study.data.length)),
    }


def _channel(study: StudyResults, name: str, own: pd.DataFrame) -> dict[str, Any]:
    """The motifs and the discords of one channel, the first ones first."""
    i = study.data.channels.index(name)
    kinds = {
        kind: [_pair(study, i, row) for row in own[own["kind"] == kind].to_dict("records")] for kind in (MOTIF, DISCORD)
    }
    return {"name": name, "unit": study.data.card.units[i], "motifs": kinds[MOTIF], "discords": kinds[DISCORD]}


def _pair(study: StudyResults, channel: int, row: dict[Any, Any]) -> dict[str, Any]:
    """A window and the stretch that it is most like: when, their values, and lines as they were compared."""
    data = study.data
    spans = [slice(first, first + data.length) for first in (row["start"], row["nearest"])]
    compared: list[FloatArray] = [np.asarray(data.scaled[span, channel], dtype=np.float64) for span in spans]
    if row["compared"] == "shapes":
        compared = [_shape(one) for one in compared]
    joined = np.concatenate(compared)
    limits = (float(joined.min()), float(joined.max()))
    return {
        "window": row["window"],
        "distance": row["distance"],
        "line": sparkline(compared[0], limits),
        "beside": sparkline(compared[1], limits),
        "stretches": [
            {"when": when.span(study, span.start, span.stop - 1), "values": _range(data.values[span, channel])}
            for span in spans
        ],
    }


def _shape(values: FloatArray) -> FloatArray:
    """Values with mean 0 and standard deviation 1; constant ones are 0."""
    size = values.std()
    return (values - values.mean()) / (size if np.ptp(values) > 0 else 1.0)


def _range(values: FloatArray) -> str:
    return f"{np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
