"""Two dozen networks from their papers are explained: budgets close, windows stand alone, differences add up."""

import numpy as np
import pytest
import torch

from clusterwhy.attribution.differences import explain_difference
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.explainer import lrp
from tests.architectures import ARCHITECTURES, CHANNELS, TIME, built

COMPOSITES_INSIDE = [name for name, settings in COMPOSITES.items() if not settings.first_layer]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_explained_and_its_budget_closes(name: str) -> None:
    network = built(name)
    windows = torch.randn(4, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    engine = Engine(canonize(network, windows))
    target = network(windows).detach()
    low = torch.full((1, CHANNELS, 1), -4.0, dtype=torch.float64)
    for composite in COMPOSITES_INSIDE:
        values, kept = np.zeros((0, CHANNELS, TIME)), []
        for part in windows.split(engine.batch_size):
            tape, budget = engine.run(part), RelevanceBudget()
            found, _ = engine.relevance(tape, tape.output, COMPOSITES[composite].rules(low, -low), budget)
            values = np.concatenate([values, found.numpy()])
            kept.append(sum(amount for _, _, amount in budget.entries))
        missing = target.sum(1).numpy() - values.sum((1, 2)) - torch.cat(kept).numpy()
        scale = max(np.abs(values).sum((1, 2)).max(), float(target.abs().max()))
        np.testing.assert_allclose(missing / scale, 0.0, atol=1e-8, err_msg=f"{name}, {composite}")
    found = lrp(network, windows, 1, "epsilon_plus")
    np.testing.assert_allclose(found.target, target[:, 1], rtol=1e-9)
    alone = lrp(network, windows[2:3], 1, "epsilon_plus")
    np.testing.assert_allclose(alone.values[0], found.values[2], atol=1e-9 * np.abs(found.values).max())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_differences_of_an_architecture_add_up(name: str) -> None:
    windows = torch.randn(2, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = explain_difference(built(name), windows, windows.flip(0)[:, None] * 0.5, 1, n_path=64)
    scale = np.abs(found.values).sum(axis=(1, 2))
    np.testing.assert_allclose((found.target - found.values.sum((1, 2))) / scale, 0.0, atol=0.02, err_msg=name)
