"""How channels go together: measured, changed alone, and told apart from what one channel does on its own."""

import numpy as np
import pytest

from clusterwhy.explanations.properties import property_table
from clusterwhy.explanations.relations import ALIKE, correlation, lag, with_correlation, with_lag
from clusterwhy.explanations.signal_lines import level, slope, spread
from clusterwhy.explanations.units import Units
from clusterwhy.report.words import difference

LENGTH = 128


def smooth(rng: np.random.Generator, count: int, length: int = LENGTH + 40) -> np.ndarray:
    """(count, length) noise that changes over some eight samples."""
    kernel = np.hanning(17)
    return np.stack([np.convolve(rng.normal(size=length + 16), kernel, "valid") for _ in range(count)])


def pairs(rng: np.random.Generator, count: int, delay: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, LENGTH) channels, of which the first comes `delay` samples later than the second, with a little noise."""
    course = smooth(rng, count)
    first = course[:, 20 - delay : 20 - delay + LENGTH] + 0.05 * rng.normal(size=(count, LENGTH))
    return first, course[:, 20 : 20 + LENGTH]


def test_correlation_is_that_around_straight_lines(rng: np.random.Generator) -> None:
    one, other = smooth(rng, 2, LENGTH)
    lines = [np.polyval(np.polyfit(np.arange(LENGTH), x, 1), np.arange(LENGTH)) for x in (one, other)]
    expected = np.corrcoef(one - lines[0], other - lines[1])[0, 1]
    assert correlation(one[None], other[None])[0] == pytest.approx(expected, abs=1e-9)
    assert np.isnan(correlation(np.ones((1, LENGTH)), other[None])[0])


@pytest.mark.parametrize("wanted", [-0.9, 0.0, 0.4, 1.0])
def test_a_changed_correlation_leaves_line_and_spread(rng: np.random.Generator, wanted: float) -> None:
    one, other = smooth(rng, 6, LENGTH)[:3] + np.linspace(0, 3, LENGTH), smooth(rng, 3, LENGTH)
    made = with_correlation(one, other, np.full(3, wanted))
    np.testing.assert_allclose(correlation(made, other), wanted, atol=1e-9)
    for measure in (level, slope, spread):
        np.testing.assert_allclose(measure(made), measure(one), rtol=1e-9)
    np.testing.assert_allclose(with_correlation(one, other, correlation(one, other)), one, atol=1e-9)


def test_a_channel_that_only_repeats_its_partner_is_left(rng: np.random.Generator) -> None:
    (one,) = smooth(rng, 1, LENGTH)
    np.testing.assert_allclose(with_correlation(2 * one[None], one[None], np.zeros(1)), 2 * one[None])


@pytest.mark.parametrize("delay", [-15, -3, 0, 1, 7])
def test_a_lag_is_how_much_later_a_channel_comes(rng: np.random.Generator, delay: int) -> None:
    first, second = pairs(rng, 5, delay)
    assert lag(first, second).tolist() == [delay] * 5
    assert lag(second, first).tolist() == [-delay] * 5


def test_the_shortest_of_equal_lags_counts() -> None:
    at = np.arange(LENGTH)
    wave = np.sin(2 * np.pi * at / 10)[None]  # alike at every tenth sample
    assert lag(np.sin(2 * np.pi * (at - 3) / 10)[None], wave)[0] == 3


def test_channels_that_are_alike_at_no_lag_have_none(rng: np.random.Generator) -> None:
    white = rng.normal(size=(2, 1, LENGTH))
    assert np.isnan(lag(white[0], white[1])[0]) and ALIKE == 0.5
    assert np.isnan(lag(np.ones((1, LENGTH)), white[1])[0])


def test_a_lag_beyond_a_quarter_of_the_window_is_unknown(rng: np.random.Generator) -> None:
    first, second = pairs(rng, 5, 15)
    found = lag(first[:, :56], second[:, :56])  # the greatest lag that is tried is 14
    assert np.isnan(found).sum() >= 4 and not (found == 14).any()


@pytest.mark.parametrize("wanted", [-6, 0, 4])
def test_a_changed_lag_leaves_line_and_spread(rng: np.random.Generator, wanted: int) -> None:
    first, second = pairs(rng, 5, 2)
    made = with_lag(first, second, np.full(5, float(wanted)))
    assert lag(made, second).tolist() == [wanted] * 5
    for measure in (level, slope, spread):
        np.testing.assert_allclose(measure(made), measure(first), atol=1e-9)


def test_membership_falls_by_the_timing_that_counts(rng: np.random.Generator) -> None:
    """A cluster whose channel a comes later than b than elsewhere; c has nothing to do with it."""

    def windows(count: int, delay: int) -> np.ndarray:
        first, second = pairs(rng, count, delay)
        return np.stack([first, second, rng.normal(size=(count, LENGTH))], axis=1)

    similar = windows(32, 1).reshape(8, 4, 3, LENGTH)

    def membership(batch: np.ndarray) -> np.ndarray:
        return np.nan_to_num(lag(batch[:, 0], batch[:, 1])) - 4.0

    found = property_table(membership, windows(8, 9), similar, np.array([0.7, 0.2, 0.1]), ("a", "b", "c"))
    row = found.set_index(["channel", "property"]).loc["a", "timing"]
    assert (row["partner"], row["own"], row["usual"]) == ("b", 9.0, 1.0)
    assert row["n_left"] == row["n_windows"] == 8
    told = Units("abc", ("V", "", ""), np.zeros(3), np.ones(3), 20.0).told(found)
    (one,) = told[(told["channel"] == "a") & (told["property"] == "timing")].to_dict("records")
    assert (one["own"], one["usual"], one["unit"]) == (0.45, 0.05, "s")
    assert difference(one, 6.4) == ("trails b", "0.45 against 0.05 s")


def test_membership_falls_by_the_relation_that_counts(rng: np.random.Generator) -> None:
    def windows(count: int, share: float) -> np.ndarray:
        own, other, third = (smooth(rng, count, LENGTH) for _ in range(3))
        return np.stack([share * other + (1 - share) * own, other, third], axis=1)

    similar = windows(32, 0.0).reshape(8, 4, 3, LENGTH)

    def membership(batch: np.ndarray) -> np.ndarray:
        return correlation(batch[:, 0], batch[:, 1]) - 0.6

    found = property_table(membership, windows(8, 0.8), similar, np.array([0.7, 0.2, 0.1]), ("a", "b", "c"))
    found = found.set_index(["channel", "property"])
    row = found.loc["a", "relation"]
    assert row["partner"] == "b" and row["own"] > 0.9 and abs(row["usual"]) < 0.4 and row["n_left"] == 8
    for name in ("level", "spread", "slope"):
        assert found.loc[("a", name), "fall"] == pytest.approx(0.0, abs=1e-6)
    words, values = difference({**row, "property": "relation", "unit": ""}, 6.4)
    assert words.endswith("with b") and values.startswith("correlation 0.9")
