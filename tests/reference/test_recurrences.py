"""LRP through GRU, RNN and their cells: against autograd with constant gates, a case by hand, its budget."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, SequenceRule
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.recurrences import RecurrentCell, UnrolledRecurrence

EXACT = 1e-20
RULE, WITHOUT_BIAS = SequenceRule(EXACT, False, "constant"), SequenceRule(EXACT, True, "constant")
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


def with_constant_gates(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The equations of torch's documentation, gate by gate, with gates and secants detached."""
    for number in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if layer.bidirectional else ("",):
            w, u, b, c = (
                getattr(layer, f"{n}_l{number}{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, found = x.new_zeros(len(x), layer.hidden_size), []
            for step in (x.flip(1) if suffix else x).unbind(1):
                if isinstance(layer, nn.GRU):
                    (wr, wz, wn), (ur, uz, un) = w.chunk(3), u.chunk(3)
                    (br, bz, bn), (cr, cz, cn) = b.chunk(3), c.chunk(3)
                    r = torch.sigmoid(F.linear(step, wr, br) + F.linear(h, ur, cr)).detach()
                    z = torch.sigmoid(F.linear(step, wz, bz) + F.linear(h, uz, cz)).detach()
                    n = F.linear(step, wn, bn) + r * F.linear(h, un, cn)
                    h = (1 - z) * n * (n.tanh() / n).detach() + z * h
                else:
                    n = F.linear(step, w, b) + F.linear(h, u, c)
                    h = n * (ACTIVATIONS[layer.nonlinearity](n) / n).detach()
                found.append(h)
            outputs.append(torch.stack(found[::-1] if suffix else found, dim=1))
        x = torch.cat(outputs, dim=2)
    return x


def with_any_biases(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double().eval()


LAYERS = {
    "gru": lambda **keys: nn.GRU(4, 5, batch_first=True, **keys),
    "rnn": lambda **keys: nn.RNN(4, 5, batch_first=True, **keys),
    "rnn of relu": lambda **keys: nn.RNN(4, 5, batch_first=True, nonlinearity="relu", **keys),
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_recurrences_equal_autograd_with_gates_as_constants(
    kind: str, n_layers: int, bidirectional: bool, rng: np.random.Generator
) -> None:
    layer = with_any_biases(LAYERS[kind](num_layers=n_layers, bidirectional=bidirectional))
    x = torch.as_tensor(rng.standard_normal((3, 6, 4)))
    z = layer(x)[0].detach()
    relevance = torch.as_tensor(rng.standard_normal(z.shape)) * (z != 0)
    torch.testing.assert_close(with_constant_gates(layer, x), z)
    shared = UnrolledRecurrence(layer).share([x], z, relevance, RULE)
    own = x.clone().requires_grad_()
    s = torch.where(z == 0, 0.0, relevance / z.masked_fill(z == 0, 1.0))
    (gradient,) = torch.autograd.grad(with_constant_gates(layer, own), own, s)
    torch.testing.assert_close(shared.of_inputs[0], (gradient * x).detach(), rtol=1e-8, atol=1e-8)
    everything = shared.of_inputs[0].sum((1, 2)) + shared.bias + shared.stabilizer()
    torch.testing.assert_close(everything, relevance.sum((1, 2)), rtol=1e-8, atol=1e-8)
    assert shared.bias.abs().min() > 1e-3


def test_two_steps_of_one_gated_unit_by_hand() -> None:
    """x = (1, 2), W = U = 1 for the candidate, gates halfway open, input bias 0.5.

    n1 = 1.5, h1 = tanh(1.5) / 2; n2 = 2 + h1 / 2 + 0.5, h2 = tanh(n2) / 2 + h1 / 2. Of relevance 1 at h2 the state h1
    keeps a = (h1 / 2) / h2, the candidate has 1 - a: 2 / n2 of it for x2, 0.5 / n2 for the bias, (h1 / 2) / n2 for h1.
    What reaches h1 is a + (1 - a) (h1 / 2) / n2, of which x1 has 1 / 1.5.
    """
    gru = nn.GRU(1, 1, batch_first=True).double()
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.zero_()
        gru.weight_ih_l0[2] = gru.weight_hh_l0[2] = 1.0
        gru.bias_ih_l0[2] = 0.5
    h1 = math.tanh(1.5) / 2
    n2 = 2.5 + h1 / 2
    h2 = math.tanh(n2) / 2 + h1 / 2
    a = (h1 / 2) / h2
    at_h1 = a + (1 - a) * (h1 / 2) / n2
    x = torch.tensor([[[1.0], [2.0]]], dtype=torch.float64)
    shared = UnrolledRecurrence(gru).share([x], gru(x)[0].detach(), torch.tensor([[[0.0], [1.0]]]).double(), RULE)
    assert shared.of_inputs[0].flatten().tolist() == pytest.approx([at_h1 / 1.5, (1 - a) * 2 / n2], rel=1e-9)
    assert shared.bias.item() == pytest.approx(at_h1 * 0.5 / 1.5 + (1 - a) * 0.5 / n2, rel=1e-9)


@pytest.mark.parametrize("kind", ["gru", "rnn"])
def test_without_biases_all_relevance_reaches_the_inputs(kind: str, rng: np.random.Generator) -> None:
    layer = with_any_biases(LAYERS[kind](num_layers=2, bidirectional=True))
    x = torch.as_tensor(rng.standard_normal((3, 6, 4)))
    z = layer(x)[0].detach()
    shared = UnrolledRecurrence(layer).share([x], z, z, WITHOUT_BIAS)
    assert shared.bias.abs().max() == 0
    torch.testing.assert_close(shared.of_inputs[0].sum((1, 2)), z.sum((1, 2)), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.RNNCell])
def test_a_cell_is_one_step_of_its_layer(kind: type[nn.Module], rng: np.random.Generator) -> None:
    cell = with_any_biases(kind(4, 5))
    layer = {nn.GRUCell: nn.GRU, nn.RNNCell: nn.RNN}[kind](4, 5, batch_first=True).double()
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = torch.as_tensor(rng.standard_normal((3, 4)))
    z = cell(x).detach()
    relevance = torch.as_tensor(rng.standard_normal(z.shape))
    alone = RecurrentCell(cell, [True]).share([x], z, relevance, RULE)
    from_zeros = RecurrentCell(cell, [True, True]).share([x, torch.zeros(3, 5).double()], z, relevance, RULE)
    expected = UnrolledRecurrence(layer).share([x[:, None]], z[:, None], relevance[:, None], RULE)
    for shared in (alone, from_zeros):
        torch.testing.assert_close(shared.of_inputs[0], expected.of_inputs[0][:, 0])
        torch.testing.assert_close(shared.bias, expected.bias)
    assert from_zeros.of_inputs[1].abs().max() == 0


class Layered(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.convolution, self.layer, self.last = nn.Conv1d(3, 4, 3, padding=1), layer, nn.Linear(5, 2)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        sequence, _ = self.layer(F.relu(self.convolution(windows)).transpose(1, 2))
        return self.last(sequence[:, -1])


class CellByCell(Layered):
    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        sequence = F.relu(self.convolution(windows))
        state = self.layer(sequence[:, :, 0])
        for t in range(1, 8):
            state = self.layer(sequence[:, :, t], state)
        return self.last(state)


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_without_bias"])
@pytest.mark.parametrize("kind", ["gru", "rnn", "cells"])
def test_budget_of_a_network_adds_up(kind: str, composite: str, rng: np.random.Generator) -> None:
    made = CellByCell(nn.GRUCell(4, 5)) if kind == "cells" else Layered(LAYERS[kind]())
    network, x = with_any_biases(made), torch.as_tensor(rng.standard_normal((3, 3, 8)))
    engine, budget = Engine(canonize(network, x)), RelevanceBudget()
    tape = engine.run(x)
    rules = COMPOSITES[composite].rules(x.amin((0, 2))[None, :, None], x.amax((0, 2))[None, :, None])
    found, absorbed = engine.relevance(tape, tape.output, rules, budget)
    kept = sum(amount for _, _, amount in budget.entries)
    torch.testing.assert_close(found.sum((1, 2)) + kept, tape.output.sum(1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(absorbed, budget.sum("bias"))
    assert found.abs().amin(dim=(0, 2)).shape == (3,) and found.abs().max() > 1e-3


def test_a_loop_over_cells_has_the_relevance_of_the_layer(rng: np.random.Generator) -> None:
    layer = with_any_biases(Layered(nn.GRU(4, 5, batch_first=True)))
    cells = CellByCell(nn.GRUCell(4, 5)).double().eval()
    cells.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    settings = COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-14})
    windows = rng.standard_normal((3, 3, 8))
    found, expected = (lrp(network, windows, 1, settings) for network in (cells, layer))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.bias_share, expected.bias_share, rtol=1e-6)
