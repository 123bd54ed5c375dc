"""Recurrent layers other than the LSTM: GRU, plain RNN, and their cells, unrolled over time.

Gates are held fixed and an activation is its secant times its pre-activation, as in the LSTM (signal-take-all, Arras et
al. 2017): of a GRU's h' = (1 - z) tanh(W x + b + r (U h + c)) + z h the gates r and z take no relevance.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.composites import SequenceRule
from clusterwhy.propagation.copies import with_windows_first
from clusterwhy.propagation.linearised import Linearised
from clusterwhy.propagation.rules import stabilize

RECURRENCES = (nn.GRU, nn.RNN)
CELLS = (nn.GRUCell, nn.RNNCell)
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Weights = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class Cell:
    """One update of a state (window, cell) by an input (window, feature).

    Args:
        layer: that it belongs to; its class says which update.
        weights: of the layer, as they are.
        biases: of the linear form: copies per window (window, gate x cell), zeros where the rule leaves them out.
        stabilizer: where a pre-activation without its bias is divided by.
    """

    def __init__(self, layer: Any, weights: Weights, biases: Sequence[torch.Tensor], stabilizer: float) -> None:
        self.gated = isinstance(layer, nn.GRU | nn.GRUCell)
        self.activation: Any = torch.relu if getattr(layer, "nonlinearity", "tanh") == "relu" else torch.tanh
        self.w, self.u, self.b, self.c = (weight.detach() for weight in weights)
        self.own_b, self.own_c = biases
        self.stabilizer = stabilizer

    def __call__(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """The next state."""
        if not self.gated:
            form = F.linear(x, self.w) + F.linear(h, self.u) + self.own_b + self.own_c
            return self._activated(form, F.linear(x, self.w, self.b) + F.linear(h, self.u, self.c))
        of_x, of_h = (F.linear(v.detach(), w, b).chunk(3, 1) for v, w, b in ((x, self.w, self.b), (h, self.u, self.c)))
        reset, update = ((of_x[i] + of_h[i]).sigmoid() for i in (0, 1))  # torch's order: reset, update, candidate
        form = _candidate(x, self.w, self.own_b) + reset * _candidate(h, self.u, self.own_c)
        return (1.0 - update) * self._activated(form, of_x[2] + reset * of_h[2]) + update * h

    def _activated(self, form: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The activation of a pre-activation, as its linear form times a constant."""
        return form * (self.activation(value) / stabilize(form.detach(), self.stabilizer)).detach()


def _candidate(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.linear(x, weight.chunk(3)[2]) + bias.chunk(3, dim=1)[2]


class UnrolledRecurrence(Linearised):
    """The output sequence of a GRU or an RNN that starts from zeros; windows come first."""

    def __init__(self, layer: nn.GRU | nn.RNN) -> None:
        super().__init__()
        self.layer = with_windows_first(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(window, time, feature) -> (window, time, direction x cell)."""
        # cuDNN has no backward pass in evaluation mode
        with torch.backends.cudnn.flags(enabled=not torch.is_grad_enabled()):
            output: torch.Tensor = self.layer(x)[0]
        return output

    def biases(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [bias for weights in self._weights() for bias in weights[2:]]

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        (x,) = inputs
        count = 2 if self.layer.bidirectional else 1
        cells = [
            Cell(self.layer, weights, biases[2 * i : 2 * i + 2], rule.stabilizer)
            for i, weights in enumerate(self._weights())
        ]
        for layer in range(self.layer.num_layers):
            ways = [_unroll(cell, x, d > 0) for d, cell in enumerate(cells[layer * count : (layer + 1) * count])]
            x = torch.cat(ways, dim=2)
        return x

    def _weights(self) -> Iterator[Weights]:
        """Of each layer, forth and then back."""
        for layer in range(self.layer.num_layers):
            for suffix in ("", "_reverse") if self.layer.bidirectional else ("",):
                yield _weights_of(self.layer, f"_l{layer}{suffix}")


class RecurrentCell(Linearised):
    """One step of a `nn.GRUCell` or `nn.RNNCell`, of an input and a state."""

    def __init__(self, cell: nn.GRUCell | nn.RNNCell, signals: Sequence[bool]) -> None:
        super().__init__(signals)
        self.cell = cell

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        state: torch.Tensor = self.cell(*inputs)
        return state

    def biases(self, x: torch.Tensor) -> list[torch.Tensor]:
        return list(_weights_of(self.cell, "")[2:])

    def linear_form(
        self, inputs: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], rule: SequenceRule
    ) -> torch.Tensor:
        x = inputs[0]
        h = inputs[1] if len(inputs) > 1 else x.new_zeros(len(x), self.cell.hidden_size)
        return Cell(self.cell, _weights_of(self.cell, ""), biases, rule.stabilizer)(x, h)


def _weights_of(layer: Any, suffix: str) -> Weights:
    """Weights and biases of one cell; zeros for biases that it does not have."""
    found: list[Any] = [getattr(layer, name + suffix, None) for name in NAMES]
    zeros = found[0].new_zeros(len(found[0]))
    w, u, b, c = (zeros if value is None else value.detach() for value in found)
    return w, u, b, c


def _unroll(cell: Cell, x: torch.Tensor, reverse: bool) -> torch.Tensor:
    """(window, time, feature) -> (window, time, cell)."""
    h = x.new_zeros(len(x), cell.u.shape[1])
    states = []
    for step in (x.flip(1) if reverse else x).unbind(1):
        h = cell(step, h)
        states.append(h)
    return torch.stack(states[::-1] if reverse else states, dim=1)
