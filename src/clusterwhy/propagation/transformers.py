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


def _encode_windows(backbone: Any, windows: torch.Tensor) -> torch.Tensor:
    """tsai's TSTPlus for windows without missing values: nothing is padded."""
    if backbone.key_padding_mask is not False and (backbone.key_padding_mask != "auto" or backbone.padding_var):
        found: torch.Tensor = type(backbone).forward(backbone, windows)
        return found
    embedded = backbone.W_P(windows).transpose(2, 1) if backbone.new_q_len else backbone.W_P(windows.transpose(2, 1))
    states = backbone.encoder(backbone.dropout(embedded + backbone.W_pos), attn_mask=backbone.attn_mask)
    encoded: torch.Tensor = backbone.transpose(states)
    return encoded


# forward of a module of torch -> the same without decisions; what overrides the forward is traced as it is
FORWARDS: dict[Any, Callable[..., torch.Tensor]] = {
    nn.TransformerEncoder.forward: _encode,
    nn.TransformerEncoderLayer.forward: _encode_layer,
}
# told by its name: tsai need not be installed
NAMED_FORWARDS = {("tsai.models.TSTPlus", "_TSTBackbone.forward"): _encode_windows}


def plain_forward(module: nn.Module) -> Callable[..., torch.Tensor] | None:
    """The forward of a module without decisions by values; None where it has none of its own here."""
    own = type(module).forward
    named = NAMED_FORWARDS.get((own.__module__, own.__qualname__))
    return FORWARDS.get(own, named)


TRACED_INTO = (
    *(nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.TransformerDecoder, nn.TransformerDecoderLayer),
    nn.Transformer,
)
