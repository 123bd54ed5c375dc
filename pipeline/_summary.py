"""The summary of a study in W&B: the page, clusters and anomalies as tables with pictures, and notes."""

import textwrap
from pathlib import Path

from clusterwhy.plots.names import ELLIPSIS
from clusterwhy.report.annotations import annotation_tables
from clusterwhy.report.review_tables import anomaly_pictures, anomaly_review, cluster_pictures, cluster_review
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.trust import trust_table
from clusterwhy.tracking.names import metric_name
from clusterwhy.tracking.tracker import Tracker

MOST_NOTES, MOST_CHARACTERS = 12, 160  # lines; of a line


def track_study(tracker: Tracker, study: StudyResults, folder: Path) -> dict[str, str]:
    """Record the page, tables of clusters and anomalies with pictures, those of events and segments, and notes.

    Args:
        folder: of the page and its figures.

    Returns:
        File name of a picture, without ending -> its name in W&B.
    """
    clusters, anomalies = cluster_review(study), anomaly_review(study)
    pictures = anomaly_pictures(anomalies, folder)
    tracker.note(notes(study))
    tracker.page("report", folder / "report.html")
    tracker.table("clusters", clusters, {"picture": cluster_pictures(clusters, folder)})
    tracker.table("anomalies", anomalies, {"picture": list(pictures.values())})
    for name, table in annotation_tables(study).items():
        if (stem := Path(name).stem) != "clusters":
            tracker.table(stem, table)
    return {path.stem: metric_name(name) for name, path in pictures.items()}


def notes(study: StudyResults) -> str:
    """What was found and how far to rely on it, as the page's first lines say, in Markdown."""
    told = [f"{row['question']} {row['meaning']} ({row['measured']})" for row in trust_table(study)]
    rows = [f"- {textwrap.shorten(one, MOST_CHARACTERS, placeholder=ELLIPSIS)}" for one in told]
    more = [f"- and {len(rows) - MOST_NOTES} more on the page"] if len(rows) > MOST_NOTES else []
    return "\n".join([study.headline, "", *rows[:MOST_NOTES], *more])
