"""Copies of layers: with other weights, or without the hooks of the original."""

from typing import Any

import torch
from torch import nn


def convolution(like: nn.Conv1d, weight: torch.Tensor, bias: torch.Tensor | None, padding: Any) -> nn.Conv1d:
    """A convolution like another one, with other weights and padding."""
    keys: Any = {"stride": like.stride, "padding": padding, "dilation": like.dilation, "groups": like.groups}
    kernel: Any = like.kernel_size
    made = nn.Conv1d(like.in_channels, like.out_channels, kernel, bias=bias is not None, device="meta", **keys)
    return _with_weights(made, weight, bias)


def plane_convolution(
    like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor | None, padding: tuple[int, int]
) -> nn.Conv2d:
    """A convolution over planes like another one, with other weights and padding."""
    keys: Any = {"stride": like.stride, "padding": padding, "dilation": like.dilation, "groups": like.groups}
    kernel: Any = like.kernel_size
    made = nn.Conv2d(like.in_channels, like.out_channels, kernel, bias=bias is not None, device="meta", **keys)
    return _with_weights(made, weight, bias)


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """A dense layer with weights (output, input) and biases (output,)."""
    return _with_weights(nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta"), weight, bias)


def _with_weights(module: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    module.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias, requires_grad=False)
    return module


def with_windows_first(layer: Any) -> Any:
    """A copy of a recurrent layer or of attention, with the same weights, that reads (window, time, feature)."""
    made: Any = without_hooks(layer)
    made.batch_first = True
    return made


def without_hooks(module: nn.Module) -> nn.Module:
    """A copy without the hooks of the original: each call of a shared module is a step of its own."""
    made: Any = module.__class__.__new__(module.__class__)
    made.__dict__.update(module.__dict__)
    for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
        made.__dict__[name] = type(module.__dict__[name])()
    if getattr(made, "inplace", False):
        made.inplace = False
    own: nn.Module = made
    return own
