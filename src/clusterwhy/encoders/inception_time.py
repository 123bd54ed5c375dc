"""tsai's InceptionTimePlus (Ismail Fawaz et al. 2019, arXiv 1909.04939) as an encoder."""

from typing import TYPE_CHECKING

from pydantic import Field

from clusterwhy.encoders.base import EncoderSettings

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


class InceptionTime(EncoderSettings):
    """Embedding dimension is four times `n_filters`."""

    n_filters: int = Field(ge=1)
    depth: int = Field(ge=3)
    kernel_size: int = Field(ge=4)
    head_dropout: float = Field(ge=0.0, lt=1.0)

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """An untrained encoder for windows (window, channel, time)."""
        from tsai.models.InceptionTimePlus import InceptionTimePlus

        from clusterwhy.encoders.masked import MaskedEncoder

        network = InceptionTimePlus(
            n_channels, 1, seq_len=length, nf=self.n_filters, depth=self.depth, ks=self.kernel_size
        )
        return MaskedEncoder(network.backbone, 4 * self.n_filters, n_channels, self.head_dropout)
