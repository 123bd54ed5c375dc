"""Twenty networks by someone who had not seen the rules: LRP equals a second way, budgets close, differences add up."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from clusterwhy import explain, explain_difference
from clusterwhy.errors import CompositeError, MethodError
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import Engine, RelevanceBudget
from clusterwhy.propagation.targets import with_target
from tests.architectures import CHANNELS, TIME
from tests.more_architectures import MORE_ARCHITECTURES, TARGETS, built
from tests.secants import epsilon_relevance

EXPLAINED = [name for name in MORE_ARCHITECTURES if name != "TimesNet"]
EXACT = COMPOSITES["epsilon"].model_copy(update={"epsilon": 1e-13})
CHOSEN = {name: COMPOSITES[name] for name in ("epsilon_without_bias", "epsilon_plus", "epsilon_alpha2_beta1")}
CHOSEN["AttnLRP"] = COMPOSITES["epsilon"].model_copy(update={"attention": "shared"})
LOW = torch.full((1, CHANNELS, 1), -4.0, dtype=torch.float64)

# what torch says to even kernels, of LITE and ConvTran
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")


def windows(count: int) -> torch.Tensor:
    return torch.randn(count, CHANNELS, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def picked(name: str) -> Callable[[Any], torch.Tensor]:
    target = TARGETS.get(name, 1)
    if target is None:
        return lambda output: output
    return target if callable(target) else lambda output: output[:, target]


@pytest.mark.parametrize("name", EXPLAINED)
def test_an_architecture_equals_gradient_x_input_of_secants_and_its_budgets_close(name: str) -> None:
    network, x = built(name), windows(2)
    engine = Engine(canonize(with_target(network, picked(name)), x))
    expected = epsilon_relevance(network, x, picked(name))
    target = picked(name)(network(x.clone())).detach()
    found = [engine.explain(part, EXACT.rules(LOW, -LOW))[0] for part in (x, x[1:])]
    torch.testing.assert_close(found[0], expected, rtol=1e-6, atol=1e-7 * float(expected.abs().max()))
    torch.testing.assert_close(found[1][0], found[0][1], rtol=1e-6, atol=1e-9)  # alone as beside another
    for composite, settings in CHOSEN.items():
        for part, own in zip(x.split(engine.batch_size), target.split(engine.batch_size), strict=True):
            tape, budget = engine.run(part), RelevanceBudget()
            values, _ = engine.relevance(tape, tape.output, settings.rules(LOW, -LOW), budget)
            kept = sum(amount for _, _, amount in budget.entries)
            scale = max(float(values.abs().sum((1, 2)).max()), float(own.abs().max()))
            missing = (own - values.sum((1, 2)) - kept).abs().max() / scale
            assert missing < 1e-8, (name, composite, float(missing))


@pytest.mark.parametrize("name", EXPLAINED)
def test_differences_of_an_architecture_add_up(name: str) -> None:
    network, x = built(name), windows(2)
    found = explain_difference(network, x, x.flip(0)[:, None] * 0.5, TARGETS.get(name, 1), n_path=8)
    with torch.no_grad():
        ends = [picked(name)(network(end.clone())) for end in (x, x.flip(0) * 0.5)]
    np.testing.assert_allclose(found.target, (ends[0] - ends[1]).numpy(), rtol=1e-6, atol=1e-9)
    scale = np.abs(found.values).sum(axis=(1, 2))
    np.testing.assert_allclose((found.target - found.values.sum((1, 2))) / scale, 0.0, atol=3e-3, err_msg=name)


@pytest.mark.parametrize("method", ["lrp_epsilon", "difference", "gradient", "occlusion", "grad_cam"])
def test_periods_that_are_chosen_by_the_batch_are_refused(method: str) -> None:
    """TimesNet folds all windows by the strongest periods of their mean spectrum."""
    with pytest.raises((CompositeError, MethodError), match=r"decides by the values of windows|beside other windows"):
        explain(built("TimesNet"), windows(3).numpy(), method, 1, windows(2).numpy())
