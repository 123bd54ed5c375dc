"""Sums: epsilon shares them in proportion to contributions; what another rule loses is told in the notes."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from clusterwhy.attribution.registry import explain  # noqa: E402
from clusterwhy.metrics.shares import TOLERATED_LOSS  # noqa: E402
from clusterwhy.propagation.canonical import canonize  # noqa: E402
from clusterwhy.propagation.composites import COMPOSITES  # noqa: E402
from clusterwhy.propagation.explainer import lrp  # noqa: E402
from clusterwhy.propagation.losses import loss_note  # noqa: E402

CHANNELS, TIME = 3, 24
POSITIVE = COMPOSITES["epsilon"].model_copy(update={"residual": "norm_plus"})
OF_EPSILON = ["epsilon", "epsilon_sign", "epsilon_without_bias", "epsilon_w_square"]


class PreActivation(nn.Module):
    """A residual network whose sums have no ReLU behind them (He et al. 2016, figure 4e)."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv1d(CHANNELS, 8, 3, padding=1, bias=bias)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(nn.ReLU(), nn.Conv1d(8, 8, 3, padding=1, bias=bias)),
                *(nn.ReLU(), nn.Conv1d(8, 8, 3, padding=1, bias=bias)),
            )
            for _ in range(3)
        )
        self.last = nn.Linear(8, 2, bias=bias)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x.mean(dim=-1))


class Transformer(nn.Module):
    """x + attention(x), x + dense(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(CHANNELS, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
        self.last = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        x = self.embed(x.transpose(1, 2))
        x = x + self.attention(x, x, x)[0]
        x = x + self.dense(x)
        return self.last(x.mean(dim=1))


class Mixed(nn.Module):
    """Sums of two convolutions, of one and the input, of one behind a batch norm, of a dense layer, of two units."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv1d(CHANNELS, CHANNELS, 1) for _ in range(3))
        self.norm, self.dense = nn.BatchNorm1d(CHANNELS), nn.Linear(TIME, TIME)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.a(x) + self.b(x))
        x = self.norm(torch.relu(x)) + self.c(x)
        x = torch.tanh(x) - self.dense(x)
        x = x.mean(dim=-1)
        return x[:, 0] - x[:, 1]


def made(network: type[nn.Module], **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return network(**arguments).double().eval()


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(20, CHANNELS, TIME))


def difference_of_units(output: Any) -> Any:
    return output[:, 0] - output[:, 1]


@pytest.mark.parametrize("method", ["lrp_epsilon", "lrp_epsilon_without_bias", "lrp_epsilon_plus", "lrp_epsilon_gamma"])
def test_the_difference_of_two_units_of_a_linear_layer_is_its_weights_times_the_window(
    method: str, windows: np.ndarray
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * TIME, 2, bias="without" not in method))
    network = network.double().eval()
    weight, bias = network[1].weight.detach().numpy(), network[1].bias
    found = explain(network, windows, f"{method}(epsilon=1e-14)", difference_of_units)
    expected = (weight[0] - weight[1]).reshape(CHANNELS, TIME) * windows
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)
    kept = 0.0 if bias is None else (bias[0] - bias[1]).item()
    np.testing.assert_allclose(found.bias_share * found.target, kept, atol=1e-9)


class Averaged(nn.Sequential):
    """Units of the output are means of convolutions, without a dense layer."""

    def __init__(self) -> None:
        super().__init__(nn.Conv1d(CHANNELS, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize(
    ("network", "engine"),  # zennit has no rule for attention
    [
        (Averaged, "fused"),
        (Averaged, "zennit"),
        (PreActivation, "fused"),
        (PreActivation, "zennit"),
        (Transformer, "fused"),
    ],
)
def test_relevance_of_a_difference_of_units_is_the_difference_of_their_relevance(
    network: type[nn.Module], composite: str, engine: Any, windows: np.ndarray
) -> None:
    settings = COMPOSITES[composite].model_copy(update={"epsilon": 1e-14})
    asked = made(network), windows
    found, first, second = (lrp(*asked, target, settings, engine=engine) for target in (difference_of_units, 0, 1))
    size = np.abs(first.values).max() + np.abs(second.values).max()
    np.testing.assert_allclose(found.values, first.values - second.values, atol=1e-7 * size)


def test_without_biases_epsilon_is_gradient_times_input(windows: np.ndarray) -> None:
    # ReLU networks without biases: f(x) = sum of x df/dx (Ancona et al. 2018, proposition 1)
    network = made(PreActivation, bias=False)
    found = explain(network, windows, "lrp_epsilon(epsilon=1e-14)", 1)
    inputs = torch.from_numpy(windows).requires_grad_()
    (gradient,) = torch.autograd.grad(network(inputs)[:, 1].sum(), inputs)
    np.testing.assert_allclose(found.values, (gradient * inputs).detach(), atol=1e-8)


@pytest.mark.parametrize("composite", [name for name in COMPOSITES if not COMPOSITES[name].first_layer])
def test_sums_of_attention_and_dense_layers_lose_nothing_in_any_composite(composite: str, windows: np.ndarray) -> None:
    settings = COMPOSITES[composite].model_copy(update={"epsilon": 1e-12})
    found = lrp(made(Transformer), windows, 0, settings)
    assert np.abs(found.lost_share).max() < 1e-3


def test_only_sums_of_convolutions_are_shared_by_positive_parts(windows: np.ndarray) -> None:
    network = made(Mixed)
    canonical = canonize(network, torch.from_numpy(windows))
    sums = [step.of_convolutions for step in canonical.steps if step.kind == "sum"]
    assert sums == [True, True, False, False]
    fused, by_zennit = (lrp(network, windows, None, POSITIVE, engine=engine) for engine in ("fused", "zennit"))
    np.testing.assert_allclose(fused.values, by_zennit.values, atol=1e-10)


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_without_bias"])
@pytest.mark.parametrize("network", [PreActivation, Transformer])
def test_epsilon_loses_nothing_at_sums(network: type[nn.Module], composite: str, windows: np.ndarray) -> None:
    settings = COMPOSITES[composite].model_copy(update={"epsilon": 1e-12})
    found = lrp(made(network), windows, 0, settings)
    assert np.abs(found.lost_share).max() < 1e-3  # without biases denominators near 0 explode
    assert not [note for note in found.provenance["notes"] if note.startswith("lost")]


def test_every_composite_of_epsilon_alone_shares_by_contribution_and_no_other_by_its_name() -> None:
    for name, settings in COMPOSITES.items():
        by_contribution = name in OF_EPSILON or name.endswith("norm")
        assert settings.residual == ("norm" if by_contribution else "norm_plus")


@pytest.mark.parametrize("engine", ["fused", "zennit"])
def test_what_positive_parts_lose_is_told_with_the_step_and_what_to_choose(windows: np.ndarray, engine: Any) -> None:
    found = lrp(made(PreActivation), windows, 0, POSITIVE, engine=engine)
    (note,) = [note for note in found.provenance["notes"] if note.startswith(("lost", "missing"))]
    shares = np.abs(found.gap if engine == "zennit" else found.lost_share)
    assert f"{np.median(shares):.0%} of the target (median; at most {shares.max():.0%})" in note
    assert f"in {(shares > TOLERATED_LOSS).sum()} of 20 windows" in note
    assert ("zennit's hooks do not tell" if engine == "zennit" else "`residual: norm` shares it by contri") in note


def test_notes_of_one_call_do_not_stay_for_the_next(windows: np.ndarray) -> None:
    from clusterwhy.propagation.explainer import Explainer

    box = torch.zeros(CHANNELS), torch.ones(CHANNELS)
    explainer = Explainer(made(PreActivation), torch.from_numpy(windows), 0, POSITIVE, "auto", "auto", box)
    first, second = explainer.explain(windows, 64), explainer.explain(windows, 64)
    assert len(first.provenance["notes"]) == len(second.provenance["notes"]) == 1


def test_a_window_whose_target_is_zero_has_no_share_and_others_are_counted() -> None:
    from clusterwhy.propagation.engine import RelevanceBudget

    budget = RelevanceBudget()
    budget.entries.extend([("add", "sum", torch.ones(1)), ("pool", "norm", torch.full((1,), 0.01))])
    asked: list[Any] = []

    def budget_of(chosen: Any) -> RelevanceBudget:
        asked.append(chosen)
        return budget

    note = loss_note(np.array([0.01, np.nan, -0.5]), budget_of)
    assert asked[0].tolist() == [2]
    assert note is not None and note.startswith("lost: 26% of the target (median; at most 50%), more than 5% in 1 of 3")
    assert note.endswith(
        "most of it at add (a sum without a positive part: `residual: norm` shares it by contribution)"
    )
    assert loss_note(np.array([0.05, np.nan, -0.05]), budget_of) is None
