"""The page itself: names and tables into the template, scripts, styles and arrays into the page."""

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import write_text
from clusterwhy.report import pictures
from clusterwhy.report.page_data import content, hex_colour, strongest
from clusterwhy.report.ranking import Ranking
from clusterwhy.report.study_results import STAGES, StudyResults
from clusterwhy.report.summaries import anomaly_answers, answers, as_rows, evidence_tables
from clusterwhy.report.trust import trust_table
from clusterwhy.report.value_chunks import ValueChunks

SCRIPTS = ("data.js", "state.js", "plots.js", "projection.js", "series.js", "window.js", "selection.js", "main.js")
N_SIMILAR = 3


def write_pictures(study: StudyResults, folder: Path) -> None:
    """Every figure of the page, as PNG and SVG."""
    pictures.overview(study, folder / "overview")
    for cluster in study.explained_clusters:
        pictures.cluster(study, cluster, folder / f"cluster_{cluster}")
    for row, window in enumerate(study.anomalies["window"]):
        pictures.anomaly(study, row, folder / f"anomaly_{window}")


def write_page(study: StudyResults, folder: Path, ranking: Ranking | None = None) -> int:
    """Write `report.html` and, for a long series, the chunks beside it; `folder` has what `write_pictures` wrote.

    Args:
        study: what the stages found.
        folder: where to.
        ranking: of a sweep of rules over the same clusters.

    Returns:
        Bytes of the page.
    """
    chunks = ValueChunks.of(study)
    for name, text in chunks.files(study) if chunks else ():
        write_text(folder / name, text)
    html = page(study, folder, chunks, ranking)
    write_text(folder / "report.html", html)
    return len(html.encode())


def page(study: StudyResults, folder: Path, chunks: ValueChunks | None, ranking: Ranking | None = None) -> str:
    """The whole page; `folder` holds the figures that `write_pictures` wrote. Every name from data is escaped."""
    from jinja2 import Environment
    from plotly.offline import get_plotlyjs

    views = content(study, chunks)
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_asset("page.html"))
    return template.render(
        name=study.data.card.name,
        headline=headline(study),
        answers=_answers(study),
        style=_asset("page.css"),
        plotly=get_plotlyjs(),
        script="\n".join(_asset(name) for name in SCRIPTS),
        about=script_json(views.about),
        arrays=views.arrays,
        overview=_picture(folder / "overview.png"),
        clusters=[_cluster(study, record, folder) for record in study.summary["clusters"]],
        anomalies=[_anomaly(study, row, folder) for row in range(len(study.anomalies))],
        trust=trust_table(study),
        results=as_rows(study.results),
        ranking=_ranking(ranking) if ranking else None,
        evidence=[as_rows(table) for table in evidence_tables(study.evidence, study.losses) if len(table)],
        stages=[_stage(study, stage) for stage in STAGES],
        notes=study.data.card.notes,
    )


def script_json(values: Any) -> str:
    """JSON that may stand inside a script element, whatever names it holds."""
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def headline(study: StudyResults) -> str:
    """How many windows, clusters, anomalies."""
    labels, n_clusters = study.labels, len(study.summary["clusters"])
    kinds = f"{n_clusters} cluster" + ("s" if n_clusters != 1 else "")
    n_segments = len(study.segments)
    strange = f"{n_segments} segment" + ("s are" if n_segments != 1 else " is")
    text = (
        f"{len(labels)} windows of {study.data.length} samples fall into {kinds}; {np.mean(labels < 0):.1%} are noise; "
        f"{strange} anomalous."
    )
    if not study.explained_clusters:
        text += " There are not two groups of windows to tell apart, so nothing is explained."
    return text


def _asset(name: str) -> str:
    return (resources.files("clusterwhy.report") / "assets" / name).read_text(encoding="utf-8")


def _picture(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _answers(study: StudyResults) -> list[str]:
    clusters = answers(study.importance, study.quality, study.summary["clusters"], study.explained_clusters)
    data = study.data
    strange = anomaly_answers(
        study.anomalies, study.anomaly_channels, data.time_s, data.starts, data.length, study.clock
    )
    return [*clusters, *strange]


def _cluster(study: StudyResults, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the page says of one cluster."""
    cluster, seconds, clock = record["cluster"], study.data.time_s, study.clock
    runs = [run for run in study.summary["timeline"] if run["cluster"] == cluster]
    total = float(seconds[-1]) or 1.0
    said: dict[str, Any] = {
        **record,
        "colour": hex_colour(cluster),
        # per cent of the series, for the strip; and in words
        "strip": [
            (100 * seconds[run["start"]] / total, 100 * (seconds[run["stop"] - 1] - seconds[run["start"]]) / total)
            for run in runs
        ],
        "when": [f"{clock.number(seconds[run['start']])} to {clock.text(seconds[run['stop'] - 1])}" for run in runs],
        "strongest": strongest(study, cluster, 3),
        "again": _again(study.stability[study.stability["cluster"] == cluster]["jaccard"]),
    }
    if cluster not in study.explained_clusters:
        return said
    own = study.importance[study.importance["cluster"] == cluster].copy()
    own["by z"] = own["z_score"].rank(ascending=False).astype(int)
    own = own.sort_values("signed", ascending=False)
    quality = study.quality[study.quality["cluster"] == cluster].drop(columns="cluster").dropna(how="all", axis=1)
    evidence = study.evidence[(study.evidence["cluster"] == cluster) & (study.evidence["measure"] == "similarity")]
    explained = study.explained[study.explained["cluster"] == cluster]
    return said | {
        "picture": _picture(folder / f"cluster_{cluster}.png"),
        "channels": own.to_dict("records"),
        "quality": as_rows(quality),
        "similar": {row["ranking"]: row["value"] for row in evidence.to_dict("records")},
        "gap": float(explained["gap"].abs().median()),
        "n_explained": len(explained),
        "nearest": _nearest_cluster(study, cluster),
    }


def _again(jaccard: "pd.Series[float]") -> str:
    """Whether a cluster was there again when windows were drawn and clustered anew (thresholds of Hennig 2007)."""
    if not len(jaccard):
        return ""
    mean = jaccard.mean()
    says = (
        "very stable"
        if mean >= 0.85
        else "stable"
        if mean >= 0.75
        else "unsure"
        if mean >= 0.6
        else "do not rely on it"
    )
    return (
        f"{mean:.2f} of it (lowest {jaccard.min():.2f}) found again in {len(jaccard)} other samples of windows: {says}"
    )


def _nearest_cluster(study: StudyResults, cluster: int) -> dict[str, Any] | None:
    """The explained cluster whose mean embedding is nearest, and the channels whose shares differ most."""
    others = [other for other in study.explained_clusters if other != cluster]
    if not others:
        return None
    centres = {c: study.embeddings[study.labels == c].mean(axis=0) for c in [cluster, *others]}
    nearest = min(others, key=lambda other: float(np.linalg.norm(centres[other] - centres[cluster])))
    shares = study.importance.pivot(index="channel", columns="cluster", values="signed")
    levels = {c: study.moments[0][:, study.labels == c].mean(axis=1) for c in (cluster, nearest)}
    table = pd.DataFrame(
        {
            "more": shares[cluster] - shares[nearest],
            "level": pd.Series(levels[cluster] - levels[nearest], index=study.data.channels),
        }
    )
    order = table["more"].abs().sort_values(ascending=False, kind="stable").index[:3]
    return {"cluster": nearest, "channels": table.loc[order].reset_index(names="channel").to_dict("records")}


def _anomaly(study: StudyResults, row: int, folder: Path) -> dict[str, Any]:
    """What the page says of one of the strangest windows."""
    record = study.anomalies.iloc[row].to_dict()
    window, seconds, starts = int(record["window"]), study.data.time_s, study.data.starts
    clock = study.clock
    own = study.anomaly_channels[study.anomaly_channels["window"] == window]
    windows = study.anomalies["window"].to_numpy()
    earlier = windows[starts[windows] < starts[window]]
    distances = np.linalg.norm(study.embeddings[earlier] - study.embeddings[window], axis=1)
    return {
        "window": window,
        "from": clock.number(seconds[starts[window]]),
        "to": clock.text(seconds[starts[window] + study.data.length - 1]),
        "score": float(record["score"]),
        "anomalous": bool(record["anomalous"]),
        "gap": float(record["gap"]),
        "picture": _picture(folder / f"anomaly_{window}.png"),
        "channels": own.sort_values("share", ascending=False).head(6).to_dict("records"),
        "references": [clock.text(seconds[first]) for first in record["references"]],
        "earlier": [int(one) for one in earlier[np.argsort(distances, kind="stable")][:N_SIMILAR]],
    }


def _ranking(ranking: Ranking) -> dict[str, Any]:
    """A sweep's rules, the most faithful first."""
    return {
        "name": ranking.folder.name,
        "tables": [as_rows(ranking.overall), as_rows(ranking.by_cluster)],
        "picture": _picture(ranking.picture),
    }


def _stage(study: StudyResults, stage: str) -> dict[str, Any]:
    """Settings and versions of one stage."""
    known = study.provenance(stage)
    flat = pd.json_normalize(known["config"], sep=".").iloc[0].to_dict() if known["config"] else {}
    return {"name": stage, "settings": flat, "inputs": known["inputs_md5"], "versions": known["versions"]}
