"""Random networks of all supported operations: relevance equals a plain second way, budgets close, engines agree."""

import numpy as np
import pytest
import torch

from clusterwhy.attribution.differences import explain_difference
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.explainer import lrp
from tests.random_networks import names, plain_epsilon, random_network, random_windows

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
N_NETWORKS = 40  # `python -m benchmarks.network_fuzz` takes thousands


@pytest.mark.parametrize("seed", range(N_NETWORKS))
def test_a_random_network_is_explained_rightly(seed: int) -> None:
    check(seed)


def check(seed: int) -> None:
    """Every property of one network.

    Raises:
        AssertionError: one does not hold.
    """
    network, windows = random_network(seed), random_windows(seed)
    expected, given = network(windows.clone()).detach(), windows.clone()
    about = f"network {seed}: {' '.join(names(network))}"
    exact = COMPOSITES["epsilon"].model_copy(update={"residual": "norm", "epsilon": 1e-13})
    found = lrp(network, windows, composite=exact)
    torch.testing.assert_close(windows, given, rtol=0, atol=0, msg=about)
    torch.testing.assert_close(torch.as_tensor(found.target), expected, msg=about)
    if (plain := plain_epsilon(network, windows)) is not None:
        scale = float(plain.abs().max())
        np.testing.assert_allclose(found.values, plain.numpy(), rtol=1e-5, atol=1e-6 * scale, err_msg=about)
    check_composites(network, windows, about)
    difference = explain_difference(network, windows, windows[:1] + 1.0, n_path=64)
    scale = np.abs(difference.values).sum(axis=(1, 2)).max() + 1e-9
    missing = difference.target - difference.values.sum(axis=(1, 2))
    np.testing.assert_allclose(missing / scale, 0.0, atol=0.02, err_msg=f"{about}: completeness of differences")


def check_composites(network: torch.nn.Module, windows: torch.Tensor, about: str) -> None:
    """The budget of each composite closes, and the engine equals zennit."""
    canonical, low = canonize(network, windows), torch.full((1, windows.shape[1], 1), -4.0, dtype=torch.float64)
    engine = Engine(canonical)
    tape = engine.run(windows)
    for name, settings in COMPOSITES.items():
        rules, budget = settings.rules(low, -low), RelevanceBudget()
        if settings.first_layer == "box" and not all(engine.canonical.steps[n].reads_input for n in engine.readers[0]):
            continue
        values, _ = engine.relevance(tape, tape.output, rules, budget)
        kept = sum(amount for _, _, amount in budget.entries)
        scale = float(values.abs().sum(dim=(1, 2)).max() + tape.output.abs().max())
        gap = tape.output - values.sum(dim=(1, 2)) - kept
        assert float(gap.abs().max()) <= 1e-8 * scale, f"{about}: the budget of {name} leaves {gap}"
        zennits = lrp(network, windows, composite=settings, engine="zennit", box=(low[0, :, 0], -low[0, :, 0]))
        torch.testing.assert_close(
            torch.as_tensor(zennits.values), values, rtol=1e-5, atol=1e-6 * scale, msg=f"{about}: {name}"
        )
