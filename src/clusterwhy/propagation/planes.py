"""Convolutions over planes, and transposed ones, with parts of their weights: by torch's own operations."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv2d_input

from clusterwhy.propagation.linear_operation import LinearOperation

PLANES = (nn.Conv2d, nn.ConvTranspose1d)


class PlaneOperation(LinearOperation):
    """`nn.Conv2d` of (window, map, height, time) and `nn.ConvTranspose1d`, as `LinearOperation`."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.stackable, self.axis, self.plane = False, 1, module

    def forward(self, x: torch.Tensor, key: str = "w", bias: torch.Tensor | None = None) -> torch.Tensor:
        module, weight = self.plane, self.part(key)
        if isinstance(module, nn.ConvTranspose1d):
            sizes: Any = (module.stride, module.padding, module.output_padding, module.groups, module.dilation)
            return F.conv_transpose1d(x, weight, bias, *sizes)
        return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation, module.groups)

    def transpose(self, s: torch.Tensor, key: str, like: torch.Tensor) -> torch.Tensor:
        module, weight = self.plane, self.part(key)
        if isinstance(module, nn.ConvTranspose1d):
            found = F.conv1d(s, weight, None, module.stride, module.padding, module.dilation, module.groups)
            return found[:, :, : like.shape[2]]
        shape = (len(s), *like.shape[1:])
        sizes = (module.stride, module.padding, module.dilation, module.groups)
        return conv2d_input(shape, weight, s, *sizes)

    def add_bias(self, z: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return z if bias is None else z + bias.reshape(-1, *[1] * (z.ndim - 2))

    def dot(self, bias: torch.Tensor | None, s: torch.Tensor) -> torch.Tensor:
        return s.new_zeros(len(s)) if bias is None else s.flatten(2).sum(dim=2) @ bias


def operation_of(module: Any) -> LinearOperation:
    """A linear layer for parts of its weights."""
    return PlaneOperation(module) if isinstance(module, PLANES) else LinearOperation(module)
