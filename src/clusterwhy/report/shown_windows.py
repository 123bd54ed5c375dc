"""Which window stands for a cluster, and what it is compared with."""

import numpy as np

from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots.lanes import Lanes
from clusterwhy.report.page_data import drawing_ranges
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import FloatArray


def recorded(study: StudyResults, window: int) -> FloatArray:
    """(channel, time) of one window, as recorded."""
    start = int(study.data.starts[window])
    return np.asarray(study.data.values[start : start + study.data.length].T)


def similar_window(study: StudyResults, window: int) -> int | None:
    """The most similar window outside the cluster of a window; None where it is not known."""
    table = study.explained_windows
    found = table.loc[table["window"] == window, "reference"]
    return int(found.iloc[0]) if len(found) and found.iloc[0] >= 0 else None


def central_window(study: StudyResults, cluster: int) -> int:
    """The most central window of a cluster that is explained, or the first explained one."""
    own = study.explained.loc[study.explained["cluster"] == cluster, "window"].tolist()
    medoids = next(one["medoid_windows"] for one in study.summary["clusters"] if one["cluster"] == cluster)
    return int(next((window for window in medoids if window in own), own[0]))


def central_relevance(study: StudyResults, cluster: int) -> FloatArray:
    """(channel, time) shares of |relevance| of the window that stands for a cluster."""
    rows = study.explained
    of_window = (rows["window"] == central_window(study, cluster)) & (rows["cluster"] == cluster)
    return relevance_shares(study.relevance[np.flatnonzero(of_window)[:1]])[0]


def cluster_lanes(study: StudyResults, cluster: int) -> Lanes:
    """The window that stands for a cluster, over its relevance, beside the most similar one outside."""
    window = central_window(study, cluster)
    other, values = similar_window(study, window), recorded(study, window)
    beside = np.empty((0, *values.shape)) if other is None else recorded(study, other)[None]
    ranges = np.array(drawing_ranges(study.data.values))
    return Lanes(values, beside, central_relevance(study, cluster), ranges)
