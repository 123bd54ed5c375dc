"""LRP through layers that mix time steps: LSTM and self-attention.

Both are linear in their inputs once gates (attention weights) are taken as constants, so relevance is carried as a
multiplier of each value: one division, at the output, instead of one at every cell and time step, where a
pre-activation near zero would blow relevance up.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.errors import CompositeError
from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.rules import Shared, divide, total


@dataclass(frozen=True)
class _Direction:
    """One direction of one LSTM layer: its weights, and every state of a forward pass."""

    weight: torch.Tensor  # (cell, input) of the candidate
    recurrent: torch.Tensor  # (cell, cell) of the candidate
    bias: torch.Tensor | None  # (cell,)
    order: tuple[int, ...]  # time steps as they are read
    gates: dict[str, torch.Tensor]  # input, forget, output, candidate pre-activation: (window, time, cell)
    cells: torch.Tensor  # (window, time, cell)


class Recurrent(nn.Module):
    """The output sequence of an LSTM; gates take no relevance (signal-take-all, Arras et al. 2017, 2019).

    Raises:
        CompositeError: an LSTM whose windows are not its first axis, or with projections.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        if not lstm.batch_first:
            raise CompositeError("LSTM with batch_first=False has no rule: windows must be the first axis")
        if lstm.proj_size:
            raise CompositeError("LSTM with proj_size has no rule; use a linear layer behind it")
        self.lstm = lstm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(window, time, feature) -> (window, time, direction x cell)."""
        # cuDNN has no backward pass in evaluation mode
        with torch.backends.cudnn.flags(enabled=not torch.is_grad_enabled()):
            output: torch.Tensor = self.lstm(x)[0]
        return output

    def share(self, x: torch.Tensor, z: torch.Tensor, relevance: torch.Tensor, rule: SequenceRule) -> Shared:
        """Share the relevance of the output sequence z among the inputs x, both (window, time, feature)."""
        layers = self._layers(x)
        multiplier = divide(relevance, z, rule.stabilizer)
        kept = total(relevance - z * multiplier)
        absorbed = relevance.new_zeros(len(relevance))
        for inputs, directions in reversed(layers):
            arriving, below = multiplier.chunk(len(directions), dim=2), torch.zeros_like(inputs)
            for direction, part in zip(directions, arriving, strict=True):
                found, bias, lost = _through_time(direction, part, rule)
                below = below + found
                absorbed, kept = absorbed + bias, kept + lost
            multiplier = below
        return Shared(multiplier * x, absorbed, lambda: kept)

    def _layers(self, x: torch.Tensor) -> list[tuple[torch.Tensor, list[_Direction]]]:
        layers = []
        for layer in range(self.lstm.num_layers):
            made = [_run(x, *weights) for weights in self._weights(layer)]
            layers.append((x, [direction for direction, _ in made]))
            x = torch.cat([output for _, output in made], dim=2)
        return layers

    def _weights(self, layer: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, bool]]:
        for suffix in ("", "_reverse") if self.lstm.bidirectional else ("",):
            own = {name: getattr(self.lstm, f"{name}_l{layer}{suffix}", None) for name in ("weight_ih", "weight_hh")}
            bias = None
            if self.lstm.bias:
                halves = (getattr(self.lstm, f"{name}_l{layer}{suffix}") for name in ("bias_ih", "bias_hh"))
                bias = sum(half.detach() for half in halves)
            yield own["weight_ih"].detach(), own["weight_hh"].detach(), bias, bool(suffix)  # type: ignore[union-attr]


def _run(
    x: torch.Tensor, weight: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor | None, reverse: bool
) -> tuple[_Direction, torch.Tensor]:
    """One direction of one layer, (window, time, feature) -> its states and (window, time, cell)."""
    n_windows, n_steps, size = len(x), x.shape[1], recurrent.shape[1]
    h, c = x.new_zeros(n_windows, size), x.new_zeros(n_windows, size)
    from_input = F.linear(x, weight, bias)
    order = tuple(range(n_steps))[:: -1 if reverse else 1]
    kept: dict[str, list[Any]] = {name: [None] * n_steps for name in ("input", "forget", "z", "output", "cell", "h")}
    for t in order:
        # torch's order of gates
        i, f, z, o = (from_input[:, t] + h @ recurrent.T).chunk(4, dim=1)
        i, f, o = i.sigmoid(), f.sigmoid(), o.sigmoid()
        c = f * c + i * z.tanh()
        h = o * c.tanh()
        for name, value in zip(kept, (i, f, z, o, c, h), strict=True):
            kept[name][t] = value
    states = {name: torch.stack(values, dim=1) for name, values in kept.items()}
    candidate = slice(2 * size, 3 * size)
    own = bias if bias is None else bias[candidate]
    output = states.pop("h")
    return _Direction(weight[candidate], recurrent[candidate], own, order, states, states.pop("cell")), output


def _through_time(
    direction: _Direction, arriving: torch.Tensor, rule: SequenceRule
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Multipliers of the inputs from those of the outputs, what biases absorbed, and what the stabiliser kept.

    Of h = o tanh(c), c = f c' + i tanh(z), z = W x + U h' + b: multipliers of c are those of h times o tanh(c) / c,
    plus f times those of the next c; of z those of c times i tanh(z) / z.
    """
    gates, zs, order = direction.gates, direction.gates["z"], direction.order
    of_h, of_c = torch.zeros_like(arriving[:, 0]), torch.zeros_like(arriving[:, 0])
    of_z = torch.zeros_like(zs)
    lost = arriving.new_zeros(len(arriving))
    to_cell = gates["output"] * _secant_of_tanh(direction.cells)
    to_z = gates["input"] * _secant_of_tanh(zs)
    for t in reversed(order):
        of_c = (arriving[:, t] + of_h) * to_cell[:, t] + of_c
        of_z[:, t] = of_c * to_z[:, t]
        if rule.zero_bias and direction.bias is not None:
            # the same relevance, shared among inputs alone
            own, without = of_z[:, t] * zs[:, t], zs[:, t] - direction.bias
            of_z[:, t] = divide(own, without, rule.stabilizer)
            lost = lost + (own - of_z[:, t] * without).sum(dim=1)
        of_h = of_z[:, t] @ direction.recurrent
        of_c = of_c * gates["forget"][:, t]
    absorbed = torch.zeros_like(lost)
    if direction.bias is not None and not rule.zero_bias:
        absorbed = (of_z.sum(dim=1) * direction.bias).sum(dim=1)
    return of_z @ direction.weight, absorbed, lost


def _secant_of_tanh(x: torch.Tensor) -> torch.Tensor:
    """tanh(x) / x, 1 at 0."""
    small = x.abs() < 1e-4
    return torch.where(small, 1.0 - x**2 / 3.0, x.tanh() / x.masked_fill(small, 1.0))


@dataclass(frozen=True)
class _Heads:
    """What attention makes of its inputs, (window, head, time, feature of head); weights and biases of the three."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]

    @property
    def scale(self) -> float:
        return 1.0 / math.sqrt(self.query.shape[3])

    @property
    def logits(self) -> torch.Tensor:
        return self.query @ self.key.transpose(2, 3) * self.scale


class SelfAttention(nn.Module):
    """Multihead attention of a sequence to itself.

    Raises:
        CompositeError: attention whose windows are not its first axis, or with learned keys, or of other sizes.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        own: Any = attention
        if not own.batch_first:
            raise CompositeError("attention with batch_first=False has no rule: windows must be the first axis")
        if not own._qkv_same_embed_dim or own.bias_k is not None or own.add_zero_attn:
            raise CompositeError("attention with kdim, vdim, add_bias_kv or add_zero_attn has no rule")
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(window, time, feature) -> the same shape."""
        output: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return output

    def share(self, x: torch.Tensor, z: torch.Tensor, relevance: torch.Tensor, rule: SequenceRule) -> Shared:
        """Share the relevance of the output z among the inputs x, both (window, time, feature).

        Raises:
            CompositeError: `shared` attention without biases, which has no meaning: they shape the weights.
        """
        if rule.attention == "shared" and rule.zero_bias:
            raise CompositeError("attention: shared needs biases: choose `constant`, or `zero_bias: false`")
        heads, out = self._heads(x), self.attention.out_proj
        out_weight = out.weight.detach()
        out_bias = x.new_zeros(x.shape[2]) if out.bias is None else out.bias.detach()
        attention = torch.softmax(heads.logits, dim=3)
        # weights of one row add up to 1: what biases give is the same at each step
        constant = out_weight @ heads.biases[2] + out_bias
        denominator = z - constant if rule.zero_bias else z
        multiplier = divide(relevance, denominator, rule.stabilizer)
        kept = total(relevance - denominator * multiplier)
        of_heads = self._apart(multiplier @ out_weight)
        of_value = attention.transpose(2, 3) @ of_heads
        if rule.attention == "constant":
            found = x * (_joined(of_value) @ heads.weights[2])
            absorbed = (multiplier.sum(dim=1) * (constant * (not rule.zero_bias))).sum(dim=1)
            return Shared(found, absorbed, lambda: kept)
        of_weights = attention * (of_heads @ heads.value.transpose(2, 3)) / 2.0
        of_logits = of_weights - attention * of_weights.sum(dim=3, keepdim=True)
        halves = (of_logits @ heads.key, of_logits.transpose(2, 3) @ heads.query)
        parts = [_joined(half * heads.scale / 2.0) for half in halves] + [_joined(of_value / 2.0)]
        found = torch.zeros_like(x)
        absorbed = (multiplier.sum(dim=1) * out_bias).sum(dim=1)
        for part, weight, bias in zip(parts, heads.weights, heads.biases, strict=True):
            found = found + part @ weight
            absorbed = absorbed + (part.sum(dim=1) * bias).sum(dim=1)
        return Shared(found * x, absorbed, lambda: kept, total(of_weights - heads.logits * of_logits))

    def _heads(self, x: torch.Tensor) -> _Heads:
        own: Any = self.attention
        weights = own.in_proj_weight.detach().chunk(3)
        biases = (x.new_zeros(3 * x.shape[2]) if own.in_proj_bias is None else own.in_proj_bias.detach()).chunk(3)
        query, key, value = (self._apart(F.linear(x, w, b)) for w, b in zip(weights, biases, strict=True))
        return _Heads(query, key, value, weights, biases)

    def _apart(self, x: torch.Tensor) -> torch.Tensor:
        """(window, time, feature) -> (window, head, time, feature of head)."""
        return x.unflatten(2, (self.attention.num_heads, -1)).transpose(1, 2)


def _joined(heads: torch.Tensor) -> torch.Tensor:
    return heads.transpose(1, 2).flatten(2)
