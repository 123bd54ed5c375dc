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
from clusterwhy.propagation.linearised import Linearised

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
        made = (grouped * (scale + self.epsilon(x.dtype)).rsqrt()).reshape(x.shape)
        weight = getattr(self.norm, "weight", None)
        if weight is not None:
            made = made * self.beside(weight.detach(), x)
        return made + biases[0] if biases else made

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
