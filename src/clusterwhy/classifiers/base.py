"""What every supervised network offers: features, logits, and settings that build it."""

from abc import ABC, abstractmethod

import torch
from torch import nn

from clusterwhy.config import Settings
from clusterwhy.errors import ConfigError


class Classifier(nn.Module):
    """Windows (window, channel, time) -> logits (window, class), without softmax.

    Only modules and operations that `relevance.canonical` has rules for, none of which depends on the number of
    windows, so that the network can be explained.

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
        """Logits of each window: outputs of the last linear layer."""
        return [module for module in self.head.modules() if isinstance(module, nn.Linear)][-1].out_features

    def features(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature): what the last linear layer reads; the embedding."""
        found: torch.Tensor = self.body(windows)
        return found

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> logits (window, class)."""
        logits: torch.Tensor = self.head(self.features(windows))
        return logits


class ClassifierSettings(Settings, ABC):
    """A choice of `conf/network`: builds an untrained classifier for given windows."""

    @abstractmethod
    def build(self, n_channels: int, length: int, n_classes: int) -> Classifier:
        """An untrained classifier.

        Raises:
            ConfigError: windows of `length` samples are too short for this network.
        """


def pooled_length(length: int, strides: list[int], network: str) -> int:
    """Steps that are left of `length` samples after dividing by each stride, rounded down.

    Raises:
        ConfigError: none are left.
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
            [f"windows of {length} samples are too short: strides and pools divide by {product}; lower them"],
        )
    return left


def convolution(n_inputs: int, n_filters: int, kernel_size: int, stride: int = 1) -> list[tuple[str, nn.Module]]:
    """Convolution, batch norm and ReLU, padded so that `stride` alone divides the length."""
    left = (kernel_size - stride) // 2
    return [
        ("pad", nn.ConstantPad1d((left, kernel_size - stride - left), 0.0)),
        ("convolution", nn.Conv1d(n_inputs, n_filters, kernel_size, stride=stride, bias=False)),
        ("norm", nn.BatchNorm1d(n_filters)),
        ("relu", nn.ReLU()),
    ]
