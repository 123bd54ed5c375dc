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
from clusterwhy.report.study_results import STAGES, Findings
from clusterwhy.report.summaries import anomaly_answers, answers, as_rows, evidence_tables
from clusterwhy.report.trust import belief
from clusterwhy.report.value_chunks import Pieces

SCRIPTS = ("data.js", "state.js", "plots.js", "projection.js", "series.js", "window.js", "selection.js", "main.js")
N_SIMILAR = 3


def write_pictures(found: Findings, folder: Path) -> None:
    """Every figure of the page, as PNG and SVG."""
    pictures.overview(found, folder / "overview")
    for cluster in found.explained_clusters:
        pictures.cluster(found, cluster, folder / f"cluster_{cluster}")
    for row, window in enumerate(found.strange["window"]):
        pictures.anomaly(found, row, folder / f"anomaly_{window}")


def write_page(found: Findings, folder: Path, ranking: Ranking | None = None) -> int:
    """Write `report.html` and, for a long series, the pieces beside it; `folder` has what `write_pictures` wrote.

    Args:
        found: what the stages found.
        folder: where to.
        ranking: of a sweep of rules over the same clusters.

    Returns:
        Bytes of the page.
    """
    pieces = Pieces.of(found)
    for name, text in pieces.files(found) if pieces else ():
        write_text(folder / name, text)
    html = page(found, folder, pieces, ranking)
    write_text(folder / "report.html", html)
    return len(html.encode())


def page(found: Findings, folder: Path, pieces: Pieces | None, ranking: Ranking | None = None) -> str:
    """The whole page; `folder` holds the figures that `write_pictures` wrote. Every name from data is escaped."""
    from jinja2 import Environment
    from plotly.offline import get_plotlyjs

    views = content(found, pieces)
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_asset("page.html"))
    return template.render(
        name=found.data.about["name"],
        headline=headline(found),
        answers=_answers(found),
        style=_asset("page.css"),
        plotly=get_plotlyjs(),
        script="\n".join(_asset(name) for name in SCRIPTS),
        about=script_json(views.about),
        arrays=views.arrays,
        overview=_picture(folder / "overview.png"),
        clusters=[_cluster(found, record, folder) for record in found.summary["clusters"]],
        anomalies=[_anomaly(found, row, folder) for row in range(len(found.strange))],
        belief=belief(found),
        results=as_rows(found.results),
        ranking=_ranking(ranking) if ranking else None,
        evidence=[as_rows(table) for table in evidence_tables(found.evidence, found.losses) if len(table)],
        stages=[_stage(found, stage) for stage in STAGES],
        notes=found.data.about["notes"],
    )


def script_json(values: Any) -> str:
    """JSON that may stand inside a script element, whatever names it holds."""
    text = json.dumps(values, allow_nan=False, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def headline(found: Findings) -> str:
    """How many windows, clusters, anomalies."""
    labels, n_clusters = found.labels, len(found.summary["clusters"])
    kinds = f"{n_clusters} cluster" + ("s" if n_clusters != 1 else "")
    n_segments = len(found.anomalies["segments"])
    strange = f"{n_segments} segment" + ("s are" if n_segments != 1 else " is")
    text = (
        f"{len(labels)} windows of {found.data.length} samples fall into {kinds}; {np.mean(labels < 0):.1%} are noise; "
        f"{strange} anomalous."
    )
    if not found.explained_clusters:
        text += " There are not two groups of windows to tell apart, so nothing is explained."
    return text


def _asset(name: str) -> str:
    return (resources.files("clusterwhy.report") / "assets" / name).read_text(encoding="utf-8")


def _picture(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _answers(found: Findings) -> list[str]:
    clusters = answers(found.importance, found.quality, found.summary["clusters"], found.explained_clusters)
    data = found.data
    strange = anomaly_answers(found.strange, found.strange_channels, data.time_s, data.starts, data.length, found.clock)
    return [*clusters, *strange]


def _cluster(found: Findings, record: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the page says of one cluster."""
    cluster, seconds, clock = record["cluster"], found.data.time_s, found.clock
    runs = [run for run in found.summary["timeline"] if run["cluster"] == cluster]
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
        "strongest": strongest(found, cluster, 3),
        "again": _again(found.stability[found.stability["cluster"] == cluster]["jaccard"]),
    }
    if cluster not in found.explained_clusters:
        return said
    own = found.importance[found.importance["cluster"] == cluster].copy()
    own["by z"] = own["z_score"].rank(ascending=False).astype(int)
    own = own.sort_values("signed", ascending=False)
    quality = found.quality[found.quality["cluster"] == cluster].drop(columns="cluster").dropna(how="all", axis=1)
    evidence = found.evidence[(found.evidence["cluster"] == cluster) & (found.evidence["measure"] == "similarity")]
    explained = found.explained[found.explained["cluster"] == cluster]
    return said | {
        "picture": _picture(folder / f"cluster_{cluster}.png"),
        "channels": own.to_dict("records"),
        "quality": as_rows(quality),
        "similar": {row["ranking"]: row["value"] for row in evidence.to_dict("records")},
        "gap": float(explained["gap"].abs().median()),
        "n_explained": len(explained),
        "nearest": _nearest_cluster(found, cluster),
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


def _nearest_cluster(found: Findings, cluster: int) -> dict[str, Any] | None:
    """The explained cluster whose mean embedding is nearest, and the channels whose shares differ most."""
    others = [other for other in found.explained_clusters if other != cluster]
    if not others:
        return None
    centres = {c: found.embeddings[found.labels == c].mean(axis=0) for c in [cluster, *others]}
    nearest = min(others, key=lambda other: float(np.linalg.norm(centres[other] - centres[cluster])))
    shares = found.importance.pivot(index="channel", columns="cluster", values="signed")
    levels = {c: found.moments[0][:, found.labels == c].mean(axis=1) for c in (cluster, nearest)}
    table = pd.DataFrame(
        {
            "more": shares[cluster] - shares[nearest],
            "level": pd.Series(levels[cluster] - levels[nearest], index=found.data.channels),
        }
    )
    order = table["more"].abs().sort_values(ascending=False, kind="stable").index[:3]
    return {"cluster": nearest, "channels": table.loc[order].reset_index(names="channel").to_dict("records")}


def _anomaly(found: Findings, row: int, folder: Path) -> dict[str, Any]:
    """What the page says of one of the strangest windows."""
    record = found.strange.iloc[row].to_dict()
    window, seconds, starts = int(record["window"]), found.data.time_s, found.data.starts
    clock = found.clock
    own = found.strange_channels[found.strange_channels["window"] == window]
    windows = found.strange["window"].to_numpy()
    earlier = windows[starts[windows] < starts[window]]
    distances = np.linalg.norm(found.embeddings[earlier] - found.embeddings[window], axis=1)
    return {
        "window": window,
        "from": clock.number(seconds[starts[window]]),
        "to": clock.text(seconds[starts[window] + found.data.length - 1]),
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


def _stage(found: Findings, stage: str) -> dict[str, Any]:
    """Settings and versions of one stage."""
    known = found.provenance(stage)
    flat = pd.json_normalize(known["config"], sep=".").iloc[0].to_dict() if known["config"] else {}
    return {"name": stage, "settings": flat, "inputs": known["inputs_md5"], "versions": known["versions"]}
