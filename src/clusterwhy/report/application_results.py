"""Results of a study applied to a new recording, for the page."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pandas as pd

from clusterwhy.annotations.annotated import Annotated, Sources, annotate_elsewhere
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_json, read_table
from clusterwhy.compute.seeding import drawn
from clusterwhy.data.storage import Prepared
from clusterwhy.report.news import Behind, PageNews
from clusterwhy.report.stored_results import STAGES
from clusterwhy.report.study_results import StudyResults
from clusterwhy.types import IntArray

APPLIED = ("prepare", "embed", "project", "cluster", "score", "explain", "explain_windows")
MOST_BEHIND = 5000  # fitted windows drawn behind the new ones
# of a study, not measured for a recording that it is applied to
NOT_MEASURED = {
    "results": ["question", "method"],
    "faithfulness": ["cluster", "measure", "baseline", "ranking", "value", "n_windows"],
    "stability": ["cluster", "resample", "jaccard", "n_windows"],
    "relevance_budget": ["step", "category", "share"],
    "judged": ["judge", "cluster", "ranking", "area", "verdict"],
}


@dataclass(frozen=True)
class ApplicationResults(StudyResults):
    """The artifacts of an application; what is missing in them belongs to the study.

    Attributes:
        study: what was applied.
        out: folder of the application's own artifacts.
    """

    study: StudyResults
    out: Path

    @classmethod
    def in_folder(cls, out: Path, artifacts: Path, sources: Sources | None = None) -> Self:
        """The results in the folder of an application, and those of the study."""
        study = StudyResults.of(artifacts, sources)
        own = {stage: out / stage for stage in APPLIED}
        return cls(own | {"train": study.folders["train"]}, study, out, sources=sources)

    @property
    def stages(self) -> tuple[str, ...]:
        """Those of the study."""
        return tuple(stage for stage in STAGES if stage in self.folders)

    @property
    def normal(self) -> Prepared:
        """The fitted recording, whose normal windows anomalies are compared with."""
        return self.study.data

    @property
    def trained(self) -> IntArray:
        """(training window,) clusters of the windows that the study was fitted on."""
        return self.study.trained

    @cached_property
    def annotated(self) -> Annotated:
        """The names of the study, and what is in this recording of its segments and events."""
        return annotate_elsewhere(self.study.annotated, self.sources, self.place) if self.sources else Annotated()

    @cached_property
    def masked(self) -> tuple[str, ...]:
        """Channels of the study that the recording lacks."""
        return tuple(read_json(self.out / "new" / "masking.json")["channels"])

    @cached_property
    def news(self) -> PageNews:
        """Faults of sensors, drift, candidates for new states."""
        return PageNews(self.out / "new", self.data, self.clock)

    @cached_property
    def behind(self) -> Behind:
        """The fitted windows in the projection."""
        places, labels = self.study.projection, self.study.labels
        kept = drawn(len(labels), min(MOST_BEHIND, len(labels)), 0)
        return Behind(places[kept], labels[kept], f"windows of the study {self.study.data.card.name}")

    @cached_property
    def clusters_of_windows(self) -> pd.DataFrame:
        """One row per new window: cluster, strength, distance, and whether it belongs to no known state."""
        return read_table(self.folders["cluster"] / "clusters.parquet")

    @property
    def headline(self) -> str:
        """What the recording is, and how much of it is known."""
        table, card = self.clusters_of_windows, self.study.data.card
        known, unknown = (table["cluster"] >= 0).mean(), table["unknown"].mean()
        n_segments = len(self.segments)
        return (
            f"{counted(len(table), 'window')} of {self.data.card.name}, read, placed and scored by the study "
            f"{card.name}, without training: {known:.1%} are in its clusters, {unknown:.1%} in no known state; "
            f"{counted(n_segments, 'segment')} {'is' if n_segments == 1 else 'are'} anomalous by its threshold."
        )

    def provenance(self, stage: str) -> dict[str, Any]:
        """Settings and versions of a stage of the study."""
        return read_json(self.study.folders[stage] / "provenance.json")

    @cached_property
    def results(self) -> pd.DataFrame:
        """Nothing: baselines are measured for the study."""
        return _nothing("results")

    @cached_property
    def faithfulness(self) -> pd.DataFrame:
        """Nothing: measured for the study."""
        return _nothing("faithfulness")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """Nothing: measured for the study."""
        return _nothing("stability")

    @property
    def looked_inside(self) -> bool:
        """Not here: in the study."""
        return False

    @cached_property
    def relevance_budget(self) -> pd.DataFrame:
        """Nothing: measured for the study."""
        return _nothing("relevance_budget")

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Nothing: measured for the study."""
        return _nothing("judged")


def _nothing(name: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype=object) for column in NOT_MEASURED[name]})
