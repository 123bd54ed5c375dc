"""Sentences about channels, and tables as text."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.undefined import REASONS, reasons_of
from clusterwhy.explanations.replicates import leading_channels
from clusterwhy.report.words import LEAST_FALL, difference

STABLE = 0.75  # Jaccard overlap
MOST_ALIKE = 3  # channels named in a sentence
CURVE = ["measure", "baseline"]  # what tells curves of one ranking apart


def figure(value: float | None, form: str) -> str:
    """A number in a format such as `%.2f`, or "undefined"."""
    return "undefined" if value is None or value != value else form % value


def undefined(*tables: pd.DataFrame) -> str:
    """Why figures of tables are undefined, in one line; "" where all are defined."""
    columns: dict[str, set[str]] = {}
    for table in tables:
        for column, reason in reasons_of(table).items():
            columns.setdefault(reason, set()).add(column)
    found = [f"{', '.join(sorted(named))}: {reason}" for reason, named in columns.items()]
    return "; ".join(sorted(found)).replace("_", " ")


def as_rows(table: pd.DataFrame) -> dict[str, Any]:
    """A table as text: four significant digits per number, empty cells for missing values.

    The column of reasons is left out where nothing is undefined.
    """
    if REASONS in table and not reasons_of(table):
        table = table.drop(columns=REASONS)

    def cell(value: object) -> str:
        if value is None or value != value:
            return ""
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return {"columns": list(table.columns), "rows": [[cell(v) for v in row] for row in table.itertuples(index=False)]}


def property_sentences(properties: pd.DataFrame, window_s: float, most: int = 3) -> list[str]:
    """How the channels of one cluster differ, the property whose change costs most membership first.

    Args:
        properties: of one cluster, with values in units.
        window_s: length of a window in seconds.
        most: sentences, one for each channel; changes that cost less than `LEAST_FALL` say nothing.
    """
    rows = properties[properties["fall"] >= LEAST_FALL].sort_values("fall", ascending=False, kind="stable")
    told: dict[str, str] = {}
    for row in rows.to_dict("records"):
        words, values = difference(row, window_s)
        if words and row["channel"] not in told:
            left = (
                f"{row['n_left']} of {counted(row['n_windows'], 'window')} would leave"
                if row["n_left"]
                else "none would leave"
            )
            much = f"set to theirs, membership falls by {row['fall']:.0%} and {left}"
            told[row["channel"]] = f"{row['channel']} {words}{f': {values}' if values else ''}; {much}"
    return list(told.values())[:most]


def stability_verdict(jaccard: float) -> str:
    """What a mean Jaccard overlap with clusterings of resampled windows means (thresholds of Hennig 2007)."""
    steps = ((0.85, "very stable"), (STABLE, "stable"), (0.6, "uncertain"))
    return next((words for least, words in steps if jaccard >= least), "not reliable")


def leading_sentence(importance: pd.DataFrame) -> str:
    """Which channels lead in one cluster, and whether another encoder would say the same."""
    own = importance.sort_values("signed", ascending=False, kind="stable")
    encoders, alike = int(own["encoders"].iloc[0]), leading_channels(importance)

    def shown(row: Any) -> str:
        first = f", first in {row.first_in} of {encoders} encoders" if encoders > 1 else ""
        interval = f"95 % interval {row.signed_low:+.0%} to {row.signed_high:+.0%}"
        return f"{row.channel} ({row.signed:+.0%}, {interval}{first})"

    rows = [shown(row) for row in own.head(max(2, min(len(alike), MOST_ALIKE))).itertuples()]
    if not own["signed"].iloc[0] > 0:
        return f"no channel has positive relevance; the least negative are {' and '.join(rows[:2])}"
    if len(alike) > 1:
        more = f" and {len(alike) - MOST_ALIKE} more" if len(alike) > MOST_ALIKE else ""
        return f"{rows[0]} leads and is not told apart from {', '.join(rows[1:])}{more}"
    if encoders > 1:
        return f"its leading channel is {rows[0]}" + (f", followed by {rows[1]}" if len(rows) > 1 else "")
    return f"its leading channels are {' and '.join(rows)}, by one encoder"


def faithfulness_tables(faithfulness: pd.DataFrame, budget: pd.DataFrame, n_steps: int = 8) -> list[pd.DataFrame]:
    """Areas with a column per ranking, similarities, and the greatest entries of the budget; means over clusters."""
    of_similarity = faithfulness["measure"] == "similarity"
    areas = faithfulness[~of_similarity]
    groups = areas.groupby([*CURVE, "ranking"], sort=False)["value"].mean()
    curves = groups.unstack(sort=False).reset_index()
    if REASONS in areas:
        curves[REASONS] = [undefined(own) for _, own in areas.groupby(CURVE, sort=False)]
    similar = faithfulness[of_similarity].groupby("ranking", sort=False)["value"].mean()
    means = budget.groupby(["step", "category"], sort=False)["share"].mean().reset_index()
    order = means["share"].abs().sort_values(ascending=False).index[:n_steps]
    similarities = similar.rename_axis("similarity").reset_index()
    if missing := reasons_of(faithfulness[of_similarity]).get("value"):
        similarities[REASONS] = np.where(similarities["value"].isna(), f"value: {missing}", "")
    return [curves.rename_axis(columns=None), similarities, means.loc[order]]
