"""What every encoder offers, and how one is stored without code."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from clusterwhy.config import Settings

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


class EncoderSettings(Settings, ABC):
    """A choice of `conf/encoder`: builds an untrained network for given windows."""

    @abstractmethod
    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """An untrained encoder for windows (window, channel, time)."""
