"""A 1-D CNN as is usual for ECG beats: blocks of convolution, batch norm, ReLU and pool, then dense layers."""

from collections import OrderedDict

from pydantic import Field
from torch import nn

from clusterwhy.classifiers.base import Classifier, ClassifierSettings, convolution, pooled_length


class EcgCnn(ClassifierSettings):
    """A block for each of `n_filters`: windows need pool ** (number of blocks) samples. `n_hidden` is the embedding."""

    n_filters: list[int] = Field(min_length=1)
    kernel_size: int = Field(ge=1)
    pool: int = Field(ge=1)
    n_hidden: int = Field(ge=1)
    dropout: float = Field(ge=0.0, lt=1.0)

    def build(self, n_channels: int, length: int, n_classes: int) -> Classifier:
        """An untrained classifier for windows (window, channel, time)."""
        steps = pooled_length(length, [self.pool] * len(self.n_filters), "EcgCnn")
        body: list[tuple[str, nn.Module]] = []
        n_inputs = n_channels
        for i, n_filters in enumerate(self.n_filters, start=1):
            layers = [*convolution(n_inputs, n_filters, self.kernel_size), ("pool", nn.MaxPool1d(self.pool))]
            body.append((f"block{i}", nn.Sequential(OrderedDict(layers))))
            n_inputs = n_filters
        body += [("flatten", nn.Flatten()), ("hidden", nn.Linear(n_inputs * steps, self.n_hidden)), ("relu", nn.ReLU())]
        head = nn.Sequential(nn.Dropout(self.dropout), nn.Linear(self.n_hidden, n_classes))
        return Classifier(nn.Sequential(OrderedDict(body)), head)
