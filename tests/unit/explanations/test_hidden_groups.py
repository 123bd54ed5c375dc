"""Groups inside a cluster: what one channel tells apart is found, told in its terms, and nothing else is."""

import numpy as np
import pytest

from clusterwhy.explanations.hidden_groups import APART, channel_statistics, hidden_groups

CHANNELS, LENGTH = ("a", "b", "c"), 50


def recording(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time, channel) noise of four states of 40 windows each, and the (window,) state.

    State 1 is higher in a, 2 swings three times wider in b, 3 is slower noise of the same size in c.
    """
    state = np.repeat(np.arange(4), 40)
    values = rng.normal(size=(len(state) * LENGTH, 3))
    of_sample = np.repeat(state, LENGTH)
    values[of_sample == 1, 0] += 4.0
    values[of_sample == 2, 1] *= 3.0
    slow = np.cumsum(rng.normal(size=40 * LENGTH)).reshape(40, LENGTH)
    slow = (slow - slow.mean(axis=1, keepdims=True)) / slow.std(axis=1, keepdims=True)
    values[of_sample == 3, 2] = slow.ravel()
    return values.astype(np.float32), state


def test_each_group_is_told_by_its_channel_and_property(rng: np.random.Generator) -> None:
    values, state = recording(rng)
    starts = LENGTH * np.arange(len(state))
    statistics = channel_statistics(values, starts, LENGTH)
    assert statistics.shape == (160, 9)
    found = hidden_groups(np.zeros(160, dtype=int), state, statistics, 1000 + np.arange(160), CHANNELS)
    table = found.table.set_index("group")
    # the usual state differs from the others together in nothing as much
    assert (
        table["n_windows"].tolist() == [40] * 3 and set(table["n_compared"]) == {160} and set(table["cluster"]) == {0}
    )
    told = {
        int(state[row["window"] - 1000]): (row["channel"], row["property"], row["own"], row["usual"])
        for row in table.to_dict("records")
    }
    assert told[1] == ("a", "level", pytest.approx(4.0, abs=0.2), pytest.approx(0.0, abs=0.1))
    assert told[2] == ("b", "spread", pytest.approx(3.0, rel=0.1), pytest.approx(1.0, rel=0.1))
    channel, name, own, usual = told[3]
    assert (channel, name) == ("c", "change") and own < 0.5 and usual == pytest.approx(2**0.5, rel=0.1)
    for group, own_windows in found.windows.groupby("group"):
        assert set(state[own_windows["window"] - 1000]) == {state[table.loc[group, "window"] - 1000]}


def test_clusters_that_are_the_groups_hide_none(rng: np.random.Generator) -> None:
    values, state = recording(rng)
    statistics, windows = channel_statistics(values, LENGTH * np.arange(160), LENGTH), np.arange(160)
    found = hidden_groups(state, state, statistics, windows, CHANNELS)
    assert found.table.empty and found.windows.empty
    # of two clusters, only what lies in one of them counts; noise is in none
    labels = np.where(state < 2, 0, np.where(windows % 2, 1, -1))
    found = hidden_groups(labels, np.where(state < 2, 7, state), statistics, windows, CHANNELS)
    assert found.table.empty
    found = hidden_groups(np.where(state < 2, 0, 1), state, statistics, windows, CHANNELS)
    assert found.table["cluster"].tolist() == [0, 0, 1, 1] and found.table["group"].tolist() == [0, 1, 2, 3]


def test_groups_that_no_channel_tells_apart_are_not_told(rng: np.random.Generator) -> None:
    values = rng.normal(size=(100 * LENGTH, 3)).astype(np.float32)
    statistics = channel_statistics(values, LENGTH * np.arange(100), LENGTH)
    # halves of the same noise
    found = hidden_groups(np.zeros(100, dtype=int), np.arange(100) % 2, statistics, np.arange(100), CHANNELS)
    assert found.table.empty
    shifted = statistics.copy()
    shifted[::2, 0] += (APART + 0.5) * statistics[:, 0].std()
    found = hidden_groups(np.zeros(100, dtype=int), np.arange(100) % 2, shifted, np.arange(100), CHANNELS)
    assert found.table["channel"].tolist() == ["a", "a"] and (found.table["apart"] > APART).all()
