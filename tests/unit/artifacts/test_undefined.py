"""Figures without a value: null with a reason in reports, empty cells with a reason in tables."""

import io
import math

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import Undefined, as_report, column_mean, mean_of, median_of, with_reasons
from clusterwhy.explanations.aggregation import channel_importance, member_agreement, time_bins
from clusterwhy.metrics.channel_deletion import channel_deletion
from clusterwhy.metrics.clusters import label_agreement
from clusterwhy.metrics.insertion_deletion import Cells, insertion_deletion
from clusterwhy.metrics.z_scores import channel_z_scores


def test_a_report_has_a_reason_for_each_null() -> None:
    found = as_report({"a": 1.0, "b": {"c": Undefined("no window")}, "d": math.inf, "n": 3})
    assert found == {
        "a": 1.0,
        "b": {"c": None},
        "d": None,
        "n": 3,
        "undefined": {"b.c": "no window", "d": "the computation gave inf"},
    }
    assert as_report({"a": 1.0}) == {"a": 1.0}


def test_means_and_medians_leave_out_what_is_undefined() -> None:
    assert mean_of([1.0, math.nan, 3.0], "none") == 2.0 and median_of([math.inf, 4.0], "none") == 4.0
    assert mean_of([], "none") == median_of([math.nan], "none") == Undefined("none")


def test_each_empty_cell_of_a_table_has_its_reason_also_after_reading() -> None:
    table = with_reasons(pd.DataFrame({"x": [1.0, math.nan], "y": [math.inf, math.nan]}), {"x": "p", "y": ["q", "r"]})
    assert table["undefined"].tolist() == ["y: q", "x: p; y: r"] and table["y"].isna().all()
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert column_mean(again, "x") == 1.0 and column_mean(again, "y") == Undefined("q")


def test_windows_of_one_channel_leave_their_cluster_and_its_ranking_has_no_area() -> None:
    """By hand: two of three windows above 0 fall to 0 or below, the fourth was never inside."""
    windows, others = np.array([3.0, 2.0, 1.0, -1.0])[:, None, None], np.array([-1.0, 0.0, 0.5, -2.0])[:, None, None]
    order = np.zeros((4, 1), dtype=int)
    found = channel_deletion(lambda batch: batch.mean(axis=(1, 2)), windows, others, {"any": [order]})["any"]
    assert found.flip_rate == 2 / 3 and math.isnan(found.area)
    curves = insertion_deletion(
        lambda batch: batch.mean(axis=(1, 2)), windows, {"others": others}, {"any": np.zeros((4, 1))}, Cells.of(1, 1)
    )["others", "any"]
    assert curves.flip_rate == 2 / 3 and math.isnan(curves.deletion) and math.isnan(curves.insertion)


def test_what_replacing_does_not_change_has_no_faithfulness(rng: np.random.Generator) -> None:
    windows = rng.normal(size=(5, 3, 8)) + 2.0
    constant = lambda batch: np.full(len(batch), 0.7)  # noqa: E731
    orders = {"any": [np.tile(np.arange(3), (5, 1))]}
    found = channel_deletion(constant, windows, windows[::-1], orders)["any"]
    assert math.isnan(found.area) and math.isnan(found.flip_rate)
    ranking = {"any": rng.normal(size=(5, 6))}
    curves = insertion_deletion(constant, windows, {"others": windows[::-1]}, ranking, Cells.of(8, 2))["others", "any"]
    assert all(math.isnan(value) for value in (curves.deletion, curves.insertion, curves.flip_rate))


def test_windows_without_relevance_have_no_shares(rng: np.random.Generator) -> None:
    some = np.abs(rng.normal(size=(4, 2, 8)))
    mixed = np.concatenate([some, np.zeros_like(some)])
    pd.testing.assert_frame_equal(channel_importance(mixed, ("a", "b"), 0), channel_importance(some, ("a", "b"), 0))
    pd.testing.assert_frame_equal(time_bins(mixed, ("a", "b"), 2, 0.1, 0), time_bins(some, ("a", "b"), 2, 0.1, 0))
    assert member_agreement(mixed) == member_agreement(some)
    nothing = channel_importance(np.zeros_like(some), ("a", "b"), 0)
    assert nothing.drop(columns="channel").isna().all(axis=None)
    assert math.isnan(member_agreement(mixed[3:]))


def test_z_scores_of_a_constant_channel_are_infinite_or_undefined() -> None:
    others = np.stack([np.zeros((4, 8)), np.tile(np.arange(4.0)[:, None], (1, 8))], axis=1)
    windows = np.array([[np.ones(8), np.full(8, 1.5)], [np.zeros(8), np.full(8, 9.0)]])
    found = channel_z_scores(windows, others)
    assert found[0, 0] == math.inf and math.isnan(found[1, 0])
    # mean 1.5 and standard deviation sqrt(1.25) of 0, 1, 2, 3
    np.testing.assert_allclose(found[:, 1], [0.0, 7.5 / np.sqrt(1.25)])


def test_agreement_of_one_label_with_one_label_is_undefined() -> None:
    one, two = np.zeros(6, dtype=int), np.array([0, 0, 0, 1, 1, 1])
    same = label_agreement(one, one - 1)
    assert math.isnan(same["ari"]) and math.isnan(same["ami"]) and same["covering"] == 1.0
    assert label_agreement(one, two)["ari"] == 0.0 and label_agreement(two, two)["ari"] == 1.0
