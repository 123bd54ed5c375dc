"""Explanations by several encoders: their mean, intervals that cover a further encoder, channels that lead surely."""

import numpy as np
import pandas as pd
import pytest

from clusterwhy.explanations.aggregation import channel_importance
from clusterwhy.explanations.replicates import leading_channels, leads, mean_relevance, over_encoders
from clusterwhy.propagation.relevance import Relevance

CHANNELS = ("a", "b", "c", "d")


def relevance(rng: np.random.Generator, scale: float) -> Relevance:
    values = scale * rng.normal(size=(6, 2, 5))
    bias = scale * rng.normal(size=6)
    target = values.sum(axis=(1, 2)) + bias
    return Relevance(values, target, bias / target, {"notes": [f"scale {scale}"]})


def test_the_mean_adds_up_and_each_encoder_weighs_the_same(rng: np.random.Generator) -> None:
    small, large = relevance(rng, 1.0), relevance(rng, 100.0)
    found = mean_relevance([small, large])
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)) + found.bias_share * found.target, found.target)
    sizes = [np.abs(one.target).mean() for one in (small, large)]
    np.testing.assert_allclose(found.values, (small.values + large.values * sizes[0] / sizes[1]) / 2)
    assert found.provenance["notes"] == ["scale 1.0", "scale 100.0"] and found.provenance["encoders"] == 2
    assert mean_relevance([small]) is small


def tables(rng: np.random.Generator, n_clusters: int, n_encoders: int, spread: float) -> list[list[pd.DataFrame]]:
    """Shares of four channels: true ones of each cluster, a deviation of each encoder, windows around them."""
    found = []
    for _ in range(n_clusters):
        true = rng.dirichlet(np.ones(4))
        found.append([])
        for _ in range(n_encoders):
            own = np.abs(true + spread * rng.normal(size=4))
            windows = np.abs(own + 0.02 * rng.normal(size=(16, 4)))
            found[-1].append(channel_importance(windows[:, :, None], CHANNELS, 0))
    return found


@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_the_share_by_a_further_encoder_lies_in_the_interval(spread: float, rng: np.random.Generator) -> None:
    made = tables(rng, 150, 4, spread)
    known, further = [one[:3] for one in made], [one[3] for one in made]
    inside = []
    for table, new in zip(over_encoders(known, ["signed"]), further, strict=True):
        inside += ((new["signed"] >= table["signed_low"]) & (new["signed"] <= table["signed_high"])).tolist()
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)
    # limits over windows alone do not cover another encoder
    alone = [
        ((new["signed"] >= one[0]["signed_low"]) & (new["signed"] <= one[0]["signed_high"])).mean()
        for one, new in zip(known, further, strict=True)
    ]
    assert np.mean(alone) < 0.6


def test_with_one_encoder_limits_stay_those_over_windows(rng: np.random.Generator) -> None:
    made = tables(rng, 3, 1, 0.1)
    for (given,), found, lead in zip(made, over_encoders(made, ["signed"]), leads(made), strict=True):
        pd.testing.assert_frame_equal(given, found)
        assert lead["first_in"].sum() == 1 and lead["behind"].isna().all()
        assert len(leading_channels(pd.concat([found, lead], axis=1))) == 1


def test_a_channel_named_alone_leads_by_a_further_encoder_too(rng: np.random.Generator) -> None:
    made = tables(rng, 300, 4, 0.06)
    known, further = [one[:3] for one in made], [one[3] for one in made]
    right = []
    for table, lead, new in zip(over_encoders(known, ["signed"]), leads(known), further, strict=True):
        named = leading_channels(pd.concat([table, lead], axis=1))
        assert set(named) <= set(CHANNELS) and named[0] == CHANNELS[int(table["signed"].argmax())]
        if len(named) == 1:
            right.append(named[0] == CHANNELS[int(new["signed"].argmax())])
    assert 60 < len(right) < 290
    assert np.mean(right) >= 0.94


def test_channels_that_lead_in_turn_are_not_told_apart() -> None:
    windows = np.random.default_rng(0).normal(scale=0.001, size=(8, 4))
    by_encoder = [np.array([0.4, 0.38, 0.12, 0.1]), np.array([0.38, 0.4, 0.1, 0.12]), np.array([0.41, 0.37, 0.12, 0.1])]
    made = [[channel_importance(np.abs(one + windows)[:, :, None], CHANNELS, 0) for one in by_encoder]]
    (table,), (lead,) = over_encoders(made, ["signed"]), leads(made)
    assert lead["first_in"].tolist() == [2, 1, 0, 0] and lead["encoders"].tolist() == [3] * 4
    assert leading_channels(pd.concat([table, lead], axis=1)) == ["a", "b"]
    assert np.isnan(lead["behind"][0]) and (lead["behind"][2:] > 0.99).all()


def test_clusters_without_relevance_have_no_leading_channel(rng: np.random.Generator) -> None:
    made = tables(rng, 2, 2, 0.1)
    nothing = channel_importance(np.zeros((4, 4, 3)), CHANNELS, 0)
    made.append([nothing, nothing])
    found, lead = over_encoders(made, ["signed"]), leads(made)
    assert found[2]["signed_low"].isna().all() and not lead[2]["first_in"].any()
    assert leading_channels(pd.concat([found[2], lead[2]], axis=1)) == []
