"""Activations and norms that a network calls as functions have the relevance of the modules of the same name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy import explain, lrp
from clusterwhy.errors import CompositeError
from tests.unit.propagation.test_spellings import Network, network_of

ACTIVATIONS: dict[str, tuple[Callable[..., torch.Tensor], nn.Module]] = {
    "selu": (F.selu, nn.SELU()),
    "celu": (F.celu, nn.CELU()),
    "mish": (F.mish, nn.Mish()),
    "hardswish": (F.hardswish, nn.Hardswish()),
    "hardtanh": (F.hardtanh, nn.Hardtanh()),
    "hardtanh with numbers": (lambda x: F.hardtanh(x, -0.5, 2.0), nn.Hardtanh(-0.5, 2.0)),
    "relu6": (F.relu6, nn.ReLU6()),
    "hardsigmoid": (F.hardsigmoid, nn.Hardsigmoid()),
    "rrelu": (F.rrelu, nn.RReLU()),
    "in place": (lambda x: F.celu(x, 0.5, inplace=True), nn.CELU(0.5)),
}


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 3, 16))


def same_relevance(network: nn.Module, plain: nn.Module, windows: np.ndarray) -> None:
    for method in ("lrp_epsilon_plus", "lrp_epsilon_gamma_box", "difference"):
        found, expected = (explain(one, windows, method, 1, windows[::-1] * 0.5) for one in (network, plain))
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-12, err_msg=method)
        assert np.abs(found.values).max() > 0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_as_a_function_is_the_module(name: str, windows: np.ndarray) -> None:
    function, module = ACTIVATIONS[name]
    called = network_of(lambda n, x: n.of_channels(n.skip(function(n.skip(x))).mean(2)))
    plain = network_of(lambda n, x: n.of_channels(n.skip(n.activation(n.skip(x))).mean(2)))
    plain.activation = module.eval()
    same_relevance(called, plain, windows)


class Normed(Network):
    """With parameters of any value, and a norm as a function or as a module."""

    def __init__(self, middle: Any, norm: nn.Module) -> None:
        super().__init__(middle)
        self.norm = norm
        for parameter in norm.parameters():
            nn.init.normal_(parameter)


def normed(middle: Any, norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return Normed(lambda n, x: n.of_channels(n.skip(middle(n, n.skip(x))).mean(2)), norm).double().eval()


NORMS: dict[str, tuple[Callable[[Any, torch.Tensor], torch.Tensor], Callable[[], nn.Module]]] = {
    "layer_norm": (
        lambda n, x: F.layer_norm(x, (16,), n.norm.weight, n.norm.bias, 1e-3),
        lambda: nn.LayerNorm(16, 1e-3),
    ),
    "of the weight's shape": (
        lambda n, x: F.layer_norm(x, n.norm.weight.shape, weight=n.norm.weight),
        lambda: nn.LayerNorm((8, 16), bias=False),
    ),
    "without weights": (
        lambda n, x: F.layer_norm(input=x, normalized_shape=[8, 16]),
        lambda: nn.LayerNorm((8, 16), elementwise_affine=False),
    ),
    "rms_norm": (lambda n, x: F.rms_norm(x, (16,), n.norm.weight, 1e-3), lambda: nn.RMSNorm(16, 1e-3)),
    "group_norm": (lambda n, x: F.group_norm(x, 2, n.norm.weight, n.norm.bias), lambda: nn.GroupNorm(2, 8)),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_as_a_function_is_the_module(name: str, windows: np.ndarray) -> None:
    function, module = NORMS[name]
    same_relevance(normed(function, module()), normed(lambda n, x: n.norm(x), module()), windows)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_normalize_divides_by_a_norm_that_is_held_fixed(p: float, windows: np.ndarray) -> None:
    called = network_of(lambda n, x: n.of_channels(F.normalize(x, p, dim=1).mean(2)))
    written = network_of(lambda n, x: n.of_channels((x / x.norm(p, 1, keepdim=True)).mean(2)))
    same_relevance(called, written, windows)


def test_what_there_is_no_rule_for_tells_what_to_do(windows: np.ndarray) -> None:
    network = network_of(lambda n, x: n.of_channels(torch.cumprod(x, dim=2).mean(2)))
    with pytest.raises(CompositeError, match=r"cumprod has no rule\n.*docs/networks\.md.*integrated_gradients"):
        lrp(network, windows, 1)
