"""Constants that a network adds to, joins with or writes into its data are a source of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import explain
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.layer_graph import traced_layers

CHANNELS, TIME = 3, 10
EPSILON = COMPOSITES["epsilon"].model_copy(update={"residual": "norm", "epsilon": 1e-12})


class ByHand(nn.Module):
    """2 (x1 + p1) - (x2 + p2) with p = (3, -1), made in one of several ways."""

    def __init__(self, made: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.weights = nn.Linear(2, 1, bias=False)
        self.weights.weight = nn.Parameter(torch.tensor([[2.0, -1.0]]))
        self.parameter = nn.Parameter(torch.tensor([3.0, -1.0]))
        self.register_buffer("buffer", torch.tensor([3.0, -1.0]))
        self.embedding = nn.Embedding.from_pretrained(torch.tensor([[-1.0], [3.0]]))
        self.made = made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weights(self.made(self, x[:, 0]))[:, 0]


WAYS: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "parameter": lambda n, x: x + n.parameter,
    "buffer": lambda n, x: n.buffer + x,
    "made in forward": lambda n, x: x + torch.tensor([3.0, -1.0]),
    "positions": lambda n, x: x + (3.0 - 4.0 * torch.arange(x.shape[-1])),
    "like the data": lambda n, x: x - (4.0 * torch.ones_like(x).cumsum(dim=1) - 7.0),
    "embedding": lambda n, x: x + n.embedding(1 - torch.arange(x.shape[-1]))[:, 0],
    "in place": lambda n, x: (x * 1.0).add_(n.parameter),
    "number": lambda n, x: torch.cat([x[:, :1] + 3, x[:, 1:] - 1.0], dim=1),
    "taken from": lambda n, x: -1.0 * ((5 - x) - (n.buffer + 5)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_sum_with_a_constant_solved_by_hand(way: str) -> None:
    # at x = (1, 2): 2 * 4 - 1 = 7; of the 8, x1 has 1/4 and p1 3/4; of the -1, x2 has 2/1 and p2 -1/1
    network = ByHand(WAYS[way]).double().eval()
    found = lrp(network, np.array([[[1.0, 2.0]]]), None, EPSILON)
    np.testing.assert_allclose(found.target, [7.0])
    np.testing.assert_allclose(found.values.ravel(), [2.0, -2.0], rtol=1e-9)
    np.testing.assert_allclose(found.constant_share, [7.0 / 7.0], rtol=1e-9)
    np.testing.assert_allclose(found.lost_share, [0.0], atol=1e-9)
    assert any("`constant_share`" in note for note in found.provenance["notes"])


BELOW_ZERO: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "parameter": lambda n, x: x + n.shift[:, None],
    "positions": lambda n, x: x + (3.0 * torch.arange(x.shape[1]) - 3.0)[:, None],
    "numbers": lambda n, x: torch.cat([x[:, :1] - 3.0, x[:, 1:]], dim=1),
    "difference": lambda n, x: x - torch.tensor([3.0, 0.0])[:, None],
}


class Shifted(nn.Module):
    """-h1 + h2 of h = relu(x) + (-3, 0)."""

    def __init__(self, made: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layer = nn.Conv1d(2, 1, 1, bias=False)
        self.layer.weight = nn.Parameter(torch.tensor([[[-1.0], [1.0]]]))
        self.shift = nn.Parameter(torch.tensor([-3.0, 0.0]))
        self.made = made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.made(self, F.relu(x))).flatten()


@pytest.mark.parametrize("way", BELOW_ZERO)
def test_after_a_constant_below_zero_values_are_not_taken_for_positive_ones(way: str) -> None:
    # relu(1, 2) + (-3, 0) = (-2, 2); both contribute 2 to -h1 + h2; of the 2 of h1, x1 has 1/-2, the constant -3/-2
    network = Shifted(BELOW_ZERO[way]).double().eval()
    found = lrp(network, np.array([[[1.0], [2.0]]]), None, COMPOSITES["epsilon_plus_norm"])
    np.testing.assert_allclose(found.values.ravel(), [-1.0, 2.0], rtol=1e-5)
    np.testing.assert_allclose(found.constant_share, [3.0 / 4.0], rtol=1e-5)


class Everything(nn.Module):
    """Positions that are added, coordinates and a learned token that are joined, numbers that are written."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv1d(CHANNELS + 1, 4, 3, padding=1), nn.Conv1d(4, 4, 3)
        self.token = nn.Parameter(torch.randn(1, 4, 1))
        self.last = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        coordinates = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype).expand(x.shape[0], 1, -1)
        x = F.relu(self.first(torch.cat([coordinates, x], dim=1)))
        x = x + torch.sin(torch.arange(x.shape[-1]) / 2.0) - 0.1
        x[:, :, 4] = 0.5
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=2)
        return self.last(F.relu(self.second(x)).mean(dim=2))


@pytest.fixture
def network() -> nn.Module:
    return Everything().double().eval()


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, CHANNELS, TIME))


@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_relevance_budget_closes_with_constants(network: nn.Module, windows: np.ndarray, composite: str) -> None:
    data = torch.from_numpy(windows)
    engine, budget = Engine(canonize(network, data)), RelevanceBudget()
    tape = engine.run(data)
    low = torch.full((1, CHANNELS, 1), -4.0, dtype=torch.float64)
    values, _ = engine.relevance(tape, tape.output, COMPOSITES[composite].rules(low, -low), budget)
    rest = tape.output.sum(1) - values.sum((1, 2)) - sum(amount for _, _, amount in budget.entries)
    largest = max(float(amount.abs().max()) for _, _, amount in budget.entries)
    assert rest.abs().max() < 1e-11 * max(largest, 1.0)
    of_constants = torch.as_tensor(budget.sum("constant"))
    assert of_constants.shape == (4,) and of_constants.abs().min() > 1e-3
    names = {name for name, kind, amount in budget.entries if kind == "constant" and amount.abs().max() > 1e-9}
    # a rule of the first layer gives nothing to what does not move with the input, such as joined coordinates
    joined = {"expand"} if COMPOSITES[composite].first_layer is None else set()
    assert names >= {"sin", "overwrite", "expand_1"} | joined


@pytest.mark.parametrize("composite", [name for name in COMPOSITES if "box" not in name])
def test_the_engine_equals_zennit_after_constants(network: nn.Module, windows: np.ndarray, composite: str) -> None:
    found, expected = (lrp(network, windows, 0, composite, engine=engine) for engine in ("fused", "zennit"))
    largest = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-8, atol=1e-8 * largest)
    assert np.isnan(expected.constant_share).all()


def test_the_share_of_constants_is_what_the_budget_says_for_each_window(
    network: nn.Module, windows: np.ndarray
) -> None:
    found = lrp(network, windows, 0, EPSILON, batch_size=3)
    alone = np.concatenate([lrp(network, window[None], 0, EPSILON).constant_share for window in windows])
    np.testing.assert_allclose(found.constant_share, alone, rtol=1e-9)
    assert np.ptp(found.constant_share) > 0
    np.testing.assert_allclose(found.gap, found.bias_share + found.constant_share, atol=1e-8)
    assert "constants&#x27; share" in found._repr_html_() or "constants' share" in found._repr_html_()


def test_a_network_without_constants_has_no_share_of_theirs(windows: np.ndarray) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * TIME, 1)).double().eval()
    for engine in ("fused", "zennit"):
        assert (lrp(network, windows, 0, engine=engine).constant_share == 0).all()


@pytest.mark.parametrize("method", ["smooth", "contrast"])
def test_shares_of_constants_are_kept_by_what_averages_lrp(
    network: nn.Module, windows: np.ndarray, method: str
) -> None:
    parameters = {"smooth": {"noise_share": 0.0, "n_samples": 2}, "contrast": {}}[method]
    found = explain(network, windows, method, 0, windows[:2] + 0.1, **parameters)
    plain, others = (explain(network, data, "lrp_epsilon_plus", 0) for data in (windows, windows[:2] + 0.1))
    expected = plain.constant_share * plain.target
    expected = expected - (others.constant_share * others.target).mean() * (method == "contrast")
    np.testing.assert_allclose(found.constant_share * found.target, expected, rtol=1e-9)


def test_constants_have_no_part_in_differences(network: nn.Module, windows: np.ndarray) -> None:
    found = explain(network, windows, "difference", 0, windows[::-1] + 0.5)
    assert np.abs(found.gap).max() < 1e-9


class Turned(nn.Module):
    """A large constant that is added, and a token before the time steps of what was turned."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(CHANNELS, 4, 3, padding=1), nn.Linear(4, 2)
        self.token = nn.Parameter(torch.full((1, 1, 4), 100.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) + 100.0 * torch.arange(x.shape[2])
        x[:, :, 2] = 50.0
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x.transpose(1, 2)], dim=1)
        return self.second(x).mean(dim=1)


def test_constants_see_no_sample_and_lie_on_no_path(windows: np.ndarray) -> None:
    data = torch.from_numpy(windows)
    torch.manual_seed(0)
    layers = traced_layers(canonize(Turned().double().eval(), data), data)
    assert list(layers) == ["first", "add", "overwrite", "transpose", "cat", "second", "mean"]
    assert all(traced.layer.on_every_path for traced in layers.values())
    assert {name: traced.layer.field for name, traced in layers.items()} == dict.fromkeys(layers, 3) | {"mean": TIME}
    joined = layers["cat"]
    assert (joined.layer.n_concepts, joined.layer.n_positions) == (4, TIME + 1)
    # the token and the third step, which a number stands for
    assert (joined.stops == joined.starts).all(axis=0).nonzero()[0].tolist() == [0, 3]
