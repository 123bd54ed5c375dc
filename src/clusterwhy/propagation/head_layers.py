"""Layers of target heads that have rules of their own."""

import torch
from torch import nn


class Sum(nn.Module):
    """The sum along an axis, as a module, so that relevance is shared by contribution.

    Args:
        dim: axis.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape without the axis."""
        return values.sum(dim=self.dim)


class RootedLinear(nn.Linear):
    """A linear layer whose contributions count from a root point: w_ji (x_i - root_ji).

    With root points on the decision boundary of each output (w_j root_j + b_j = 0) the bias absorbs
    nothing (Montavon et al. 2017, Taylor decomposition at a root).

    Args:
        weight: (output, input).
        bias: (output,).
        root: (output, input).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, root: torch.Tensor) -> None:
        super().__init__(weight.shape[1], weight.shape[0], device="meta")
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.root = nn.Parameter(root, requires_grad=False)


class SquaredDistances(nn.Module):
    """Squared distances to points, shared among features by their part of the distance.

    Kauffmann et al. 2020, "Towards explaining anomalies: a deep Taylor decomposition of one-class models".

    Args:
        points: (point, feature).
    """

    def __init__(self, points: torch.Tensor) -> None:
        super().__init__()
        self.points = nn.Parameter(points, requires_grad=False)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """(window, feature) -> (window, point)."""
        return ((embedding[:, None] - self.points[None]) ** 2).sum(dim=2)

    def share(self, embedding: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """sum over points of s times (embedding - point) ** 2, (window, feature)."""
        # not as e^2 - 2 e p + p^2, which loses all digits of float32 far from the origin
        return torch.einsum("wp,wpf->wf", s, (embedding[:, None] - self.points[None]) ** 2)


class SoftExtremum(nn.Module):
    """Smooth minimum (or maximum) along an axis; relevance is shared by its weights (Kauffmann et al. 2019, eq. 7).

    Args:
        dim: axis.
        sharpness: of the weights, relative to the mean size of the values: the greater, the harder.
        sign: -1 for a minimum, 1 for a maximum.
    """

    def __init__(self, dim: int, sharpness: float, sign: int) -> None:
        super().__init__()
        self.dim, self.sharpness, self.sign = dim, sharpness, sign

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Weighted mean of the values: between their mean and their extremum."""
        return self.weighted(values, values.detach())

    def weighted(self, values: torch.Tensor, weighed_by: torch.Tensor) -> torch.Tensor:
        """The same with the weights of other values; with `values` twice, gradients pass through the weights, too."""
        size = weighed_by.abs().mean(dim=self.dim, keepdim=True).clamp(min=1e-30)
        weights = torch.softmax(self.sign * self.sharpness * weighed_by / size, dim=self.dim)
        return (weights * values).sum(dim=self.dim)


class MeanOfSmallest(nn.Module):
    """Mean of the k smallest values of (window, point): with squared distances a k-nearest-neighbour score.

    Args:
        k: counted from 1.
        after: of the smallest that do not count; k - 1 leaves the k-th alone.
    """

    def __init__(self, k: int, after: int = 0) -> None:
        super().__init__()
        self.k, self.after = k, after

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(window, point) -> (window,)."""
        return values.topk(self.k, dim=1, largest=False).values[:, self.after :].mean(dim=1)


class Scaled(nn.Module):
    """Values times constants; relevance passes.

    Args:
        factors: broadcast to the values, such as (1, 1, time) for a mask.
    """

    def __init__(self, factors: torch.Tensor) -> None:
        super().__init__()
        self.factors = nn.Parameter(factors, requires_grad=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return values * self.factors
