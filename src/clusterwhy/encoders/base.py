"""What every encoder offers, and how one is stored without code."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.encoders.masked import MaskedEncoder


class EncoderSettings(Settings, ABC):
    """A choice of `conf/encoder`: builds an untrained network for given windows.

    Attributes:
        differs_by_seed: encoders of several seeds are worth having without training.
        has_weights: there is a network, which can start as a stored one.
        of_one_length: a network for windows of another length is another one, although its weights have the same shape.
    """

    differs_by_seed: ClassVar[bool] = False
    has_weights: ClassVar[bool] = True
    of_one_length: ClassVar[bool] = False

    @abstractmethod
    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """An untrained encoder for windows (window, channel, time)."""

    def load_given(self, encoder: "nn.Module") -> None:
        """Load weights that the user has, if there are any, into a built encoder."""

    def fit(self, encoder: "nn.Module", values: FloatArray, starts: IntArray, length: int, seed: int) -> None:
        """Set what a built encoder takes from training windows without being trained, if there is anything.

        Args:
            values: (time, channel), scaled.
            starts: first sample of each training window.
            length: samples of each.
        """

    def given(self, index: pd.DataFrame) -> FloatArray | None:
        """(window, feature) vectors that the user has in place of a network; None: the encoder embeds.

        Args:
            index: of the windows (`window_index`).
        """
        return None

    def stored(self, config: dict[str, Any]) -> dict[str, Any]:
        """What a stored encoder says of how it was built: the choice of `conf/encoder`, and what it depends on."""
        return config

    @property
    def stored_fault(self) -> str:
        """Why these settings cannot be those of a stored encoder; "" if they can."""
        return ""
