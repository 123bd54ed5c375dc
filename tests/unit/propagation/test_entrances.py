"""Rules of the first layer hold wherever the input enters, and the box is that of the values which arrive there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from clusterwhy.concepts.propagation import concept_relevance  # noqa: E402
from clusterwhy.errors import CompositeError  # noqa: E402
from clusterwhy.propagation.canonical import canonize  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES, CompositeSettings  # noqa: E402
from clusterwhy.propagation.engine import Engine  # noqa: E402
from clusterwhy.propagation.entrances import entrances_of, rules_of_entrances  # noqa: E402
from clusterwhy.propagation.explainer import lrp  # noqa: E402
from clusterwhy.propagation.head_layers import Scaled  # noqa: E402

CHANNELS, TIME = 3, 8
LOW, HIGH = torch.tensor([-4.0, -5.0, -6.0]).double(), torch.tensor([4.5, 7.0, 5.0]).double()
BOX = LOW.numpy(), HIGH.numpy()


class Function(nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def batch_norm(channels: int = CHANNELS) -> nn.Module:
    norm = nn.BatchNorm1d(channels)
    norm.running_mean = torch.linspace(-1.0, 2.0, channels)
    norm.running_var = torch.linspace(0.5, 3.0, channels)
    norm.weight = nn.Parameter(torch.tensor([2.0, -1.5, 0.5])[:channels])  # one below 0
    norm.bias = nn.Parameter(torch.tensor([0.3, -0.2, 1.0])[:channels])
    return norm


# what may stand before the first layer: no weights, or a scale and shift of each channel
BEFORE: dict[str, Callable[[], nn.Module]] = {
    "nothing": nn.Identity,
    "batch norm": batch_norm,
    "scale": lambda: Function(lambda x: x * 0.1),
    "negative scale": lambda: Function(lambda x: x / -3.0),
    "negation": lambda: Function(lambda x: -x),
    "scale of each sample": lambda: Scaled(torch.linspace(-1.0, 1.0, TIME)[None, None]),
    "permuted channels": lambda: Function(lambda x: x[:, [2, 0, 1]]),
    "reversed time": lambda: Function(lambda x: x[:, :, list(range(TIME - 1, -1, -1))]),
    "slice": lambda: Function(lambda x: x[:, :, 2:]),
    "padding": lambda: nn.ConstantPad1d((2, 1), 0.0),
    "reshape": lambda: Function(lambda x: x.reshape(x.shape[0], -1).unflatten(1, (CHANNELS, -1))),
    "all": lambda: nn.Sequential(
        Function(lambda x: x[:, [1, 2, 0]]), batch_norm(), Function(lambda x: -x[:, :, 1:] * 2.0), nn.ZeroPad1d(1)
    ),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.LazyConv1d(4, 3, padding=1),
    "strided": lambda: nn.LazyConv1d(4, 3, stride=2, bias=False),
    "dense": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)),
    "dense of each step": lambda: nn.Sequential(Function(lambda x: x.transpose(1, 2)), nn.LazyLinear(4)),
}


def network_of(before: str, layer: str) -> tuple[nn.Module, nn.Module]:
    """What comes first, and the network: that, a ReLU and a dense layer without bias."""
    torch.manual_seed(0)
    first = nn.Sequential(BEFORE[before](), LAYERS[layer]())
    network = nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.LazyLinear(1, bias=False), nn.Flatten(0))
    network.eval()(torch.zeros(1, CHANNELS, TIME))
    return first.double(), network.double()


def precise(composite: str) -> CompositeSettings:
    """A composite whose dense layers lose nothing to the stabiliser."""
    return COMPOSITES[composite].model_copy(update={"epsilon": 1e-14})


@pytest.fixture
def windows() -> Any:
    torch.manual_seed(1)
    return torch.rand(4, CHANNELS, TIME, dtype=torch.float64) * 8.0 - 4.0


def relevance_of_first_outputs(network: Any, first: nn.Module, windows: Any) -> Any:
    """(window, output): weight times activation, since the last layer has no bias and epsilon is small."""
    return (network[3].weight[0] * F.relu(first(windows)).flatten(1)).detach()


def matrix_of(first: nn.Module) -> tuple[Any, Any]:
    """All up to the first layer as one (output, input) matrix, and what it gives for 0."""
    nothing = first(torch.zeros(1, CHANNELS, TIME).double()).flatten()
    units = torch.eye(CHANNELS * TIME).double().reshape(-1, CHANNELS, TIME)
    return (first(units).flatten(1) - nothing).T.detach(), nothing.detach()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("engine", ["fused", "zennit"])
def test_the_box_rule_is_that_of_all_up_to_the_first_layer_as_one_matrix(
    before: str, layer: str, engine: Any, windows: Any
) -> None:
    first, network = network_of(before, layer)
    found = lrp(network, windows, None, precise("epsilon_plus_box"), engine=engine, box=BOX).values
    # Montavon et al. 2017, z^B: (w_ji x_i - w+_ji low_i - w-_ji high_i) / their sum over i
    w, _ = matrix_of(first)
    low, high = (end[:, None].expand(CHANNELS, TIME).flatten() for end in (LOW, HIGH))
    parts = w * windows.flatten(1)[:, None] - w.clamp(min=0) * low - w.clamp(max=0) * high
    arriving = relevance_of_first_outputs(network, first, windows)
    expected = torch.einsum("nji,nj->ni", parts / (parts.sum(2, keepdim=True) + 1e-12), arriving)
    np.testing.assert_allclose(found.reshape(len(windows), -1), expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "before", [name for name in BEFORE if "scale" not in name and name not in ("batch norm", "all")]
)
@pytest.mark.parametrize("rule", ["flat", "w_square"])
def test_constant_rules_share_by_the_weights_of_the_first_layer(
    before: str, layer: str, rule: str, windows: Any
) -> None:
    first, network = network_of(before, layer)
    found = lrp(network, windows, None, precise(f"epsilon_{'plus_flat' if rule == 'flat' else rule}")).values
    w, bias = matrix_of(first)
    weights = (w != 0).double() if rule == "flat" else w**2
    total = weights.sum(1) + (bias**2 if rule == "w_square" else 0.0)
    arriving = relevance_of_first_outputs(network, first, windows)
    expected = (arriving / total.clamp(min=1e-30)) @ weights  # 0 where an output sees nothing but padding
    np.testing.assert_allclose(found.reshape(len(windows), -1), expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("before", ["batch norm", "scale", "negative scale"])
@pytest.mark.parametrize("rule", ["epsilon_plus_flat", "epsilon_w_square", "epsilon_alpha2_beta1_flat"])
def test_what_scales_the_input_takes_no_relevance_from_a_constant_rule(
    before: str, layer: str, rule: str, windows: Any
) -> None:
    _, network = network_of(before, layer)
    found = lrp(network, windows, None, rule)
    scaled = network[0][0](windows).detach()
    alone = nn.Sequential(network[0][1], *network[1:]).eval()
    np.testing.assert_allclose(found.values, lrp(alone, scaled, None, rule).values)
    assert found.provenance["notes"] == [] or "batch norm" in found.provenance["notes"][0]


@pytest.mark.parametrize("composite", [name for name, made in COMPOSITES.items() if made.first_layer])
@pytest.mark.parametrize("before", BEFORE)
def test_the_relevance_budget_closes_and_zennit_agrees(before: str, composite: str, windows: Any) -> None:
    _, network = network_of(before, "convolution")
    canonical = canonize(network, windows)
    rules = COMPOSITES[composite].rules(LOW[None, :, None], HIGH[None, :, None])
    engine = Engine(canonical)
    tape, budget = engine.run(windows), engine.budget(windows, rules)
    found, _ = engine.relevance(tape, tape.output, rules)
    kept = sum(amount for _, _, amount in budget.entries)
    torch.testing.assert_close(found.sum((1, 2)) + kept, tape.output, rtol=1e-10, atol=1e-10)
    by_zennit = lrp(network, windows, None, composite, engine="zennit", box=BOX).values
    np.testing.assert_allclose(found, by_zennit, atol=1e-10)


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.LeakyReLU(-0.5), nn.ELU()]
)
def test_a_box_through_an_activation_holds_all_its_values_and_no_more(activation: nn.Module, windows: Any) -> None:
    network = nn.Sequential(activation, nn.Conv1d(CHANNELS, 2, 3), nn.Flatten()).double().eval()
    low, high = torch.tensor([-4.0, 0.5, -1.0]).double(), torch.tensor([1.0, 2.0, -0.5]).double()
    canonical = canonize(network, windows)
    rules = COMPOSITES["epsilon_plus_box"].rules(low[None, :, None], high[None, :, None])
    (box,) = rules_of_entrances(canonical, rules, windows.shape[1:]).values()
    grid = activation(low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, 100_001).double())
    assert box.low is not None and box.high is not None
    for channel in range(CHANNELS):
        torch.testing.assert_close(box.low[0, channel, 0], grid[channel].min(), rtol=0.0, atol=1e-6)
        torch.testing.assert_close(box.high[0, channel, 0], grid[channel].max(), rtol=0.0, atol=1e-6)


def test_a_box_after_centring_is_that_of_the_difference(windows: Any) -> None:
    # x - mean(x) of values in [low, high] lies in [low - high, high - low]
    centred = Function(lambda x: x - x.mean(dim=-1, keepdim=True))
    canonical = canonize(nn.Sequential(centred, nn.Conv1d(CHANNELS, 2, 3)).double().eval(), windows)
    rules = COMPOSITES["epsilon_plus_box"].rules(LOW[None, :, None], HIGH[None, :, None])
    (box,) = rules_of_entrances(canonical, rules, windows.shape[1:]).values()
    assert box.low is not None
    torch.testing.assert_close(box.low[0, :, 0], LOW - HIGH)
    torch.testing.assert_close(box.high[0, :, 0], HIGH - LOW)  # type: ignore[index]


class Branches(nn.Module):
    """A convolution and, of the same windows, an LSTM; then a convolution of what was read and of the input."""

    def __init__(self, with_convolution: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, CHANNELS, batch_first=True)
        self.first, self.inner = nn.Conv1d(CHANNELS, 2, 1), nn.Conv1d(CHANNELS + 2, 2, 1)
        self.last = nn.Linear(CHANNELS, 2)
        self.with_convolution = with_convolution

    def forward(self, x: Any) -> Any:
        sequence = self.lstm(x.transpose(1, 2))[0]
        found = self.last(sequence[:, -1])
        if self.with_convolution:
            found = found + self.inner(torch.cat([x, self.first(x)], dim=1)).mean(dim=-1)
        return found


def test_layers_that_also_read_inner_values_are_no_entrances_and_an_lstm_is_told(windows: Any) -> None:
    network = Branches(with_convolution=True).double().eval()
    canonical = canonize(network, windows)
    assert [canonical.steps[n].name for n in entrances_of(canonical)] == ["first"]
    notes = lrp(network, windows, 0, "epsilon_plus_flat").provenance["notes"]
    assert "network.lstm: reads the input by a rule of its own, not by `first_layer: flat`" in notes


@pytest.mark.parametrize(
    ("composite", "other"),
    [
        ("epsilon_plus_box", "epsilon_plus"),
        ("epsilon_gamma_box", "epsilon_gamma"),
        ("epsilon_alpha2_beta1_flat", "epsilon_alpha2_beta1"),
        ("epsilon_w_square", "epsilon"),
    ],
)
def test_a_rule_of_the_first_layer_without_an_entrance_is_refused_with_one_that_fits(
    composite: str, other: str, windows: Any
) -> None:
    network = Branches(with_convolution=False).double().eval()
    for explain in (
        lambda: lrp(network, windows, 0, composite),
        lambda: concept_relevance(network, windows, 0, {"last": 1}, composite),
    ):
        with pytest.raises(CompositeError, match=f"the input reaches no convolution or dense .* such as {other}$"):
            explain()
    lrp(network, windows, 0, other)


def test_a_box_holds_where_each_channel_is_read_alone(windows: Any) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(1, 2, 3, bias=False)
    apart = nn.Sequential(Function(lambda x: x.reshape(-1, 1, TIME)), layer)
    back = Function(lambda x: x.reshape(-1, CHANNELS, 2, TIME - 2).flatten(1))
    network = nn.Sequential(apart, nn.ReLU(), back, nn.LazyLinear(1, bias=False), nn.Flatten(0)).eval()
    network(torch.zeros(2, CHANNELS, TIME))
    found = lrp(network.double(), windows, None, precise("epsilon_plus_box"), box=BOX).values
    grouped = nn.Conv1d(CHANNELS, 2 * CHANNELS, 3, groups=CHANNELS, bias=False)
    grouped.weight = nn.Parameter(layer.weight.repeat(CHANNELS, 1, 1))
    same = nn.Sequential(grouped, nn.ReLU(), nn.Flatten(), *network[3:]).double().eval()
    np.testing.assert_allclose(found, lrp(same, windows, None, precise("epsilon_plus_box"), box=BOX).values, atol=1e-9)


class LateFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.Conv1d(2, 2, 3), nn.Conv1d(CHANNELS, 2, 3)

    def forward(self, x: Any) -> Any:
        return self.second(torch.relu(self.first(x))).sum(dim=-1)


@pytest.mark.parametrize(
    ("network", "rule", "fault"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * TIME, 2)), "box", "has no such layer"),
        (LateFirst(), "flat", "calls another one before it"),
        (nn.Sequential(batch_norm(), nn.Conv1d(CHANNELS, 2, TIME), nn.Flatten()), "box", "other values than"),
    ],
)
def test_hooks_without_our_canonizer_refuse_where_zennit_would_miss_the_first_layer(
    network: nn.Module, rule: str, fault: str, windows: Any
) -> None:
    values = COMPOSITES["epsilon_plus_flat"].model_dump() | {"residual": "none", "first_layer": rule}
    settings = CompositeSettings.model_validate(values | ({"box": "data"} if rule == "box" else {}))
    network = network.double().eval()
    with pytest.raises(CompositeError, match=f"{fault}.*`canonizer: auto`"):
        lrp(network, windows, 0, settings, canonizer="none")
    lrp(network, windows, 0, settings.model_copy(update={"residual": "norm"}))
