"""Layers of torch, written out, linear in their inputs: scales of norms, gates and attention weights are detached.

Each has the name and the arguments of the function of torch that it replaces.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
Maybe = torch.Tensor | None


def halved(x: Tensor) -> Tensor:
    """The same value, half of the gradient."""
    return x / 2 + x.detach() / 2


def secant(function: Any, x: Tensor) -> Tensor:
    """The value f(x), the gradient f(x) / x; f(0) is 0."""
    value = function(x).detach()
    return value + (x - x.detach()) * (value / torch.where(x == 0, 1.0, x.detach()))


class PlainLayers:
    """Args:
    shared: attention weights and gates of linear units take half of the relevance (Achtibat et al. 2024).
    """

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    # norms: y = weight (x - mean) / scale + bias, the scale held fixed

    def layer_norm(
        self, x: Tensor, shape: Sequence[int], weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5
    ) -> Tensor:
        return _affine(_standardised(x, tuple(range(-len(shape), 0)), eps), weight, bias)

    def batch_norm(
        self,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Maybe,
        bias: Maybe,
        training: bool,
        momentum: Any,
        eps: float,
    ) -> Tensor:
        beside = [None if v is None else v.reshape(-1, *[1] * (x.ndim - 2)) for v in (mean, var, weight, bias)]
        return _affine((x - beside[0]) / (beside[1] + eps).sqrt(), *beside[2:])

    def rms_norm(self, x: Tensor, shape: Sequence[int], weight: Maybe = None, eps: float | None = None) -> Tensor:
        power = x.detach().square().mean(tuple(range(-len(shape), 0)), keepdim=True)
        return _affine(x / (power + (torch.finfo(x.dtype).eps if eps is None else eps)).sqrt(), weight, None)

    def group_norm(
        self, x: Tensor, n_groups: int, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5
    ) -> Tensor:
        made = _standardised(x.unflatten(1, (n_groups, -1)).flatten(2), (2,), eps).reshape(x.shape)
        return _affine(made, *(None if v is None else v.reshape(-1, *[1] * (x.ndim - 2)) for v in (weight, bias)))

    def instance_norm(self, x: Tensor, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5, **_: Any) -> Tensor:
        return self.group_norm(x, x.shape[1], weight, bias, eps)

    def normalize(self, x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, **_: Any) -> Tensor:
        return x / x.detach().norm(p, dim, keepdim=True).clamp(min=eps)

    def glu(self, x: Tensor, dim: int = -1) -> Tensor:
        signal, gate = x.chunk(2, dim)
        return halved(signal) * halved(secant(torch.sigmoid, gate)) if self.shared else signal * gate.sigmoid().detach()

    def max(self, x: Tensor, dim: int) -> tuple[Tensor, None]:
        """Where several are the greatest, each has a part."""
        return x.amax(dim), None

    # attention: weights are held fixed

    def scaled_dot_product_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Maybe = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        mask = attn_mask
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            mask = _added(~attn_mask, query)
        elif is_causal:
            mask = _added(torch.ones(query.shape[-2], key.shape[-2]).triu(1) > 0, query)
        return self._attend(query, key, value, mask, scale)

    def multi_head_attention_forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        size: int,
        n_heads: int,
        weights: Maybe,
        biases: Maybe,
        bias_k: Maybe,
        bias_v: Maybe,
        add_zero_attn: bool,
        dropout_p: float,
        out_weight: Tensor,
        out_bias: Maybe,
        attn_mask: Maybe = None,
        key_padding_mask: Maybe = None,
        **keys: Any,
    ) -> tuple[Tensor, None]:
        """Time is the first axis, windows the second."""
        mask = None if attn_mask is None else _added(attn_mask, query)
        if key_padding_mask is not None:
            padding = _added(key_padding_mask, query)[:, None, None]
            mask = padding if mask is None else padding + mask
        of_kinds = [keys[f"{kind}_proj_weight"] for kind in "qkv"] if weights is None else weights.chunk(3)
        of_each = [None] * 3 if biases is None else biases.chunk(3)
        # (window, head, time, feature)
        parts = [
            F.linear(x, w, b).unflatten(2, (n_heads, -1)).permute(1, 2, 0, 3)
            for x, w, b in zip((query, key, value), of_kinds, of_each, strict=True)
        ]
        joined = self._attend(*parts, mask, None).permute(2, 0, 1, 3).flatten(2)
        return F.linear(joined, out_weight, out_bias), None

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Maybe, scale: float | None) -> Tensor:
        if self.shared:
            query, key = halved(query), halved(key)
        logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        weights = torch.softmax(logits if mask is None else logits + mask, dim=-1)
        return halved(weights) @ halved(value) if self.shared else weights.detach() @ value

    # recurrent layers: gates are held fixed, tanh is a secant

    def lstm(
        self,
        x: Tensor,
        states: Any,
        weights: Sequence[Tensor],
        has_bias: bool,
        n_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        output, last = _layers(_lstm_step, x, weights, has_bias, n_layers, bidirectional, batch_first)
        return output, last, torch.zeros_like(last)

    def gru(self, x: Tensor, state: Tensor, weights: Sequence[Tensor], *settings: Any) -> tuple[Tensor, Tensor]:
        return _layers(_gru_step, x, weights, *_of(settings))

    def rnn_tanh(self, x: Tensor, state: Tensor, weights: Sequence[Tensor], *settings: Any) -> tuple[Tensor, Tensor]:
        return _layers(_rnn_step(torch.tanh), x, weights, *_of(settings))

    def rnn_relu(self, x: Tensor, state: Tensor, weights: Sequence[Tensor], *settings: Any) -> tuple[Tensor, Tensor]:
        return _layers(_rnn_step(torch.relu), x, weights, *_of(settings))

    def gru_cell(self, x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        return _gru_step(x, (h,), *weights)[0]

    def rnn_tanh_cell(self, x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        return _rnn_step(torch.tanh)(x, (h,), *weights)[0]

    def rnn_relu_cell(self, x: Tensor, h: Tensor, *weights: Tensor) -> Tensor:
        return _rnn_step(torch.relu)(x, (h,), *weights)[0]


def _standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    scale = (x.detach().var(axes, unbiased=False, keepdim=True) + eps).sqrt()
    return (x - x.mean(axes, keepdim=True)) / scale


def _affine(x: Tensor, weight: Maybe, bias: Maybe) -> Tensor:
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias


def _added(hidden: Tensor, like: Tensor) -> Tensor:
    """A mask as it is added to logits; of booleans, True hides."""
    if hidden.dtype != torch.bool:
        return hidden
    return torch.zeros(hidden.shape, dtype=like.dtype).masked_fill(hidden, float("-inf"))


def _of(settings: Sequence[Any]) -> tuple[bool, int, bool, bool]:
    """Of (has_bias, n_layers, dropout, train, bidirectional, batch_first) what a layer needs."""
    has_bias, n_layers, _, _, bidirectional, batch_first = settings
    return has_bias, n_layers, bidirectional, batch_first


def _layers(
    step: Any,
    x: Tensor,
    weights: Sequence[Tensor],
    has_bias: bool,
    n_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Output sequence and last states of `step`, from states of zeros."""
    steps: Any = x.unbind(1 if batch_first else 0)
    each, last = 4 if has_bias else 2, []
    for layer in range(n_layers):
        ways = []
        for back in (False, True)[: 1 + bidirectional]:
            first = each * (layer * (1 + bidirectional) + back)
            own = weights[first : first + each]
            size = own[1].shape[1]
            states: tuple[Tensor, ...] = (x.new_zeros(len(steps[0]), size),) * 2
            found = []
            for value in reversed(steps) if back else steps:
                states = step(value, states, *own)
                found.append(states[0])
            last.append(states[0])
            ways.append(found[::-1] if back else found)
        steps = [torch.cat(parts, dim=1) for parts in zip(*ways, strict=True)]
    return torch.stack(steps, dim=1 if batch_first else 0), torch.stack(last)


def _lstm_step(x: Tensor, states: Any, w: Tensor, u: Tensor, b: Maybe = None, c: Maybe = None) -> tuple[Tensor, Tensor]:
    h, cell = states
    i, f, g, o = (F.linear(x, w, b) + F.linear(h, u, c)).chunk(4, dim=1)
    cell = f.sigmoid().detach() * cell + i.sigmoid().detach() * secant(torch.tanh, g)
    return o.sigmoid().detach() * secant(torch.tanh, cell), cell


def _gru_step(x: Tensor, states: Any, w: Tensor, u: Tensor, b: Maybe = None, c: Maybe = None) -> tuple[Tensor]:
    h = states[0]
    (r, z, n), (hr, hz, hn) = F.linear(x, w, b).chunk(3, dim=1), F.linear(h, u, c).chunk(3, dim=1)
    r, z = (r + hr).sigmoid().detach(), (z + hz).sigmoid().detach()
    return ((1 - z) * secant(torch.tanh, n + r * hn) + z * h,)


def _rnn_step(function: Any) -> Any:
    def step(x: Tensor, states: Any, w: Tensor, u: Tensor, b: Maybe = None, c: Maybe = None) -> tuple[Tensor]:
        return (secant(function, F.linear(x, w, b) + F.linear(states[0], u, c)),)

    return step
