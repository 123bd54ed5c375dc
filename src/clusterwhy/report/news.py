"""What is new in a recording that a study is applied to, for the page."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_json, read_table
from clusterwhy.data.storage import Prepared
from clusterwhy.plots.clock import Clock
from clusterwhy.report.summaries import property_sentences
from clusterwhy.types import FloatArray, IntArray

MOST_CHANNELS = 5
MOST_TIMES = 4


@dataclass(frozen=True)
class Behind:
    """Windows drawn behind those of the page: places (window, 2), clusters (window,), and what they are, in words."""

    projection: FloatArray
    labels: IntArray
    says: str


@dataclass(frozen=True)
class PageNews:
    """The artifacts below `new/` of an application.

    Attributes:
        folder: that folder.
        data: the new recording.
        clock: of its times.
    """

    folder: Path
    data: Prepared
    clock: Clock

    @property
    def shown(self) -> dict[str, Any]:
        """Variables of the template."""
        return {
            "checks": read_table(self.folder / "checks.csv").to_dict("records"),
            "drift": self._drift(),
            "reference": self._reference,
            "candidates": [self._candidate(record) for record in self._records],
        }

    @property
    def sentences(self) -> list[str]:
        """The same in sentences, for the summary, faults of sensors first."""
        masking = read_json(self.folder / "masking.json")
        checks = [str(masking["says"])] if masking["channels"] else []
        checks += [f"Check the sensor: {row['channel']} {row['says']}." for row in self.shown["checks"]]
        drifted = [row["name"] for row in self._drift() if row["drifted"]]
        told = [f"Drifted from the study (reference: {self._reference}): {', '.join(drifted)}."] if drifted else []
        states = [
            f"Candidate state {one['candidate']}: {counted(one['n_windows'], 'window')} ({one['share']:.0%} of all) "
            "like each other and unlike every known state."
            for one in self._records
        ]
        return [*checks, *told, *states]

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_json(self.folder / "candidates.json")["candidates"]
        return found

    @property
    def _reference(self) -> str:
        """The part of the study's recording that drift is measured against; of applications before it: all of it."""
        table = read_table(self.folder / "drift.csv")
        return str(table["reference"].iloc[0]) if "reference" in table else "the whole recording"

    def _drift(self) -> list[dict[str, Any]]:
        table = read_table(self.folder / "drift.csv").sort_values("distance", ascending=False, kind="stable")
        table["name"] = table["channel"].where(table["kind"] == "channel", "embedding")
        found: list[Any] = table.to_dict("records")
        return found

    def _candidate(self, record: dict[str, Any]) -> dict[str, Any]:
        number = record["candidate"]
        importance = read_table(self.folder / "importance.csv")
        own = importance[importance["cluster"] == number].sort_values("signed", ascending=False).head(MOST_CHANNELS)
        properties = read_table(self.folder / "properties.csv")
        window_s = self.data.length / self.data.card.rate_hz
        return record | {
            "channels": own.to_dict("records"),
            "differs": property_sentences(properties[properties["cluster"] == number], window_s),
            "when": self._times(number),
        }

    def _times(self, number: int) -> list[str]:
        """When a candidate occurs: runs of its windows."""
        labels = read_table(self.folder / "windows.parquet")["candidate"]
        runs = (labels != labels.shift()).cumsum()[labels == number]
        seconds, starts = self.data.time_s, self.data.starts
        ends = [(int(one.index[0]), int(one.index[-1])) for _, one in runs.groupby(runs)]
        texts = [
            f"{self.clock.number(seconds[starts[a]])} to {self.clock.text(seconds[starts[b] + self.data.length - 1])}"
            for a, b in ends[:MOST_TIMES]
        ]
        return texts + [f"and {len(ends) - MOST_TIMES} more times"] * (len(ends) > MOST_TIMES)
