"""A composite is its rules and their parameters; what does not fit is refused with the key to change."""

from typing import Any

import pytest
import torch
from torch import nn

from clusterwhy.config import build_settings
from clusterwhy.errors import CompositeError, ConfigError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, NAMES_OF_0_1, CompositeSettings, settings_of
from clusterwhy.propagation.head_layers import RootedLinear
from clusterwhy.propagation.rules import rule_of

TARGET = "clusterwhy.propagation.composites.CompositeSettings"
PLUS = COMPOSITES["epsilon_plus"].model_dump() | {"_target_": TARGET}
ENDS = torch.zeros(1, 2, 1), torch.ones(1, 2, 1)  # of the input's two channels


def build(**changes: Any) -> CompositeSettings:
    made: CompositeSettings = build_settings({"composite": PLUS | changes})["composite"]
    return made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convolution": "zplus"}, r"composite\.convolution: .*no rule 'zplus'; there are epsilon, z_plus, alpha_beta"),
        ({"first_layer": "boxes"}, r"composite\.first_layer: .*no rule 'boxes'"),
        ({"dense": "box", "box": "data"}, r"composite\.dense: .*only `first_layer` can have it"),
        ({"dense": "sign", "threshold": 0.0}, "the rule sign needs the sign of the input, so only `first_layer`"),
        ({"first_layer": "sign"}, "`threshold` is missing: the rule sign of first_layer needs it"),
        ({"first_layer": "box"}, "`box` is missing: the rule box of first_layer needs it"),
        ({"convolution": "gamma"}, "`gamma` is missing: the rule gamma of convolution needs it"),
        ({"convolution": "alpha_beta"}, "`alpha` is missing: the rule alpha_beta of convolution needs it"),
        ({"epsilon": None}, "`epsilon` is missing: the rule epsilon of dense needs it"),
        ({"gamma": 0.25}, "`gamma` is given, but no layer has a rule with it: remove it"),
        ({"dense": "z_plus"}, "`epsilon` is given, but no layer has a rule with it"),
        ({"box": (-3.0, 3.0), "gamma": 0.1}, "`box` is given, .*; `gamma` is given"),
        ({"dense": "gamma", "epsilon": None, "gamma": 0.1, "zero_bias": True}, "zero_bias cannot be combined"),
        ({"convolution": "alpha_beta", "alpha": 0.5}, r"composite\.alpha: .*greater than or equal to 1"),
        ({"residual": "sum"}, r"composite\.residual: .*'norm', 'norm_plus' or 'none'"),
        ({"beta": 1.0}, r"composite\.beta: Extra inputs"),
        ({"epsilonn": 1.0}, r"composite\.epsilonn: Extra inputs are not permitted \(did you mean `epsilon`\?\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**changes)


def test_each_layer_gets_its_rule_with_its_parameters() -> None:
    layers = {"convolution": "alpha_beta", "first_layer": "box", "dense": "gamma"}
    made = build(**layers, alpha=3.0, box=(-2.0, 5.0), gamma=0.5, epsilon=None)
    rules = made.rules(*ENDS)
    assert (rules.convolution.name, rules.convolution.alpha) == ("alpha_beta", 3.0)
    assert (rules.dense.name, rules.dense.gamma) == ("gamma", 0.5)
    assert rules.first_layer is not None and rules.first_layer.low is not None and rules.first_layer.high is not None
    assert rules.first_layer.low.tolist() == [[[-2.0], [-2.0]]] and rules.first_layer.high.tolist() == [[[5.0], [5.0]]]
    by_data = build(first_layer="box", box="data").rules(*ENDS).first_layer
    assert by_data is not None and by_data.low is ENDS[0] and by_data.high is ENDS[1]


def test_layers_that_read_the_input_have_the_rule_of_the_first_layer() -> None:
    layers = nn.AvgPool1d(2), nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 3, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    root = RootedLinear(torch.ones(1, 4), torch.zeros(1), torch.zeros(1, 4))
    network = nn.Sequential(*layers, nn.Linear(3, 4), root).double().eval()
    steps = [step for step in canonize(network, torch.rand(1, 2, 20).double()).steps if step.kind == "linear"]
    rules = build(first_layer="flat", convolution="w_square", dense="z_plus", epsilon=None).rules(*ENDS)
    assert [rule_of(step, rules).name for step in steps] == ["flat", "w_square", "z_plus", "epsilon"]
    alike = build(convolution="w_square").rules(*ENDS)
    assert [rule_of(step, alike).name for step in steps] == ["w_square", "w_square", "epsilon", "epsilon"]


@pytest.mark.parametrize("canonizer", ["auto", "none"])
def test_residual_sums_without_a_rule_are_for_networks_as_they_are(canonizer: Any) -> None:
    made = build(residual="none")
    if canonizer == "none":
        assert made.rules(*ENDS, canonizer).residual == "none"
        return
    with pytest.raises(CompositeError, match="choose norm or norm_plus"):
        made.rules(*ENDS, canonizer)


@pytest.mark.parametrize("name", NAMES_OF_0_1)
def test_a_file_of_version_0_1_means_the_same_rules(name: str) -> None:
    own: dict[str, Any] = {"epsilon": 1e-6, "gamma": None, "box": None}
    own |= {"gamma": 0.25} if "Gamma" in name else {}
    own |= {"box": "data"} if "Box" in name else {}
    residual = "norm" if name in ("Epsilon", "EpsilonWSquare") else "norm_plus"
    rest = {"residual": residual, "zero_bias": False, "attention": "constant"}
    made = build_settings({"composite": {"_target_": TARGET, "name": name, **own, **rest}})["composite"]
    assert made in COMPOSITES.values()
    words = made.convolution.replace("z_plus", "plus").replace("alpha_beta", "alpha2beta1").split("_")
    assert all(word in name.lower() for word in words)
    assert (made.first_layer or "").replace("w_square", "wsquare") in name.lower()


def test_an_unknown_name_of_version_0_1_is_answered_with_the_keys_to_write() -> None:
    values = {key: value for key, value in PLUS.items() if key not in ("convolution", "first_layer", "dense")}
    with pytest.raises(ConfigError, match=r"`name: EpsilonMinus` is unknown; write .*`convolution`, `first_layer`"):
        build_settings({"composite": values | {"name": "EpsilonMinus"}})
    with pytest.raises(ConfigError, match=r"composite\.name: Extra inputs"):
        build(name="EpsilonPlus")


def test_a_composite_by_name_is_that_of_the_table() -> None:
    assert settings_of("epsilon_plus") is COMPOSITES["epsilon_plus"]
    with pytest.raises(CompositeError, match="no composite 'epsilonplus'; there are deep_taylor, epsilon, "):
        settings_of("epsilonplus")
