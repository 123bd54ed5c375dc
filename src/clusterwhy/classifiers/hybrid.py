"""Convolutions, a bidirectional LSTM and self-attention, one after the other."""

from collections import OrderedDict
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn

from clusterwhy.classifiers.base import Classifier, ClassifierSettings, convolution, pooled_length


class Hybrid(ClassifierSettings):
    """Convolutions of `n_filters`, an LSTM of `n_layers` layers; windows need 2 ** len(n_filters) samples.

    Embedding dimension is 2 * `n_hidden`.
    """

    n_filters: list[int] = Field(min_length=1)
    kernel_size: int = Field(ge=1)
    n_hidden: int = Field(ge=1)
    n_layers: int = Field(default=1, ge=1)  # checkpoints of version 0.1 do not have it
    n_heads: int = Field(ge=1)
    dropout: float = Field(ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if 2 * self.n_hidden % self.n_heads:
            raise ValueError(f"{2 * self.n_hidden} features cannot be shared evenly by {self.n_heads} heads")
        return self

    def build(self, n_channels: int, length: int, n_classes: int) -> "HybridClassifier":
        """An untrained classifier for windows (window, channel, time)."""
        pooled_length(length, [2] * len(self.n_filters), "Hybrid")
        blocks: list[tuple[str, nn.Module]] = []
        n_inputs = n_channels
        for i, n_filters in enumerate(self.n_filters, start=1):
            layers = [*convolution(n_inputs, n_filters, self.kernel_size), ("pool", nn.MaxPool1d(2))]
            blocks.append((f"block{i}", nn.Sequential(OrderedDict(layers))))
            n_inputs = n_filters
        lstm = nn.LSTM(n_inputs, self.n_hidden, self.n_layers, batch_first=True, bidirectional=True)
        body = SequenceBody(nn.Sequential(OrderedDict(blocks)), lstm, self.n_heads)
        head = nn.Sequential(nn.Dropout(self.dropout), nn.Linear(2 * self.n_hidden, n_classes))
        return HybridClassifier(body, head)


class SequenceBody(nn.Module):
    """Windows (window, channel, time) -> features (window, feature).

    Args:
        convolutions: (window, channel, time) -> (window, n_inputs, step).
        lstm: bidirectional, windows first.
    """

    def __init__(self, convolutions: nn.Module, lstm: nn.LSTM, n_heads: int) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.lstm = lstm
        self.attention = nn.MultiheadAttention(2 * lstm.hidden_size, n_heads, batch_first=True)

    def sequence(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, step, feature) that attention reads."""
        x = self.convolutions(windows).permute(0, 2, 1)
        out, _ = self.lstm(x)
        states: torch.Tensor = out
        return states

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> mean of the attention's output over time."""
        x = self.sequence(windows)
        out, _ = self.attention(x, x, x)
        features: torch.Tensor = out.mean(dim=1)
        return features


class HybridClassifier(Classifier):
    """A classifier that also gives its attention weights."""

    body: SequenceBody

    @torch.no_grad()
    def attention_weights(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, head, step, step): weight of each step (last axis) in each step; rows sum to 1.

        One step stands for time / number of steps samples.
        """
        x = self.body.sequence(windows)
        _, weights = self.body.attention(x, x, x, need_weights=True, average_attn_weights=False)
        found: torch.Tensor = weights
        return found
