"""Which anomalous windows are explained, and by which scalar: choices of `conf/anomalies`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, Fitted
from clusterwhy.config import Settings
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

N_NORMAL = 512  # normal windows that statistics and usual targets are taken from
USUAL = 0.99  # quantile of the targets of normal windows above which one is unusual


@dataclass(frozen=True)
class Detection:
    """What a detector says of each window.

    Attributes:
        scores: (window,) anomaly scores, higher is more anomalous.
        anomalous: (window,) above the threshold.
        threshold: of the scores.
        channels: (window, channel) contributions to the scores, where the detector has them.
        detector: with what it has learned (`fitted`).
        usual: (window,) what the detector's own score was divided by; None: nothing.
    """

    scores: FloatArray
    anomalous: BoolArray
    threshold: float
    channels: FloatArray | None
    detector: Detector
    fitted: Fitted = field(default_factory=dict)
    usual: FloatArray | None = None


@dataclass(frozen=True)
class AnomalyTarget:
    """The scalar that is explained.

    Attributes:
        network: (window, channel, time) -> (window,).
        seen: the same for windows that the detector was fitted on.
        limit: above it a window is unusual.
        says: what it is, in words.
        of_score: True where it is the detector's own score: it is divided by what is usual, and so is its relevance.
    """

    network: "nn.Module"
    seen: "nn.Module"
    limit: float
    says: str
    of_score: bool = False


class AnomalySettings(Settings, ABC):
    """A choice of `conf/anomalies`.

    Explained are the `count` windows with the highest scores, whether they are anomalous or not, and the peak of every
    anomalous segment, of which the `max_alarms` highest; `count: 0` explains none. Each is compared with
    `n_normal_windows` normal windows near it in the embedding, shifted in time by up to `max_shift` (as a share of a
    window) to where they fit best.
    """

    count: int = Field(ge=0)
    max_alarms: int = Field(default=200, ge=0)
    n_normal_windows: int = Field(ge=1)
    max_shift: float = Field(ge=0.0, le=1.0)
    batch_size: int = Field(ge=1)

    @abstractmethod
    def target(self, series: EmbeddedSeries, detection: Detection, normal: IntArray, usual: IntArray) -> AnomalyTarget:
        """What is explained.

        Args:
            normal: positions of all normal windows.
            usual: positions of up to `N_NORMAL` of them.
        """


class DistanceAnomalies(AnomalySettings):
    """Why is it so far from normal windows? Mean squared distance to the k nearest in the embedding."""

    k: int = Field(ge=1)

    def target(self, series: EmbeddedSeries, detection: Detection, normal: IntArray, usual: IntArray) -> AnomalyTarget:
        import torch
        from torch import nn

        from clusterwhy.explanations.target_heads import Distance

        head = Distance(series.embeddings[normal], self.k)
        usual_targets = head(torch.as_tensor(series.embeddings[usual])).numpy()
        network = nn.Sequential(series.encoder, head).eval()
        limit = float(np.quantile(usual_targets, USUAL))
        says = f"the mean squared distance to the {self.k} nearest normal windows in the embedding"
        return AnomalyTarget(network, network, limit, says)


class DetectorAnomalies(DistanceAnomalies):
    """Why is its score so high? The score of the detector itself.

    A score without a gradient is explained by the closest one that has it, the distance to normal windows in the
    embedding. `says` tells so.
    """

    def target(self, series: EmbeddedSeries, detection: Detection, normal: IntArray, usual: IntArray) -> AnomalyTarget:
        from clusterwhy.explanations.score_networks import score_network

        name = type(detection.detector).__name__
        if (networks := score_network(detection.detector, series, detection.fitted)) is None:
            closest = super().target(series, detection, normal, usual)
            says = f"{closest.says}, since the score of {name} has no gradient"
            return AnomalyTarget(closest.network, closest.seen, closest.limit, says)
        unseen, seen = networks.unseen.eval(), networks.seen.eval()
        told_in = "" if detection.usual is None else " (over what is usual in its cluster)"
        says = f"the score of {name} itself{told_in}"
        return AnomalyTarget(unseen, seen, detection.threshold, says, of_score=True)


class MaskedPredictionAnomalies(AnomalySettings):
    """Why is it so badly predicted? Masked-prediction error relative to its usual value, whatever the detector is."""

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)

    def target(self, series: EmbeddedSeries, detection: Detection, normal: IntArray, usual: IntArray) -> AnomalyTarget:
        from clusterwhy.encoders.masked import masked_errors, usual_errors
        from clusterwhy.explanations.score_modules import SquaredPredictionError

        length, starts = series.length, series.starts[usual]
        errors = masked_errors(series.encoder, series.values, starts, length, self.n_parts, self.block, self.batch_size)
        scale = usual_errors(errors)
        network = SquaredPredictionError(series.encoder, length, self.n_parts, self.block, scale).eval()
        limit = float(np.quantile((errors / scale).mean(axis=1), USUAL))
        return AnomalyTarget(
            network, network, limit, "the error of predicting hidden values, relative to its usual value"
        )
