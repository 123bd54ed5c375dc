"""Moderated variances and the intervals of a further repetition: parameters recovered, coverage by simulation."""

import numpy as np
import pytest
from scipy.special import polygamma

from clusterwhy.errors import ShapeError
from clusterwhy.metrics.prediction_intervals import Repeated, _inverse_trigamma, moderated


@pytest.mark.parametrize(("prior", "common", "freedom"), [(4.0, 0.3, 2), (10.0, 2.0, 4)])
def test_prior_and_common_variance_are_recovered(prior: float, common: float, freedom: int) -> None:
    rng = np.random.default_rng(0)
    true = common * prior / rng.chisquare(prior, 20_000)
    drawn = true * rng.chisquare(freedom, 20_000) / freedom
    found, total = moderated(drawn, freedom)
    assert total == pytest.approx(prior + freedom, rel=0.1)
    # each is drawn towards the common variance by the weight of the prior
    assert found == pytest.approx((prior * common + freedom * drawn) / (prior + freedom), rel=0.1)


def test_variances_that_differ_by_chance_alone_become_one() -> None:
    rng = np.random.default_rng(1)
    drawn = np.concatenate([rng.chisquare(3, 500), np.ones(200)]) / 3  # a little more alike than chance
    found, freedom = moderated(drawn, 3)
    assert freedom == np.inf and np.ptp(found) == 0.0


@pytest.mark.parametrize("count", [3, 5])
def test_a_further_repetition_lies_in_the_interval_19_times_of_20(count: int) -> None:
    rng = np.random.default_rng(count)
    spread = np.sqrt(0.01 * 3 / rng.chisquare(3, 4_000))
    values = rng.normal(0.2, spread, (count + 1, 4_000))
    low, high = Repeated.of(values[:-1]).limits()
    inside = (values[-1] >= low) & (values[-1] <= high)
    assert inside.mean() == pytest.approx(0.95, abs=0.012)


def test_further_variance_widens_the_interval() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4, 2_000))
    new = rng.normal(size=2_000) + rng.normal(scale=2.0, size=2_000)
    low, high = Repeated.of(values).limits(more=4.0)
    assert ((new >= low) & (new <= high)).mean() == pytest.approx(0.95, abs=0.015)


def test_the_chance_of_a_sign_is_the_share_of_repetitions_that_have_it() -> None:
    rng = np.random.default_rng(3)
    centre = rng.uniform(-5.0, 5.0, 40_000)
    values = rng.normal(centre, 1.0, (5, 40_000))
    chance = Repeated.of(values).chance_above_zero()
    above = rng.normal(centre, 1.0) > 0
    for low, high in ((0.0, 0.05), (0.4, 0.6), (0.7, 0.9), (0.95, 1.0)):
        among = (chance >= low) & (chance <= high)
        assert above[among].mean() == pytest.approx(chance[among].mean(), abs=0.03)


def test_repetitions_that_are_all_alike_are_certain() -> None:
    found = Repeated.of(np.tile([0.5, -0.5, 0.0], (3, 1)))
    assert found.limits().tolist() == [[0.5, -0.5, 0.0]] * 2
    assert found.chance_above_zero().tolist() == [1.0, 0.0, 0.5]


def test_one_repetition_tells_nothing_of_the_next() -> None:
    with pytest.raises(ShapeError, match="two repetitions or more, got 1"):
        Repeated.of(np.zeros((1, 3)))


def test_the_inverse_of_trigamma() -> None:
    for x in (0.05, 0.7, 3.0, 400.0):
        assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)
