"""What every supervised network offers: features, logits, and settings that build it."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from clusterwhy.config import Settings
from clusterwhy.errors import ConfigError


class Classifier(nn.Module):
    """Windows (window, channel, time) -> logits (window, class), without softmax.

    It uses only modules and operations that `propagation.canonical` has rules for, so that it can be explained.

    Args:
        body: (window, channel, time) -> (window, feature).
        head: (window, feature) -> (window, class).
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    @property
    def n_classes(self) -> int:
        """Number of logits of each window."""
        return [module for module in self.head.modules() if isinstance(module, nn.Linear)][-1].out_features

    def features(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature): the embedding, input of the last linear layer."""
        found: torch.Tensor = self.body(windows)
        return found

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> logits (window, class)."""
        logits: torch.Tensor = self.head(self.features(windows))
        return logits


class ClassifierSettings(Settings, ABC):
    """A choice of `conf/classifier`: builds an untrained classifier for given windows."""

    @abstractmethod
    def build(self, n_channels: int, length: int, n_classes: int) -> Classifier:
        """An untrained classifier.

        Raises:
            ConfigError: windows of `length` samples are too short for this network.
        """


def pooled_length(length: int, strides: list[int], network: str) -> int:
    """Number of steps that strides and pools leave of `length` samples, rounded down each time.

    Raises:
        ConfigError: none is left.
    """
    left = length
    for stride in strides:
        left //= stride
    if left < 1:
        product = 1
        for stride in strides:
            product *= stride
        raise ConfigError(
            network,
            [f"windows of {length} samples are too short: strides and pools divide by {product}; use smaller ones"],
        )
    return left


def convolution(n_inputs: int, n_filters: int, kernel_size: int, stride: int = 1) -> list[tuple[str, nn.Module]]:
    """Convolution, batch norm and ReLU; padded so that the output has length / `stride` steps."""
    left = (kernel_size - stride) // 2
    return [
        ("pad", nn.ConstantPad1d((left, kernel_size - stride - left), 0.0)),
        ("convolution", nn.Conv1d(n_inputs, n_filters, kernel_size, stride=stride, bias=False)),
        ("norm", nn.BatchNorm1d(n_filters)),
        ("relu", nn.ReLU()),
    ]
