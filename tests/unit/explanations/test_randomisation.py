"""Redrawn networks: every parameter of every kind of layer, from the output down, apart from any training's seed."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy.compute.seeding import seed_torch
from clusterwhy.explanations.randomisation import randomised
from clusterwhy.explanations.target_heads import ClusterMembership
from tests.unit.propagation.test_relevance import made_encoder

N_CHANNELS, TIME = 3, 16
WINDOWS = np.random.default_rng(0).normal(size=(2, N_CHANNELS, TIME)).astype(np.float32)


class Positions(nn.Module):
    """Adds a free parameter, declared after what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(TIME, 2)
        self.first = nn.Conv1d(N_CHANNELS, 4, 3, padding=1)
        self.positions = nn.Parameter(torch.randn(4, TIME))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x) + self.positions)


class TimeFirst(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.layer(x.transpose(1, 2))
        return found[0] if isinstance(found, tuple) else found


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(N_CHANNELS, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.project(x.transpose(1, 2))
        return self.attention(h, h, h)[0].flatten(1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MLP": lambda: nn.Sequential(nn.Flatten(), nn.Linear(N_CHANNELS * TIME, 8), nn.PReLU(), nn.Linear(8, 2)),
    "LSTM": lambda: TimeFirst(nn.LSTM(N_CHANNELS, 6, 2, batch_first=True, bidirectional=True)),
    "attention": SelfAttention,
    "transformer": lambda: nn.Sequential(
        nn.Conv1d(N_CHANNELS, 8, 1), TimeFirst(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    ),
    "positions": Positions,
    "weight norm": lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Conv1d(N_CHANNELS, 4, 3)), nn.BatchNorm1d(4), nn.Conv1d(4, 2, 3)
    ),
    "InceptionTime": lambda: made_encoder(N_CHANNELS).float(),
}


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(np.corrcoef(first.detach().flatten(), second.detach().flatten())[0, 1])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_redrawn_apart_from_the_trainings_seed(name: str) -> None:
    seed_torch(5)
    network = NETWORKS[name]().eval()
    made = randomised(network, WINDOWS, 1.0, seed=5)
    others = dict(randomised(network, WINDOWS, 1.0, seed=6).named_parameters())
    for (key, before), after in zip(network.named_parameters(), made.parameters(), strict=True):
        assert not (before == after).any(), key
        assert not (others[key] == after).any(), key
        if before.numel() >= 100:
            assert abs(correlation(before, after)) < 0.3, key
            assert 0.5 < float(after.detach().std() / before.detach().std()) < 2.0, key
    again = randomised(network, WINDOWS, 1.0, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), again.parameters(), strict=True))


def test_layers_are_redrawn_from_the_output_down_in_the_order_of_calls() -> None:
    network = Positions().eval()
    changed = [
        {
            key
            for key, value in randomised(network, WINDOWS, share, 0).named_parameters()
            if not same(network, key, value)
        }
        for share in (0.0, 1 / 3, 2 / 3, 1.0)
    ]
    last, first = {"last.weight", "last.bias"}, {"first.weight", "first.bias"}
    assert changed == [set(), last, last | first, last | first | {"positions"}]


def same(network: nn.Module, key: str, value: torch.Tensor) -> bool:
    return torch.equal(network.state_dict()[key], value)


def test_the_network_itself_and_its_target_are_kept() -> None:
    encoder = made_encoder(N_CHANNELS).float().eval()
    width = encoder(torch.from_numpy(WINDOWS)).shape[1]
    head = ClusterMembership(np.ones((1, width)), np.zeros((1, width)))
    network = nn.Sequential(encoder, head).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = randomised(network, WINDOWS, 1.0, 0)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(made.get_parameter("1.linear.weight"), head.linear.weight)


def test_shared_weights_stay_shared_and_running_statistics_start_anew() -> None:
    layer, norm = nn.Conv1d(N_CHANNELS, N_CHANNELS, 1), nn.BatchNorm1d(N_CHANNELS)
    nn.init.constant_(norm.running_mean, 3.0)  # type: ignore[arg-type]
    made = randomised(nn.Sequential(layer, norm, layer).eval(), WINDOWS, 1.0, 0)
    assert made[0] is made[2]
    assert not made[1].running_mean.any() and not made.training
