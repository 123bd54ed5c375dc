"""Blocks of attention, of one sequence to itself or to another, with and without masks, and transformer layers."""

import random

import torch
import torch.nn.functional as F
from torch import nn

from tests.random_networks.blocks import Draw, Of, chance, pointwise, with_any_parameters

SIZE = 4  # features of what attends


class Attend(nn.Module):
    """Multihead attention of (window, channel, time) to itself or to another layer's output.

    Args:
        attention: the layer.
        other: gives keys and values; None for the queries themselves.
        mask: (query time, key time), see `mask_of`.
        n_hidden: steps at the end that nobody sees.
    """

    def __init__(
        self, attention: nn.MultiheadAttention, other: nn.Module | None, mask: torch.Tensor | None, n_hidden: int
    ) -> None:
        super().__init__()
        self.attention, self.other, self.n_hidden = attention, other, n_hidden
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.attention.batch_first
        there, back = ((0, 2, 1), (0, 2, 1)) if first else ((2, 0, 1), (1, 2, 0))
        key = x if self.other is None else self.other(x)
        query, key = x.permute(there), key.permute(there)
        if self.other is None:
            key = query
        hidden = None
        if self.n_hidden:
            hidden = (torch.arange(x.shape[2]) >= x.shape[2] - self.n_hidden).expand(x.shape[0], -1)
        found, _ = self.attention(query, key, key, hidden, need_weights=False, attn_mask=self.mask)
        return found.permute(back)


def mask_of(rng: random.Random, time: int) -> torch.Tensor | None:
    """(query time, key time), of booleans (True hides) or added to the logits; each query sees itself."""
    hidden = rng.choice([torch.ones(time, time).triu(1) > 0, torch.rand(time, time) < 0.3])
    hidden.fill_diagonal_(False)
    added = torch.zeros(time, time, dtype=torch.float64).masked_fill(hidden, float("-inf"))
    return rng.choice([None, None, hidden, added])


def _with_any_biases(module: nn.Module) -> nn.Module:
    for name, parameter in module.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.3)
    return module


def multihead(rng: random.Random, channels: int, time: int) -> nn.Module:
    size = rng.choice([None, None, SIZE, 3])  # of keys and values; None for the queries themselves
    other = None if size is None else nn.Conv1d(SIZE, size, 1)
    attention = nn.MultiheadAttention(
        *(SIZE, rng.choice([1, 2])), bias=chance(rng, 0.8), kdim=size, vdim=size, batch_first=chance(rng, 0.7)
    )
    mask = mask_of(rng, time)
    n_hidden = rng.choice([0, 0, 1]) if mask is None else 0
    return nn.Sequential(pointwise(rng, channels, SIZE), Attend(_with_any_biases(attention), other, mask, n_hidden))


def _heads(x: torch.Tensor) -> torch.Tensor:
    """(window, channel, time) -> (window, head, time, feature)."""
    return x.unflatten(1, (2, -1)).transpose(2, 3)


def dot_products(rng: random.Random, channels: int, time: int) -> nn.Module:
    """`scaled_dot_product_attention` of three layers, or the same written out."""
    mask = mask_of(rng, time)
    keys = {"attn_mask": ~mask if mask is not None and mask.dtype == torch.bool else mask}  # True takes part
    if chance(rng, 0.3):
        keys = {"is_causal": True}

    def called(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        q, k, v = map(_heads, (query, key, value))
        return F.scaled_dot_product_attention(q, k, v, **keys).transpose(2, 3).flatten(1, 2)

    def written(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        logits = query.transpose(1, 2) @ key / SIZE**0.5
        return value @ torch.softmax(logits, dim=-1).transpose(1, 2)

    def weighed(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        weights = F.softmax(torch.bmm(query.mT, key), dim=2)
        return torch.bmm(weights, value.mT).mT

    name, function = rng.choice([("dot products", called), ("written attention", written), ("bmm attention", weighed)])
    return Of(name, function, *(pointwise(rng, channels, SIZE) for _ in range(3)))


class Encoder(nn.Module):
    """Transformer layers over (window, channel, time)."""

    def __init__(self, encoder: nn.Module, mask: torch.Tensor | None, batch_first: bool) -> None:
        super().__init__()
        self.encoder, self.batch_first = encoder, batch_first
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there, back = ((0, 2, 1), (0, 2, 1)) if self.batch_first else ((2, 0, 1), (1, 2, 0))
        given = x.permute(there)
        made = self.encoder(given) if self.mask is None else self.encoder(given, self.mask)
        return made.permute(back)


def transformer(rng: random.Random, channels: int, time: int) -> nn.Module:
    """Encoder layers, alone or stacked, with the norm before or behind."""
    first = chance(rng, 0.8)
    layer = nn.TransformerEncoderLayer(
        SIZE, 2, 5, 0.1, rng.choice(["relu", "gelu", F.silu]), batch_first=first, norm_first=chance(rng)
    )
    made: nn.Module = layer
    if chance(rng, 0.3):
        made = nn.TransformerEncoder(layer, 2, rng.choice([None, nn.LayerNorm(SIZE)]), enable_nested_tensor=False)
    for module in made.modules():
        if isinstance(module, nn.LayerNorm):
            with_any_parameters(module)
    return nn.Sequential(pointwise(rng, channels, SIZE), Encoder(_with_any_biases(made), mask_of(rng, time), first))


class Decoder(nn.Module):
    """A transformer layer that attends to itself and to another layer's output."""

    def __init__(self, decoder: nn.TransformerDecoderLayer, memory: nn.Module) -> None:
        super().__init__()
        self.decoder, self.memory = decoder, memory

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(x.transpose(1, 2), self.memory(x).transpose(1, 2)).transpose(1, 2)


def decoder(rng: random.Random, channels: int, time: int) -> nn.Module:
    layer = nn.TransformerDecoderLayer(SIZE, 2, 5, batch_first=True, norm_first=chance(rng))
    return nn.Sequential(pointwise(rng, channels, SIZE), Decoder(layer, nn.Conv1d(SIZE, SIZE, 1)))


BLOCKS: list[Draw] = [multihead, multihead, dot_products, transformer, decoder]
