"""Motifs and discords: what was planted is found, by window and by stretch, and nothing is told twice."""

import numpy as np
import pandas as pd
import pytest

from clusterwhy.anomaly.base import DetectorInput, Nearest
from clusterwhy.anomaly.matrix_profile import MatrixProfile
from clusterwhy.anomaly.motifs import DISCORD, MOTIF, motif_table

LENGTH, STRIDE, N = 16, 4, 400
FIRST, AGAIN, UNLIKE = 40, 241, 120  # samples at which the motif begins, and the discord


def planted(rng: np.random.Generator) -> DetectorInput:
    """Channel 0: noise, a shape twice, later larger and higher. Channel 1: a sine with one hump, later stuck."""
    t = np.arange(N)
    values = np.stack([rng.normal(size=N), np.sin(2 * np.pi * t / LENGTH) + 0.1 * rng.normal(size=N)], axis=1)
    shape = 3 * np.sin(np.linspace(0, 3 * np.pi, LENGTH)) * np.linspace(0, 1, LENGTH)
    values[FIRST : FIRST + LENGTH, 0] = shape
    values[AGAIN : AGAIN + LENGTH, 0] = 5 + 2 * shape + 0.01 * rng.normal(size=LENGTH)
    values[UNLIKE : UNLIKE + LENGTH, 1] = np.abs(np.linspace(-2, 2, LENGTH)) ** 3
    values[300:360, 1] = 0.5
    starts = np.arange(0, N - LENGTH + 1, STRIDE)
    nothing, train = np.zeros((len(starts), 2)), np.ones(len(starts), dtype=bool)
    return DetectorInput(values.astype(np.float32), starts, LENGTH, train, nothing, nothing, lambda: None, 0)  # type: ignore[arg-type, return-value]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    inputs = planted(np.random.default_rng(0))
    nearest = MatrixProfile(normalise=True, exclusion=0.25, sample=5000).score(inputs).nearest
    assert nearest is not None
    return motif_table(inputs, nearest, ("pressure", "flow"), 100 + np.arange(len(inputs.starts)))


def of(table: pd.DataFrame, channel: str, kind: str) -> pd.DataFrame:
    return table[(table["channel"] == channel) & (table["kind"] == kind)]


def test_a_planted_motif_is_found_with_its_repetition_and_a_planted_discord_is_the_first(table: pd.DataFrame) -> None:
    first = of(table, "pressure", MOTIF).iloc[0]
    assert (first["start"], first["nearest"]) == (FIRST, AGAIN), "the second one begins at no window"
    assert first["window"] == 100 + FIRST // STRIDE and first["compared"] == "shapes"
    assert first["distance"] < 0.2 * of(table, "pressure", MOTIF).iloc[1]["distance"]
    assert abs(of(table, "flow", DISCORD).iloc[0]["start"] - UNLIKE) < LENGTH


def test_nothing_is_told_twice_and_a_channel_that_stands_still_is_no_motif(table: pd.DataFrame) -> None:
    assert table.groupby(["channel", "kind"])["rank"].apply(list).tolist() == [[1, 2, 3]] * 4
    for channel in ("pressure", "flow"):
        motifs, discords = of(table, channel, MOTIF), of(table, channel, DISCORD)
        assert motifs["distance"].is_monotonic_increasing and discords["distance"].is_monotonic_decreasing
        assert motifs["distance"].min() > 0
        places = motifs[["start", "nearest"]].to_numpy()
        for i, own in enumerate(places):
            others = np.delete(places, i, axis=0).ravel()
            assert np.abs(own[:, None] - others).min() >= LENGTH
        assert np.diff(np.sort(discords["start"])).min() >= LENGTH
    stuck = of(table, "flow", MOTIF)
    assert not ((stuck["start"] >= 300) & (stuck["start"] <= 360 - LENGTH)).any()


def test_a_channel_that_never_changes_has_discords_only(rng: np.random.Generator) -> None:
    inputs = planted(rng)
    inputs.values[:, 1] = 2.0
    nearest = Nearest(np.tile(inputs.starts[::-1, None], 2), np.ones((len(inputs.starts), 2)), shapes=False)
    found = motif_table(inputs, nearest, ("pressure", "flow"), np.arange(len(inputs.starts)))
    assert of(found, "flow", MOTIF).empty and len(of(found, "flow", DISCORD)) == 3
    assert set(found["compared"]) == {"values"}
