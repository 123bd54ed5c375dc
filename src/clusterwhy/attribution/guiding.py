"""ReLUs that let only positive gradients pass, in place of those of a network."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.operations import Call


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0].clamp(min=0) * (x > 0)


class GuidedRelu(nn.Module):
    """max(x, 0), whose gradient is 0 where it would be negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        guided: torch.Tensor = _Guided.apply(x)
        return guided


def guided(network: nn.Module, windows: torch.Tensor) -> nn.Module:
    """The canonical form of a network with every ReLU guided; computes what the network computes.

    Raises:
        CompositeError: an operation that the canonical form does not know.
    """
    canonical = canonize(network, windows[:2] if len(windows) > 1 else windows.repeat(2, 1, 1))
    for n, step in enumerate(canonical.steps):
        called = isinstance(step.module, Call) and step.module.function in (F.relu, torch.relu, "relu", "relu_")
        if isinstance(step.module, nn.ReLU) or called:
            step.module = canonical.modules_in_order[n] = GuidedRelu()
    return canonical
