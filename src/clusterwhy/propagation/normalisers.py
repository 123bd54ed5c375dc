"""Normalisers whose statistics come from the window itself: layer, group, instance and root-mean-square norms.

Subtracting a mean is linear, the scale is held fixed, and the shift behind it is a bias (Ali et al. 2022, section 3;
Achtibat et al. 2024, proposition 3.4).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.linearised import Linearised, small_change

InstanceNorm = (nn.InstanceNorm1d, nn.InstanceNorm2d)
NORMALISERS = (nn.LayerNorm, nn.GroupNorm, *InstanceNorm, nn.RMSNorm)


class Normaliser(Linearised):
    """y = weight (x - mean) / scale + bias of (window, ...); root-mean-square norms subtract nothing.

    Args:
        norm: one of `NORMALISERS`.

    Raises:
        CompositeError: an instance norm with running statistics, which is no norm of the window.
    """

    def __init__(self, norm: nn.Module, name: str) -> None:
        super().__init__()
        if isinstance(norm, InstanceNorm) and norm.track_running_stats:
            raise CompositeError(
                f"{name}: an instance norm with running statistics has no rule; a batch norm in evaluation mode "
                "computes the same and has one"
            )
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.norm(x)
        return result

    def biases(self, x: torch.Tensor) -> list[torch.Tensor]:
        bias = getattr(self.norm, "bias", None)
        return [] if bias is None else [self.beside(bias.detach(), x)]

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        (x,) = inputs
        shape, axes = self.groups(x)
        grouped = self.centred(x.reshape(shape), axes)
        scale = (grouped.detach() ** 2).mean(axes, keepdim=True)
        made = self._weighed((grouped * (scale + self.epsilon(x.dtype)).rsqrt()).reshape(x.shape))
        return made + biases[0] if biases else made

    def mean_gradients(
        self, here: Sequence[torch.Tensor], there: Sequence[torch.Tensor], arriving: torch.Tensor
    ) -> Sequence[torch.Tensor | None]:
        """In closed form: near spreads of 0 no number of points on the line would do.

        On the line x - mean is p + t d, with p at right angles to d, and its power with eps v = a t^2 + q. The gradient
        g_i v^(-1/2) - x_i sum_j(g_j x_j) / n v^(-3/2) is a sum of t^k v^(-3/2) and v^(-1/2), whose integrals are known.
        """
        (x,), (other,) = here, there
        (shape, axes), (other_shape, _) = self.groups(x), self.groups(other)
        g, eps = self._weighed(arriving).reshape(shape), self.epsilon(x.dtype)
        last, first = self.centred(x.reshape(shape), axes), self.centred(other.reshape(other_shape), axes)

        def mean(values: torch.Tensor) -> torch.Tensor:
            return values.mean(axes, keepdim=True)

        middle, d = (first + last) / 2.0, last - first
        v, a = mean(middle**2) + eps, mean(d**2)
        small = a <= small_change(x) * v
        at_middle = g * v.rsqrt() - middle * mean(g * middle) * v**-1.5
        a = a.masked_fill(small, 1.0)
        start = mean(first * d) / a
        p, stop = first - start * d, start + 1.0
        q = mean(p**2) + eps
        root, stop_root = (a * start**2 + q).sqrt(), (a * stop**2 + q).sqrt()
        # integrals of v^(-1/2) and of t^k v^(-3/2)
        of_root = (torch.asinh(stop * (a / q).sqrt()) - torch.asinh(start * (a / q).sqrt())) / a.sqrt()
        k0, k1 = (stop / stop_root - start / root) / q, (1.0 / root - 1.0 / stop_root) / a
        k2 = (of_root - q * k0) / a
        gp, gd = mean(g * p), mean(g * d)
        found = g * of_root - p * (gp * k0 + gd * k1) - d * (gp * k1 + gd * k2)
        return (self.centred(torch.where(small, at_middle, found), axes).reshape(x.shape),)

    def _weighed(self, x: torch.Tensor) -> torch.Tensor:
        weight = getattr(self.norm, "weight", None)
        return x if weight is None else x * self.beside(weight.detach(), x)

    def centred(self, grouped: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        """Members less the mean of their group, which a root-mean-square norm leaves in."""
        return grouped if isinstance(self.norm, nn.RMSNorm) else grouped - grouped.mean(axes, keepdim=True)

    def epsilon(self, dtype: torch.dtype) -> float:
        """What is added to the mean of squares."""
        own: Any = self.norm
        return torch.finfo(dtype).eps if own.eps is None else float(own.eps)

    def groups(self, x: torch.Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A shape of x and its axes that share their statistics."""
        norm = self.norm
        if isinstance(norm, nn.LayerNorm | nn.RMSNorm):
            return tuple(x.shape), tuple(range(x.ndim - len(norm.normalized_shape), x.ndim))
        n_groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else x.shape[1]
        return (len(x), n_groups, -1), (2,)

    def beside(self, values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Weights or biases in the shape that they have beside one window of x."""
        if isinstance(self.norm, nn.LayerNorm | nn.RMSNorm):
            return values.reshape(*[1] * (x.ndim - 1 - values.ndim), *values.shape)
        return values.reshape(-1, *[1] * (x.ndim - 2))
