"""The sections of the page: what the template shows of a study's clusters, anomalies, rankings and stages."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from clusterwhy.artifacts.counts import counted
from clusterwhy.metrics.verdicts import compared
from clusterwhy.plots.figures import MOST_RUNS
from clusterwhy.report import when
from clusterwhy.report.annotations import called, events_within, shown_annotations, told_events
from clusterwhy.report.hidden import hidden
from clusterwhy.report.motifs import motifs
from clusterwhy.report.page_data import hex_colour, strongest
from clusterwhy.report.patterns import patterns
from clusterwhy.report.pictures import MOST_LANES
from clusterwhy.report.ranking import Ranking
from clusterwhy.report.recordings import recordings_table, shown_recordings
from clusterwhy.report.sparklines import strip
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import (
    as_rows,
    faithfulness_tables,
    figure,
    leading_sentence,
    property_sentences,
    stability_verdict,
    undefined,
)
from clusterwhy.report.tiles import Tiles
from clusterwhy.report.trust import trust_table

N_SIMILAR, N_KEEPING = 3, 3
N_COLOURS = 256  # of a picture in the page


def sections(study: StudyResults, folder: Path, ranking: Ranking | None) -> dict[str, Any]:
    """The variables of the template.

    Args:
        study: results of the stages.
        folder: with the figures that `write_pictures` wrote.
        ranking: of a sweep of rules, or None.
    """
    return {
        "name": study.data.card.name,
        "headline": study.headline,
        "fitted": study.normal.fitted_says("The study was fitted" if study.news else "Fitted"),
        "repeats": study.data.card.repeats,
        "news": study.news.shown if study.news else None,
        "tiles": Tiles(study).shown(),
        "annotations": shown_annotations(study),
        "overview": _picture(folder / "overview.png"),
        "clusters": _clusters(study, folder),
        "noise": _noise(study),
        "recordings": shown_recordings(study, recordings_table(study)),
        "any_explained": bool(study.explained_clusters),
        "why_none": study.why_none,
        "why_no_anomaly": study.why_no_anomaly,
        "anomaly_target": study.anomaly_target,
        "anomalies": [_anomaly(study, row, folder) for row in study.drawn_anomalies],
        "patterns": patterns(study),
        "motifs": motifs(study),
        "n_alarms": len(study.segments),
        "threshold_says": study.threshold_says,
        "score_says": study.score_says,
        "trust": trust_table(study),
        "results": as_rows(study.results),
        "ranking": _ranking(ranking) if ranking else None,
        "faithfulness": [
            as_rows(table) for table in faithfulness_tables(study.faithfulness, study.relevance_budget) if len(table)
        ],
        "stages": [_stage(study, stage) for stage in study.stages],
        "notes": study.data.card.notes,
    }


def _picture(path: Path) -> str:
    """A PNG in base64, with so few colours that it takes less than half the room."""
    packed = io.BytesIO()
    with Image.open(path) as opened:
        few = opened.convert("RGB").quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def _clusters(study: StudyResults, folder: Path) -> list[dict[str, Any]]:
    """One card per cluster, with what people wrote about it and the events that take much of its time."""
    within = events_within(study)
    return [
        _cluster(study, record, folder)
        | called(study, record["cluster"])
        | {"events": told_events(within.get(record["cluster"], []))}
        for record in study.summary["clusters"]
    ]


def _cluster(study: StudyResults, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One cluster: size, times, central windows and, if explained, its channels, quality and nearest cluster."""
    cluster, seconds = record["cluster"], study.data.time_s
    runs = [run for run in study.runs if run["cluster"] == cluster]
    shown: dict[str, Any] = {
        **record,
        "colour": hex_colour(cluster),
        "strip": strip(study.runs, cluster, seconds, MOST_RUNS),
        "when": [when.span(study, run["start"], run["stop"] - 1) for run in runs],
        "strongest": strongest(study, cluster, 3),
        "stability": _stability(study.stability[study.stability["cluster"] == cluster]["jaccard"]),
        "hidden": hidden(study, cluster),
    }
    if cluster not in study.explained_clusters:
        return shown
    own = study.importance[study.importance["cluster"] == cluster].copy()
    own["by z"] = own["z_score"].rank(ascending=False, method="min").map(lambda rank: figure(rank, "%d"))
    own = own.sort_values("signed", ascending=False)
    quality = study.quality[study.quality["cluster"] == cluster].drop(columns="cluster")
    measures = study.faithfulness
    similar = measures[(measures["cluster"] == cluster) & (measures["measure"] == "similarity")]
    explained = study.explained[study.explained["cluster"] == cluster]
    return shown | {
        "picture": _picture(folder / f"cluster_{cluster}.png"),
        "channels": own.to_dict("records"),
        "n_lanes": MOST_LANES,
        "encoders": int(own["encoders"].iloc[0]),
        "quality": as_rows(quality),
        "leading": leading_sentence(own) if own["signed"].notna().any() else "",
        "differs": property_sentences(study.properties[study.properties["cluster"] == cluster], study.window_s),
        "judged": _verdicts(study.judged[study.judged["cluster"] == cluster]),
        "similar": {row["ranking"]: row["value"] for row in similar.to_dict("records")},
        "gap": float(explained["gap"].abs().median()),
        "n_explained": len(explained),
        "undefined": undefined(own, explained, similar.rename(columns={"value": "rank correlation"})),
        "nearest": _nearest_cluster(study, cluster),
    }


def _noise(study: StudyResults) -> dict[str, Any] | None:
    """How much is noise, and of which clusters it is kept out by which channels."""
    n_noise = int((study.labels < 0).sum())
    if not n_noise:
        return None
    windows = study.explained_windows
    groups, n_explained = [], 0
    for cluster, own in study.noise.sort_values("n_windows", ascending=False, kind="stable").groupby(
        "cluster", sort=False
    ):
        number, n_windows = int(str(cluster)), int(own["n_windows"].iloc[0])
        mine = windows[(windows["cluster"] < 0) & (windows["explained_cluster"] == number)]
        nearest = mine.sort_values("target", ascending=False, kind="stable")["window"].head(N_SIMILAR).tolist()
        channels = own.sort_values("share", kind="stable").head(N_KEEPING).to_dict("records")
        group = {**called(study, number), "colour": hex_colour(number), "n_windows": n_windows}
        groups.append({**group, "channels": channels, "nearest": nearest})
        n_explained += n_windows
    share, colour = n_noise / len(study.labels), hex_colour(-1)
    return {"n_windows": n_noise, "share": share, "colour": colour, "n_explained": n_explained, "groups": groups}


def _verdicts(judged: pd.DataFrame) -> list[str]:
    """What each judge says of one cluster's order of channels, beside the z-score."""
    found = []
    for judge, own in judged.groupby("judge", sort=False):
        areas, verdicts = dict(zip(own["ranking"], own["area"], strict=True)), own.set_index("ranking")["verdict"]
        if areas["relevance"] != areas["relevance"]:
            continue
        best = f", best of all orders {areas['best']:.2f}" if "best" in areas else ""
        measured = f"area {areas['relevance']:.2f}, z-score {areas['z_score']:.2f}{best}"
        found.append(f"{judge}: {compared(str(verdicts['relevance']), 'the z-score')} ({measured})")
    return found


def _stability(jaccard: "pd.Series[float]") -> str:
    """How well a cluster is recovered when resampled windows are clustered again."""
    if not len(jaccard):
        return ""
    mean = jaccard.mean()
    overlap = f"Mean Jaccard overlap {mean:.2f} (lowest {jaccard.min():.2f})"
    return f"{overlap} with {counted(len(jaccard), 'clustering')} of resampled windows: {stability_verdict(mean)}"


def _nearest_cluster(study: StudyResults, cluster: int) -> dict[str, Any] | None:
    """The explained cluster whose mean embedding is nearest, and the channels whose shares differ most."""
    others = [other for other in study.explained_clusters if other != cluster]
    if not others:
        return None
    centres = {c: study.embeddings[study.labels == c].mean(axis=0) for c in [cluster, *others]}
    nearest = min(others, key=lambda other: float(np.linalg.norm(centres[other] - centres[cluster])))
    shares = study.importance.pivot(index="channel", columns="cluster", values="signed")
    levels = {c: study.level(c) for c in (cluster, nearest)}
    table = pd.DataFrame(
        {
            "difference": shares[cluster] - shares[nearest],
            "level": pd.Series(levels[cluster] - levels[nearest], index=study.data.channels),
        }
    )
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index[:3]
    return {**called(study, nearest), "channels": table.loc[order].reset_index(names="channel").to_dict("records")}


def _anomaly(study: StudyResults, row: int, folder: Path) -> dict[str, Any]:
    """One explained anomaly: when it occurs, its score, channels, references and similar earlier anomalies."""
    record = study.anomalies.iloc[row].to_dict()
    window, starts, clock = int(record["window"]), study.data.starts, study.clock
    own = study.anomaly_channels[study.anomaly_channels["window"] == window]
    windows = study.anomalies["window"].to_numpy()
    earlier = windows[starts[windows] < starts[window]]
    distances = np.linalg.norm(study.embeddings[earlier] - study.embeddings[window], axis=1)
    return {
        "window": window,
        "when": when.span(study, int(starts[window]), int(starts[window]) + study.data.length - 1),
        "score": float(record["score"]),
        "anomalous": bool(record["anomalous"]),
        "same": bool(own["share"].isna().all()),
        "gap": float(record["gap"]),
        "undefined": undefined(own, study.anomalies.iloc[[row]]),
        "picture": _picture(folder / f"anomaly_{window}.png"),
        "channels": own.sort_values("share", ascending=False).head(100).to_dict("records"),
        "references": [clock.text(study.normal.time_s[first]) for first in record["normal_windows"]],
        "earlier": [int(one) for one in earlier[np.argsort(distances, kind="stable")][:N_SIMILAR]],
    }


def _ranking(ranking: Ranking) -> dict[str, Any]:
    """The ranking of a sweep, the most faithful rules first."""
    return {
        "name": ranking.folder.name,
        "said": ranking.said,
        "tables": [as_rows(ranking.overall), as_rows(ranking.by_cluster)],
        "picture": _picture(ranking.picture),
    }


def _stage(study: StudyResults, stage: str) -> dict[str, Any]:
    """Settings and versions of one stage, and the modules of the encoder that `train` made."""
    known = study.provenance(stage)
    flat = pd.json_normalize(known["config"], sep=".").iloc[0].to_dict() if known["config"] else {}
    shown = {"name": stage, "settings": flat, "inputs": known["inputs_md5"], "versions": known["versions"]}
    return shown | {"modules": as_rows(study.modules) if stage == "train" and study.modules is not None else None}
