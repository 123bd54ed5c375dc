"""The first screen: a tile for each cluster and each anomaly, with what its leading channels do."""

from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.leading import LEAST_SHARE, N_LEADING
from clusterwhy.explanations.properties import deviation_table
from clusterwhy.explanations.replicates import leading_channels
from clusterwhy.explanations.units import Units
from clusterwhy.report import when
from clusterwhy.report.annotations import called
from clusterwhy.report.hidden import hidden
from clusterwhy.report.page_data import drawing_ranges, hex_colour
from clusterwhy.report.shown_windows import recorded, similar_window
from clusterwhy.report.sparklines import sparkline, strip
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import STABLE, stability_verdict
from clusterwhy.report.trust import earned, ends_alarm
from clusterwhy.report.words import LEAST_FALL, OTHER_COURSE, difference
from clusterwhy.types import FloatArray

N_LANES = N_LEADING  # leading channels of a tile
LEAST_SIZE = 0.25  # root mean square, in standard deviations of the training span, of a property that is told
MOST_ALARMS = 4  # anomalies that have a tile


class Tiles:
    """What the tiles of a study show.

    Args:
        study: results of the stages.
    """

    def __init__(self, study: StudyResults) -> None:
        card = study.data.card
        self.study, self.ranges = study, drawing_ranges(study.data.values)
        self.units = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz)

    def shown(self) -> dict[str, Any]:
        """The variables of `tiles.html`."""
        study, anomalies = self.study, self.anomalies()
        clock, n_alarms = study.window_clock, len(study.segments)
        highest = study.scores["score"].max()
        quiet = f"No window is anomalous: the highest score is {highest:.3g}, the threshold {study.threshold:.3g}."
        return {
            "clusters": self.clusters(),
            "noise": self.noise(),
            "anomalies": anomalies,
            "n_more": n_alarms - sum(1 + one["n_alike"] for one in anomalies),
            "quiet": "" if n_alarms else quiet,
            "window": f"{clock.scaled(study.window_s):.3g} {clock.unit}",
            "news": [*(study.news.sentences if study.news else []), *study.annotated.told],
        }

    def clusters(self) -> list[dict[str, Any]]:
        """One tile per cluster, in their order."""
        return [self._cluster(record) for record in self.study.summary["clusters"]]

    def noise(self) -> dict[str, Any] | None:
        """How much belongs to no cluster, and which cluster most of it is nearest to."""
        study = self.study
        n_noise = int((study.labels < 0).sum())
        if not n_noise:
            return None
        groups = study.noise.drop_duplicates("cluster").sort_values("n_windows", ascending=False, kind="stable")
        nearest = [
            f"{row['n_windows']} nearest to {study.cluster_name(row['cluster'])}"
            for row in groups.head(N_LANES).to_dict("records")
        ]
        return {
            "n_windows": n_noise,
            "share": n_noise / len(study.labels),
            "colour": hex_colour(-1),
            "when": self._when(-1),
            "strip": strip(study.runs, -1, study.data.time_s),
            "nearest": nearest,
        }

    def anomalies(self) -> list[dict[str, Any]]:
        """A tile for each of the highest alarms, of those that are alike for one; each of them has a card."""
        study = self.study
        rows = {int(study.anomalies["window"].iloc[row]): row for row in study.drawn_anomalies}
        pattern = dict(zip(study.anomalies["window"], study.anomalies["pattern"], strict=True))
        highest: dict[Any, dict[str, Any]] = {}
        for one in study.segments:
            window = one["peak_window"]
            if window in rows:
                highest.setdefault(pattern[window] if pattern[window] >= 0 else f"window {window}", one)
        shown = list(highest.items())[:MOST_ALARMS]
        alike = [
            [one for one in study.segments if pattern.get(one["peak_window"]) == key] or [own] for key, own in shown
        ]
        return [
            self._anomaly(one, rows[one["peak_window"]], others) for (_, one), others in zip(shown, alike, strict=True)
        ]

    def _cluster(self, record: dict[str, Any]) -> dict[str, Any]:
        study, cluster = self.study, record["cluster"]
        medoids = record["medoid_windows"]
        importance = study.importance[study.importance["cluster"] == cluster]
        kind, words = earned(study.judged[study.judged["cluster"] == cluster])
        again = study.stability.loc[study.stability["cluster"] == cluster, "jaccard"].astype(float)
        alike = leading_channels(importance) if len(importance) else []
        return {
            **record,
            **called(study, cluster),
            "colour": hex_colour(cluster),
            "when": self._when(cluster),
            "strip": strip(study.runs, cluster, study.data.time_s),
            "lanes": self._cluster_lanes(importance, medoids[0]) if medoids else [],
            "explained": cluster in study.explained_clusters,
            "badge": {"kind": kind, "words": words},
            "unstable": f"cluster {stability_verdict(again.mean())}: overlap {again.mean():.2f}"
            if len(again) and again.mean() < STABLE
            else "",
            "alike": alike if len(alike) > 1 else [],
            "hidden": hidden(study, cluster),
        }

    def _cluster_lanes(self, importance: pd.DataFrame, window: int) -> list[dict[str, Any]]:
        """The leading channels of a cluster, drawn in its most central window over a similar one outside."""
        properties = self.study.properties
        own = properties[properties["cluster"] == importance["cluster"].iloc[0]] if len(importance) else properties[:0]
        values, beside = recorded(self.study, window), similar_window(self.study, window)
        other = None if beside is None else recorded(self.study, beside)
        return [
            self._lane(row, _told(own[own["channel"] == row["channel"]], "fall", LEAST_FALL, self.study), values, other)
            for row in _leading(importance, "signed", self.study.masked)
        ]

    def _anomaly(self, segment: dict[str, Any], row: int, alike: list[dict[str, Any]]) -> dict[str, Any]:
        study, window = self.study, segment["peak_window"]
        score, threshold = f"{segment['peak_score']:.3g}", f"{study.threshold:.3g}"
        marks = [
            {"cluster": 0, "start": one["start"], "stop": one["stop"]}
            for one in sorted(alike, key=lambda one: one["start"])
        ]
        return {
            "window": window,
            "when": when.span(study, segment["start"], segment["stop"] - 1),
            "n_alike": len(alike) - 1,
            "strip": strip(marks, 0, study.data.time_s),
            "colour": "var(--alarm)",
            "score": score,
            "threshold": f"just above {threshold}" if score == threshold else f"above {threshold}",
            "lanes": self.anomaly_lanes(row),
            "badge": ends_alarm(study.anomalies.iloc[row], study.threshold),
            "same": bool(study.anomaly_channels.loc[study.anomaly_channels["window"] == window, "share"].isna().all()),
        }

    def anomaly_lanes(self, row: int) -> list[dict[str, Any]]:
        """The leading channels of an explained anomaly, drawn over the most similar normal window.

        Args:
            row: of `StudyResults.anomalies`.
        """
        study, data = self.study, self.study.data
        window = int(study.anomalies["window"].iloc[row])
        channels = study.anomaly_channels[study.anomaly_channels["window"] == window]
        first = int(data.starts[window])
        normal = np.asarray(study.anomalies["normal_windows"].iloc[row], dtype=np.int64)
        usual = windows_at(study.normal.values, normal, data.length)
        scaled = windows_at(study.normal.scaled, normal, data.length)
        table = deviation_table(data.scaled[first : first + data.length].T, scaled, data.channels)
        told = self.units.told(table)
        return [
            self._lane(
                one,
                _told(told[told["channel"] == one["channel"]], "size", LEAST_SIZE, study),
                recorded(study, window),
                usual[0],
            )
            for one in _leading(channels, "share", study.masked)
        ]

    def _lane(
        self, row: dict[str, Any], told: tuple[str, str], values: FloatArray, other: FloatArray | None
    ) -> dict[str, Any]:
        """One channel of a tile: its name and share, what it does, and its course over that of another window."""
        i = self.study.data.channels.index(str(row["channel"]))
        drawn = [values[i]] if other is None else [values[i], other[i]]
        low, high = self.ranges[i]
        known = np.concatenate(drawn)
        known = known[np.isfinite(known)]
        limits = (min([low, *known]), max([high, *known]))
        lines = [sparkline(one, limits) for one in drawn]
        words, shown = told
        return {
            "channel": row["channel"],
            "share": row["led"],
            "words": words,
            "values": shown,
            "line": lines[0],
            "beside": lines[1] if len(lines) > 1 else "",
        }

    def _when(self, cluster: int) -> str:
        """When a cluster occurs, in a few words."""
        return when.visits(self.study, [run for run in self.study.runs if run["cluster"] == cluster])


def _leading(table: pd.DataFrame, column: str, masked: tuple[str, ...]) -> list[dict[str, Any]]:
    """The measured channels that lead, with their share as `led`: positive, and not far below the first one."""
    own = (
        table[~table["channel"].isin(masked)]
        .dropna(subset=[column])
        .sort_values(column, ascending=False, kind="stable")
        .head(N_LANES)
    )
    return [
        {"channel": row["channel"], "led": row[column]}
        for row in own.to_dict("records")
        if row[column] > 0 and row[column] >= LEAST_SHARE * own[column].iloc[0]
    ]


def _told(rows: pd.DataFrame, by: str, least: float, study: StudyResults) -> tuple[str, str]:
    """What one channel does: the property that counts most of those that are higher or lower, else its course."""
    course = ""
    for row in rows[rows[by] >= least].sort_values(by, ascending=False, kind="stable").to_dict("records"):
        words, values = difference(row, study.window_s)
        if words == OTHER_COURSE:
            course = OTHER_COURSE
        elif words:
            return (f"{course}, {words}" if course else words), values
    return course or "differs in no single property", ""
