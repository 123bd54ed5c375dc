"""A deep convolutional autoencoder, the second encoder of DeepVATS (Rodriguez-Fernandez et al. 2023), written anew."""

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from clusterwhy.encoders.base import EncoderSettings

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder


class Dcae(EncoderSettings):
    """Convolutions and max-pools down to a bottleneck of `delta` feature maps, and back up.

    DeepVATS's bottleneck is dense; ours is a 1 x 1 convolution whose mean over time is the embedding, so that it
    does not depend on where in the window something happens.

    Args:
        delta: feature maps of the bottleneck; the embedding dimension.
        n_filters: of each convolution on the way down.
        kernel_sizes: of the same, odd.
        pools: by how much each shortens time.
        output_kernel: of the last convolution, odd.
    """

    delta: int = Field(ge=1)
    n_filters: list[int] = Field(min_length=1)
    kernel_sizes: list[int]
    pools: list[int]
    output_kernel: int = Field(ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        counts = {len(self.n_filters), len(self.kernel_sizes), len(self.pools)}
        if len(counts) > 1:
            raise ValueError("n_filters, kernel_sizes and pools need one entry for each convolution")
        if even := [k for k in [*self.kernel_sizes, self.output_kernel] if k % 2 == 0]:
            raise ValueError(f"kernels are odd, so that time is not shifted; got {even}")
        return self

    def build(self, n_channels: int, length: int) -> "MaskedEncoder":
        """An untrained encoder for windows (window, channel, time).

        Raises:
            ConfigError: windows are too short for the pools.
        """
        from clusterwhy.encoders.autoencoder import autoencoder

        return autoencoder(self, n_channels, length)
