"""Properties of a channel: measured, changed alone, and what membership says of the change."""

import numpy as np
import pandas as pd
import pytest

from clusterwhy.explanations.properties import (
    PROPERTIES,
    SHAPE,
    deviation_table,
    frequency,
    level,
    property_table,
    slope,
    spread,
    with_shape,
)
from clusterwhy.explanations.units import Units

LENGTH = 128
AT = np.arange(LENGTH)


def wave(cycles: float, size: float = 1.0, mean: float = 0.0, rise: float = 0.0, phase: float = 0.0) -> np.ndarray:
    return mean + rise * (AT - (LENGTH - 1) / 2) + size * np.sin(2 * np.pi * cycles * AT / LENGTH + phase)


def test_measures_of_a_known_wave() -> None:
    one = wave(8, 2.0, 3.0, 0.01)[None]
    assert level(one)[0] == pytest.approx(3.0, abs=1e-9)
    assert slope(one)[0] == pytest.approx(0.01, abs=0.005)  # a wave has a slope of its own
    assert spread(one)[0] == pytest.approx(2**0.5, rel=0.01)
    assert frequency(one)[0] == 8 / LENGTH
    assert np.isnan(frequency(np.random.default_rng(0).normal(size=(1, LENGTH)))[0])
    assert np.isnan(frequency(np.ones((1, LENGTH)))[0])


WANTED = {"level": -1.0, "spread": 0.5, "slope": -0.02, "frequency": 12 / LENGTH}


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_change_sets_one_property_and_leaves_the_others(name: str) -> None:
    windows = np.stack([wave(8, 2.0, 3.0, 0.01), wave(6, 1.0, -2.0, 0.0, 1.0)])
    measure, change = PROPERTIES[name]
    made = change(windows, np.full(2, WANTED[name]))
    # where it is played to and fro, a wave turns once
    np.testing.assert_allclose(
        measure(made), WANTED[name], rtol=1e-6, atol=1.1 / LENGTH if name == "frequency" else 0.0
    )
    for other in PROPERTIES.keys() - {name}:
        np.testing.assert_allclose(PROPERTIES[other][0](made), PROPERTIES[other][0](windows), rtol=1e-6, atol=1e-9)
    # nothing changes where it is as it should be already; a resampled wave is interpolated
    np.testing.assert_allclose(change(windows, measure(windows)), windows, atol=1e-9)


def test_the_shape_of_another_window_keeps_level_slope_and_spread() -> None:
    windows = wave(8, 2.0, 3.0, 0.01)[None]
    made = with_shape(windows, wave(3, 5.0, -4.0, 0.3)[None])
    for measure in (level, slope, spread):
        np.testing.assert_allclose(measure(made), measure(windows), rtol=1e-6)
    assert frequency(made)[0] == 3 / LENGTH


def test_membership_falls_by_the_property_that_counts_alone() -> None:
    """A cluster of windows whose channel b swings widely: only its spread takes them out."""
    rng = np.random.default_rng(0)
    windows = np.stack([[wave(8, 1.0, phase=p), wave(5, 3.0, 1.0, phase=p)] for p in rng.uniform(0, 6, 10)])
    similar = np.stack([[[wave(8, 1.0, phase=p), wave(5, 1.0, phase=p)]] * 2 for p in rng.uniform(0, 6, 10)])

    def membership(batch: np.ndarray) -> np.ndarray:
        return np.asarray(spread(batch[:, 1]) - 2**0.5)

    found = property_table(membership, windows, similar, np.array([0.2, 0.8]), ("a", "b")).set_index(
        ["channel", "property"]
    )
    assert list(found.index[0]) == ["b", "level"]  # the leading channel first
    row = found.loc["b", "spread"]
    assert (row["own"], row["usual"]) == (pytest.approx(3 / 2**0.5, rel=0.02), pytest.approx(1 / 2**0.5, rel=0.02))
    assert row["n_left"] == row["n_windows"] == 10 and row["fall"] > 1.0
    others = found.drop(index=("b", "spread"))
    assert (others["n_left"] == 0).all() and others["fall"].abs().max() < 0.05
    assert np.isnan(found.loc[("b", SHAPE), "own"])


def test_windows_outside_the_cluster_and_unknown_properties_do_not_count() -> None:
    windows = np.ones((4, 1, LENGTH))  # no spread, no frequency, no shape
    found = property_table(lambda x: x[:, 0, 0] - 0.5, windows, np.zeros((4, 2, 1, LENGTH)), np.ones(1), ("a",))
    assert found["property"].tolist() == ["level", "spread", "slope"]
    assert found.set_index("property")["n_left"].to_dict() == {"level": 4, "spread": 0, "slope": 0}
    nothing = property_table(lambda x: -np.ones(len(x)), windows, np.zeros((4, 2, 1, LENGTH)), np.ones(1), ("a",))
    assert nothing.empty


def test_values_are_told_in_units() -> None:
    table = pd.DataFrame(
        {
            "channel": "b",
            "property": [*PROPERTIES, SHAPE, "change"],
            "own": [1.0, 2.0, 0.5, 0.1, np.nan, 0.5],
            "usual": 0.0,
        }
    )
    found = Units(("a", "b"), ("", "bar"), (0.0, 10.0), (1.0, 4.0), 50.0).told(table)
    assert found["own"].tolist()[:4] == [14.0, 8.0, 100.0, 5.0]
    assert found["own"].iloc[-1] == 2.0, "a change is a difference: nothing is added"
    assert found["usual"].tolist()[0] == 10.0
    assert found["unit"].tolist() == ["bar", "bar", "bar/s", "Hz", "", "bar"]


def test_deviations_say_which_property_would_change_a_window_most() -> None:
    """Channel a is 2 higher, b swings three times as wide, c oscillates twice as fast."""
    at = np.arange(64)
    slow, fast = np.sin(2 * np.pi * 2 * at / 64), np.sin(2 * np.pi * 4 * at / 64)
    usual = np.stack([slow, slow, slow])
    window = np.stack([slow + 2.0, 3.0 * slow, fast])
    table = deviation_table(window, np.stack([usual, usual]), ["a", "b", "c"])
    first = table.sort_values("size", ascending=False).drop_duplicates("channel").set_index("channel")
    assert first["property"].to_dict() == {"a": "level", "b": "spread", "c": "frequency"}
    assert first.loc["a", "own"] - first.loc["a", "usual"] == pytest.approx(2.0)
    assert first.loc["b", "own"] == pytest.approx(3 * first.loc["b", "usual"], rel=1e-6)
    assert first.loc["c", "own"] == 2 * first.loc["c", "usual"]
    # what is as usual needs no change
    same = table[(table["channel"] == "a") & (table["property"] != "level")]
    assert (same["size"] < 1e-6).all() and first.loc["a", "size"] == pytest.approx(2.0)
