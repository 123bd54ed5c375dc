"""Drift of a new recording, against scipy and cases whose answer is known."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import energy_distance

from clusterwhy.application.drift import Reference, drift, drift_table
from clusterwhy.application.news import News
from clusterwhy.data.normal import NormalSpan, with_normal
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.projection import Pca

WINDOW = WindowSettings(length=20, stride=10)
GOOD = NormalSpan.model_validate({"from": 0, "to": 999})


def test_it_is_the_energy_distance_of_scipy(rng: np.random.Generator) -> None:
    new, old = rng.normal(0.5, 2.0, size=(300, 1)), rng.normal(size=(400, 1))
    assert drift(new, old).distance == pytest.approx(energy_distance(new[:, 0], old[:, 0]), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_only_what_moved_has_drifted(rng: np.random.Generator, shift: float) -> None:
    old = rng.normal(size=(5000, 3))
    new = rng.normal(size=(4000, 3)) + np.array([0.0, shift, 0.0])
    embeddings = rng.normal(size=(500, 16)) + shift, rng.normal(size=(600, 16))
    table = drift_table(("a", "b", "c"), new, old, embeddings, "all of it")
    assert set(table["reference"]) == {"all of it"}
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


def prepared(folder: Path, values: np.ndarray, train_stop: int, normal: tuple[NormalSpan, ...] = ()) -> Prepared:
    """One sample a second, in units of the good run."""
    time = np.arange(float(len(values)))
    series = Series("pump", values, time, 1.0, ("pressure", "flow"), ("", ""), train_stop)
    series = with_normal(series, normal, "UTC")
    return save_prepared(folder, series, window_index(series, WINDOW), WINDOW, np.zeros(2), np.ones(2), [])


def embedded(data: Prepared) -> np.ndarray:
    """A stand-in for an encoder: means of both channels, their spreads, and a feature that only faults move."""
    windows = np.stack([data.scaled[start : start + data.length] for start in data.starts])
    means = windows.mean(axis=1)
    return np.column_stack([means, windows.std(axis=1), np.maximum(means[:, 0] - 6.0, 0.0)]).astype(np.float32)


def drift_of_a_week(folder: Path, week: float, train_stop: int, normal: tuple[NormalSpan, ...] = ()) -> pd.DataFrame:
    """Of a week whose pressure is shifted, from a study of one good run and five whose pressure is, by up to 10."""
    rng, shift = np.random.default_rng(0), np.repeat([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], 1000)
    fitted, new = rng.normal(size=(6000, 2)), rng.normal(size=(1000, 2))
    fitted[:, 0] += shift
    new[:, 0] += week
    study = prepared(folder / "study", fitted, train_stop, normal)
    data = prepared(folder / "week", new, 1000)
    known = SimpleNamespace(data=study, embeddings=embedded(study), settings={"projection": Pca(standardise=True)})
    applied: Any = SimpleNamespace(study=known, data=data, embeddings=embedded(data), masked=(), out=folder / "applied")
    found = News(applied).drift
    pd.testing.assert_frame_equal(pd.read_csv(folder / "applied/new/drift.csv", keep_default_na=False), found)
    return found


def test_faulty_runs_hide_a_drift_unless_the_good_one_is_named(tmp_path: Path) -> None:
    named = drift_of_a_week(tmp_path / "named", 3.0, 6000, (GOOD,))
    assert named["drifted"].tolist() == [True, False, True]
    assert set(named["reference"]) == {"0 s to 999 s (17 % of windows)"}
    assert named["distance"].iloc[0] > 1.5 and named["usual"].iloc[0] < 0.3
    hidden = drift_of_a_week(tmp_path / "hidden", 3.0, 6000)
    assert not hidden["drifted"].any() and set(hidden["reference"]) == {"the whole recording"}


def test_the_scale_of_embeddings_is_that_of_the_good_run(tmp_path: Path) -> None:
    # three standard deviations of its window means, and a fifth of those of all runs
    assert drift_of_a_week(tmp_path, 0.7, 6000, (GOOD,))["distance"].iloc[-1] > 0.7


def test_a_week_like_the_good_run_has_not_drifted_from_it(tmp_path: Path) -> None:
    assert not drift_of_a_week(tmp_path, 0.0, 6000, (GOOD,))["drifted"].any()


def test_a_training_share_is_a_reference_unless_it_is_too_short(tmp_path: Path) -> None:
    share = drift_of_a_week(tmp_path / "share", 3.0, 1000)
    assert share["drifted"].tolist() == [True, False, True]
    assert set(share["reference"]) == {"the first 17 % of the samples (17 % of windows)"}
    few = Reference.of(prepared(tmp_path / "few", np.random.default_rng(0).normal(size=(600, 2)), 60))
    assert few.windows.all() and few.samples.all() and few.says == "the whole recording"


def test_without_a_period_points_are_those_of_the_projection(tmp_path: Path, rng: np.random.Generator) -> None:
    reference, points = Reference.of(prepared(tmp_path, rng.normal(size=(600, 2)), 600)), rng.normal(size=(4, 3))
    assert reference.standardised(points, rng.normal(size=(59, 3))) is points
