"""The page's views as Plotly figures, for notebooks: the methods of `Study`."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import DataError
from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots.clock import Clock
from clusterwhy.plots.names import plain
from clusterwhy.report.array_encoding import envelope
from clusterwhy.report.page_data import hex_colour
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

N_BUCKETS = 2000  # time buckets per channel
COLOURS = [[0.0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1.0, "#b2182b"]]


def projection(study: StudyResults, colour: str = "cluster") -> "Figure":
    """The windows in the projection.

    Args:
        study: results of a pipeline.
        colour: `cluster`, `score` or `time`.

    Raises:
        DataError: `colour` is none of these.
    """
    import plotly.graph_objects as go

    if colour not in ("cluster", "score", "time"):
        raise DataError("projection", [f"colour: expected cluster, score or time, got {colour!r}"])
    x, y, scores = study.projection[:, 0], study.projection[:, 1], study.scores["score"].to_numpy()
    clock, starts = study.clock, study.clock.scaled(study.seconds)
    about = np.stack([np.arange(len(x)), starts, scores], axis=1)
    hover = f"window %{{customdata[0]}}<br>from %{{customdata[1]:.{clock.digits + 1}f}} {clock.unit}"
    hover += "<br>score %{customdata[2]:.3g}<extra></extra>"
    figure = go.Figure()
    if colour == "cluster":
        for cluster in np.unique(study.labels):
            own = study.labels == cluster
            marker: dict[str, Any] = {"size": 5, "color": hex_colour(int(cluster))}
            figure.add_scattergl(
                x=x[own],
                y=y[own],
                mode="markers",
                name=plain(study.cluster_name(int(cluster))),
                marker=marker,
                customdata=about[own],
                hovertemplate=hover,
            )
    else:
        title = "score" if colour == "score" else f"start ({clock.unit})"
        values = scores if colour == "score" else starts
        marker = {"size": 5, "color": values, "colorscale": "Cividis", "colorbar": {"title": title}}
        figure.add_scattergl(x=x, y=y, mode="markers", marker=marker, customdata=about, hovertemplate=hover)
    return _finished(figure, "projection 1", "projection 2", 480)


def series(study: StudyResults) -> "Figure":
    """Minimum and maximum of every channel, clusters, score and threshold on one time axis."""
    from plotly.subplots import make_subplots

    data, time = study.data, study.clock.scaled(study.data.time_s)
    n_buckets = min(N_BUCKETS, len(time))
    low, high = envelope(data.values.T, n_buckets)
    at = np.repeat(time[(np.arange(n_buckets) * len(time)) // n_buckets], 2)
    n = len(data.channels)
    figure = make_subplots(n + 1, 1, shared_xaxes=True, vertical_spacing=0.004)
    for i, (channel, unit) in enumerate(zip(data.channels, data.card.units, strict=True)):
        values = np.stack([low[i], high[i]], axis=1).ravel()
        figure.add_scattergl(x=at, y=values, mode="lines", line={"width": 1, "color": "#30404f"}, row=i + 1, col=1)
        figure.update_yaxes(
            title_text=f"{plain(channel)}<br>({plain(unit)})" if unit else plain(channel), row=i + 1, col=1
        )
    middle = study.clock.scaled(study.seconds + study.window_s / 2)
    figure.add_scattergl(
        x=middle,
        y=study.scores["score"],
        mode="markers",
        marker={"size": 4, "color": [hex_colour(int(label)) for label in study.labels]},
        row=n + 1,
        col=1,
    )
    figure.add_hline(y=study.threshold, line={"dash": "dash", "color": "#d55e00"}, row=n + 1, col=1)
    figure.update_yaxes(title_text="score<br>(by cluster)", row=n + 1, col=1)
    figure.update_xaxes(title_text=f"time since {study.clock.since} ({study.clock.unit})", row=n + 1, col=1)
    figure.update_layout(template="plotly_white", height=140 + 70 * (n + 1), showlegend=False)
    return figure


def window(study: StudyResults, which: int) -> "Figure":
    """Relevance of one window (channel, time) in per cent of its |relevance|; values are shown on hover.

    Raises:
        DataError: the window does not exist or was not explained.
    """
    start = study.data.starts[which : which + 1]
    for table, stored in (
        (study.explained, study.relevance),
        (study.anomalies, study.anomaly_relevance),
        (study.explained_windows, study.levels),
    ):
        rows = np.flatnonzero(table["window"].to_numpy() == which)
        if len(rows):
            values = windows_at(study.data.values, start, study.data.length)[0]
            return _heat(study, relevance_shares(stored[rows[:1]].astype(np.float64))[0], values)
    known = np.unique(np.concatenate([study.explained_windows["window"], study.anomalies["window"]]))
    raise DataError(
        "window", [f"expected one of the {len(known)} explained windows, such as {known[:5].tolist()}, got {which}"]
    )


def cluster(study: StudyResults, which: int) -> "Figure":
    """Mean relevance of a cluster's explained windows, (channel, time).

    Raises:
        DataError: the cluster was not explained.
    """
    if which not in study.explained_clusters:
        raise DataError("cluster", [f"expected one of {study.explained_clusters}, got {which}"])
    return _heat(study, study.maps[study.explained_clusters.index(which)], None)


@dataclass(frozen=True)
class ClusterSummary:
    """Summary of one cluster; a notebook shows it as a table.

    Attributes:
        cluster: its number.
        n_windows, share: number of windows, and share of all windows.
        times: (first, last) second of each occurrence.
        medoid_windows: its most central windows.
        jaccard: mean Jaccard overlap with clusterings of resampled windows; None if not computed.
        channels: one row per channel with signed shares of relevance, 95 % intervals and mean |z|, the leading
            channel first.
        clock: unit and digits of times.
        name, note: what people call it, and wrote about it; "" for nothing.
    """

    cluster: int
    n_windows: int
    share: float
    times: tuple[tuple[float, float], ...]
    medoid_windows: tuple[int, ...]
    jaccard: float | None
    channels: pd.DataFrame
    clock: Clock
    name: str = ""
    note: str = ""

    def _repr_html_(self) -> str:
        times = ", ".join(f"{self.clock.number(first)} to {self.clock.text(last)}" for first, last in self.times[:8])
        more = f" and {len(self.times) - 8} more" if len(self.times) > 8 else ""
        stability = "" if self.jaccard is None else f"; Jaccard overlap {self.jaccard:.2f} when windows are resampled"
        table = self.channels.to_html(
            max_rows=12, index=False, na_rep="undefined", float_format=lambda value: f"{value:+.3f}"
        )
        number = f"cluster {self.cluster}"
        called = f"{html.escape(self.name)} ({number})" if self.name else number
        note = f"<br>{html.escape(self.note)}" if self.note else ""
        central = ", ".join(map(str, self.medoid_windows[:3]))
        return (
            f"<p><b>{called}</b>: {counted(self.n_windows, 'window')} ({self.share:.0%}){stability}<br>"
            f"{times}{more}<br>most central windows: {central}{note}</p>{table}"
        )


def summary(study: StudyResults, which: int) -> ClusterSummary:
    """Size, times, stability and leading channels of a cluster.

    Raises:
        DataError: no such cluster.
    """
    record = next((one for one in study.summary["clusters"] if one["cluster"] == which), None)
    if record is None:
        known = ", ".join(str(one["cluster"]) for one in study.summary["clusters"]) or "none"
        raise DataError("cluster", [f"expected one of the clusters {known}, got {which}"])
    naming = study.annotated.clusters.get(which)
    seconds = study.data.time_s
    runs = [run for run in study.runs if run["cluster"] == which]
    again = study.stability.loc[study.stability["cluster"] == which, "jaccard"]
    own = study.importance[study.importance["cluster"] == which].sort_values("signed", ascending=False)
    return ClusterSummary(
        which,
        record["n_windows"],
        record["share"],
        tuple((float(seconds[run["start"]]), float(seconds[run["stop"] - 1])) for run in runs),
        tuple(record["medoid_windows"]),
        float(again.mean()) if len(again) else None,
        own[["channel", "signed", "signed_low", "signed_high", "z_score"]].reset_index(drop=True),
        study.clock,
        naming.name if naming else "",
        naming.note if naming else "",
    )


def _heat(study: StudyResults, shares: FloatArray, values: FloatArray | None) -> "Figure":
    import plotly.graph_objects as go

    data, clock = study.data, study.window_clock
    times = clock.scaled(np.arange(data.length) / data.card.rate_hz)
    names = [
        plain(f"{name} ({unit})" if unit else name) for name, unit in zip(data.channels, data.card.units, strict=True)
    ]
    limit = float(np.nanquantile(np.abs(shares), 0.998)) * 100 or 1.0
    value = "" if values is None else "<br>value %{customdata:.4g}"
    hover = f"%{{x:.3f}} {clock.unit}: %{{z:.3g}} %" + value + "<extra></extra>"
    figure = go.Figure(
        go.Heatmap(
            x=times,
            y=list(range(len(names))),
            z=100 * shares,
            customdata=values,
            zmin=-limit,
            zmax=limit,
            colorscale=COLOURS,
            colorbar={"title": "relevance<br>(% of |relevance|)"},
            hovertemplate=hover,
        )
    )
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(names))), ticktext=names)
    return _finished(figure, f"time in the window ({clock.unit})", "", max(260, 110 + 24 * len(names)))


def _finished(figure: "Figure", x: str, y: str, height: int) -> "Figure":
    figure.update_layout(template="plotly_white", height=height, xaxis_title=x, yaxis_title=y)
    return figure
