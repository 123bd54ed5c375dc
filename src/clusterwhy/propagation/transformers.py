"""Transformer layers of torch as the operations that they consist of: their own forwards decide between fast paths."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Mask = torch.Tensor | None


def _encode(
    encoder: Any, src: torch.Tensor, mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: Any = None
) -> torch.Tensor:
    for layer in encoder.layers:
        src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
    normed: torch.Tensor = src if encoder.norm is None else encoder.norm(src)
    return normed


def _encode_layer(
    layer: Any, src: torch.Tensor, src_mask: Mask = None, src_key_padding_mask: Mask = None, is_causal: Any = None
) -> torch.Tensor:
    masks = (src_mask, src_key_padding_mask)
    if layer.norm_first:
        src = src + layer._sa_block(layer.norm1(src), *masks)
        first: torch.Tensor = src + layer._ff_block(layer.norm2(src))
        return first
    src = layer.norm1(src + layer._sa_block(src, *masks))
    last: torch.Tensor = layer.norm2(src + layer._ff_block(src))
    return last


# forward of a module of torch -> the same without decisions; what overrides the forward is traced as it is
FORWARDS: dict[Any, Callable[..., torch.Tensor]] = {
    nn.TransformerEncoder.forward: _encode,
    nn.TransformerEncoderLayer.forward: _encode_layer,
}
TRACED_INTO = (
    *(nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.TransformerDecoder, nn.TransformerDecoderLayer),
    nn.Transformer,
)
