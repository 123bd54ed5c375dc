"""Anomaly scores as networks (window, channel, time) -> (window,), so that relevance of a score adds up to it.

`score_network` builds the network of a fitted detector. A detector whose score has no gradient has none; what is
explained instead is named by `AnomalyTarget.says`.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from clusterwhy.anomaly.base import Detector, Fitted
from clusterwhy.anomaly.detectors import (
    ClippedPredictionError,
    MaskedPredictionError,
    MeanAbsoluteZ,
    NearestNeighbours,
    PcaError,
)
from clusterwhy.anomaly.relation_and_shape import RelationAndShape
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.propagation.head_layers import MeanOfSmallest, Scaled, SquaredDistances
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


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


class HiddenErrors(nn.Module):
    """Errors of an encoder in predicting hidden values: predicted less true, (window, channel, time).

    Time is hidden in `n_parts` interleaved blocks, one after the other, so that each value is predicted once.

    Args:
        encoder: has `predict`, (window, channel, time) with 0 where values are hidden -> the same shape.
        length: samples in one window.
    """

    def __init__(self, encoder: "MaskedEncoder", length: int, n_parts: int, block: int) -> None:
        super().__init__()
        part = torch.arange(length) // block % n_parts
        self.encoder: MaskedEncoder = encoder
        self.seen = nn.ModuleList([Scaled((part != p).float()[None, None]) for p in range(n_parts)])
        self.hidden = nn.ModuleList([Scaled((part == p).float()[None, None]) for p in range(n_parts)])

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        errors = [
            hidden(self.encoder.predict(seen(windows)) - windows)
            for seen, hidden in zip(self.seen, self.hidden, strict=True)
        ]
        wrong = errors[0]
        for error in errors[1:]:  # no value is hidden twice
            wrong = wrong + error
        return wrong


class SquaredPredictionError(nn.Module):
    """The score of `anomaly.detectors.MaskedPredictionError`: squared errors relative to the usual one of a channel.

    Args:
        encoder, length, n_parts, block: as in `HiddenErrors`.
        usual: (channel,) mean squared error of normal windows.
    """

    def __init__(self, encoder: "MaskedEncoder", length: int, n_parts: int, block: int, usual: FloatArray) -> None:
        super().__init__()
        self.errors = HiddenErrors(encoder, length, n_parts, block)
        weights = (torch.as_tensor(np.asarray(usual)).float() * len(usual) * length) ** -0.5
        self.weighted = Scaled(weights[None, :, None])
        self.flatten = nn.Flatten()
        self.squares = SquaredDistances(torch.zeros(1, len(usual) * length))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        squared: torch.Tensor = self.squares(self.flatten(self.weighted(self.errors(windows))))[:, 0]
        return squared


class WorstStretch(nn.Module):
    """The score of `anomaly.detectors.ClippedPredictionError`, from errors (window, channel, time).

    Args:
        length: samples in one window.
        stretch: neighbouring samples that are averaged.
        usual: (channel,) what a channel's error in its worst stretch is divided by.
        limit: (channel,) the most that a channel may contribute after that.
    """

    def __init__(self, length: int, stretch: int, usual: FloatArray, limit: FloatArray) -> None:
        super().__init__()
        n_channels, stretches = len(usual), -(-length // stretch)
        member = (torch.arange(length) // stretch)[None] == torch.arange(stretches)[:, None]
        self.averages = _linear(member / member.sum(dim=1, keepdim=True), torch.zeros(stretches))
        self.worst = nn.MaxPool1d(stretches)
        self.flatten = nn.Flatten()
        most = torch.as_tensor(np.asarray(limit)).float()
        # min(x, most) = most - relu(most - x)
        self.below = _linear(torch.diag(-1.0 / torch.as_tensor(np.asarray(usual)).float()), most)
        self.rectified = nn.ReLU()
        self.mean = _linear(torch.full((1, n_channels), -1.0 / n_channels), most.mean()[None])

    def forward(self, errors: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        worst = self.flatten(self.worst(self.averages(errors**2)))
        score: torch.Tensor = self.mean(self.rectified(self.below(worst)))[:, 0]
        return score


class NeighbourDistance(nn.Module):
    """Distance of an embedding to the k-th nearest of some points.

    Args:
        points: (point, feature).
        k: counted from 1.
    """

    def __init__(self, points: FloatArray, k: int) -> None:
        super().__init__()
        self.distances = SquaredDistances(torch.as_tensor(np.asarray(points)).float())
        self.nearest = MeanOfSmallest(k, after=k - 1)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(window, feature) -> (window,)."""
        distance: torch.Tensor = self.nearest(self.distances(embedding)) ** 0.5
        return distance


class Residual(nn.Module):
    """What principal components leave of a flat window.

    Args:
        mean: (channel x time,).
        components: (component, channel x time), orthonormal.
    """

    def __init__(self, mean: FloatArray, components: FloatArray) -> None:
        super().__init__()
        axes, centre = torch.as_tensor(np.asarray(components)).float(), torch.as_tensor(np.asarray(mean)).float()
        self.inwards = _linear(axes, -(axes @ centre))
        self.outwards = _linear(axes.T.contiguous(), centre)

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        """(window, channel x time) -> the same shape."""
        return flat - self.outwards(self.inwards(flat))


class ReconstructionError(nn.Module):
    """Mean squared error of reconstructing a window from principal components.

    Args:
        mean: (channel x time,).
        components: (component, channel x time), orthonormal.
    """

    def __init__(self, mean: FloatArray, components: FloatArray) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.residual = Residual(mean, components)
        self.squares = SquaredDistances(torch.zeros(1, len(mean)))
        self.mean = Scaled(torch.tensor(1.0 / len(mean)))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        squared: torch.Tensor = self.mean(self.squares(self.residual(self.flatten(windows)))[:, 0])
        return squared


class RelationAndShapeErrors(nn.Module):
    """The score of `anomaly.relation_and_shape.RelationAndShape`.

    Args:
        fitted: by the detector.
    """

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        weights = torch.as_tensor(fitted["relation"].T.copy())
        length, usual = fitted["shapes"].shape[2], torch.as_tensor(fitted["usual"])
        self.relation = nn.Conv1d(len(weights), len(weights), 1)
        self.relation.weight = nn.Parameter(weights[:, :, None].float(), requires_grad=False)
        offset = -(weights @ torch.as_tensor(fitted["mean"])).float()
        self.relation.bias = nn.Parameter(offset, requires_grad=False)
        self.worst = nn.MaxPool1d(length)
        self.flatten = nn.Flatten()
        self.over_usual = nn.ModuleList([Scaled((1.0 / one)[None].float()) for one in usual])
        self.shapes = nn.ParameterList(
            [nn.Parameter(torch.as_tensor(shape).float(), requires_grad=False) for shape in fitted["shapes"]]
        )
        self.averages = _linear(torch.full((1, length), 1.0 / length), torch.zeros(1))
        self.mean = _linear(torch.full((1, len(weights)), 1.0 / len(weights)), torch.zeros(1))
        self.nearest = MeanOfSmallest(1)
        self.residual = Residual(fitted["residual_mean"], fitted["residual_components"])
        self.apart = nn.Unflatten(1, (len(weights), length))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        relation = self.flatten(self.worst(self.relation(windows) ** 2))
        far = [
            self.mean(torch.log1p(self.over_usual[1](self.flatten(self.averages((windows - shape) ** 2)))))
            for shape in self.shapes
        ]
        left = self.flatten(self.averages(self.apart(self.residual(self.flatten(windows))) ** 2))
        score: torch.Tensor = self.mean(torch.log1p(self.over_usual[0](relation)))[:, 0]
        return score + self.nearest(torch.cat(far, dim=1)) + self.mean(torch.log1p(self.over_usual[2](left)))[:, 0]


class MeanAbsolute(nn.Module):
    """Mean |value| of a window."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        return windows.abs().mean(dim=(1, 2))


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    made.bias = nn.Parameter(bias.float(), requires_grad=False)
    return made
