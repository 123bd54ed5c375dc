"""A 1-D CNN whose first kernel is wide enough for whole cycles of a vibration (WDCNN, Zhang et al. 2017)."""

from collections import OrderedDict
from typing import Self

from pydantic import Field, model_validator
from torch import nn

from clusterwhy.classifiers.base import Classifier, ClassifierSettings, convolution, pooled_length


class WideCnn(ClassifierSettings):
    """A wide convolution with a stride, then small ones, each with batch norm, ReLU and a pool of 2.

    Args:
        first_kernel: samples of the first kernel; two to four times `first_stride` is usual.
        first_stride: samples; with n layers windows need first_stride * 2 ** n of them.
        n_filters: of each convolution, the wide one first.
        n_hidden: of the layer before the logits; the embedding.
    """

    first_kernel: int = Field(ge=2)
    first_stride: int = Field(ge=1)
    n_filters: list[int] = Field(min_length=2)
    kernel_size: int = Field(ge=1)
    n_hidden: int = Field(ge=1)
    dropout: float = Field(ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _overlap(self) -> Self:
        if self.first_kernel < self.first_stride:
            raise ValueError(
                f"first_kernel {self.first_kernel} < first_stride {self.first_stride}: samples would be lost"
            )
        return self

    def build(self, n_channels: int, length: int, n_classes: int) -> Classifier:
        """An untrained classifier for windows (window, channel, time)."""
        pooled_length(length, [self.first_stride, *[2] * len(self.n_filters)], "WideCnn")
        blocks: list[tuple[str, nn.Module]] = []
        n_inputs = n_channels
        for i, n_filters in enumerate(self.n_filters):
            kernel, stride = (self.first_kernel, self.first_stride) if i == 0 else (self.kernel_size, 1)
            layers = [*convolution(n_inputs, n_filters, kernel, stride), ("pool", nn.MaxPool1d(2))]
            blocks.append((f"block{i + 1}" if i else "wide", nn.Sequential(OrderedDict(layers))))
            n_inputs = n_filters
        # mean over time: the phase of a vibration differs between windows
        pool = [("mean", nn.AdaptiveAvgPool1d(1)), ("flatten", nn.Flatten())]
        body = [*blocks, *pool, ("hidden", nn.Linear(n_inputs, self.n_hidden)), ("relu", nn.ReLU())]
        head = nn.Sequential(nn.Dropout(self.dropout), nn.Linear(self.n_hidden, n_classes))
        return Classifier(nn.Sequential(OrderedDict(body)), head)
