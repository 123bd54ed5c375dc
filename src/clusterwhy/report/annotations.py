"""Names, notes and events as tables, and as what the page shows of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.annotations.located import Interval, Span
from clusterwhy.annotations.window_times import own_samples
from clusterwhy.data.moments import dated, shown
from clusterwhy.report.page_data import hex_colour
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import IntArray

MOST_NAMES, MOST_INTERVALS = 60, 200  # on the page
MOST_TOLD = 3  # events of a cluster that its card names
LEAST_TOLD = 0.05  # of a cluster's time


def name_table(study: StudyResults) -> pd.DataFrame:
    """One row per cluster: `cluster`, `name` and `note` ("" for none), `agreement`, `n_windows`, `share`.

    `agreement` is the Jaccard index, by time, of its windows and those that were named; missing without a name, and for
    a name that was given by number.
    """
    rows = []
    for record in study.summary["clusters"]:
        own = study.annotated.clusters.get(record["cluster"])
        row = {"cluster": record["cluster"], "name": own.name if own else "", "note": own.note if own else ""}
        row["agreement"] = np.nan if own is None or own.agreement is None else round(own.agreement, 6)
        rows.append(row | {"n_windows": record["n_windows"], "share": record["share"]})
    return pd.DataFrame(rows, columns=["cluster", "name", "note", "agreement", "n_windows", "share"])


def segment_table(study: StudyResults) -> pd.DataFrame:
    """One row per part of each named segment: `name`, `note`, `start` and `end` as recorded, and its samples."""
    rows = [
        {"name": one.name, "note": one.note, **_when(study, span)}
        for one in study.annotated.segments
        for span in one.spans
    ]
    return pd.DataFrame(rows, columns=["name", "note", "start", "end", "first_sample", "last_sample"])


def event_intervals(study: StudyResults) -> pd.DataFrame:
    """One row per part of each event: `name`, `start` and `end` as recorded, its samples, and where most of it is.

    `cluster` is -1 for noise and missing where no window is; `cluster_share` is how much of the event it has.
    """
    cells = _Cells(study)
    rows = []
    for one in study.annotated.events:
        for span in one.spans:
            of = cells.samples([span])
            most = max(of, key=lambda cluster: of[cluster], default=None)
            share = 0.0 if most is None else of[most] / (span[1] - span[0])
            found = {"cluster": most, "cluster_share": round(share, 6)}
            rows.append({"name": one.name, **_when(study, span), **found})
    columns = ["name", "start", "end", "first_sample", "last_sample", "cluster", "cluster_share"]
    return pd.DataFrame(rows, columns=columns).astype({"cluster": "Int64"})


def event_table(study: StudyResults) -> pd.DataFrame:
    """One row per name of events, the longest first.

    Columns: `name`, `intervals`, `seconds` (of their union, as recorded), `windows` (whose centre lies in them),
    `anomalous` (share of these windows), and shares of the time: `noise`, `cluster_<number>`, `no_window`.
    """
    cells = _Cells(study)
    anomalous = study.scores["anomalous"].to_numpy(dtype=bool)
    centres = study.data.starts + study.data.length // 2
    rows: list[dict[str, Any]] = []
    for name, own in _by_name(study.annotated.events).items():
        spans = _united([span for one in own for span in one.spans])
        total = sum(stop - first for first, stop in spans)
        inside = _inside(centres, spans)
        of = cells.samples(spans)
        row = {"name": name, "intervals": len(own), "seconds": total / study.data.card.rate_hz}
        row |= {"windows": int(inside.sum()), "anomalous": float(anomalous[inside].mean()) if inside.any() else np.nan}
        row |= {"noise": of.get(-1, 0) / total}
        row |= {f"cluster_{cluster}": of.get(cluster, 0) / total for cluster in study.clusters}
        rows.append(row | {"no_window": 1.0 - sum(of.values()) / total})
    columns = ["name", "intervals", "seconds", "windows", "anomalous", "noise"]
    columns += [*(f"cluster_{cluster}" for cluster in study.clusters), "no_window"]
    return pd.DataFrame(rows, columns=columns).round(6).sort_values("seconds", ascending=False, kind="stable")


def annotation_tables(study: StudyResults) -> dict[str, pd.DataFrame]:
    """File name -> table, as far as there is something in it; `clusters.csv` always."""
    tables = {"clusters.csv": name_table(study)}
    if study.annotated.segments:
        tables["segments.csv"] = segment_table(study)
    if study.annotated.events:
        tables |= {"events.csv": event_intervals(study), "event_clusters.csv": event_table(study)}
    return tables


def annotation_figures(study: StudyResults) -> dict[str, int]:
    """How much people wrote, for the metrics."""
    own = study.annotated
    found = {"n_named_clusters": sum(bool(one.name) for one in own.clusters.values())}
    return found | {"n_segments": len(own.segments), "n_events": len(own.events)}


def events_within(study: StudyResults) -> dict[int, list[tuple[str, float]]]:
    """Cluster -> names of events, and the share of the cluster's time that each has, the highest shares first."""
    cells = _Cells(study)
    whole = cells.samples([(0, len(study.data.values))])
    found: dict[int, list[tuple[str, float]]] = {}
    for name, own in _by_name(study.annotated.events).items():
        for cluster, n_samples in cells.samples(_united([span for one in own for span in one.spans])).items():
            found.setdefault(cluster, []).append((name, n_samples / whole[cluster]))
    return {c: sorted(shares, key=lambda one: -one[1]) for c, shares in found.items()}


def shown_annotations(study: StudyResults) -> dict[str, Any]:
    """Variables of the page's section: how names were matched, events by cluster, and their list."""
    own = study.annotated
    table, intervals = event_table(study), event_intervals(study)
    return {
        "empty": not (own.events or own.segments or own.told or own.outside),
        "told": [*own.told, *own.outside],
        "clusters": [(called(study, cluster), hex_colour(cluster)) for cluster in study.clusters],
        "noise_colour": hex_colour(-1),
        "events": [_row(study, row) for row in table.head(MOST_NAMES).to_dict("records")],
        "n_more_events": max(0, len(table) - MOST_NAMES),
        "intervals": [_interval(study, row) for row in intervals.head(MOST_INTERVALS).to_dict("records")],
        "n_more_intervals": max(0, len(intervals) - MOST_INTERVALS),
    }


def called(study: StudyResults, cluster: int) -> dict[str, Any]:
    """The number of a cluster, what it is `called`, whether that is its own `name` ("" if not), and its `note`."""
    own = study.annotated.clusters.get(cluster)
    name, note = (own.name, own.note) if own else ("", "")
    return {"cluster": cluster, "called": study.cluster_name(cluster), "name": name, "note": note}


def told_events(shares: list[tuple[str, float]]) -> list[str]:
    """Events that take much of a cluster's time, for its card."""
    much = [(name, share) for name, share in shares if share >= LEAST_TOLD]
    return [f"{name} ({100 * share:.0f} % of its time)" for name, share in much[:MOST_TOLD]]


def _row(study: StudyResults, row: dict[Any, Any]) -> dict[str, Any]:
    clock = study.clock
    duration = f"{row['seconds'] / clock.seconds:.3g} {clock.unit}"
    return row | {"duration": duration, "shares": [row[f"cluster_{c}"] for c in study.clusters]}


def _interval(study: StudyResults, row: dict[Any, Any]) -> dict[str, Any]:
    known = not pd.isna(row["cluster"])
    where = study.cluster_name(int(row["cluster"])) if known else "no window"
    return row | {"where": where, "known": known}


def _when(study: StudyResults, span: Span) -> dict[str, Any]:
    time = study.place.time
    first, last = (shown(time[i], dated(time)) for i in (span[0], span[1] - 1))
    return {"start": first, "end": last, "first_sample": span[0], "last_sample": span[1] - 1}


def _by_name(intervals: Sequence[Interval]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {}
    for one in intervals:
        found.setdefault(one.name, []).append(one)
    return found


def _united(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, where those that overlap or touch are one."""
    found: list[Span] = []
    for first, stop in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((first, stop))
    return found


def _inside(samples: IntArray, spans: Sequence[Span]) -> np.ndarray:
    """(sample,) whether each lies in one of some spans that do not overlap."""
    edges = np.array(spans, dtype=np.int64).ravel()
    return np.searchsorted(edges, samples, side="right") % 2 == 1


class _Cells:
    """The samples whose nearest window is in each cluster."""

    def __init__(self, study: StudyResults) -> None:
        data = study.data
        self.begins, self.ends = own_samples(data.starts, data.length)
        self.labels = np.asarray(study.labels)

    def samples(self, spans: Sequence[Span]) -> dict[int, int]:
        """Cluster (-1 is noise) -> number of its samples in spans that do not overlap; only where there are any."""
        counts = np.zeros(int(self.labels.max(initial=-1)) + 2, dtype=np.int64)
        for first, stop in spans:
            own = slice(np.searchsorted(self.ends, first, side="right"), np.searchsorted(self.begins, stop))
            inside = np.minimum(self.ends[own], stop) - np.maximum(self.begins[own], first)
            np.add.at(counts, self.labels[own] + 1, inside)
        return {cluster - 1: int(n) for cluster, n in enumerate(counts) if n}
