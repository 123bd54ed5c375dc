"""Rules of steps without weights, which no composite chooses: means, pooling, distances; and of residual sums."""

from typing import Any

import torch
from torch import nn

from clusterwhy.propagation.composites import ResidualRule
from clusterwhy.propagation.head_layers import SquaredDistances
from clusterwhy.propagation.rules import divide
from clusterwhy.propagation.steps import Step

# of means and sums, in units of their output
NORM_STABILIZER = 1e-12


def share_sum(parts: list[torch.Tensor], arriving: torch.Tensor, residual: ResidualRule) -> list[torch.Tensor]:
    """Share the relevance of a sum among its two summands.

    Sums of values without time, such as the difference of two units of the output, are part of dense layers: they are
    always shared by contribution.
    """
    if residual == "norm_plus" and arriving.ndim > 2:
        parts = [part.clamp(min=0) for part in parts]
    s = divide(arriving, parts[0] + parts[1], NORM_STABILIZER)
    return [(part * s).sum_to_size(part.shape) for part in parts]


def share_mean_or_route(
    step: Step, inputs: list[Any], output: torch.Tensor, arriving: torch.Tensor, winners: torch.Tensor | None
) -> torch.Tensor:
    """Relevance of the first input of a step of the kinds `norm`, `route` and `distance`.

    Args:
        inputs: of the step.
        output: of the step; read for `norm` and `distance`.
        arriving: relevance of the output.
        winners: positions of the greatest inputs, for max pooling.
    """
    module, x = step.module, inputs[0]
    if isinstance(module, SquaredDistances):
        return module.share(x, divide(arriving, output, NORM_STABILIZER))
    if isinstance(module, nn.MaxPool1d):
        planes = x.unsqueeze(2), *pooling_sizes(module), winners
        found: torch.Tensor = torch.ops.aten.max_pool2d_with_indices_backward(arriving.unsqueeze(2), *planes)
        return found.squeeze(2)
    if step.kind != "norm":
        return _gradient(module, inputs, arriving)
    s = divide(arriving, output, NORM_STABILIZER)
    if averages_all_time(module):
        return torch.mul(x, s / x.shape[-1])
    return torch.mul(x, _gradient(module, inputs, s))


def averages_all_time(module: nn.Module) -> bool:
    """Whether a step is the mean over the whole time."""
    return isinstance(module, nn.AdaptiveAvgPool1d) and module.output_size in (1, (1,))


def pooling_sizes(module: nn.MaxPool1d) -> tuple[Any, ...]:
    """Arguments of the 2-D pooling of height 1 that a 1-D one is: kernel, stride, padding, dilation, ceiling."""
    one = [value if isinstance(value, int) else value[0] for value in (module.kernel_size, module.stride)]
    both = [value if isinstance(value, int) else value[0] for value in (module.padding, module.dilation)]
    return (1, one[0]), (1, one[1]), (0, both[0]), (1, both[1]), module.ceil_mode


def _gradient(module: nn.Module, inputs: list[Any], arriving: torch.Tensor) -> torch.Tensor:
    """Gradient of sum(module(inputs) * arriving) with respect to the first input."""
    with torch.enable_grad():
        x = inputs[0].detach().requires_grad_()
        # of a scalar: torch imports sympy, 0.7 s, to compare the shape of any other gradient that is given
        (found,) = torch.autograd.grad((module(x, *inputs[1:]) * arriving).sum(), x)
    return found
