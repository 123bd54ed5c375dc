"""The figures and the one page that people open."""

import logging
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.artifacts import read_array, read_json, read_table, write_text
from clusterwhy.data.storage import Prepared
from clusterwhy.plots import figures
from clusterwhy.report import answers, as_rows, picture, render
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
MAX_CHANNELS_DRAWN = 12


def _save(figure: Any, path: Any) -> None:
    # no software version in the file: the same run gives the same bytes
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _overview(
    run: StageRun,
    data: Prepared,
    labels: Any,
    projection: Any,
    summary: Any,
    importance: Any,
    explained: list[int],
) -> None:
    from matplotlib.figure import Figure

    shown = min(len(data.channels), MAX_CHANNELS_DRAWN)
    has_labels = data.labels is not None
    figure = Figure(figsize=(11, 1.4 + 0.55 * shown), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2, 1.25])[0]
    extra = 2 if has_labels else 1
    axes = left.subplots(shown + extra, 1, sharex=True, height_ratios=[1] * shown + [0.6] * extra)
    figures.draw_series(
        axes[:shown], data.time_s, data.values[:, :shown], data.channels[:shown], tuple(data.about["units"])[:shown]
    )
    figures.draw_timeline(axes[shown], summary["timeline"], data.time_s)
    if has_labels:
        figures.draw_labels(axes[-1], data.index, data.about["label_names"], data.time_s)
    axes[-1].set_xlabel("time since the first sample (s)", fontsize=8)
    if explained:
        places, matrix = right.subplots(2, 1, height_ratios=[1.5, 1])
        image = figures.draw_matrix(matrix, importance, explained)
        bar = right.colorbar(image, ax=matrix)
        bar.set_label("share of |relevance|\n(red supports)", fontsize=8)
        bar.ax.tick_params(labelsize=6)
    else:
        places = right.subplots()
    figures.draw_projection(places, projection, labels)
    _save(figure, run.out / "overview.png")


def _clusters(run: StageRun, data: Prepared, importance: Any, maps: Any, explained: list[int]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, max(1.5, 0.22 * len(data.channels) + 0.9) * len(explained)), layout="constrained")
    grid = figure.subplots(len(explained), 2, width_ratios=[1, 2.2], squeeze=False)
    limit = float(np.nanquantile(np.abs(maps), 0.999)) or 1.0
    ends = importance[["signed_low", "signed_high"]].to_numpy()
    seconds = data.length / data.about["rate_hz"]
    for (bars, panel), cluster, relevance in zip(grid, explained, maps, strict=True):
        figures.draw_importance(bars, importance, cluster)
        bars.set_title(figures.cluster_name(cluster), fontsize=9, loc="left")
        bars.set_xlim(min(0.0, ends.min()) * 1.05, max(0.0, ends.max()) * 1.05)
        image = figures.draw_map(panel, relevance, data.channels, seconds, limit)
    grid[-1, 0].set_xlabel("relevance (share of |relevance|)", fontsize=8)
    grid[-1, 1].set_xlabel("time in window (s)", fontsize=8)
    figure.colorbar(image, ax=grid[:, 1].tolist(), label="mean relevance (% of |relevance|; red supports)", shrink=0.4)
    _save(figure, run.out / "clusters.png")


def _points(data: Prepared, projection: Any, labels: Any, scores: pd.DataFrame) -> str:
    import plotly.graph_objects as go

    figure = go.Figure()
    starts = data.time_s[data.starts]
    for cluster in sorted(set(labels.tolist())):
        chosen = labels == cluster
        colour = figures.cluster_colour(cluster)
        figure.add_scattergl(
            x=projection[chosen, 0],
            y=projection[chosen, 1],
            mode="markers",
            name=figures.cluster_name(cluster),
            marker={"size": 6, "color": colour if isinstance(colour, str) else mpl.colors.to_hex(colour)},
            customdata=np.stack([np.flatnonzero(chosen), starts[chosen], scores["score"].to_numpy()[chosen]], axis=1),
            hovertemplate="window %{customdata[0]}<br>from %{customdata[1]:.2f} s<br>score %{customdata[2]:.3g}",
        )
    figure.update_layout(
        template="plotly_white",
        height=520,
        margin={"l": 40, "r": 10, "t": 10, "b": 40},
        xaxis_title="projection 1 (no unit)",
        yaxis_title="projection 2 (no unit)",
    )
    html: str = figure.to_html(full_html=False, include_plotlyjs=True, div_id="projection")
    return html


@stage
def main(run: StageRun) -> None:
    mpl.use("agg")
    data = Prepared(run.take("prepare"))
    labels = read_array(run.take("cluster") / "labels.npy")
    summary = read_json(run.inputs / "cluster" / "summary.json")
    projection = read_array(run.take("project") / "projection.npy")
    score, explain = run.take("score"), run.take("explain")
    scores, anomalies = read_table(score / "scores.parquet"), read_json(score / "segments.json")
    results = read_table(run.take("evaluate") / "results.csv")
    importance, maps = read_table(explain / "importance.csv"), read_array(explain / "maps.npy")
    explained = read_json(explain / "clusters.json")["clusters"]
    windows = read_table(explain / "explained.parquet")
    _overview(run, data, labels, projection, summary, importance, explained)
    if explained:
        _clusters(run, data, importance, maps, explained)
    n_clusters, noise = len(summary["clusters"]), float(np.mean(labels < 0))
    kinds = f"{n_clusters} cluster" + ("s" if n_clusters != 1 else "")
    headline = f"{len(labels)} windows of {data.length} samples fall into {kinds}; {noise:.1%} are noise."
    if not explained:
        headline += " There are not two groups of windows to tell apart, so nothing is explained."
    segments = pd.DataFrame(anomalies["segments"][:20])
    if len(segments):
        segments.insert(0, "from (s)", data.time_s[segments["start"]])
        segments.insert(1, "to (s)", data.time_s[segments["stop"] - 1])
    honest = [
        "Relevance that biases absorb, or that a missing rule leaks, shows as the gap 1 - sum / target: "
        f"median |gap| {np.median(np.abs(windows['gap'])):.3g} over {len(windows)} explained windows."
        if len(windows)
        else "No window was explained.",
        "replacement_area: how slowly cluster membership falls from 1 to 0 while channels are replaced by those of other "
        "windows, the most important first; lower is more faithful. flip_rate: share of windows that leave their cluster "
        "when a third of the channels is replaced; higher is more faithful. A ranking that does not beat random says nothing.",
        f"Tracked as the W&B group of this repro; dataset notes: {'; '.join(data.about['notes']) or 'none'}.",
    ]
    sections: list[dict[str, Any]] = [
        {"title": "When and where", "picture": picture(run.out / "overview.png"), "text": []},
        {
            "title": "The projection",
            "html": _points(data, projection, labels, scores),
            "text": ["Hover for the window; drag to zoom; click a name to hide it."],
        },
    ]
    if explained:
        sections.append(
            {
                "title": "Which channels, at which moments",
                "picture": picture(run.out / "clusters.png"),
                "text": [
                    "Bars: signed share of relevance with 95 % intervals over the explained windows. Maps: their mean, each moved to where it correlates best with the most central window (`members.alignment`); grey where too few reach."
                ],
            }
        )
    for title, table in (
        ("Results and baselines", results),
        ("Anomalous segments", segments),
        ("Channel importance beside the z-score", importance),
    ):
        text = honest if title.startswith("Results") else []
        sections.append({"title": title, "text": text, "tables": [as_rows(table)] if len(table) else []})
    page = render(
        {
            "name": data.about["name"],
            "headline": headline,
            "answers": answers(importance, read_table(explain / "quality.csv"), summary["clusters"], explained),
            "sections": sections,
        }
    )
    write_text(run.out / "report.html", page)
    run.metrics = {"n_bytes": len(page.encode())}
    log.info("open %s", run.final / "report.html")


if __name__ == "__main__":
    main()
