"""Blocks of recurrent layers: their outputs, or their last state beside the signal."""

import random

import torch
from torch import nn

from tests.random_networks.blocks import Draw, chance

Recurrent = nn.LSTM | nn.GRU | nn.RNN


def layer(rng: random.Random, n_inputs: int, **keys: bool) -> Recurrent:
    """An LSTM, a GRU or an RNN."""
    chosen = {"num_layers": rng.choice([1, 1, 2]), "bidirectional": chance(rng, 0.4), "bias": chance(rng, 0.8)}
    size = rng.choice([2, 3])
    if chance(rng, 0.3):
        return nn.RNN(n_inputs, size, nonlinearity=rng.choice(["tanh", "relu"]), **chosen, **keys)
    return rng.choice([nn.LSTM, nn.GRU])(n_inputs, size, **chosen, **keys)


class Outputs(nn.Module):
    """The outputs of a recurrent layer at every step."""

    def __init__(self, recurrent: Recurrent) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.recurrent.batch_first:
            return self.recurrent(x.transpose(1, 2))[0].transpose(1, 2)
        sequence, _ = self.recurrent(x.permute(2, 0, 1))
        return sequence.permute(1, 2, 0)


class LastState(nn.Module):
    """The last state of the last layer, as `h_n[-1]` or as the last output, (window, cell)."""

    def __init__(self, recurrent: Recurrent, by_state: bool) -> None:
        super().__init__()
        self.recurrent, self.by_state = recurrent, by_state

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.recurrent.batch_first
        sequence, states = self.recurrent(x.permute((0, 2, 1) if first else (2, 0, 1)))
        if not self.by_state:
            return sequence[:, -1] if first else sequence[-1]
        last = states[0] if isinstance(self.recurrent, nn.LSTM) else states
        return torch.cat([last[-2], last[-1]], dim=1) if self.recurrent.bidirectional else last[-1]


class Cells(nn.Module):
    """The last state of a cell that is called step by step."""

    def __init__(self, cell: nn.GRUCell | nn.RNNCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.cell(x[:, :, 0])
        for t in range(1, min(x.shape[2], 6)):
            state = self.cell(x[:, :, t], state)
        return state


class Beside(nn.Module):
    """A state (window, cell) beside the signal at every step."""

    def __init__(self, state: nn.Module) -> None:
        super().__init__()
        self.state = state

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.state(x).unsqueeze(2).expand(-1, -1, x.shape[2])], dim=1)


def outputs(rng: random.Random, channels: int, time: int) -> nn.Module:
    return Outputs(layer(rng, channels, batch_first=chance(rng, 0.7)))


def last_state(rng: random.Random, channels: int, time: int) -> nn.Module:
    """(window, channel, time) -> (window, cell)."""
    if chance(rng, 0.3):
        kind = rng.choice([nn.GRUCell, nn.RNNCell])
        return Cells(kind(channels, 3))
    return LastState(layer(rng, channels, batch_first=chance(rng, 0.7)), chance(rng))


def beside_state(rng: random.Random, channels: int, time: int) -> nn.Module:
    return Beside(last_state(rng, channels, time))


BLOCKS: list[Draw] = [outputs, outputs, beside_state]
