"""The HTML page: the template filled with sections, styles, scripts and arrays."""

from importlib import resources
from pathlib import Path
from typing import Any

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import write_table, write_text
from clusterwhy.plots.names import short
from clusterwhy.report import pictures
from clusterwhy.report.annotations import annotation_tables
from clusterwhy.report.page_data import script_json, view_data
from clusterwhy.report.page_sections import sections
from clusterwhy.report.ranking import Ranking
from clusterwhy.report.recordings import recordings_table
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import figure
from clusterwhy.report.value_chunks import RelevanceChunks, ValueChunks

SCRIPTS = (
    "data.js",
    "state.js",
    "plots.js",
    "projection.js",
    "series.js",
    "window.js",
    "selection.js",
    "scores.js",
    "naming.js",
    "trials.js",
    "main.js",
)


def write_pictures(study: StudyResults, folder: Path) -> None:
    """Write every figure of the page, as PNG and SVG."""
    pictures.overview(study, folder / "overview")
    for cluster in study.explained_clusters:
        pictures.cluster(study, cluster, folder / f"cluster_{cluster}")
    for row in study.drawn_anomalies:
        pictures.anomaly(study, row, folder / f"anomaly_{study.anomalies['window'].iloc[row]}")


def write_page(study: StudyResults, folder: Path, ranking: Ranking | None = None) -> int:
    """Write `report.html` and, for a long series, its values and the relevance of its windows in files beside it.

    Also `clusters.csv`, of several recordings `recordings.csv`, and where there are named segments or events
    `segments.csv`, `events.csv` and `event_clusters.csv`.

    Args:
        study: results of the stages.
        folder: the output folder, with the figures that `write_pictures` wrote.
        ranking: of a sweep of rules over the same clusters.

    Returns:
        Size of the page in bytes.
    """
    chunks, cells = ValueChunks.of(study), RelevanceChunks.of(study)
    for some in (chunks, cells):
        for name, text in some.files(study) if some else ():
            write_text(folder / name, text)
    if (recordings := recordings_table(study)) is not None:
        write_table(folder / "recordings.csv", recordings)
    for name, table in annotation_tables(study).items():
        write_table(folder / name, table)
    views = view_data(study, chunks, cells)
    html = _render(
        sections(study, folder, ranking) | {"about": script_json(views.about), "arrays": views.arrays},
    )
    write_text(folder / "report.html", html)
    return len(html.encode())


def _render(variables: dict[str, Any]) -> str:
    """The filled template; every name from data is escaped."""
    from jinja2 import Environment, PackageLoader
    from plotly.offline import get_plotlyjs

    loader = PackageLoader("clusterwhy.report", "assets")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"counted": counted, "figure": figure, "shown": short}
    template = environment.get_template("page.html")
    script = "\n".join(_asset(name) for name in SCRIPTS)
    return template.render(style=_asset("page.css"), plotly=get_plotlyjs(), script=script, **variables)


def _asset(name: str) -> str:
    return (resources.files("clusterwhy.report") / "assets" / name).read_text(encoding="utf-8")
