"""The figures and the one page that people open."""

import logging
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.artifacts import read_array, read_json, read_table, write_text
from clusterwhy.data.storage import Prepared
from clusterwhy.plots import figures
from clusterwhy.report import anomaly_answers, answers, as_rows, evidence_tables, picture, render
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
MAX_CHANNELS_DRAWN = 12
MAX_ANOMALIES_DRAWN = 4


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


def _anomalies(run: StageRun, data: Prepared, found: Any, channels: Any, relevance: Any) -> None:
    from matplotlib.figure import Figure

    shown = min(len(found), MAX_ANOMALIES_DRAWN)
    n_channels, length = relevance.shape[1:]
    figure = Figure(figsize=(12, max(1.6, 0.22 * n_channels + 1.0) * shown), layout="constrained")
    grid = figure.subplots(shown, 3, width_ratios=[1, 1.9, 1.6], squeeze=False)
    sizes = np.abs(relevance).sum(axis=(1, 2), keepdims=True)
    maps = relevance / np.where(sizes > 0, sizes, 1.0)
    limit = float(np.quantile(np.abs(maps[:shown]), 0.999)) or 1.0
    seconds = np.arange(length) / data.about["rate_hz"]
    for (bars, panel, lines), row, relevances in zip(grid, found.head(shown).itertuples(), maps, strict=False):
        own = channels[channels["window"] == row.window]
        start = int(data.starts[row.window])
        figures.draw_shares(bars, own)
        kind = "anomalous" if row.anomalous else "below the threshold"
        bars.set_title(f"from {data.time_s[start]:.1f} s, score {row.score:.3g} ({kind})", fontsize=9, loc="left")
        image = figures.draw_map(panel, relevances, data.channels, length / data.about["rate_hz"], limit)
        leading = int(own["share"].to_numpy().argmax())
        pieces = np.stack([data.values[first : first + length, leading] for first in row.references])
        unit = data.about["units"][leading]
        label = f"{data.channels[leading]} ({unit or 'no unit'})"
        figures.draw_beside_references(lines, seconds, data.values[start : start + length, leading], pieces, label)
    grid[0, 2].legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    grid[-1, 0].set_xlabel("relevance (% of |relevance|)", fontsize=8)
    grid[-1, 1].set_xlabel("time in window (s)", fontsize=8)
    grid[-1, 2].set_xlabel("time in window (s); the leading channel", fontsize=8)
    figure.colorbar(image, ax=grid[:, 1].tolist(), label="relevance (% of |relevance|; red: unlike)", shrink=0.5)
    _save(figure, run.out / "anomalies.png")


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
    evaluate = run.take("evaluate")
    results, evidence = read_table(evaluate / "results.csv"), read_table(evaluate / "evidence.csv")
    losses = read_table(evaluate / "ledger.csv")
    importance, maps = read_table(explain / "importance.csv"), read_array(explain / "maps.npy")
    explained = read_json(explain / "clusters.json")["clusters"]
    windows = read_table(explain / "explained.parquet")
    _overview(run, data, labels, projection, summary, importance, explained)
    if explained:
        _clusters(run, data, importance, maps, explained)
    strange = read_table(explain / "anomalies.parquet")
    strange_channels = read_table(explain / "anomaly_channels.csv")
    if len(strange):
        _anomalies(run, data, strange, strange_channels, read_array(explain / "anomaly_relevance.npy"))
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
    if len(strange):
        sections.append(
            {
                "title": "Why these windows are strange",
                "picture": picture(run.out / "anomalies.png"),
                "text": [
                    "The windows with the highest scores that do not overlap. Relevance says what makes each unlike its normal windows: near in the embedding, moved in time to where they fit best; red is unlike, blue is more alike than usual. It adds up to the difference of the target. Right: the leading channel as recorded, over those normal windows."
                ],
            }
        )
    for title, table in (
        ("Results and baselines", results),
        ("Anomalous segments", segments),
        ("Channel importance beside the z-score", importance),
        ("Channels of the strangest windows beside the z-score", strange_channels),
    ):
        text = honest if title.startswith("Results") else []
        sections.append({"title": title, "text": text, "tables": [as_rows(table)] if len(table) else []})
    if len(evidence):
        sections.insert(
            next(i for i, section in enumerate(sections) if section["title"].startswith("Results")) + 1,
            {
                "title": "Evidence about the explanations of clusters",
                "text": [
                    "Means over clusters. deletion: area under the curve of cluster membership while cells (a channel in an eighth of the window, `evidence.n_stretches`) are replaced, the highest ranked first; lower is more faithful. insertion: the same while they are put back; higher is more faithful. flip_rate: share of windows that leave their cluster with the leading third replaced. Cells are replaced by the channel's mean, by noise, or by windows from elsewhere.",
                    "similarity: rank correlation of |relevance| of cells with that of a network whose layers were drawn anew from the output down (randomised, per cent of layers; lower means that relevance depends on what was learned), of windows with a little noise (noisy; higher is more stable), of encoders trained with another seed.",
                    "Below: where relevance is lost or gained on its way to the input, the greatest shares of the target.",
                ],
                "tables": [as_rows(table) for table in evidence_tables(evidence, losses) if len(table)],
            },
        )
    page = render(
        {
            "name": data.about["name"],
            "headline": headline,
            "answers": [
                *answers(importance, read_table(explain / "quality.csv"), summary["clusters"], explained),
                *anomaly_answers(strange, strange_channels, data.time_s, data.starts, data.length),
            ],
            "sections": sections,
        }
    )
    write_text(run.out / "report.html", page)
    run.metrics = {"n_bytes": len(page.encode())}
    log.info("open %s", run.final / "report.html")


if __name__ == "__main__":
    main()
