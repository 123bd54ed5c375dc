"""Best orders and Shapley values from all sets of channels: against all orders, one by one."""

import itertools

import numpy as np
import pytest

from clusterwhy.metrics.channel_orders import all_sets, best_order, chain, shapley_values


def area(values: np.ndarray, order: tuple[int, ...]) -> float:
    sets = np.cumsum([0, *(1 << c for c in order)])
    return float(np.trapezoid(values[sets]))


@pytest.mark.parametrize("n_channels", [1, 2, 4, 5])
def test_no_order_has_a_lower_area(n_channels: int) -> None:
    values = np.random.default_rng(n_channels).normal(size=2**n_channels)
    areas = {order: area(values, order) for order in itertools.permutations(range(n_channels))}
    assert areas[tuple(best_order(values).tolist())] == pytest.approx(min(areas.values()))


def test_shapley_values_are_mean_falls_over_all_orders() -> None:
    values = np.random.default_rng(0).normal(size=16)
    falls = np.zeros(4)
    orders = list(itertools.permutations(range(4)))
    for order in orders:
        members = 0
        for channel in order:
            falls[channel] += values[members] - values[members | 1 << channel]
            members |= 1 << channel
    np.testing.assert_allclose(shapley_values(values), falls / len(orders))
    assert shapley_values(values).sum() == pytest.approx(values[0] - values[-1])


def test_a_chain_replaces_the_first_channels_first() -> None:
    found = chain(np.array([2, 0, 1]), np.array([0, 1, 2, 3]))
    assert found.tolist() == [[False] * 3, [False, False, True], [True, False, True], [True] * 3]
    assert all_sets(3)[0b101].tolist() == [True, False, True]
