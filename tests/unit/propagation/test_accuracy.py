"""float32 gives what float64 gives, also where contributions of one sign are small beside those of the other."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.head_layers import SquaredDistances


def one_sided(groups: int, signed: bool) -> nn.Module:
    """Layers whose negative contributions are a ten-thousandth of the positive ones."""
    torch.manual_seed(0)
    first = nn.Conv1d(2, 4, 3, groups=groups)
    second = nn.Conv1d(4, 4, 3, groups=groups)
    for layer in (first, second):
        weight = layer.weight.data.abs() + 0.1
        weight[:, :, 0] *= -1e-4
        layer.weight.data = weight
    activation = nn.Tanh() if signed else nn.ReLU()
    return nn.Sequential(first, activation, second, nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).eval()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("composite", ["epsilon_alpha2_beta1", "epsilon_gamma", "epsilon_plus", "epsilon_gamma_box"])
def test_rules_in_float32_equal_float64(composite: str, signed: bool, groups: int) -> None:
    network, windows = (
        one_sided(groups, signed),
        1.0 + 0.1 * torch.randn(6, 2, 24, generator=torch.Generator().manual_seed(1)),
    )
    box: Any = np.zeros(2), np.full(2, 2.0)
    found = lrp(network, windows, 0, composite, box=box).values
    exact = lrp(copy.deepcopy(network).double(), windows.double(), 0, composite, box=box).values
    np.testing.assert_allclose(found, exact, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4])
def test_squared_distances_are_shared_as_exactly_as_in_float64(offset: float) -> None:
    torch.manual_seed(0)
    points, embedding, s = torch.randn(20, 16) + offset, torch.randn(8, 16) + offset, torch.randn(8, 20)
    found = SquaredDistances(points).share(embedding, s)
    exact = SquaredDistances(points.double()).share(embedding.double(), s.double())
    plain = sum(s.double()[:, [p]] * (embedding.double() - points[p].double()) ** 2 for p in range(20))
    torch.testing.assert_close(exact, plain, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.double(), exact, rtol=0.0, atol=1e-5 * float(exact.abs().max()))
