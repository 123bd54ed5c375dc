"""Anomaly scores as networks (window, channel, time) -> (window,), so that relevance of a score adds up to it.

`score_network` builds the network of a fitted detector. A detector whose score has no gradient has none; what is
explained instead is named by `AnomalyTarget.says`.
"""

from dataclasses import dataclass
from functools import singledispatch

from torch import nn

from clusterwhy.anomaly.base import Detector, Fitted
from clusterwhy.anomaly.detectors import (
    ClippedPredictionError,
    MaskedPredictionError,
    MeanAbsoluteZ,
    NearestNeighbours,
    PcaError,
)
from clusterwhy.anomaly.relation_and_prediction import RelationAndPrediction
from clusterwhy.anomaly.relation_and_shape import RelationAndShape
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.score_modules import (
    HiddenErrors,
    MeanAbsolute,
    NeighbourDistance,
    ReconstructionError,
    RelationAndPredictionErrors,
    RelationAndShapeErrors,
    SquaredPredictionError,
    WorstStretch,
)


@dataclass(frozen=True)
class ScoreNetwork:
    """A detector's score as networks.

    Attributes:
        unseen: the score of a window that the detector was not fitted on.
        seen: of one that it was fitted on, where that differs.
    """

    unseen: nn.Module
    seen: nn.Module


@singledispatch
def score_network(detector: Detector, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork | None:
    """The score of a detector as a network; None if it has no gradient (a tree of clusters, random numbers).

    Args:
        series: with the encoder and the embeddings that the detector used.
        fitted: by the detector (`Scores.fitted`).
    """
    return None


@score_network.register
def _(detector: MaskedPredictionError, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    network = SquaredPredictionError(series.encoder, series.length, detector.n_parts, detector.block, fitted["usual"])
    return ScoreNetwork(network, network)


@score_network.register
def _(detector: ClippedPredictionError, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    errors = HiddenErrors(series.encoder, series.length, detector.n_parts, detector.block)
    network = nn.Sequential(errors, WorstStretch(series.length, detector.stretch, fitted["usual"], fitted["limit"]))
    return ScoreNetwork(network, network)


@score_network.register
def _(detector: NearestNeighbours, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    points = series.embeddings[series.index["train"].to_numpy()]
    # a window that was fitted on finds itself first
    ranks = [min(detector.k + own, len(points)) for own in (0, 1)]
    unseen, seen = (nn.Sequential(series.encoder, NeighbourDistance(points, rank)) for rank in ranks)
    return ScoreNetwork(unseen, seen)


@score_network.register
def _(detector: PcaError, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    network = ReconstructionError(fitted["mean"], fitted["components"])
    return ScoreNetwork(network, network)


@score_network.register
def _(detector: MeanAbsoluteZ, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    network = MeanAbsolute()
    return ScoreNetwork(network, network)


@score_network.register
def _(detector: RelationAndShape, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    network = RelationAndShapeErrors(fitted)
    return ScoreNetwork(network, network)


@score_network.register
def _(detector: RelationAndPrediction, series: EmbeddedSeries, fitted: Fitted) -> ScoreNetwork:
    errors = HiddenErrors(series.encoder, series.length, detector.n_parts, detector.block)
    network = RelationAndPredictionErrors(errors, series.length, detector.stretch, fitted)
    return ScoreNetwork(network, network)
