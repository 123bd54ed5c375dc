"""Parts of anomaly scores as modules, from windows (window, channel, time) or embeddings to errors and scores."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from clusterwhy.anomaly.base import Fitted
from clusterwhy.propagation.head_layers import MeanOfSmallest, Scaled, SquaredDistances
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


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


class StretchErrors(nn.Module):
    """Mean squared error of each channel in its worst stretch, from errors (window, channel, time).

    Args:
        length: samples in one window.
        stretch: neighbouring samples that are averaged.
    """

    def __init__(self, length: int, stretch: int) -> None:
        super().__init__()
        stretches = -(-length // stretch)
        member = (torch.arange(length) // stretch)[None] == torch.arange(stretches)[:, None]
        self.averages = _linear(member / member.sum(dim=1, keepdim=True), torch.zeros(stretches))
        self.worst = nn.MaxPool1d(stretches)
        self.flatten = nn.Flatten()

    def forward(self, errors: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, channel)."""
        worst: torch.Tensor = self.flatten(self.worst(self.averages(errors**2)))
        return worst


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
        n_channels = len(usual)
        self.stretches = StretchErrors(length, stretch)
        most = torch.as_tensor(np.asarray(limit)).float()
        # min(x, most) = most - relu(most - x)
        self.below = _linear(torch.diag(-1.0 / torch.as_tensor(np.asarray(usual)).float()), most)
        self.rectified = nn.ReLU()
        self.mean = _linear(torch.full((1, n_channels), -1.0 / n_channels), most.mean()[None])

    def forward(self, errors: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        score: torch.Tensor = self.mean(self.rectified(self.below(self.stretches(errors))))[:, 0]
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


class RelationErrors(nn.Module):
    """Greatest squared error of a channel in its prediction from all others, in standard deviations of that error.

    Args:
        fitted: by `anomaly.relation_and_shape.relation_model`.
        length: samples in one window.
    """

    def __init__(self, fitted: Fitted, length: int) -> None:
        super().__init__()
        weights = torch.as_tensor(fitted["relation"].T.copy())
        self.relation = nn.Conv1d(len(weights), len(weights), 1)
        self.relation.weight = nn.Parameter(weights[:, :, None].float(), requires_grad=False)
        offset = -(weights @ torch.as_tensor(fitted["mean"])).float()
        self.relation.bias = nn.Parameter(offset, requires_grad=False)
        self.worst = nn.MaxPool1d(length)
        self.flatten = nn.Flatten()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, channel)."""
        worst: torch.Tensor = self.flatten(self.worst(self.relation(windows) ** 2))
        return worst


class ResidualErrors(nn.Module):
    """Mean squared error of each channel that principal components leave.

    Args:
        fitted: with the `residual_mean` and `residual_components` of `anomaly.detectors.PcaError`.
        n_channels: of the windows.
    """

    def __init__(self, fitted: Fitted, n_channels: int) -> None:
        super().__init__()
        length = len(fitted["residual_mean"]) // n_channels
        self.flatten = nn.Flatten()
        self.residual = Residual(fitted["residual_mean"], fitted["residual_components"])
        self.apart = nn.Unflatten(1, (n_channels, length))
        self.averages = _linear(torch.full((1, length), 1.0 / length), torch.zeros(1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, channel)."""
        left: torch.Tensor = self.flatten(self.averages(self.apart(self.residual(self.flatten(windows))) ** 2))
        return left


class LogOverUsual(nn.Module):
    """Mean over channels of log(1 + error / usual).

    Args:
        usual: (channel,).
    """

    def __init__(self, usual: FloatArray) -> None:
        super().__init__()
        self.over_usual = Scaled((1.0 / torch.as_tensor(np.asarray(usual)))[None].float())
        self.mean = _linear(torch.full((1, len(usual)), 1.0 / len(usual)), torch.zeros(1))

    def forward(self, errors: torch.Tensor) -> torch.Tensor:
        """(window, channel) -> (window, 1)."""
        mean: torch.Tensor = self.mean(torch.log1p(self.over_usual(errors)))
        return mean


class RelationAndShapeErrors(nn.Module):
    """The score of `anomaly.relation_and_shape.RelationAndShape`.

    Args:
        fitted: by the detector.
    """

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        _, n_channels, length = fitted["shapes"].shape
        self.relation, self.left = RelationErrors(fitted, length), ResidualErrors(fitted, n_channels)
        self.logs = nn.ModuleList([LogOverUsual(one) for one in fitted["usual"]])
        self.shapes = nn.ParameterList(
            [nn.Parameter(torch.as_tensor(shape).float(), requires_grad=False) for shape in fitted["shapes"]]
        )
        self.flatten = nn.Flatten()
        self.averages = _linear(torch.full((1, length), 1.0 / length), torch.zeros(1))
        self.nearest = MeanOfSmallest(1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        far = [self.logs[1](self.flatten(self.averages((windows - shape) ** 2))) for shape in self.shapes]
        score: torch.Tensor = self.logs[0](self.relation(windows))[:, 0]
        return score + self.nearest(torch.cat(far, dim=1)) + self.logs[2](self.left(windows))[:, 0]


class RelationAndPredictionErrors(nn.Module):
    """The score of `anomaly.relation_and_prediction.RelationAndPrediction`.

    Args:
        errors: of predicting hidden values.
        length: samples in one window.
        stretch: neighbouring samples that are averaged.
        fitted: by the detector.
    """

    def __init__(self, errors: HiddenErrors, length: int, stretch: int, fitted: Fitted) -> None:
        super().__init__()
        self.relation, self.left = RelationErrors(fitted, length), ResidualErrors(fitted, len(fitted["mean"]))
        self.errors, self.stretches = errors, StretchErrors(length, stretch)
        self.logs = nn.ModuleList([LogOverUsual(one) for one in fitted["usual"]])

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        score: torch.Tensor = self.logs[0](self.relation(windows))[:, 0]
        predicted = self.logs[1](self.stretches(self.errors(windows)))[:, 0]
        return score + predicted + self.logs[2](self.left(windows))[:, 0]


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
