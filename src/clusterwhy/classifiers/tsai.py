"""tsai's convolutional classifiers by name."""

import importlib
from typing import Any, Literal

from pydantic import Field
from torch import nn

from clusterwhy.classifiers.base import Classifier, ClassifierSettings
from clusterwhy.errors import ConfigError

Name = Literal["FCNPlus", "InceptionTimePlus", "ResNetPlus", "XceptionTimePlus"]


class TsaiClassifier(ClassifierSettings):
    """tsai's backbone, mean over time, one linear layer on it.

    That is tsai's own head for all but XceptionTimePlus, whose head ends in batch norm and ReLU instead of logits.

    Args:
        name: of the class in `tsai.models`.
        arguments: of that class, such as `nf`; see its documentation.
    """

    name: Name
    arguments: dict[str, bool | int | float | list[int]]
    dropout: float = Field(ge=0.0, lt=1.0)

    def build(self, n_channels: int, length: int, n_classes: int) -> Classifier:
        """An untrained classifier for windows (window, channel, time)."""
        found: Any = getattr(importlib.import_module(f"tsai.models.{self.name}"), self.name)
        try:
            # only FCNPlus does not ask for the length
            made = found(
                n_channels, n_classes, **({} if self.name == "FCNPlus" else {"seq_len": length}), **self.arguments
            )
        except (AssertionError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            text = f"{self.name} does not accept them: {str(error) or 'a value or a length is not as expected'}"
            raise ConfigError("classifier.arguments", [text]) from error
        body = nn.Sequential(made.backbone, nn.AdaptiveAvgPool1d(1), nn.Flatten())
        return Classifier(body, nn.Sequential(nn.Dropout(self.dropout), nn.Linear(made.head_nf, n_classes)))
