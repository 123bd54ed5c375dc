"""Multipliers of differences through steps of several signals, in closed form where there is one.

A difference of a product is exact at the middle, that of a square too, and norms and quotients have mean gradients in
closed form. A quotient whose divisor changes its sign, where the line meets a pole, has the secant of 1 / divisor (the
chain rule of multipliers, Shrikumar et al. 2017, eq. 3).
"""

from typing import Any

import torch
from torch import nn

from clusterwhy.propagation.linearised import Linearised, Product, Quotient
from clusterwhy.propagation.spectral import SpectralStep
from clusterwhy.propagation.statistics_builders import Variance

Pair = tuple[torch.Tensor, torch.Tensor]
# shares of a line and their weights at which mean gradients of polynomials up to degree 3 are exact (Gauss, Legendre)
GAUSS = ((0.5 - 12**-0.5, 0.5), (0.5 + 12**-0.5, 0.5))


def _points_on_line(module: nn.Module, count: int) -> tuple[tuple[float, float], ...]:
    """Where on a line to take the mean gradient of a step, as (share, weight); `count` points if it is not exact."""
    linear = isinstance(module, SpectralStep) and module.module.is_linear
    if linear or isinstance(module, Variance) or (isinstance(module, Product) and len(module.signals) < 3):
        return ((0.5, 1.0),)
    if isinstance(module, Product):
        return GAUSS
    return tuple(((k + 0.5) / count, 1.0 / count) for k in range(count))


def of_mixed(
    module: nn.Module, inputs: list[tuple[Any, Any]], data: list[bool], arriving: torch.Tensor, n_path: int
) -> list[torch.Tensor | None]:
    """Multipliers of the inputs of a step from those of its output; None of constants.

    Args:
        module: of the step.
        inputs: both values of each input.
        data: which of them depend on the windows.
        arriving: multipliers of the output.
        n_path: points on the line between both values, where there is no closed form.
    """
    if isinstance(module, Linearised) and all(data):
        known = module.mean_gradients([a for a, _ in inputs], [b for _, b in inputs], arriving)
        if known is not None:
            return list(known)
    if isinstance(module, Quotient) and all(data):
        return list(_of_quotient(inputs[0], inputs[1], arriving))
    ends = [
        (a.to(arriving), b.to(arriving)) if is_data else (a, b) for (a, b), is_data in zip(inputs, data, strict=True)
    ]
    moving = [i for i, is_data in enumerate(data) if is_data]
    total: list[Any] = [0.0 if is_data else None for is_data in data]
    for share, weight in _points_on_line(module, n_path):
        points = [
            (b + share * (a - b)).requires_grad_() if is_data else a for (a, b), is_data in zip(ends, data, strict=True)
        ]
        with torch.enable_grad():
            found = torch.autograd.grad((module(*points) * arriving).sum(), [points[i] for i in moving])
        for i, gradient in zip(moving, found, strict=True):
            total[i] = total[i] + gradient * weight
    return total


def _of_quotient(x: Pair, by: Pair, arriving: torch.Tensor) -> list[torch.Tensor]:
    """Multipliers of numerator and denominator of x / by, from those of the quotient."""
    inverse = 1.0 / by[0], 1.0 / by[1]
    of_x = arriving * (inverse[0] + inverse[1]) / 2.0
    of_by = -arriving * (x[0] + x[1]) / 2.0 * inverse[0] * inverse[1]
    return [of_x.sum_to_size(x[0].shape), of_by.sum_to_size(by[0].shape)]
