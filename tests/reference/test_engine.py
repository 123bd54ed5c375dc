"""The fused engine equals zennit, zennit equals the equations, and the canonical form equals the network."""

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
import zennit.composites  # noqa: E402
from torch import nn  # noqa: E402
from tsai.models.FCNPlus import FCNPlus  # noqa: E402
from tsai.models.InceptionTime import InceptionTime  # noqa: E402
from tsai.models.InceptionTimePlus import InceptionTimePlus  # noqa: E402
from tsai.models.OmniScaleCNN import OmniScaleCNN  # noqa: E402
from tsai.models.ResCNN import ResCNN  # noqa: E402
from tsai.models.ResNet import ResNet  # noqa: E402
from tsai.models.ResNetPlus import ResNetPlus  # noqa: E402
from tsai.models.XceptionTime import XceptionTime  # noqa: E402
from tsai.models.XceptionTimePlus import XceptionTimePlus  # noqa: E402
from zennit.canonizers import SequentialMergeBatchNorm  # noqa: E402

from clusterwhy.encoders.inception_time import InceptionTime as EncoderSettings  # noqa: E402
from clusterwhy.encoders.mini_rocket import MiniRocket  # noqa: E402
from clusterwhy.errors import CompositeError  # noqa: E402
from clusterwhy.propagation.canonical import canonize  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES, RULES, CompositeSettings, Rule, Rules  # noqa: E402
from clusterwhy.propagation.engine import Engine, RelevanceBudget  # noqa: E402
from clusterwhy.propagation.linear_operation import LinearOperation  # noqa: E402
from clusterwhy.propagation.operations import Addition  # noqa: E402
from clusterwhy.propagation.rules import IMPLEMENTATIONS, share  # noqa: E402
from clusterwhy.propagation.zennit_backend import (  # noqa: E402
    HOOKS,
    layer_map_composite,
    zennit_composite,
    zennit_relevance,
)

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
CHANNELS, TIME = 4, 40


class Everything(nn.Module):
    """Shared modules, functional calls, strides, groups, dilation, pads, slices, a difference and a negation."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(CHANNELS, 8, 5, stride=2, padding=1, dilation=2)
        self.grouped = nn.Conv1d(8, 8, 3, padding="same", groups=2)
        self.even = nn.Conv1d(8, 8, 4, padding="same")
        self.norm = nn.BatchNorm1d(8)
        self.shared = nn.Conv1d(8, 8, 1)
        self.dense = nn.Linear(24, 6)
        self.flat_norm = nn.BatchNorm1d(6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        x = torch.tanh(self.wide(x))
        y = F.relu(self.norm(x)) + self.shared(self.grouped(x))
        y = F.leaky_relu(self.shared(self.even(y) - y))
        y = torch.cat([F.max_pool1d(y, 4, 2), F.avg_pool1d(y, 4, 2), -y[:, :, 2:8]], dim=2)
        y = torch.cat([y.mean(-1), y.amax(dim=2), y[:, :, -1]], dim=1).reshape(x.shape[0], -1)
        return self.last(torch.sigmoid(self.flat_norm(self.dense(y))))


NETWORKS = {
    "InceptionTimePlus": lambda: InceptionTimePlus(CHANNELS, 3, seq_len=TIME, nf=4),
    "InceptionTimePlus with dropout": lambda: InceptionTimePlus(CHANNELS, 3, seq_len=TIME, nf=4, conv_dropout=0.1),
    "the encoder": lambda: EncoderSettings(n_filters=4, depth=6, kernel_size=20, head_dropout=0.1).build(
        CHANNELS, TIME
    ),
    "MiniRocket": lambda: MiniRocket(per_kernel=1).build(CHANNELS, TIME),
    "InceptionTime": lambda: InceptionTime(CHANNELS, 3, nf=4),
    "XceptionTimePlus": lambda: XceptionTimePlus(CHANNELS, 3, seq_len=TIME, nf=2),
    "XceptionTime": lambda: XceptionTime(CHANNELS, 3, nf=2),
    "ResNetPlus": lambda: ResNetPlus(CHANNELS, 3, nf=4),
    "ResNet": lambda: ResNet(CHANNELS, 3),
    "FCNPlus": lambda: FCNPlus(CHANNELS, 3, layers=[8, 16, 8]),
    "ResCNN": lambda: ResCNN(CHANNELS, 3),
    "OmniScaleCNN": lambda: OmniScaleCNN(CHANNELS, 3, TIME),
    "Everything": Everything,
}
# exploding relevance of pure epsilon has no digits left to compare
TOLERANCE = {"epsilon_without_bias": 1e-6}


def with_any_batch_norms(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network.double().eval()


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    """A network, its canonical form, windows."""
    torch.manual_seed(0)
    network = with_any_batch_norms(NETWORKS[request.param]())
    windows = torch.randn(3, CHANNELS, TIME, dtype=torch.float64)
    return network, canonize(network, windows), windows


def rules_of(name: str) -> Rules:
    low = torch.full((1, CHANNELS, 1), -4.0, dtype=torch.float64)
    if name in COMPOSITES:
        return COMPOSITES[name].rules(low, -low)
    values = COMPOSITES["epsilon_plus"].model_dump() | OTHERS[name]
    return CompositeSettings.model_validate(values).rules(low, -low)


def test_the_canonical_form_computes_what_the_network_computes(case: tuple[Any, Any, Any]) -> None:
    network, canonical, _ = case
    other = torch.randn(7, CHANNELS, TIME, dtype=torch.float64)
    torch.testing.assert_close(canonical(other), network(other), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(Engine(canonical).run(other).output, network(other), rtol=1e-10, atol=1e-12)
    assert not any(isinstance(step.module, nn.BatchNorm1d) for step in canonical.steps)
    norms = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm1d)]
    assert {note.split(":")[0] for note in canonical.notes} == set(norms)
    assert any(step.reads_input for step in canonical.steps)


# combinations that no file of conf/composite has
OTHERS = {
    "dense gamma": {"dense": "gamma", "convolution": "alpha_beta", "gamma": 0.5, "alpha": 1.5, "epsilon": None},
    "dense z_plus": {"dense": "z_plus", "first_layer": "flat", "convolution": "epsilon"},
    "dense w_square": {"dense": "w_square", "convolution": "gamma", "gamma": 1.0, "epsilon": None},
    "fixed box": {"first_layer": "box", "box": (-2.0, 3.0)},
    "threshold of signs": {"first_layer": "sign", "threshold": 0.3},
}


@pytest.mark.parametrize("composite", [*COMPOSITES, *OTHERS])
def test_the_engine_equals_zennit_and_its_relevance_budget_adds_up(case: tuple[Any, Any, Any], composite: str) -> None:
    _, canonical, windows = case
    engine, budget, rules = Engine(canonical), RelevanceBudget(), rules_of(composite)
    tape = engine.run(windows)
    found, absorbed = engine.relevance(tape, tape.output, rules, budget)
    expected = zennit_relevance(canonical, zennit_composite(canonical, rules), windows, tape.output)
    scale = expected.abs().max()
    assert (found - expected).abs().max() <= TOLERANCE.get(composite, 1e-8) * scale
    rest = tape.output.sum(1) - found.sum((1, 2))
    for category in ("bias", "stabilizer", "sum", "norm", "route", "concatenate", "sign"):
        rest = rest - budget.sum(category)
    largest = max(float(amount.abs().max()) for _, _, amount in budget.entries)
    assert rest.abs().max() <= 1e-10 * max(largest, float(scale), float(tape.output.abs().max()))
    torch.testing.assert_close(absorbed, torch.as_tensor(budget.sum("bias")))


ZENNITS = {
    "epsilon_plus": zennit.composites.EpsilonPlus,
    "epsilon_plus_flat": zennit.composites.EpsilonPlusFlat,
    "epsilon_alpha2_beta1": zennit.composites.EpsilonAlpha2Beta1,
    "epsilon_alpha2_beta1_flat": zennit.composites.EpsilonAlpha2Beta1Flat,
    "epsilon_gamma_box": zennit.composites.EpsilonGammaBox,
}


@pytest.mark.parametrize("name", ZENNITS)
@pytest.mark.parametrize("canonizer", ["none", "zennit_sequential"])
def test_on_networks_as_they_are_our_composites_are_zennits(name: str, canonizer: Any) -> None:
    torch.manual_seed(0)
    network = with_any_batch_norms(ResNet(CHANNELS, 3))
    windows = torch.randn(3, CHANNELS, TIME, dtype=torch.float64)
    settings = COMPOSITES[name].model_copy(update={"residual": "none"})
    low, high = (end[None, :, None] for end in (windows.amin(dim=(0, 2)), windows.amax(dim=(0, 2))))
    box = {"low": low, "high": high} if settings.box else {}
    canonizers = [SequentialMergeBatchNorm()] if canonizer == "zennit_sequential" else []
    with torch.no_grad():
        seed = network(windows)
    expected, found = (
        zennit_relevance(copy.deepcopy(network), composite, windows, seed)
        for composite in (
            ZENNITS[name](canonizers=canonizers, **box),
            layer_map_composite(settings.rules(low, high, canonizer), canonizer),
        )
    )
    assert torch.equal(found, expected)


def test_composites_share_one_forward_pass(case: tuple[Any, Any, Any]) -> None:
    _, canonical, windows = case
    engine = Engine(canonical)
    shared = engine.run(windows)
    for name in ("epsilon_plus", "epsilon_gamma_box", "epsilon_plus"):
        fresh = engine.run(windows)
        alone = engine.relevance(fresh, fresh.output, rules_of(name))[0]
        torch.testing.assert_close(engine.relevance(shared, shared.output, rules_of(name))[0], alone)


def test_every_rule_of_a_composite_is_implemented() -> None:
    assert list(IMPLEMENTATIONS) == list(HOOKS) == list(RULES)


LAYERS = {
    "dense": lambda: nn.Linear(6, 5),
    "convolution": lambda: nn.Conv1d(6, 5, 3, padding=1),
    "strided": lambda: nn.Conv1d(6, 5, 4, stride=3, dilation=2, padding=2),
    "grouped": lambda: nn.Conv1d(6, 4, 3, groups=2),
    "depthwise": lambda: nn.Conv1d(6, 6, 1, groups=6),
    "pointwise without bias": lambda: nn.Conv1d(6, 5, 1, bias=False),
    "reaching beyond": lambda: nn.Conv1d(6, 5, 3, padding=4),
}


def matrix_of(layer: nn.Module, x: Any) -> tuple[Any, Any]:
    """A layer as (output, input) matrix and its bias, both flattened, from its response to unit inputs."""
    units = torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    bias = layer(torch.zeros_like(units[:1])).flatten()
    return (layer(units).flatten(1) - bias).T, bias


def by_the_equations(rule: Rule, layer: nn.Module, x: Any, relevance: Any) -> Any:
    """Each rule as its sum over inputs i and outputs j, from the matrix w_ji (Montavon et al. 2019, table 1)."""
    w, b = matrix_of(layer, x)
    if rule.zero_bias:
        b = torch.zeros_like(b)
    up, down = lambda v: v.clamp(min=0), lambda v: v.clamp(max=0)
    stable = lambda v: v + rule.stabilizer * torch.where(v >= 0, 1.0, -1.0).to(v)  # noqa: E731
    result = []
    for xi, r in zip(x.flatten(1), relevance.flatten(1), strict=True):
        c = w * xi  # contribution of input i to output j
        z = c.sum(1) + b
        if rule.name == "epsilon":
            parts = c / stable(z)[:, None]
        elif rule.name == "z_plus":
            parts = up(c) / stable(up(c).sum(1) + up(b))[:, None]
        elif rule.name == "alpha_beta":
            parts = rule.alpha * up(c) / stable(up(c).sum(1) + up(b))[:, None]
            parts = parts - (rule.alpha - 1) * down(c) / stable(down(c).sum(1) + down(b))[:, None]
        elif rule.name == "gamma":
            g = rule.gamma
            above = (c + g * up(c)) / stable(z + g * (up(c).sum(1) + up(b)))[:, None]
            below = (c + g * down(c)) / stable(z + g * (down(c).sum(1) + down(b)))[:, None]
            parts = torch.where((z > 0)[:, None], above, torch.where((z < 0)[:, None], below, torch.zeros_like(c)))
        elif rule.name == "w_square":
            parts = w**2 / stable((w**2).sum(1) + b**2)[:, None]
        elif rule.name == "sign":
            parts = w * torch.where(xi >= rule.low.expand_as(x[:1]).flatten(), 1.0, -1.0).to(w) / stable(z)[:, None]
        elif rule.name == "box":
            ends = [torch.broadcast_to(end, x[:1].shape).flatten() for end in (rule.low, rule.high)]
            c = c - up(w) * ends[0] - down(w) * ends[1]
            parts = c / stable(c.sum(1))[:, None]
        result.append(parts.T @ r)
    return torch.stack(result).reshape(x.shape)


# flat has a case of its own; gamma without bias is refused by CompositeSettings
CASES = [(r, zero) for r in RULES if r != "flat" for zero in (False, True) if (r, zero) != ("gamma", True)]


@pytest.mark.parametrize(("rule", "zero_bias"), CASES)
@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_each_rule_is_its_equation_and_zennits(rule: Any, layer: str, non_negative: bool, zero_bias: bool) -> None:
    torch.manual_seed(1)
    module = LAYERS[layer]().double()
    x = torch.randn(2, 6, 11, dtype=torch.float64) if layer != "dense" else torch.randn(2, 6, dtype=torch.float64)
    x = x.abs() if non_negative else x
    low = torch.full((1, 6, 1)[: x.ndim], -5.0, dtype=torch.float64)
    low = low * 0 + 0.2 if rule == "sign" else low
    made = Rule(rule, 1e-6, 0.25, 2.0, zero_bias, low, -low)
    if rule == "w_square" and layer == "convolution":
        module.bias = None  # squares of a bias meet the border differently; compared without
    with torch.no_grad():
        z = module(x)
    relevance = torch.randn_like(z)
    found = share(made, LinearOperation(module), x, z, relevance, non_negative).inputs
    expected = by_the_equations(made, module, x, relevance)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    from clusterwhy.propagation.zennit_backend import zennit_rule

    hook = zennit_rule(made)
    handles = hook.register(module)
    inputs = x.clone().requires_grad_()
    (by_zennit,) = torch.autograd.grad(module(inputs), inputs, relevance)
    handles.remove()
    torch.testing.assert_close(found, by_zennit, rtol=1e-10, atol=1e-10)


def test_flat_spreads_evenly_over_what_a_unit_reads() -> None:
    module = nn.Conv1d(2, 1, 3).double()
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    rule = Rule("flat", 1e-12)
    found = share(rule, LinearOperation(module), x, module(x), torch.full((1, 1, 1), 6.0).double(), False).inputs
    torch.testing.assert_close(found, torch.ones_like(x))


def test_three_units_solved_by_hand() -> None:
    # h = relu(2 x1 - x2), k = relu(x1 + x2), y = h + 2 k at x = (1, 1): h = 1, k = 2, y = 5
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False), nn.Flatten(0)
    )
    network[1].weight = nn.Parameter(torch.tensor([[2.0, -1.0], [1.0, 1.0]]))
    network[3].weight = nn.Parameter(torch.tensor([[1.0, 2.0]]))
    from clusterwhy.propagation.explainer import lrp

    found = lrp(network.double().eval(), np.ones((1, 2, 1)), composite="epsilon")
    # R_h = 1, R_k = 4; x1: 1 * 2/1 + 4 * 1/2 = 4; x2: 1 * -1/1 + 4 * 1/2 = 1
    np.testing.assert_allclose(found.values.ravel(), [4.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(found.target, [5.0])
    # with signs at x = (2, 0.5): h = 3.5, k = 2.5, R_h / h = 1, R_k / k = 2; x1: 1 * 2 + 2 * 1 = 4; x2: -1 + 2 = 1
    for composite, second in (("epsilon_sign", 1.0), (with_threshold(1.0), -1.0)):
        found = lrp(network, np.array([[[2.0], [0.5]]]), composite=composite)
        np.testing.assert_allclose(found.values.ravel(), [4.0, second], rtol=1e-5)
        assert found.target == 8.5 and "signs in place of values" in found.provenance["notes"][-1]


def with_threshold(threshold: float) -> CompositeSettings:
    return COMPOSITES["epsilon_sign"].model_copy(update={"threshold": threshold})


def test_the_threshold_of_signs_is_that_of_the_windows_behind_a_negative_scale(rng: np.random.Generator) -> None:
    from clusterwhy.propagation.explainer import lrp

    torch.manual_seed(0)
    rest = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 3, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    rest = nn.Sequential(*rest, nn.Linear(3, 1), nn.Flatten(0)).double().eval()
    norm = nn.BatchNorm1d(2).double().eval()
    with torch.no_grad():
        norm.weight.fill_(-2.0)
        norm.bias.fill_(3.0)
    windows = rng.standard_normal((4, 2, 12))
    scaled = norm(torch.as_tensor(windows)).detach().numpy()
    found = lrp(nn.Sequential(norm, *rest).eval(), windows, composite=with_threshold(0.4)).values
    np.testing.assert_allclose(found, lrp(rest, scaled, composite=with_threshold(3.0 - 2.0 * 0.4)).values, rtol=1e-4)
    assert not np.allclose(found, lrp(rest, scaled, composite=with_threshold(0.4)).values)


class SharedAddition(nn.Module):
    """Two residuals; as in tsai, one module adds both."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.last = (
            nn.Conv1d(4, 4, 3, padding=1),
            nn.Conv1d(4, 4, 3, padding=1),
            nn.Linear(4, 1),
        )
        self.shared = shared

    def forward(self, x: Any) -> Any:
        add = torch.add if self.shared else (lambda a, b: a + b)
        x = F.relu(add(self.first(x), x))
        x = F.relu(add(self.second(x), x))
        return self.last(x.mean(-1))[:, 0]


def test_each_residual_addition_is_shared_by_its_own_summands() -> None:
    network = SharedAddition(shared=True).double().eval()
    windows = torch.randn(3, 4, 16, dtype=torch.float64)
    canonical = canonize(network, windows)
    assert len([step for step in canonical.steps if isinstance(step.module, Addition)]) == 2
    engine = Engine(canonical)
    tape = engine.run(windows)
    found, _ = engine.relevance(tape, tape.output, rules_of("epsilon_plus_norm"))
    # by hand: the chain of layers with an explicit split by contribution at each sum
    rule, dense = Rule("z_plus", 1e-6), Rule("epsilon", 1e-6)
    with torch.no_grad():
        a = network.first(windows)
        x1 = F.relu(a + windows)
        b = network.second(x1)
        x2 = F.relu(b + x1)
        pooled = x2.mean(-1)
        r = share(
            dense, LinearOperation(network.last), pooled, network.last(pooled), tape.output[:, None], False
        ).inputs
        r = x2 * (r / pooled)[:, :, None] / 16
        s = r / (b + x1)
        r = share(rule, LinearOperation(network.second), x1, b, b * s, True).inputs + x1 * s
        s = r / (a + windows)
        r = share(rule, LinearOperation(network.first), windows, a, a * s, False).inputs + windows * s
    cosine = F.cosine_similarity(found.flatten(), r.flatten(), dim=0)
    assert cosine > 0.999999


class Counts(nn.Module):
    def forward(self, x: Any) -> Any:
        return (x > 0).double().mean(-1) + x.mean(-1)


class Decides(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean(-1) if x.sum() > 0 else x.amax(-1)


class HasNoRule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.noise, self.pool = nn.LocalResponseNorm(2), nn.LPPool1d(2, 2)

    def forward(self, x: Any) -> Any:
        return self.pool(self.noise(x)).mean(1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Counts(), "add: reads mean, a choice or a statistic of the window that has no rule as a feature"),
        (Decides(), "cannot be traced"),
        (HasNoRule(), "0.noise: LocalResponseNorm has no rule\n  - 0.pool: LPPool1d has no rule"),
        (nn.ConstantPad1d(2, 1.0), "pads with 1.0"),
        (nn.BatchNorm1d(CHANNELS, track_running_stats=False), "without running statistics"),
        (torch.nn.utils.parametrizations.weight_norm(nn.Conv1d(CHANNELS, 2, 3)), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_an_operation_without_a_rule_is_refused_by_name(network: nn.Module, message: str | None) -> None:
    windows = torch.randn(2, CHANNELS, TIME, dtype=torch.float64)
    network = nn.Sequential(network).double().eval()
    if message is None:
        torch.testing.assert_close(canonize(network, windows)(windows), network(windows))
        return
    with pytest.raises(CompositeError) as caught:
        canonize(network, windows)
    assert message in str(caught.value)


def test_a_forward_that_hooks_change_is_noticed() -> None:
    network = nn.Sequential(nn.Conv1d(CHANNELS, 2, 3)).double().eval()
    network[0].register_forward_hook(lambda module, inputs, output: output * 2)
    with pytest.raises(CompositeError, match="a hook, a parametrization or a changing state"):
        canonize(network, torch.randn(2, CHANNELS, TIME, dtype=torch.float64))
