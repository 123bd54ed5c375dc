"""What each job of a sweep of rules finds: the leading channels of every cluster, as a table and a picture."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clusterwhy.explanations.replicates import leading_channels
from clusterwhy.plots.figures import draw_matrix
from clusterwhy.plots.saving import save

MOST_LEADING, MOST_CHANNELS = 5, 40  # of a cluster in the table; in the picture
COLUMNS = ["cluster", "place", "channel", "signed", "signed_low", "signed_high", "not_told_apart"]


def leading_table(importance: pd.DataFrame) -> pd.DataFrame:
    """One row per cluster and leading channel, `MOST_LEADING` at most, the one with most relevance first (`place` 1).

    Columns: `signed` share of relevance with its 95 % interval; `not_told_apart`, whether another encoder might put the
    channel first.

    Args:
        importance: of a job.
    """
    rows = []
    for cluster, own in importance.groupby("cluster"):
        alike = leading_channels(own)
        first = own.sort_values("signed", ascending=False, kind="stable").head(MOST_LEADING)
        for place, row in enumerate(first.to_dict("records"), start=1):
            known = {name: row[name] for name in ("channel", "signed", "signed_low", "signed_high")}
            rows.append({"cluster": cluster, "place": place, **known, "not_told_apart": row["channel"] in alike})
    return pd.DataFrame(rows, columns=COLUMNS)


def leading_words(leading: pd.DataFrame) -> pd.Series:
    """Cluster -> its first channel with its share, and those that are not told apart from it."""

    def said(own: pd.DataFrame) -> str:
        first = own[own["not_told_apart"] | (own["place"] == 1)]
        return ", ".join(f"{row.channel} {row.signed:+.0%}" for row in first.itertuples())

    return pd.Series({cluster: said(own) for cluster, own in leading.groupby("cluster")}, dtype=object)


def leading_picture(importance: pd.DataFrame, title: str, limit: float, stem: Path) -> Path:
    """Signed share of relevance of each channel in each cluster, as a PNG and SVG; the first is given back.

    Args:
        limit: share of the darkest colour, the same for jobs that are compared.
    """
    shown = importance.groupby("channel", sort=False)["absolute"].mean().nlargest(MOST_CHANNELS).index
    own = importance[importance["channel"].isin(shown)]
    clusters = sorted(own["cluster"].unique().tolist())
    figure = Figure(figsize=(max(4.0, 2.0 + 0.45 * len(shown)), 1.3 + 0.25 * len(clusters)), layout="constrained")
    ax = figure.subplots()
    if clusters:
        image = draw_matrix(ax, own, clusters)
        image.set_clim(-limit, limit)
        bar = figure.colorbar(image, ax=ax)
        bar.set_label("share of |relevance|\n(red supports)", fontsize=7)
        bar.ax.tick_params(labelsize=6)
    ax.set_title(textwrap.fill(title, 60), fontsize=8)
    return save(figure, stem)[0]
