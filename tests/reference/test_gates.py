"""What is made of sigmoids and softmaxes alone is a gate: of a signal times a gate the signal takes all."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import lrp
from clusterwhy.propagation.composites import COMPOSITES
from tests.random_networks.plain import plain_epsilon

EXACT = COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-13})
CHANNELS, TIME = 3, 8
Gate = Callable[["Gated", torch.Tensor], torch.Tensor]


class Gated(nn.Module):
    """The sum of a signal times what `gate` makes of its mirror image."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.scale = gate, nn.Parameter(torch.rand(CHANNELS, 1))
        self.dense = nn.Linear(TIME, TIME)
        self.register_buffer("mask", torch.ones(TIME, dtype=torch.bool))
        self.mask[2:5] = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.gate(self, x.flip(2))).sum(dim=(1, 2))


def renormalised(n: Gated, x: torch.Tensor) -> torch.Tensor:
    kept = torch.softmax(x, dim=2) * n.mask
    return kept / kept.sum(dim=2, keepdim=True)


GATES: dict[str, Gate] = {
    "sigmoid": lambda n, x: torch.sigmoid(x),
    "function": lambda n, x: F.hardsigmoid(x),
    "of a number": lambda n, x: 1.0 - 0.5 * torch.softmax(x, dim=1),
    "times a parameter": lambda n, x: torch.sigmoid(x) * n.scale,
    "over a parameter": lambda n, x: torch.sigmoid(x) / n.scale,
    "masked": lambda n, x: n.mask * torch.softmax(x, dim=2),
    "masked and renormalised": renormalised,
    "over a spread": lambda n, x: torch.sigmoid(x) / x.std(dim=2, keepdim=True),
    "two gates": lambda n, x: torch.sigmoid(x) * torch.softmax(x, dim=1),
    "mean": lambda n, x: torch.sigmoid(x).mean(dim=2, keepdim=True),
    "greatest": lambda n, x: torch.sigmoid(x).amax(dim=1, keepdim=True),
    "of fewer steps": lambda n, x: F.interpolate(torch.sigmoid(F.avg_pool1d(x, 2)), scale_factor=2.0),
}


@pytest.mark.parametrize("name", GATES)
def test_of_a_signal_times_a_gate_the_signal_takes_all(name: str, rng: np.random.Generator) -> None:
    network = Gated(GATES[name]).double().eval()
    windows = rng.normal(size=(3, CHANNELS, TIME))
    x = torch.as_tensor(windows)
    found = lrp(network, windows, composite=EXACT)
    np.testing.assert_allclose(found.values, (x * network.gate(network, x.flip(2))).detach(), rtol=1e-9, atol=1e-12)


SIGNALS: dict[str, Gate] = {
    "dense layer of a gate": lambda n, x: n.dense(torch.sigmoid(x)),
    "gate and signal": lambda n, x: torch.sigmoid(x) + n.dense(x),
    "weighted mean of a gate": lambda n, x: torch.sigmoid(x) @ n.dense.weight,
    "tanh": lambda n, x: torch.tanh(n.dense(x)),
    "signal over a gate": lambda n, x: n.dense(x) / (1.0 + torch.sigmoid(x)),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_of_two_signals_each_has_half(name: str, rng: np.random.Generator) -> None:
    network = Gated(SIGNALS[name]).double().eval()
    windows = rng.normal(size=(3, CHANNELS, TIME))
    found = lrp(network, windows, composite=EXACT)
    expected = plain_epsilon(network, torch.as_tensor(windows))
    assert expected is not None
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-7, atol=1e-9)
    whole = windows * network.gate(network, torch.as_tensor(windows).flip(2)).detach().numpy()
    assert np.abs(found.values - whole).max() > 1e-3


def test_a_long_chain_of_gates_is_followed(rng: np.random.Generator) -> None:
    """Deeper than Python's limit of recursion."""

    def chain(n: Gated, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(x)
        for _ in range(1100):
            gate = -gate
        return gate

    windows = rng.normal(size=(2, CHANNELS, TIME))
    found = lrp(Gated(chain).double().eval(), windows, composite=EXACT)
    np.testing.assert_allclose(found.values, windows / (1.0 + np.exp(-windows[:, :, ::-1])), rtol=1e-9)
