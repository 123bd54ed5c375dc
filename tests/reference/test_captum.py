"""captum, where it knows a rule, is a second opinion that shares no code with zennit or with us."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import LRP, DeepLift
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule, PropagationRule
from torch import nn

from clusterwhy.attribution.differences import explain_difference
from clusterwhy.propagation.composites import CompositeSettings
from clusterwhy.propagation.explainer import lrp


class Convolutions(nn.Module):
    """Two convolutions and a dense layer; captum wants no module that reshapes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.dense = nn.Conv1d(3, 6, 5, padding=2), nn.Conv1d(6, 5, 3), nn.Linear(50, 4)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, class)."""
        hidden = self.relus[1](self.second(self.relus[0](self.first(windows))))
        return self.dense(hidden.flatten(1))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return Convolutions().double().eval()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("epsilon", lambda: EpsilonRule(1e-9)),
        ("z_plus", lambda: Alpha1_Beta0_Rule()),
        ("gamma", lambda: GammaRule(gamma=0.25)),
    ],
    ids=["epsilon", "plus", "gamma"],
)
@pytest.mark.parametrize("engine", ["fused", "zennit"])
def test_rules_equal_captums(
    network: Convolutions, rng: np.random.Generator, name: str, rule: Callable[[], PropagationRule], engine: str
) -> None:
    # captum's alpha-beta and gamma are written for layers that read no negative values
    windows = np.abs(rng.normal(size=(4, 3, 12)))
    for layer in (network.first, network.second):
        # and theirs do not drop a unit's bias where the positive part of it is zero
        layer.bias.data.zero_()
        layer.rule = rule()
    network.dense.rule = EpsilonRule(1e-9)
    expected = LRP(network).attribute(torch.from_numpy(windows).requires_grad_(), target=2).detach().numpy()
    composite = CompositeSettings(
        convolution=name,
        first_layer=None,
        dense="epsilon",
        residual="norm",
        attention="constant",
        zero_bias=False,
        epsilon=1e-9,
        gamma=0.25 if name == "gamma" else None,
    )
    found = lrp(network, windows, 2, composite, engine=engine)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_relevance_of_differences_equals_captums_deep_lift(network: nn.Module, rng: np.random.Generator) -> None:
    windows, references = rng.normal(size=(4, 3, 12)), rng.normal(size=(4, 1, 3, 12))
    inputs = torch.from_numpy(windows).requires_grad_(), torch.from_numpy(references[:, 0]).requires_grad_()
    lift = DeepLift(network).attribute(*inputs, target=1)
    found = explain_difference(network, windows, references, 1)
    np.testing.assert_allclose(found.values, lift.detach().numpy(), rtol=1e-8, atol=1e-10)
