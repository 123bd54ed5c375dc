"""Drift of a new recording, against scipy and cases whose answer is known."""

import numpy as np
import pytest
from scipy.stats import energy_distance

from clusterwhy.application.drift import drift, drift_table


def test_it_is_the_energy_distance_of_scipy(rng: np.random.Generator) -> None:
    new, old = rng.normal(0.5, 2.0, size=(300, 1)), rng.normal(size=(400, 1))
    assert drift(new, old).distance == pytest.approx(energy_distance(new[:, 0], old[:, 0]), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_only_what_moved_has_drifted(rng: np.random.Generator, shift: float) -> None:
    old = rng.normal(size=(5000, 3))
    new = rng.normal(size=(4000, 3)) + np.array([0.0, shift, 0.0])
    embeddings = rng.normal(size=(500, 16)) + shift, rng.normal(size=(600, 16))
    table = drift_table(("a", "b", "c"), new, old, embeddings)
    assert table["drifted"].tolist() == [False, bool(shift), False, bool(shift)]
    assert table["kind"].tolist() == ["channel"] * 3 + ["embedding"]
    assert ((table["low"] <= table["distance"]) & (table["distance"] <= table["high"])).all()


def test_a_recording_that_always_wandered_has_not_drifted_where_it_wanders_on() -> None:
    wander = np.sin(np.arange(8000) / 400.0)[:, None]
    found = drift(wander[:1000], wander)
    assert found.distance > 0.2 and not found.drifted


def test_intervals_cover_the_distance_of_longer_recordings() -> None:
    rng, covered = np.random.default_rng(0), 0
    truth = energy_distance(rng.normal(0.7, 1, 100_000), rng.normal(size=100_000))
    for _ in range(40):
        # stretches in which values are alike, as in a recording
        new = np.repeat(rng.normal(0.7, 1, 150), 4)[:, None]
        found = drift(new, np.repeat(rng.normal(size=150), 4)[:, None])
        covered += found.low <= truth <= found.high
    assert covered >= 34
