"""Attention with masks, to other sequences, or as a function: softmax(Q K^T * scale + mask) V.

Attention weights are held fixed (`constant`, Ali et al. 2022, section 3), or each product is shared by halves and the
softmax expanded (`shared`, Achtibat et al. 2024). Masks are constants.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.copies import with_windows_first
from clusterwhy.propagation.linearised import Linearised, halved


def weigh_values(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float | None,
    rule: SequenceRule,
) -> torch.Tensor:
    """Attention (..., query time, feature) of (..., time, feature), with what the rule holds fixed detached.

    Args:
        mask: added to the logits; broadcast to (..., query time, key time).
        scale: of the logits; 1 / sqrt(feature) if None.
    """
    shared = rule.attention == "shared"
    first, second = (halved(query), halved(key)) if shared else (query.detach(), key.detach())
    logits = first @ second.transpose(-2, -1) * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    # a row without any key to attend to gives 0, as torch's own attention does
    weights = torch.softmax(logits if mask is None else logits + mask, dim=-1).nan_to_num(nan=0.0)
    return halved(weights) @ halved(value) if shared else weights @ value


def as_added(mask: torch.Tensor, hidden: bool, like: torch.Tensor) -> torch.Tensor:
    """A mask as it is added to logits; of booleans, `hidden` is the one that hides a key."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return like.new_zeros(mask.shape).masked_fill(mask == hidden, float("-inf"))


class DotProductAttention(Linearised):
    """`F.scaled_dot_product_attention`, whose boolean mask says which keys take part.

    Args:
        places: input that is query, key, value and mask; None without a mask.
        signals: which inputs hold data.
        keywords: `is_causal`, `scale` and `enable_gqa`.
    """

    def __init__(
        self, places: tuple[int, int, int, int | None], signals: Sequence[bool], keywords: Mapping[str, Any]
    ) -> None:
        super().__init__(signals)
        if keywords.get("enable_gqa"):
            raise CompositeError("attention with enable_gqa has no rule; repeat keys and values for each head")
        self.places, self.keywords = places, dict(keywords)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(*(None if i is None else inputs[i] for i in self.places), **self.keywords)  # type: ignore[arg-type]

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        query, key, value = (inputs[i] for i in self.places[:3])
        mask = None if self.places[3] is None else as_added(inputs[self.places[3]], False, query)
        if self.keywords.get("is_causal"):
            earlier = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
            mask = as_added(earlier, False, query)
        return weigh_values(query, key, value, mask, self.keywords.get("scale"), rule)

    def conserves(self, rule: SequenceRule) -> bool:
        return rule.attention != "shared"


class MaskedAttention(Linearised):
    """`nn.MultiheadAttention` of one sequence to itself or to others, with or without masks; windows come first.

    Args:
        attention: the layer.
        places: input that is query, key and value.
        masks: input that is `attn_mask` and `key_padding_mask`; None without one.
        signals: which inputs hold data.

    Raises:
        CompositeError: attention with learned keys.
    """

    def __init__(
        self,
        attention: nn.MultiheadAttention,
        places: tuple[int, int, int],
        masks: tuple[int | None, int | None],
        signals: Sequence[bool],
    ) -> None:
        super().__init__(signals)
        own: Any = attention
        if own.bias_k is not None or own.add_zero_attn:
            raise CompositeError("attention with add_bias_kv or add_zero_attn has no rule: build it without them")
        self.attention, self.places, self.masks = with_windows_first(attention), places, masks

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        attended, hidden = (None if i is None else inputs[i] for i in self.masks)
        output: torch.Tensor = self.attention(
            *(inputs[i] for i in self.places), key_padding_mask=hidden, need_weights=False, attn_mask=attended
        )[0]
        return output

    def biases(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Of queries, keys, values and the output, (1, feature) each."""
        own: Any = self.attention
        size = own.embed_dim
        three = x.new_zeros(3 * size) if own.in_proj_bias is None else own.in_proj_bias.detach()
        out = x.new_zeros(size) if own.out_proj.bias is None else own.out_proj.bias.detach()
        return [bias[None] for bias in (*three.chunk(3), out)]

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        if rule.attention == "shared" and rule.zero_bias:
            raise CompositeError("attention: shared needs biases: choose `constant`, or `zero_bias: false`")
        own: Any = self.attention
        sources = [inputs[i] for i in self.places]
        given = biases if rule.attention == "shared" else [*self.biases(sources[0])[:2], *biases[2:]]
        query, key, value = (
            F.linear(x, weight.detach()).add(bias).unflatten(2, (own.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip(sources, self._weights(), given, strict=False)
        )
        joined = weigh_values(query, key, value, self._mask(inputs, query), None, rule).transpose(1, 2).flatten(2)
        return F.linear(joined, own.out_proj.weight.detach()) + biases[3]

    def _weights(self) -> Sequence[torch.Tensor]:
        own: Any = self.attention
        if own._qkv_same_embed_dim:
            chunks: Sequence[torch.Tensor] = own.in_proj_weight.chunk(3)
            return chunks
        return own.q_proj_weight, own.k_proj_weight, own.v_proj_weight

    def _mask(self, inputs: Sequence[torch.Tensor], query: torch.Tensor) -> torch.Tensor | None:
        attended, hidden = (None if i is None else as_added(inputs[i], True, query) for i in self.masks)
        if attended is not None and attended.ndim == 3:  # (window x head, query time, key time)
            attended = attended.unflatten(0, (-1, query.shape[1]))
        if hidden is None:
            return attended
        return hidden[:, None, None] if attended is None else hidden[:, None, None] + attended

    def conserves(self, rule: SequenceRule) -> bool:
        return rule.attention != "shared"
