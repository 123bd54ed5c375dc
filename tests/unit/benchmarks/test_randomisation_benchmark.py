"""The factor that knows no weights is taken out of a similarity, and another class is another class."""

import numpy as np
import torch
from torch import nn

from benchmarks.planted_classes import LENGTH, N_CHANNELS
from benchmarks.randomisation import N_NEAR, WITHOUT_FACTOR, Case, partial, similarity
from clusterwhy import explain, method_of


def test_a_partial_correlation_is_that_of_what_a_line_leaves() -> None:
    rng = np.random.default_rng(0)
    given = rng.standard_normal(60)
    first, second = given + rng.standard_normal(60), rng.standard_normal(60) - 2.0 * given
    left = [one - np.polyval(np.polyfit(given, one, 1), given) for one in (first, second)]
    np.testing.assert_allclose(partial(first, second, given), np.corrcoef(*left)[0, 1])
    np.testing.assert_allclose(partial(first, second, np.ones(60)), np.corrcoef(first, second)[0, 1])


def test_maps_that_share_nothing_but_a_factor_are_alike_only_with_it() -> None:
    rng = np.random.default_rng(1)
    factor = rng.exponential(1.0, (4, 3, 200))
    first, second = (rng.standard_normal(factor.shape) * factor for _ in range(2))
    found = similarity(first, second, factor)
    assert found["relevance"] > 0.3
    assert abs(found["multipliers"]) < 0.1 and abs(found["given the factor"]) < 0.1
    same = similarity(first, -first, factor)
    np.testing.assert_allclose(list(same.values()), 1.0)
    none = similarity(np.zeros_like(first), second, factor)
    assert np.isnan(list(none.values())).all()


def made_case() -> Case:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(N_CHANNELS * LENGTH, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    rng = np.random.default_rng(2)
    windows = rng.standard_normal((4, N_CHANNELS, LENGTH)).astype(np.float32)
    references = {c: rng.standard_normal((6, N_CHANNELS, LENGTH)).astype(np.float32) for c in range(3)}
    return Case({c: (network, c) for c in range(3)}, windows, np.array([0, 1, 2, 0]), references)


def test_windows_are_explained_for_their_own_class_or_the_next_and_weights_are_redrawn() -> None:
    case, method = made_case(), method_of("gradient_x_input")
    network = case.networks[0][0]
    for shift, units in ((0, [0, 1, 2, 0]), (1, [1, 2, 0, 1])):
        each = [explain(network, case.windows[[i]], "gradient_x_input", unit).values[0] for i, unit in enumerate(units)]
        np.testing.assert_allclose(case.explain(method, 0.0, 0, shift), np.stack(each), rtol=1e-5, atol=1e-7)
    own, again = case.explain(method, 0.0, 0), case.explain(method, 1.0, 3)
    found = similarity(own, again, case.factor("gradient_x_input"))
    assert found["relevance"] > 0.3 > 0.15 > abs(found["given the factor"])


def test_the_factor_is_what_a_method_multiplies_with() -> None:
    case = made_case()
    assert (case.factor(WITHOUT_FACTOR[0]) == 1.0).all()
    np.testing.assert_array_equal(case.factor("deep_lift"), np.abs(case.windows))
    stretches = case.factor("occlusion").reshape(4, N_CHANNELS, -1, 16)
    assert (np.ptp(stretches, axis=3) == 0).all()
    distances = np.square(case.references[1] - case.windows[1]).sum(axis=(1, 2))
    near = case.references[1][np.argsort(distances)[:N_NEAR]]
    np.testing.assert_allclose(case.factor("difference")[1], np.abs(case.windows[1] - near).mean(axis=0), rtol=1e-5)
