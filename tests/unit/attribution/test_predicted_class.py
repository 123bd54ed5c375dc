"""Without a target `explain` explains the class that a classifier predicts for each window."""

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import explain
from clusterwhy.propagation.targets import PREDICTED


@pytest.fixture
def classifier() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    network = nn.Sequential(*layers).double().eval()
    with torch.no_grad():  # so that several classes are predicted
        network[-1].bias -= network(torch.randn(500, 2, 8, dtype=torch.float64)).mean(dim=0)
    return network


@pytest.mark.parametrize("method", ["lrp_epsilon", "difference", "gradient_x_input", "occlusion_channels"])
def test_each_window_is_explained_for_its_own_class(method: str, classifier: nn.Module) -> None:
    rng = np.random.default_rng(3)
    windows, references = 3.0 * rng.normal(size=(70, 2, 8)), rng.normal(size=(5, 2, 8))
    with torch.no_grad():
        units = classifier(torch.as_tensor(windows)).argmax(dim=1).tolist()
    assert len(set(units)) > 1
    found = explain(classifier, windows, method, references=references)
    assert found.provenance["target"] == PREDICTED and found.provenance["units"] == units
    of_unit = {unit: explain(classifier, windows, method, unit, references) for unit in set(units)}
    for row, unit in enumerate(units):
        np.testing.assert_allclose(found.values[row], of_unit[unit].values[row], rtol=1e-9, atol=1e-12)
        assert found.target[row] == pytest.approx(of_unit[unit].target[row])
        assert found.bias_share[row] == pytest.approx(of_unit[unit].bias_share[row], nan_ok=True)


def test_an_output_of_one_scalar_is_explained_as_it_is(classifier: nn.Module) -> None:
    windows = np.random.default_rng(0).normal(size=(3, 2, 8))
    one = nn.Sequential(*classifier, nn.Linear(3, 1).double(), nn.Flatten(0)).eval()
    found = explain(one, windows, "lrp_epsilon")
    assert "units" not in found.provenance
    with torch.no_grad():
        np.testing.assert_allclose(found.target, one(torch.as_tensor(windows)).numpy())
