"""Layers that read (time, window, feature): the relevance of windows first; refused where they mix windows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import explain_difference, lrp
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import Engine, RelevanceBudget

N_CHANNELS, N_STEPS = 3, 12


def transformer(batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


LAYERS: dict[str, Callable[[bool], nn.Module]] = {
    "transformer": transformer,
    "gru": lambda batch_first: nn.GRU(8, 8, batch_first=batch_first),
    "lstm": lambda batch_first: nn.LSTM(8, 4, batch_first=batch_first, bidirectional=True),
}


class Encoder(nn.Module):
    """Embedding, learned positions, a layer over time, a norm, the last step and the mean."""

    def __init__(self, layer: Callable[[bool], nn.Module], batch_first: bool, feeds_windows_first: bool) -> None:
        super().__init__()
        self.embedding, self.layer, self.norm = nn.Linear(N_CHANNELS, 8), layer(batch_first), nn.LayerNorm(8)
        self.classes, self.windows_first = nn.Linear(16, 4), feeds_windows_first

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = self.embedding(windows.permute(0, 2, 1) if self.windows_first else windows.permute(2, 0, 1))
        x = self.layer(x)[0] if isinstance(self.layer, nn.RNNBase) else self.layer(x)
        x = torch.tanh(self.norm(x))
        last, mean = (x[:, -1], x.mean(dim=1)) if self.windows_first else (x[-1], x.mean(dim=0))
        return self.classes(torch.cat([last, mean], dim=1))


def both(name: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    first = Encoder(LAYERS[name], True, True).double().eval()
    second = Encoder(LAYERS[name], False, False).double().eval()
    for key, parameter in first.named_parameters():
        if "bias" in key:
            nn.init.normal_(parameter, std=0.3)
    second.load_state_dict(first.state_dict())
    return first, second


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N_STEPS, N_CHANNELS, N_STEPS))  # as many windows as time steps: axes are no guess


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_without_bias", "epsilon_plus_norm"])
@pytest.mark.parametrize("name", LAYERS)
def test_time_first_has_the_relevance_of_windows_first(name: str, composite: str, windows: np.ndarray) -> None:
    expected, found = (lrp(network, windows, 1, composite) for network in both(name))
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-10)
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-7, atol=1e-7 * scale)
    np.testing.assert_allclose(found.bias_share, expected.bias_share, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_relevance_budget_of_each_window_adds_up(name: str, windows: np.ndarray) -> None:
    x = torch.as_tensor(windows[:5])
    engine = Engine(canonize(both(name)[1], x))
    assert engine.batch_size == 1  # rows of its values are time steps
    rules = COMPOSITES["epsilon"].rules(x.amin((0, 2))[None, :, None], x.amax((0, 2))[None, :, None])
    for window in x.split(1):
        tape, budget = engine.run(window), RelevanceBudget()
        found, _ = engine.relevance(tape, tape.output, rules, budget)
        assert all(amount.shape == (1,) for _, _, amount in budget.entries)
        kept = sum(amount for _, _, amount in budget.entries)
        torch.testing.assert_close(found.sum((1, 2)) + kept, tape.output.sum(1), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", LAYERS)
def test_differences_of_time_first_add_up(name: str, windows: np.ndarray) -> None:
    expected, found = (explain_difference(network, windows[:2], windows[2:5], 1) for network in both(name))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-8, atol=1e-12)


class LastStates(nn.Module):
    """Classes of the last state of the last layer, `h_n[-1]`, or of the last steps of the output sequence."""

    def __init__(self, layer: nn.GRU | nn.LSTM, by_state: bool) -> None:
        super().__init__()
        self.layer, self.by_state = layer, by_state
        self.classes = nn.Linear(4 * (1 + layer.bidirectional), 2)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        sequence, states = self.layer(windows.permute(2, 0, 1))
        last = states[0] if isinstance(self.layer, nn.LSTM) else states
        if not self.by_state:
            return self.classes(torch.cat([sequence[-1, :, :4], sequence[0, :, 4:]], dim=1))
        return self.classes(torch.cat([last[-2], last[-1]], dim=1) if self.layer.bidirectional else last[-1])


@pytest.mark.parametrize("two_ways", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_last_state_is_the_last_step(kind: type[nn.Module], two_ways: bool, windows: np.ndarray) -> None:
    torch.manual_seed(0)
    layer = kind(N_CHANNELS, 4, num_layers=2, bidirectional=two_ways)
    by_state, by_step = (LastStates(layer, by_state).double().eval() for by_state in (True, False))
    by_step.load_state_dict(by_state.state_dict())
    found, expected = (lrp(network, windows, 1, "epsilon") for network in (by_state, by_step))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_that_take_windows_for_time_are_refused(name: str, batch_first: bool, windows: np.ndarray) -> None:
    network = Encoder(LAYERS[name], batch_first, not batch_first).double().eval()
    with pytest.raises(CompositeError, match="Encoder gives a window another output beside other windows"):
        lrp(network, windows[:3], 1)
