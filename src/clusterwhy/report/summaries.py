"""Summaries of clusters and anomalies as sentences, and tables as text."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, reasons_of
from clusterwhy.explanations.replicates import leading_channels
from clusterwhy.plots.clock import Clock
from clusterwhy.types import FloatArray, IntArray

LEAST_FALL = 0.1  # of the membership
# of a property that is higher or lower than in the most similar windows outside the cluster
DIRECTIONS = {
    "level": ("is higher", "is lower"),
    "spread": ("swings wider", "swings less"),
    "slope": ("rises more", "falls more"),
    "frequency": ("is faster", "is slower"),
    "shape": ("has another course", "has another course"),
}
MOST_ALIKE = 3  # channels named in a sentence
CURVE = ["measure", "baseline"]  # what tells curves of one ranking apart


def figure(value: float | None, form: str) -> str:
    """A number in a format such as `%.2f`, or "undefined"."""
    return "undefined" if value is None or value != value else form % value


def undefined(*tables: pd.DataFrame) -> str:
    """Why figures of tables are undefined, in one line; "" where all are defined."""
    found = {f"{column}: {reason}" for table in tables for column, reason in reasons_of(table).items()}
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


def cluster_summaries(
    importance: pd.DataFrame,
    quality: pd.DataFrame,
    properties: pd.DataFrame,
    clusters: list[dict[str, Any]],
    explained: list[int],
) -> list[str]:
    """Sentences per cluster: its size, its leading channels, how faithful their order is, and how they differ."""
    lines = []
    for record in clusters:
        cluster = record["cluster"]
        text = f"Cluster {cluster}: {record['n_windows']} windows ({record['share']:.0%} of all)"
        if cluster in explained:
            own = importance[importance["cluster"] == cluster]
            if own["signed"].isna().all():
                lines.append(f"{text}; none of its explained windows has relevance.")
                continue
            text += f"; {leading_sentence(own)}"
            area = quality[quality["cluster"] == cluster].set_index("ranking")["channel_deletion"].dropna()
            if len(area):
                random, z_score = area["random"], area["z_score"]
                text += f"; channel deletion {area['relevance']:.2f} (random {random:.2f}, z-score {z_score:.2f})"
            for differs in property_sentences(properties[properties["cluster"] == cluster], most=1):
                text += f". Unlike the most similar other windows, {differs}"
        lines.append(text + ".")
    return lines


def property_sentences(properties: pd.DataFrame, most: int = 3) -> list[str]:
    """How the channels of one cluster differ, the property whose change costs most membership first.

    Args:
        properties: of one cluster, with values in units.
        most: sentences, one for each channel; changes that cost less than `LEAST_FALL` say nothing.
    """
    lines: list[str] = []
    ordered = properties.sort_values("fall", ascending=False, kind="stable").drop_duplicates("channel").head(most)
    for row in ordered[ordered["fall"] >= LEAST_FALL].to_dict("records"):
        more, less = DIRECTIONS[str(row["property"])]
        unit = f" {row['unit']}" if isinstance(row["unit"], str) and row["unit"] else ""
        known = row["own"] is not None and row["own"] == row["own"]
        values = f": {row['own']:.3g} against {row['usual']:.3g}{unit}" if known else ""
        left = f"{row['n_left']} of {row['n_windows']} windows would leave" if row["n_left"] else "none would leave"
        words = less if known and row["own"] < row["usual"] else more
        line = f"{row['channel']} {words}{values}; set to theirs, membership falls by {row['fall']:.0%} and {left}"
        lines.append(line)
    return lines


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


def anomaly_summaries(
    windows: pd.DataFrame, channels: pd.DataFrame, time_s: FloatArray, starts: IntArray, length: int, clock: Clock
) -> list[str]:
    """One sentence per explained window above the threshold, or for the highest score if there is none."""
    chosen = windows[windows["anomalous"].astype(bool)] if len(windows) else windows
    lines = (
        []
        if len(chosen) or not len(windows)
        else ["No window is anomalous; the one with the highest score is explained."]
    )
    for row in (chosen if len(chosen) else windows.head(1)).to_dict("records"):
        own = channels[channels["window"] == row["window"]].sort_values("share", ascending=False)
        leading = " and ".join(f"{one.channel} ({one.share:+.0%})" for one in own.head(2).itertuples())
        first = int(starts[row["window"]])
        when = f"{clock.number(time_s[first])} to {clock.text(time_s[first + length - 1])} (score {row['score']:.3g})"
        differs = f"differs from its nearest normal windows mainly in {leading}"
        lines.append(f"{when} {'equals its nearest normal windows' if own['share'].isna().all() else differs}.")
    return lines


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
