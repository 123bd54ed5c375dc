"""`Study`: a finished study, or one applied to a new recording, in a few lines of Python."""

import shutil
import sys
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from clusterwhy.annotations.annotated import Sources
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.artifacts.store import read_json, read_table
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.compute.threads import configure_threads
from clusterwhy.compute.workers import AUTO, Workers
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import ArtifactError, DataError
from clusterwhy.report.annotations import event_table, segment_table
from clusterwhy.report.application_results import ApplicationResults
from clusterwhy.report.stored_results import STAGES
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study import tables, views
from clusterwhy.study.applied import applied_to
from clusterwhy.study.comparison.comparing import Comparison, compared
from clusterwhy.study.comparison.sides import Side
from clusterwhy.study.explained import ExplainedWindows, choices
from clusterwhy.study.frames import series_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, FigureWidget

    from clusterwhy.explanations.embedded_series import Clustered, EmbeddedSeries

STANDARD = ApplicationSettings()


@dataclass(frozen=True)
class Study:
    """A finished study: `Study.load("artifacts")`.

    Attributes:
        results: its artifacts, for whatever has no table here.
        fitted: what it has learned.
    """

    results: StudyResults
    fitted: FittedStudy

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The study that `dvc repro` made in a folder, usually `artifacts`.

        Names and events are those of `annotations.yaml` and `events.csv` beside the folder, where there are such files.

        Raises:
            ArtifactError: lists what is missing or not valid, stage by stage.
            DataError: lists what is wrong with names and events.
        """
        if "torch" not in sys.modules:
            configure_threads()
        artifacts, sizes = Path(folder), dict[str, Any]()
        if (artifacts / "new").is_dir():
            raise ArtifactError(f"{folder} is of an application: load the study, then `study.application({folder!r})`")
        faults = []
        for stage in STAGES:
            try:
                check_folder(stage, artifacts / stage, sizes)
            except ArtifactError as error:
                faults.append(str(error))
        if faults:
            raise ArtifactError("\n".join(faults))
        results = StudyResults.of(artifacts, Sources.beside(artifacts))
        _ = results.annotated
        return cls(results, FittedStudy(artifacts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.results.data.card.name!r}: {self.results.headline})"

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row per window: times, cluster, score, leading channel (`tables.windows`)."""
        return tables.windows(self.results)

    @cached_property
    def window_channels(self) -> pd.DataFrame:
        """(explained window, channel) relevance, summed over time."""
        return tables.window_channels(self.results)

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """One row per cluster: size, times, stability, leading channels (`tables.clusters`)."""
        return tables.clusters(self.results)

    @cached_property
    def channels(self) -> pd.DataFrame:
        """One row per cluster and channel: relevance with its interval, how the channel differs (`tables.channels`)."""
        return tables.channels(self.results)

    @cached_property
    def anomalies(self) -> pd.DataFrame:
        """One row per anomalous segment: times, score, leading channels (`tables.anomalies`)."""
        return tables.anomalies(self.results)

    @cached_property
    def patterns(self) -> pd.DataFrame:
        """One row per pattern of alarms that are alike (`tables.patterns`)."""
        return tables.patterns(self.results)

    @property
    def hidden_groups(self) -> pd.DataFrame:
        """One row per group inside a cluster that a single channel tells apart (`explanations.hidden_groups`)."""
        return self.results.hidden_groups

    @cached_property
    def motifs(self) -> pd.DataFrame:
        """Motifs and discords of each channel, where the detector is a matrix profile (`tables.motifs`)."""
        return tables.motifs(self.results)

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """One row per recording or group: times, windows, shares of anomalies, noise and clusters; none without."""
        return tables.recordings(self.results)

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row per name of events: its windows, and the share of its time in each cluster (`event_table`)."""
        return event_table(self.results).set_index("name")

    @cached_property
    def segments(self) -> pd.DataFrame:
        """One row per named segment of time: its name, note, start and end (`segment_table`)."""
        return segment_table(self.results)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The score of each sample, by time."""
        return tables.scores(self.results)

    @property
    def threshold(self) -> float:
        """Windows with a higher score are anomalous."""
        return self.results.threshold

    def relevance(
        self, windows: Sequence[int], method: str | None = None, composite: str | None = None
    ) -> ExplainedWindows:
        """Why windows belong to their clusters, each explained on its own; of noise, what keeps it out of the nearest.

        Args:
            windows: ids, as in the index of `self.windows`; any order, repeats are allowed.
            method: a name of `list_methods()`, with or without parameters; None: as the study, by all of its encoders.
            composite: `"epsilon_gamma"` is short for the method `"lrp_epsilon_gamma"`: LRP of the windows.

        Raises:
            DataError: unknown windows, or windows of a cluster that was not explained.
            MethodError: no such method, with similar names, or a method and a composite.
        """
        from clusterwhy.explanations.settings import ExplanationSettings
        from clusterwhy.explanations.single_windows import explain_chosen
        from clusterwhy.explanations.storage import known_windows

        rows = self._rows(windows)
        series, replicates, new = self._explaining
        settings = ExplanationSettings.of(self.fitted.settings | choices(method, composite))
        labels = self.fitted.clusters.labels
        sizes = known_windows(self.fitted.artifacts / "explain").target_sizes
        table, values = explain_chosen(series, labels, rows, settings, sizes, replicates, new)
        table.insert(1, "cluster", np.asarray(self.results.labels)[rows])
        data = self.results.data
        signals = windows_at(data.values, data.starts[rows], data.length)
        return ExplainedWindows(table, values, signals, data.channels, 1.0 / data.card.rate_hz)

    @cached_property
    def _explaining(self) -> "tuple[EmbeddedSeries, list[EmbeddedSeries], Clustered | None]":
        """The fitted windows, by each encoder, and new windows to explain in their place."""
        from clusterwhy.explanations.embedded_series import EmbeddedSeries

        folder = self.fitted.artifacts
        series = EmbeddedSeries.of(self.fitted.data, self.fitted.encoder(), self.fitted.embeddings)
        return series, series.replicates(folder / "train", folder / "embed"), None

    def _rows(self, windows: Sequence[int]) -> np.ndarray:
        known, asked = pd.Index(self.results.data.index["window"]), np.asarray(windows)
        expected = f"expected ids of `study.windows` ({known[0]} to {known[-1]})"
        if asked.size and (asked.ndim != 1 or asked.dtype.kind not in "iu"):
            raise DataError("windows", [f"{expected}, got {asked.dtype} of shape {asked.shape}"])
        rows = known.get_indexer(asked)
        if not len(rows) or (rows < 0).any():
            wrong = asked[rows < 0][:5].tolist()
            raise DataError("windows", [f"{expected}, got {wrong if wrong else 'none'}"])
        return rows

    def apply(
        self,
        frame: pd.DataFrame,
        name: str = "new data",
        out: Path | str | None = None,
        settings: ApplicationSettings = STANDARD,
        workers: Workers = AUTO,
    ) -> "AppliedStudy":
        """Place, score and explain a new recording, without training (`python -m pipeline.apply` for files).

        Args:
            frame: one column per channel of the study. Its index are dates, or seconds (floats), or a plain range:
                samples at the study's rate. It is read with the study's policies.
            name: of the recording.
            out: an empty or new folder for the artifacts; None: a temporary one, which goes with the result.
            settings: what still counts as known, and whether missing channels are masked.
            workers: where it is computed.

        Raises:
            DataError: lists every fault of the table, missing and added channels; or `out` is not empty.
        """
        card, dataset = self.fitted.data.card, self.fitted.settings["dataset"]
        units = dict(zip(card.channels, card.units, strict=True))
        series = series_of(frame, name, dataset, card.rate_hz, units)
        folder = Path(mkdtemp(prefix="clusterwhy-") if out is None else out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(str(folder), ["the folder is not empty: name a new one"])
        try:
            found = AppliedStudy(
                applied_to(self.fitted, series, folder, settings, workers, self.results.sources), self.fitted
            )
        except BaseException:
            if out is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if out is None:
            weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
        if found.masking:
            warnings.warn(found.masking, stacklevel=2)
        return found

    def application(self, folder: Path | str) -> "AppliedStudy":
        """What `apply` or `python -m pipeline.apply` wrote into a folder.

        Raises:
            ArtifactError: it is not an application.
        """
        if not (Path(folder) / "new").is_dir():
            raise ArtifactError(f"{folder} is not the folder of an application: it has no folder `new`")
        return AppliedStudy(
            ApplicationResults.in_folder(Path(folder), self.fitted.artifacts, self.results.sources), self.fitted
        )

    def compare(self, other: "Study", workers: Workers = AUTO) -> Comparison:
        """This study beside another one, or an application beside another: clusters, channels, alarms, figures.

        Its `clusters`, `overlap`, `channels`, `anomalies`, `metrics` and `settings` are DataFrames in which this study
        is A and the other one is B (`python -m pipeline.compare` for a page).

        Args:
            other: a study or application with the same channels.
            workers: where windows of the other one are embedded, if it has read another recording.

        Raises:
            DataError: lists what makes them not comparable.
        """
        return compared(self.side, other.side, workers)

    @property
    def side(self) -> Side:
        """What `compare` takes."""
        return Side(self.results, self.fitted)

    def projection(self, colour: str = "cluster") -> "Figure":
        """The windows in the projection, coloured by `cluster`, `score` or `time`."""
        return views.projection(self.results, colour)

    def lasso(self, colour: str = "cluster") -> "FigureWidget":
        """The same in a notebook, where a lasso selects windows: their ids are `.selected` of the figure.

        Needs `pip install "clusterwhy[notebook]"`.
        """
        from clusterwhy.study.lasso import lasso

        return lasso(self.results, colour)

    def series(self) -> "Figure":
        """Every channel, the clusters, the score and the threshold on one time axis."""
        return views.series(self.results)

    def window(self, window: int) -> "Figure":
        """Relevance of one window (channel, time), in per cent of its |relevance|, as the study has stored it."""
        return views.window(self.results, window)

    def cluster(self, cluster: int) -> "Figure":
        """Mean relevance of a cluster's explained windows (channel, time)."""
        return views.cluster(self.results, cluster)

    def summary(self, cluster: int) -> views.ClusterSummary:
        """Size, times, stability and channels of a cluster, which a notebook shows as a table."""
        return views.summary(self.results, cluster)


@dataclass(frozen=True, repr=False)
class AppliedStudy(Study):
    """A study applied to a new recording; its tables are about the new windows."""

    @property
    def checks(self) -> pd.DataFrame:
        """Sensors that fail a check: one row per `channel` and `check`, with what it `says`."""
        return self._new("checks.csv")

    @property
    def masking(self) -> str:
        """What it costs that missing channels are masked, in words; "" if none is missing."""
        assert isinstance(self.results, ApplicationResults)
        return str(read_json(self.results.out / "new" / "masking.json").get("says", ""))

    @property
    def drift(self) -> pd.DataFrame:
        """How far each channel and the embedding have moved from the study's `reference`, with an interval."""
        return self._new("drift.csv")

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per new window: the candidate for a new state that it belongs to, -1 for none."""
        return self._new("windows.parquet")

    def _new(self, name: str) -> pd.DataFrame:
        assert isinstance(self.results, ApplicationResults)
        return read_table(self.results.out / "new" / name)

    @cached_property
    def _explaining(self) -> "tuple[EmbeddedSeries, list[EmbeddedSeries], Clustered | None]":
        from clusterwhy.explanations.embedded_series import Clustered

        series, replicates, _ = super()._explaining
        data, found = self.results.data, self.results
        new = replace(series, values=data.scaled, index=data.index, embeddings=np.asarray(found.embeddings))
        return series, replicates, Clustered(new, np.asarray(found.labels), found.strengths)
