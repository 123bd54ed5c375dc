"""What blocks of random networks are made of: containers, functions as modules, layers with any parameters."""

import random
from collections.abc import Callable

import torch
from torch import nn

# of a chance, the channels and the time of what a block reads; a block from (window, channel, time) to the same axes
Draw = Callable[[random.Random, int, int], nn.Module]


class Apply(nn.Module):
    """A function as a module, traced into."""

    def __init__(self, name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.name, self.function = name, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class Of(nn.Module):
    """A function of values that layers compute from x, traced into.

    Args:
        name: of the function.
        function: of as many values as there are layers.
        layers: each gets x.
    """

    def __init__(self, name: str, function: Callable[..., torch.Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.name, self.function, self.layers = name, function, nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(*[layer(x) for layer in self.layers])


class OverTime(nn.Module):
    """A layer that reads (window, time, channel)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


def containers() -> tuple[type[nn.Module], ...]:
    """What is no operation of its own."""
    return nn.Sequential, nn.ModuleList, nn.Identity, nn.modules.linear.NonDynamicallyQuantizableLinear, OverTime


def chance(rng: random.Random, share: float = 0.5) -> bool:
    return rng.random() < share


def with_any_parameters(module: nn.Module) -> nn.Module:
    """A norm whose weights are not 1 and whose shifts are not 0."""
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=0.3)
    return module


def pointwise(rng: random.Random, n_inputs: int, n_outputs: int) -> nn.Module:
    """A convolution that keeps the length, often of one step."""
    kernel = rng.choice([1, 1, 3])
    return nn.Conv1d(n_inputs, n_outputs, kernel, padding=kernel // 2, bias=chance(rng, 0.7))
