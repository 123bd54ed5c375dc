"""What JSON artifacts hold: their entries, as far as later stages read them, validated without type conversions."""

from itertools import pairwise
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from clusterwhy.artifacts.names import MOST_CHARACTERS, name_faults


class Card(BaseModel):
    """A JSON object: the entries that later stages read, validated without type conversions."""

    model_config = ConfigDict(strict=True, frozen=True)


# no text: figures are found by the numbers of clusters and windows
FIGURES = dict[str, int | float | list[int] | None]


class NormalPeriod(Card):
    """The known-good period of a series.

    Attributes:
        says: which period it is, in words.
        spans: (first sample, sample after the last) of each of its parts, in order and without overlap.
    """

    says: str
    spans: list[list[int]] = Field(min_length=1)

    @field_validator("says")
    @classmethod
    def _printable(cls, says: str) -> str:
        parts = [says[i : i + MOST_CHARACTERS] for i in range(0, len(says), MOST_CHARACTERS)]
        if wrong := name_faults("period", parts):
            raise ValueError(wrong)
        return says

    @field_validator("spans")
    @classmethod
    def _in_order(cls, spans: list[list[int]]) -> list[list[int]]:
        ends = [end for span in spans for end in span]
        if any(len(span) != 2 for span in spans) or min(ends) < 0 or any(b <= a for a, b in pairwise(ends)):
            raise ValueError("entry 'normal': expected spans [first sample, sample after the last] in increasing order")
        return spans


class SeriesCard(Card):
    """`series.json`: how a prepared series is named, sampled, cut and scaled.

    Attributes:
        units: of each channel, "" where unknown.
        group_names: None for a series without groups.
        notes: what the reader changed or noticed.
        length, stride: of the windows, in samples; of windows around beats, `stride` is the usual distance of two
            beats, at most the length.
        before: samples of each window before the beat that it is around; None: windows follow each other by `stride`.
        train_stop: samples before this one are the training span, unless `normal` says which are.
        segments: first sample of each contiguous segment.
        constant_channels: names of the channels that are constant in the training span.
        centre, scale: of each channel, as subtracted and divided by.
        normal: the known-good period, None without one.
        repeats: how long a window is beside what repeats in the recording, in words; "" where nothing does.
    """

    name: str
    channels: list[str]
    units: list[str]
    rate_hz: float = Field(gt=0.0, allow_inf_nan=False)
    label_names: list[str]
    group_names: list[str] | None = None
    notes: list[str]
    length: int = Field(ge=1)
    stride: int
    before: int | None = Field(default=None, ge=0)
    train_stop: int
    segments: list[int]
    constant_channels: list[str]
    centre: list[float]
    scale: list[float]
    normal: NormalPeriod | None = None
    repeats: str = ""

    @property
    def fitted_spans(self) -> list[list[int]]:
        """(first sample, sample after the last) of each part that fits the scaler, the encoder and the detectors."""
        return [[0, self.train_stop]] if self.normal is None else self.normal.spans

    @field_validator("channels", "units", "label_names", "group_names")
    @classmethod
    def _printable(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        kind = str(info.field_name).removesuffix("_names").removesuffix("s")
        if wrong := name_faults(kind, names or []):
            raise ValueError(wrong)
        return names

    @model_validator(mode="after")
    def _one_of_each_channel(self) -> Self:
        if {len(self.units), len(self.centre), len(self.scale)} != {len(self.channels)}:
            raise ValueError(f"expected units, centre and scale of {len(self.channels)} channels")
        return self


class EncoderRecord(Card):
    """`encoder.json`, as far as stages that load no weights need it."""

    encoder: dict[str, Any]
    n_channels: int
    length: int


class ClusterSummary(Card):
    """`summary.json`: one record per cluster, and the runs of each cluster in time."""

    clusters: list[FIGURES]
    timeline: list[FIGURES]


class AnomalousSegments(Card):
    """`segments.json`: the threshold of the score, what it is in words, and the segments above it.

    Attributes:
        usual: by how much the detector's score of a window was divided, for each cluster, -1 for all others; empty for
            scores as they are.
        relative_to: what scores are relative to, in words.
    """

    threshold: float
    says: str = ""
    usual: dict[str, float] = {}
    relative_to: str = ""
    segments: list[FIGURES]


class ExplainedClusters(Card):
    """`clusters.json`: the clusters that were explained, and how similar the relevance of their windows is.

    Attributes:
        target_sizes: of each cluster, the mean size of its target by each encoder.
        losses: sentences about lost relevance, for the page.
        why_none: why no cluster is explained; "" if some are.
    """

    clusters: list[int]
    agreements: dict[str, float | None]
    target_sizes: dict[str, list[float]]
    losses: list[str] = []
    why_none: str = ""


class ExplainedAnomalies(Card):
    """`anomalies.json`: what is explained of anomalies, in words ("" if nothing is), and how many alarms there are.

    Attributes:
        why_none: why no anomaly is explained; "" if some are.
    """

    target: str
    n_alarms: int = Field(ge=0)
    why_none: str = ""


class ExplainedWindows(Card):
    """`windows.json`: of how many windows some were explained, and sentences about lost relevance, for the page."""

    n_windows: int
    losses: list[str]
