"""LRP through LSTM and attention: against autograd with constant gates, plain loops, a case by hand, its budget."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.attribution.differences import explain_difference
from clusterwhy.errors import CompositeError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, AttentionRule, SequenceRule
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.sequence_rules import Recurrent, SelfAttention

EXACT = 1e-20


def rule(attention: AttentionRule = "constant", zero_bias: bool = False) -> SequenceRule:
    return SequenceRule(EXACT, zero_bias, attention)


class Hybrid(nn.Module):
    """Convolutions, a two-layer LSTM in both directions, attention, mean over time, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv1d(3, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm1d(8), nn.MaxPool1d(2))
        self.lstm = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.classes = nn.Linear(12, 4)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        sequence, _ = self.lstm(self.convolutions(windows).permute(0, 2, 1))
        attended, _ = self.attention(sequence, sequence, sequence)
        return self.classes((attended + sequence).mean(dim=1))


@pytest.fixture
def hybrid() -> nn.Module:
    torch.manual_seed(0)
    network = Hybrid().double()
    for name, parameter in network.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.3)
    network.convolutions[2].running_mean.normal_()
    return network.eval()


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 3, 16))


class WithConstants(torch.autograd.Function):
    """The same value; half of the gradient."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] / 2.0


def tanh_as_secant(x: torch.Tensor) -> torch.Tensor:
    return x * (x.tanh() / x).detach()


def lstm_with_constant_gates(lstm: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
    for layer in range(lstm.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if lstm.bidirectional else ("",):
            w, u, b, d = (
                getattr(lstm, f"{n}_l{layer}{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = c = x.new_zeros(len(x), lstm.hidden_size)
            found = []
            for step in (x if not suffix else x.flip(1)).unbind(1):
                i, f, g, o = (F.linear(step, w, b) + F.linear(h, u, d)).chunk(4, dim=1)
                c = f.sigmoid().detach() * c + i.sigmoid().detach() * tanh_as_secant(g)
                h = o.sigmoid().detach() * tanh_as_secant(c)
                found.append(h)
            outputs.append(torch.stack(found if not suffix else found[::-1], dim=1))
        x = torch.cat(outputs, dim=2)
    return x


def by_gradient(function: object, x: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    """Epsilon rule for a function that is linear once its constants are detached."""
    x = x.clone().requires_grad_()
    z = function(x)  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(z, x, relevance / z.detach())
    return (gradient * x).detach()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_lstm_equals_autograd_with_gates_as_constants(
    bidirectional: bool, n_layers: int, rng: np.random.Generator
) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 5, n_layers, batch_first=True, bidirectional=bidirectional).double()
    x = torch.as_tensor(rng.standard_normal((3, 7, 4)))
    z = lstm(x)[0].detach()
    relevance = torch.as_tensor(rng.standard_normal(z.shape))
    torch.testing.assert_close(lstm_with_constant_gates(lstm, x), z)
    shared = Recurrent(lstm).share(x, z, relevance, rule())
    expected = by_gradient(lambda values: lstm_with_constant_gates(lstm, values), x, relevance)
    torch.testing.assert_close(shared.inputs, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        shared.inputs.sum((1, 2)) + shared.bias + shared.stabilizer(), relevance.sum((1, 2)), rtol=1e-9, atol=1e-9
    )


def test_two_steps_of_one_cell_by_hand() -> None:
    """x = (1, 2), W = U = 1 for the candidate, gates open halfway (weights 0), bias 0.5.

    z1 = 1.5, c1 = tanh(1.5) / 2, h1 = tanh(c1) / 2; z2 = 2 + h1 + 0.5, c2 = c1 / 2 + tanh(z2) / 2. Of relevance 1 at h2
    the first cell keeps a = (c1 / 2) / c2. Of the second candidate's 1 - a, shares 2 / z2 and 0.5 / z2 go to x2 and the
    bias, h1 / z2 to h1, which is all from c1. What reaches c1 is a + (1 - a) h1 / z2: 1 / 1.5 of it goes to x1.
    """
    lstm = nn.LSTM(1, 1, batch_first=True).double()
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.zero_()
        lstm.weight_ih_l0[2] = lstm.weight_hh_l0[2] = 1.0
        lstm.bias_ih_l0[2] = 0.5
    c1 = math.tanh(1.5) / 2
    h1 = math.tanh(c1) / 2
    z2 = 2.5 + h1
    c2 = c1 / 2 + math.tanh(z2) / 2
    a = (c1 / 2) / c2
    at_c1 = a + (1 - a) * h1 / z2
    x = torch.tensor([[[1.0], [2.0]]], dtype=torch.float64)
    shared = Recurrent(lstm).share(x, lstm(x)[0].detach(), torch.tensor([[[0.0], [1.0]]]).double(), rule())
    assert shared.inputs.flatten().tolist() == pytest.approx([at_c1 / 1.5, (1 - a) * 2 / z2], rel=1e-9)
    assert shared.bias.item() == pytest.approx(at_c1 * 0.5 / 1.5 + (1 - a) * 0.5 / z2, rel=1e-9)


def test_lstm_without_biases_gives_all_relevance_to_its_inputs(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True).double()
    x = torch.as_tensor(rng.standard_normal((3, 7, 4)))
    z = lstm(x)[0].detach()
    shared = Recurrent(lstm).share(x, z, z, rule(zero_bias=True))
    assert shared.bias.abs().max() == 0
    torch.testing.assert_close(shared.inputs.sum((1, 2)) + shared.stabilizer(), z.sum((1, 2)), rtol=1e-9, atol=1e-9)
    assert shared.stabilizer().abs().max() < 1e-6


def plain_attention(attention: nn.MultiheadAttention, x: torch.Tensor, shared: bool) -> torch.Tensor:
    """Head by head and step by step, with weights as constants, or halves of each product (AttnLRP)."""
    half = WithConstants.apply if shared else lambda value: value
    w, b = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    size = attention.head_dim
    q, k, v = (F.linear(x, weight, bias) for weight, bias in zip(w, b, strict=True))
    heads = []
    for head in range(attention.num_heads):
        part = slice(head * size, (head + 1) * size)
        steps = []
        for i in range(x.shape[1]):
            logits = torch.stack(
                [(half(q[:, i, part]) * half(k[:, j, part])).sum(1) / math.sqrt(size) for j in range(x.shape[1])], dim=1
            )
            weights = torch.softmax(logits, dim=1) if shared else torch.softmax(logits, dim=1).detach()
            steps.append(sum(half(weights)[:, j, None] * half(v[:, j, part]) for j in range(x.shape[1])))
        heads.append(torch.stack(steps, dim=1))
    return F.linear(torch.cat(heads, dim=2), attention.out_proj.weight, attention.out_proj.bias)


@pytest.mark.parametrize("kind", ["constant", "shared"])
def test_attention_equals_a_plain_re_implementation(kind: AttentionRule, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(6, 2, batch_first=True).double()
    nn.init.normal_(attention.in_proj_bias)
    nn.init.normal_(attention.out_proj.bias)
    x = torch.as_tensor(rng.standard_normal((3, 5, 6)))
    z = attention(x, x, x)[0].detach()
    relevance = torch.as_tensor(rng.standard_normal(z.shape))
    torch.testing.assert_close(plain_attention(attention, x, kind == "shared"), z)
    shared = SelfAttention(attention).share(x, z, relevance, rule(kind))
    expected = by_gradient(lambda values: plain_attention(attention, values, kind == "shared"), x, relevance)
    torch.testing.assert_close(shared.inputs, expected, rtol=1e-8, atol=1e-8)
    softmax = 0.0 if shared.softmax is None else shared.softmax
    torch.testing.assert_close(
        shared.inputs.sum((1, 2)) + shared.bias + shared.stabilizer() + softmax,
        relevance.sum((1, 2)),
        rtol=1e-8,
        atol=1e-8,
    )
    assert (shared.softmax is not None) == (kind == "shared")


@pytest.mark.parametrize("attention", ["constant", "shared"])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_gamma", "epsilon_alpha2_beta1"])
def test_relevance_budget_of_a_hybrid_network_adds_up(
    composite: str, attention: AttentionRule, hybrid: nn.Module, windows: np.ndarray
) -> None:
    x = torch.as_tensor(windows)
    engine = Engine(canonize(hybrid, x))
    settings = COMPOSITES[composite].model_copy(update={"attention": attention})
    rules = settings.rules(x.amin((0, 2))[None, :, None], x.amax((0, 2))[None, :, None])
    tape, budget = engine.run(x), RelevanceBudget()
    seed = torch.zeros_like(tape.output)
    seed[:, 1] = tape.output[:, 1]
    found, absorbed = engine.relevance(tape, seed, rules, budget)
    kept = sum(amount for _, _, amount in budget.entries)
    torch.testing.assert_close(found.sum((1, 2)) + kept, seed.sum(1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(absorbed, budget.sum("bias"), rtol=1e-9, atol=1e-12)
    categories = {(name, category) for name, category, _ in budget.entries}
    assert {("lstm", "bias"), ("attention", "bias")} <= categories
    assert (("attention", "softmax") in categories) == (attention == "shared")


@pytest.mark.parametrize("attention", ["constant", "shared"])
def test_what_reaches_input_and_biases_of_a_hybrid_network_is_its_target(
    attention: AttentionRule, hybrid: nn.Module, windows: np.ndarray
) -> None:
    changes = {"epsilon": 1e-14, "residual": "norm", "attention": attention}
    found = lrp(hybrid, windows, 2, COMPOSITES["epsilon"].model_copy(update=changes))
    assert np.abs(found.bias_share).min() > 1e-3  # biases take part
    if attention == "constant":
        assert np.abs(found.lost_share).max() < 1e-5
    else:  # a softmax has no relevance to conserve where it is saturated
        assert np.abs(found.lost_share).max() > 1e-5


def test_difference_through_lstm_and_attention_adds_up(hybrid: nn.Module, windows: np.ndarray) -> None:
    found = explain_difference(hybrid, windows[:2], windows[2:], 1, n_path=64)
    expected = hybrid(torch.as_tensor(windows))[:, 1].detach().numpy()
    np.testing.assert_allclose(found.target, expected[:2] - expected[2:].mean(), rtol=1e-9)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.target, rtol=2e-3, atol=1e-6)


def lstm_of(**keys: object) -> nn.Module:
    return nn.LSTM(3, 4, **keys)  # type: ignore[arg-type]


class CellState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = lstm_of(batch_first=True)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        _, (_, cell) = self.lstm(windows.permute(0, 2, 1))
        return cell[-1]


class TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = lstm_of()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.lstm(windows.permute(2, 0, 1))[0].mean(dim=0)


class WithLearnedKeys(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True)
        self.first, self.second = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows.permute(0, 2, 1)
        key = self.second(x)
        return self.attention(self.first(x), key, key)[0].mean(dim=1)


@pytest.mark.parametrize(
    ("network", "message"),
    [(CellState(), "last step"), (WithLearnedKeys(), "add_bias_kv")],
)
def test_what_has_no_rule_is_refused_by_name(network: nn.Module, message: str, windows: np.ndarray) -> None:
    with pytest.raises(CompositeError, match=message):
        lrp(network.double().eval(), windows, 0)


def test_attention_that_shares_needs_biases(hybrid: nn.Module, windows: np.ndarray) -> None:
    settings = COMPOSITES["epsilon_without_bias"].model_copy(update={"attention": "shared"})
    with pytest.raises(CompositeError, match="shared"):
        lrp(hybrid, windows, 2, settings)


def test_zennit_refuses_what_it_has_no_rule_for(hybrid: nn.Module, windows: np.ndarray) -> None:
    with pytest.raises(CompositeError, match="zennit has no rule"):
        lrp(hybrid, windows, 2, "epsilon", engine="zennit")
