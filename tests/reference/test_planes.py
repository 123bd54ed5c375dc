"""Convolutions over planes and transposed ones: equal to zennit, the equations, and 1-D convolutions of each row."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.networks_of_today import ChannelsApart, EEGNet, Longer
from clusterwhy import explain
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, RULES, Rule
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.entrances import rules_of_entrances
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.planes import PlaneOperation
from clusterwhy.propagation.rules import share
from clusterwhy.propagation.zennit_backend import zennit_composite, zennit_relevance
from tests.reference.test_engine import by_the_equations, with_any_batch_norms

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
CHANNELS, TIME = 4, 32


NETWORKS = {
    "EEGNet": lambda: EEGNet(CHANNELS, TIME),
    "channels apart": lambda: ChannelsApart(CHANNELS),
    "longer": lambda: Longer(CHANNELS, TIME),
}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    network = with_any_norms(NETWORKS[request.param]())
    windows = torch.randn(3, CHANNELS, TIME, dtype=torch.float64)
    return network, canonize(network, windows), windows


def with_any_norms(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return with_any_batch_norms(network)


def test_the_canonical_form_computes_what_the_network_computes(case: tuple[Any, Any, Any]) -> None:
    network, canonical, _ = case
    other = torch.randn(7, CHANNELS, TIME, dtype=torch.float64)
    torch.testing.assert_close(canonical(other), network(other), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(Engine(canonical).run(other).output, network(other), rtol=1e-10, atol=1e-12)
    assert any(step.reads_input for step in canonical.steps)
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    folded = [note.split(":")[0] for note in canonical.notes if "batch norm folded" in note]
    # one that others than the norm read, too, or that stands behind a sum, stays a step of its own
    assert folded == ([] if isinstance(network, ChannelsApart) else norms)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_engine_equals_zennit_and_its_relevance_budget_adds_up(case: tuple[Any, Any, Any], composite: str) -> None:
    _, canonical, windows = case
    low = torch.full((1, CHANNELS, 1), -4.0, dtype=torch.float64)
    engine, budget, rules = Engine(canonical), RelevanceBudget(), COMPOSITES[composite].rules(low, -low)
    tape = engine.run(windows)
    found, absorbed = engine.relevance(tape, tape.output, rules, budget)
    expected = zennit_relevance(canonical, zennit_composite(canonical, rules), windows, tape.output)
    scale = float(expected.abs().max())
    assert scale > 1e-6
    assert (found - expected).abs().max() <= (1e-6 if composite == "epsilon_without_bias" else 1e-8) * scale
    kept = sum(amount for _, _, amount in budget.entries)
    largest = max(float(amount.abs().max()) for _, _, amount in budget.entries)
    assert (tape.output.sum(1) - found.sum((1, 2)) - kept).abs().max() <= 1e-10 * max(largest, scale, 1.0)
    torch.testing.assert_close(absorbed, torch.as_tensor(budget.sum("bias")))


def test_the_box_of_a_channel_is_that_of_its_row() -> None:
    torch.manual_seed(0)
    canonical = canonize(ChannelsApart(CHANNELS).double().eval(), torch.randn(3, CHANNELS, TIME, dtype=torch.float64))
    low = -torch.arange(1.0, CHANNELS + 1).double()
    rules = COMPOSITES["epsilon_plus_box"].rules(low[None, :, None], -low[None, :, None])
    entrances = [rule for rule in rules_of_entrances(canonical, rules, torch.Size((CHANNELS, TIME))).values()]
    assert len(entrances) == 1 and entrances[0].low is not None and entrances[0].high is not None
    expected = low[None, None, :, None].expand(1, 1, CHANNELS, TIME)
    torch.testing.assert_close(entrances[0].low, expected, rtol=0, atol=0)
    torch.testing.assert_close(entrances[0].high, -expected, rtol=0, atol=0)


LAYERS = {
    "plane": (lambda: nn.Conv2d(3, 4, (2, 3), padding=(0, 1)), (2, 3, 4, 6)),
    "strided plane": (lambda: nn.Conv2d(2, 4, 2, stride=(1, 2), dilation=(1, 2), groups=2), (2, 2, 3, 9)),
    "depthwise plane": (lambda: nn.Conv2d(3, 6, (4, 1), groups=3, bias=False), (2, 3, 4, 5)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 3, 3, stride=2, padding=1, output_padding=1), (2, 4, 6)),
    "transposed groups": (lambda: nn.ConvTranspose1d(4, 6, 4, dilation=2, groups=2), (2, 4, 5)),
}


@pytest.mark.parametrize("zero_bias", [False, True])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "flat"])
@pytest.mark.parametrize("layer", LAYERS)
def test_each_rule_is_its_equation(layer: str, rule: str, zero_bias: bool) -> None:
    if rule == "gamma" and zero_bias:
        return  # refused by CompositeSettings
    torch.manual_seed(1)
    make, shape = LAYERS[layer]
    module, x = make().double(), torch.randn(shape, dtype=torch.float64)
    if rule == "w_square":
        module.bias = None  # squares of a bias meet the border differently; compared without
    low = torch.full((1, *shape[1:]), -5.0, dtype=torch.float64)
    made = Rule(rule, 1e-6, 0.25, 2.0, zero_bias, low, -low)
    with torch.no_grad():
        z = module(x)
    relevance = torch.randn_like(z)
    found = share(made, PlaneOperation(module), x, z, relevance, False)
    expected = by_the_equations(made, module, x, relevance)
    torch.testing.assert_close(found.of_inputs[0], expected.detach(), rtol=1e-9, atol=1e-10)


def row_by_row(network: ChannelsApart) -> nn.Module:
    """The same weights as 1-D convolutions, for one channel at a time: (window, 1, time) -> (window, map)."""
    layers = []
    for own in (network.first, network.second):
        layer = nn.Conv1d(own.in_channels, own.out_channels, own.kernel_size[1], padding=own.padding[1]).double()
        layer.load_state_dict({"weight": own.weight[:, :, 0], "bias": own.bias})
        layers.append(layer)
    norm = nn.BatchNorm1d(5).double()
    norm.load_state_dict(network.norm.state_dict())

    class Row(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.norm, self.pool = *layers, norm, nn.MaxPool1d(2)

        def forward(self, row: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.first(row))
            return self.pool(F.relu(self.norm(x + self.second(x)))).mean(-1)

    return Row().eval()


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_gamma"])
def test_channels_stay_apart_as_by_1d_convolutions_of_each(composite: str) -> None:
    torch.manual_seed(0)
    network = with_any_norms(ChannelsApart(CHANNELS))
    windows = np.random.default_rng(0).standard_normal((3, CHANNELS, TIME))
    rules = COMPOSITES[composite].model_copy(update={"epsilon": 1e-12})
    found = lrp(network, windows, 1, rules)
    row, weight = row_by_row(network), network.classes.weight[1].detach().reshape(5, CHANNELS)
    for channel in range(CHANNELS):
        alone = Part(row, weight[:, channel]).eval()
        expected = lrp(alone, windows[:, channel : channel + 1], 0, rules)
        # of an epsilon rule each contribution has its own size but for the bias, which takes the rest
        np.testing.assert_allclose(found.values[:, channel], expected.values[:, 0], rtol=1e-4, atol=1e-9)


class Part(nn.Module):
    """What one channel adds to a unit."""

    def __init__(self, row: nn.Module, weight: torch.Tensor) -> None:
        super().__init__()
        self.row, self.last = row, nn.Linear(5, 1, bias=False).double()
        self.last.weight = nn.Parameter(weight[None])

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.last(self.row(windows))


@pytest.mark.parametrize("name", NETWORKS)
def test_differences_add_up(name: str) -> None:
    torch.manual_seed(0)
    network = with_any_norms(NETWORKS[name]())
    windows = np.random.default_rng(1).standard_normal((6, CHANNELS, TIME))
    found = explain_difference(network, windows[:2], windows[2:], 1, n_path=1)
    expected = network(torch.as_tensor(windows))[:, 1].detach().numpy()
    np.testing.assert_allclose(found.target, expected[:2] - expected[2:].mean(), rtol=1e-9)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.target, rtol=1e-9)


class PooledByCall(nn.Module):
    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(windows[:, None], (1, 3), stride=(1, 2), padding=(0, 1)).sum(dim=(1, 2, 3))


def test_differences_are_exact_at_pooling_by_a_function_too() -> None:
    windows = np.random.default_rng(1).standard_normal((4, CHANNELS, TIME))
    found = explain_difference(PooledByCall().eval(), windows[:2], windows[2:], n_path=1)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.target, rtol=1e-9)


def test_grad_cam_keeps_channels_apart_where_the_layer_does() -> None:
    """Selvaraju et al. 2017, equations 1 and 2, with the map of its row for each channel."""
    torch.manual_seed(0)
    network = with_any_norms(ChannelsApart(CHANNELS))
    windows = torch.randn(2, CHANNELS, TIME, dtype=torch.float64)
    first = F.relu(network.first(windows[:, None]))
    activation = network.second(first)  # the last convolution, whose output has a row for each channel
    activation = activation.detach().requires_grad_()
    pooled = F.adaptive_avg_pool2d(network.pool(F.relu(network.norm(first + activation))), (CHANNELS, 1))
    (gradient,) = torch.autograd.grad(network.classes(pooled.flatten(1))[:, 1].sum(), activation)
    expected = torch.zeros_like(windows)
    for map_ in range(5):
        expected += gradient[:, map_].mean((1, 2))[:, None, None] * activation[:, map_]
    found = explain(network, windows, "grad_cam", target=1)
    np.testing.assert_allclose(found.values, expected.clamp(min=0).detach().numpy(), rtol=1e-9, atol=1e-14)
    assert found.provenance["layer"].endswith("second")


def test_grad_cam_of_rows_that_are_no_channels_has_equal_parts() -> None:
    torch.manual_seed(0)
    windows = torch.randn(2, CHANNELS, TIME, dtype=torch.float64)
    network = with_any_norms(EEGNet(CHANNELS, TIME))
    # a map has its positive part alone, which a unit may lack
    found = max((explain(network, windows, "grad_cam", target=unit) for unit in range(4)), key=lambda r: r.values.max())
    assert found.values.max() > 0
    np.testing.assert_array_equal(found.values, np.repeat(found.values[:, :1], CHANNELS, axis=1))
    assert found.provenance["resolution_samples"] == 2.0


@pytest.mark.parametrize("name", NETWORKS)
def test_guided_backpropagation_equals_gradients_without_relus(name: str) -> None:
    """EEGNet has ELUs alone: guided gradients are gradients; the others have ReLUs and differ."""
    torch.manual_seed(0)
    network = with_any_norms(NETWORKS[name]())
    windows = np.random.default_rng(1).standard_normal((3, CHANNELS, TIME))
    guided, plain = (explain(network, windows, method, target=1).values for method in ("guided_backprop", "gradient"))
    assert np.allclose(guided, plain, rtol=1e-10, atol=1e-14) == (name == "EEGNet")
