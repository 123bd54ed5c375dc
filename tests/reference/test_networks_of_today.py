"""Whole networks of today: LRP is gradient x input of the same network with gates and scales detached."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.networks import of_tsai
from benchmarks.networks_of_today import N_CHANNELS, N_STEPS, NETWORKS, Times, any_network
from clusterwhy import explain, explain_difference, lrp
from clusterwhy.errors import ConceptError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, AttentionRule
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from tests.reference.test_recurrences import with_constant_gates

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
PURE = COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-14, "residual": "norm"})
ACTIVATIONS = (
    *(nn.GELU, nn.SiLU, nn.ELU, nn.CELU, nn.SELU, nn.Mish, nn.Hardswish, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.ReLU),
)


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3, N_CHANNELS, N_STEPS))


class Held(nn.Module):
    """A module of the network in a form that is linear in its input, by a function of both."""

    def __init__(self, module: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.function = module, function
        self.batch_first, self.in_proj_bias = True, None  # which sends a transformer layer past its fast path

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        return self.function(self.module, *inputs, **keywords)


def secant(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x * (module(x) / x.masked_fill(x == 0, 1.0)).detach()


def held_scale(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The norm of x as an affine function, at x: y(v) = y(x) + weight / scale * (v - mean(v) - x + mean(x))."""
    if isinstance(norm, nn.LayerNorm | nn.RMSNorm):
        centred = x if isinstance(norm, nn.RMSNorm) else x - x.mean(-1, keepdim=True)
        weight = norm.weight
    else:
        groups = x.unflatten(1, (getattr(norm, "num_groups", x.shape[1]), -1))
        centred = (groups - groups.mean((2, 3), keepdim=True)).flatten(1, 2)
        weight = norm.weight[:, None]
    bias = getattr(norm, "bias", None)
    shift = 0.0 if bias is None else bias if isinstance(norm, nn.LayerNorm) else bias[:, None]
    scale = ((norm(x) - shift) / weight / centred).detach()
    return weight * centred * scale + shift


def constant_weights(attention: nn.MultiheadAttention, x: Any, *_: Any, **keywords: Any) -> tuple[torch.Tensor, None]:
    """With the weights that torch itself returns."""
    mask = keywords.get("attn_mask")
    weights = attention(x, x, x, attn_mask=mask, need_weights=True, average_attn_weights=False)[1].detach()
    w, b = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    value = F.linear(x, w, b).unflatten(2, (attention.num_heads, -1))
    return attention.out_proj(torch.einsum("whij,wjhf->wihf", weights, value).flatten(2)), None


RULES: list[tuple[Any, Callable[..., Any]]] = [
    (nn.MultiheadAttention, constant_weights),
    ((nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.InstanceNorm1d), held_scale),
    (ACTIVATIONS, secant),
    (Times, lambda _, signal, gate: signal * gate.detach()),
    (nn.GLU, lambda module, x: x.chunk(2, module.dim)[0] * x.chunk(2, module.dim)[1].sigmoid().detach()),
    (nn.GRU, lambda gru, x: (with_constant_gates(gru, x), None)),
]


def held(module: nn.Module) -> nn.Module:
    """A copy of a network in which everything that is held fixed is detached."""
    for kinds, function in RULES:
        if isinstance(module, kinds):
            return Held(module, function)
    for name, child in module.named_children():
        setattr(module, name, held(child))
    if isinstance(module, nn.TransformerEncoderLayer) and not isinstance(module.activation, nn.Module):
        module.activation = Held(nn.Identity(), lambda _, x, f=module.activation: x * (f(x) / x).detach())
    return module


def by_gradients(name: str, windows: np.ndarray, unit: int) -> np.ndarray:
    x = torch.as_tensor(windows).requires_grad_()
    if name == "standardising":
        network = any_network(name)
        spread = torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5).detach()
        features = F.relu(network.convolution((x - x.mean(-1, keepdim=True)) / spread)).mean(-1)
        output = network.classes(features)
    else:
        output = held(copy.deepcopy(any_network(name)))(x)
    torch.testing.assert_close(output, any_network(name)(torch.as_tensor(windows)))
    (gradient,) = torch.autograd.grad(output[:, unit].sum(), x)
    return (gradient * x).detach().numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_epsilon_is_gradient_x_input_with_gates_and_scales_detached(name: str, windows: np.ndarray) -> None:
    found = lrp(any_network(name), windows, 1, PURE)
    expected = by_gradients(name, windows, 1)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("attention", ["constant", "shared"])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus_norm", "epsilon_gamma", "epsilon_alpha2_beta1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_relevance_budget_adds_up(name: str, composite: str, attention: AttentionRule, windows: np.ndarray) -> None:
    x = torch.as_tensor(windows)
    engine, budget = Engine(canonize(any_network(name), x)), RelevanceBudget()
    settings = COMPOSITES[composite].model_copy(update={"attention": attention})
    rules = settings.rules(x.amin((0, 2))[None, :, None], x.amax((0, 2))[None, :, None])
    tape = engine.run(x)
    seed = torch.zeros_like(tape.output)
    seed[:, 1] = tape.output[:, 1]
    found, absorbed = engine.relevance(tape, seed, rules, budget)
    kept = sum(amount for _, _, amount in budget.entries)
    largest = max(float(amount.abs().max()) for _, _, amount in budget.entries)
    assert (seed.sum(1) - found.sum((1, 2)) - kept).abs().max() <= 1e-10 * max(largest, float(found.abs().max()), 1.0)
    torch.testing.assert_close(absorbed, torch.as_tensor(budget.sum("bias")))


@pytest.mark.parametrize("name", NETWORKS)
def test_differences_add_up(name: str, windows: np.ndarray) -> None:
    found = explain_difference(any_network(name), windows[:2], windows[2:], 1, n_path=256)
    expected = any_network(name)(torch.as_tensor(windows))[:, 1].detach().numpy()
    np.testing.assert_allclose(found.target, expected[:2] - expected[2:].mean(), rtol=1e-9)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.target, rtol=1e-2, atol=1e-3)


def test_a_causal_network_gives_later_steps_nothing(windows: np.ndarray) -> None:
    network = any_network("TCN")
    early = lrp(nn.Sequential(network.blocks, Step(5)).eval(), windows, 1, PURE)
    assert np.abs(early.values[:, :, :6]).max() > 0
    assert np.abs(early.values[:, :, 6:]).max() == 0


class Step(nn.Module):
    def __init__(self, t: int) -> None:
        super().__init__()
        self.t = t

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, self.t]


OF_TSAI = ("TSTPlus", "TSTPlus, key_padding_mask=False", "TST", "TSiTPlus", "LSTM_FCN", "GRU_FCN")


@pytest.mark.parametrize("name", OF_TSAI)
def test_networks_of_tsai_by_name_have_a_budget_that_adds_up(name: str, windows: np.ndarray) -> None:
    torch.manual_seed(0)
    network = of_tsai()[f"tsai {name}"]().double().eval()
    x = torch.as_tensor(windows)
    canonical = canonize(network, x)
    other = torch.randn(7, N_CHANNELS, N_STEPS, dtype=torch.float64)
    torch.testing.assert_close(canonical(other), network(other.clone()), rtol=1e-10, atol=1e-12)
    engine, budget = Engine(canonical), RelevanceBudget()
    tape = engine.run(x)
    found, _ = engine.relevance(tape, tape.output, PURE.rules(x, x), budget)
    kept = sum(amount for _, _, amount in budget.entries)
    largest = max(float(amount.abs().max()) for _, _, amount in budget.entries)
    rest = (tape.output.sum(1) - found.sum((1, 2)) - kept).abs().max()
    assert rest <= 1e-8 * max(largest, float(found.abs().max()), 1.0)
    assert found.abs().amax(dim=(1, 2)).min() > 1e-4


def test_what_only_gates_has_no_concepts(windows: np.ndarray) -> None:
    with pytest.raises(ConceptError, match=r"no relevance reaches 'squeeze\.3': it computes gates"):
        explain(any_network("squeeze-excite"), windows, "crp", target=1)
    shared = explain(any_network("squeeze-excite"), windows, "crp(layer='body.0')", target=1)
    assert np.abs(shared.values).max() > 0
