"""Random networks of all supported operations: relevance equals a plain second way, budgets close, engines agree."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from clusterwhy.propagation import fixed_rules
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES, AttentionRule, CompositeSettings
from clusterwhy.propagation.engine import Engine, RelevanceBudget, Tape
from clusterwhy.propagation.entrances import entrances_of
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.normalisers import Normaliser
from clusterwhy.propagation.rescale_rule import RescaleRule
from clusterwhy.propagation.steps import Canonical
from clusterwhy.propagation.zennit_backend import zennit_composite, zennit_relevance
from tests.random_networks import has_rules_of_zennit, names, random_network, random_windows
from tests.random_networks.plain import plain_epsilon

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
N_NETWORKS = 36  # `python -m benchmarks.network_fuzz` takes 5,000
SMALL = 1e-30  # of stabilisers, in place of 0
KEPT_BY_EPSILON = ("bias", "constant", "softmax")
LOW = torch.full((1, 3, 1), -4.0, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(N_NETWORKS))
def test_a_random_network_is_explained_rightly(seed: int) -> None:
    check(seed)


def check(seed: int) -> bool:
    """Properties of one network; whether there was a plain relevance to compare with.

    Each: epsilon against the plain second way, signs, the relevance budget of three composites. A third each, by seed:
    those composites against zennit, of a network that zennit has rules for; differences; attention that shares.

    Raises:
        AssertionError: one does not hold.
        CompositeError: an operation is refused.
    """
    network, windows = random_network(seed), random_windows(seed)
    about = f"network {seed}: {' '.join(names(network))}"
    given, expected = windows.clone(), network(windows.clone()).detach()
    canonical = canonize(network, windows)
    torch.testing.assert_close(windows, given, rtol=0, atol=0, msg=about)
    compared = check_epsilon(network, canonical, windows, expected, "constant", about)
    check_signs(canonical, windows, about)
    chosen = [list(COMPOSITES)[(seed + 4 * k) % len(COMPOSITES)] for k in range(3)]
    check_composites(canonical, windows, chosen, has_rules_of_zennit(seed), about)
    if seed % 3 == 1:
        check_differences(canonical, windows, about)
    elif seed % 3 == 2:
        check_epsilon(network, canonical, windows, expected, "shared", about)
    return compared


def check_epsilon(
    network: torch.nn.Module,
    canonical: Canonical,
    windows: torch.Tensor,
    expected: torch.Tensor,
    attention: AttentionRule,
    about: str,
) -> bool:
    """As stabilisers go to 0, epsilon is gradient x input with secants for activations; only a softmax loses relevance.

    Nothing is compared, and False returned, where an activation that is not 0 at 0 reads a 0, which has no secant, and
    where values cancel to 0 (1 less a gate of 1.0): their parts are 0, however small the stabiliser, but not their
    gradients.
    """
    about = f"{about}: epsilon, attention {attention}"
    settings = COMPOSITES["epsilon"].model_copy(update={"attention": attention, "epsilon": SMALL})
    with mock.patch.object(fixed_rules, "NORM_STABILIZER", SMALL):
        found = lrp(canonical, windows, composite=settings)
        budgets = [(values, budget) for _, _, values, budget, _ in _passes(canonical, windows, settings)]
    np.testing.assert_allclose(found.target, expected, rtol=1e-9, atol=1e-12, err_msg=about)
    plain = plain_epsilon(network, windows, attention == "shared")
    if plain is None or cancels(canonical, windows):
        return False
    rounding = 1e-6 * float(plain.values.abs().max()) + 1e-9 * float(expected.abs().max()) + 1e-13
    np.testing.assert_allclose(found.values, plain.values.numpy(), rtol=1e-5, atol=rounding, err_msg=about)
    of_biases = sum(float(torch.as_tensor(budget.sum("bias")).sum()) for _, budget in budgets)
    np.testing.assert_allclose(of_biases, plain.of_biases, rtol=1e-5, atol=rounding, err_msg=f"{about}: biases")
    for values, budget in budgets:
        lost = {c: float(amount.abs().max()) for _, c, amount in budget.entries if c not in KEPT_BY_EPSILON}
        assert max(lost.values(), default=0.0) <= 1e-6 * _size(values, budget), f"{about}: loses {lost}"
    return True


@torch.no_grad()
def cancels(canonical: Canonical, windows: torch.Tensor) -> bool:
    """Whether a sum, a mean, or a norm's difference to a mean, is 0 of values that are not."""
    values = values_of(canonical, windows)
    for step, made in zip(canonical.steps, values[1:], strict=True):
        x = values[step.inputs[0]]
        if isinstance(step.module, Normaliser):
            shape, axes = step.module.groups(x)
            x = x.reshape(shape)
            made = step.module.centred(x, axes)
        elif step.kind == "norm":
            x = step.module(x.abs(), *(values[i] for i in step.inputs[1:]))
        elif step.kind != "sum":
            continue
        if bool(((made == 0) & (x != 0)).any()):
            return True
    return False


def check_signs(canonical: Canonical, windows: torch.Tensor, about: str) -> None:
    """What is taken for never negative, is not."""
    for step, value in zip(canonical.steps, values_of(canonical, windows)[1:], strict=True):
        assert not step.non_negative or float(value.min()) >= 0.0, f"{about}: {step.name} is negative"


def values_of(canonical: Canonical, windows: torch.Tensor) -> list[Any]:
    """The windows, and what each step gives."""
    return RescaleRule(canonical, 1, windows.device).forward(windows)


def check_composites(
    canonical: Canonical, windows: torch.Tensor, chosen: list[str], has_zennit: bool, about: str
) -> None:
    """What reaches the input and what steps keep is the target; the engine equals zennit where that has all rules.

    Rules of the first layer are left out where the input reaches no layer that can have one.
    """
    for name in chosen:
        settings = COMPOSITES[name]
        if settings.first_layer is not None and not entrances_of(canonical):
            continue
        for batch, tape, values, budget, arrived in _passes(canonical, windows, settings):
            kept = sum(amount for _, _, amount in budget.entries)
            gap = tape.output - values.sum(dim=(1, 2)) - kept
            # amounts that grow and cancel again are rounded at their size
            tolerated = 1e-8 * _size(values, budget) + 1e-13 * arrived
            assert float(gap.abs().max()) <= tolerated, f"{about}: the budget of {name} leaves {gap}"
            if not has_zennit:
                continue
            hooks = zennit_composite(canonical, settings.rules(LOW, -LOW))
            found = zennit_relevance(canonical, hooks, batch, tape.output)
            scale = float(values.abs().sum(dim=(1, 2)).max() + tape.output.abs().max())
            torch.testing.assert_close(found, values, rtol=1e-5, atol=1e-6 * scale, msg=f"{about}: {name}")


def check_differences(canonical: Canonical, windows: torch.Tensor, about: str) -> None:
    """Relevance of a difference adds up to it; what is missing is for want of points on the line, and more mend it."""
    for n_path in (16, 512):
        values, difference = RescaleRule(canonical, n_path, windows.device).mean_relevance(
            windows, windows[:1] + 1.0, len(windows)
        )
        missing = (difference - values.sum(dim=(1, 2))).abs().max()
        if missing <= 0.02 * values.abs().sum(dim=(1, 2)).max() + 1e-9:
            return
    raise AssertionError(f"{about}: differences miss {missing} of {difference}")


def _passes(
    canonical: Canonical, windows: torch.Tensor, settings: CompositeSettings
) -> Iterator[tuple[torch.Tensor, Tape, torch.Tensor, RelevanceBudget, float]]:
    """As many windows as the engine takes at a time, what went through, relevance, what was kept, and the greatest sum
    of |relevance| on the way."""
    engine = Engine(canonical)
    for batch in windows.split(engine.batch_size):
        tape, budget = engine.run(batch), RelevanceBudget()
        arrived: list[float] = []

        def observe(n: int, arriving: torch.Tensor, waiting: dict[int, torch.Tensor]) -> torch.Tensor:
            arrived.append(float(arriving.abs().sum()))  # noqa: B023
            return arriving

        values, _ = engine.relevance(tape, tape.output, settings.rules(LOW, -LOW), budget, observe)
        yield batch, tape, values, budget, max(arrived)


def _size(values: torch.Tensor, budget: RelevanceBudget) -> float:
    """The greatest amount that is left or kept."""
    kept = max((float(amount.abs().max()) for _, _, amount in budget.entries), default=0.0)
    return max(kept, float(values.abs().sum(dim=(1, 2)).max()), 1e-9)
