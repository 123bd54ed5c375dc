"""Two groups of windows against each other: how they are chosen, and what sets them apart."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.errors import DataError
from clusterwhy.explanations.contrasts import THESE, THOSE, contrast
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.window_groups import WindowFacts, window_groups, with_names
from clusterwhy.report.contrasts import contrast_sentences
from tests.unit.explanations.test_every_window import LABELS, SETTINGS, series  # noqa: F401

HOUR = 3600.0
N = 24 * 60  # one window an hour, from 15 January 2024


def facts(dated: bool = True, **changes: Any) -> WindowFacts:
    seconds = HOUR * np.arange(N)
    stamps = pd.Timestamp("2024-01-15").value + (1e9 * seconds).astype(np.int64)
    known = {
        "labels": np.repeat([0, 1, -1], N // 3),
        "anomalous": np.arange(N) % 100 == 0,
        "named": np.where(np.arange(N) % 2, "odd", "even").astype(object),
        "seconds": seconds,
        "stamps": stamps if dated else None,
        "window_s": HOUR,
    }
    return WindowFacts(**(known | changes))


def chosen(these: str, those: str, **changes: Any) -> tuple[list[int], list[int]]:
    first, second = window_groups(facts(**changes), these, those)
    return first.tolist(), second.tolist()


def test_groups_by_cluster_label_score_and_number() -> None:
    assert chosen("cluster:0", "cluster:1") == ([*range(480)], [*range(480, 960)])
    assert chosen("noise", "cluster:0,1") == ([*range(960, 1440)], [*range(960)])
    assert chosen("anomalies cluster:0", "rest")[0] == [0, 100, 200, 300, 400]
    assert len(chosen("anomalies cluster:0", "rest")[1]) == N - 5
    assert chosen("label:odd windows:0-5", "label:even windows:0-5,8") == ([1, 3, 5], [0, 2, 4, 8])


def test_groups_by_time() -> None:
    first, second = chosen("time:2024-02", "time:2024-01-30/2024-02-01")
    assert first[0] == 17 * 24 and len(first) == 29 * 24
    assert second == [*range(15 * 24, 17 * 24)]
    assert chosen("time:2024-02-01T05/2024-02-01T07:00", "time:2024-03")[0] == [17 * 24 + 5, 17 * 24 + 6]
    assert chosen("time:0/7200", "time:7200/14400", dated=False) == ([0, 1], [2, 3])


def test_windows_some_time_before_others() -> None:
    assert chosen("windows:100-102", "before:1d") == ([100, 101, 102], [76, 77, 78])
    # a window that belongs to the first group, too, is not one to compare with; nor is one that is not there
    assert chosen("windows:23-49", "before:24h") == ([*range(23, 50)], [*range(23)])
    # between two windows: the nearest, up to half a window away
    assert chosen("windows:100-102", "before:100min")[1] == [98, 99]


NAMED = {
    "names": {0: "pump starts", 1: "idle, or off"},
    "segments": {"valve stuck": np.arange(N) < 5},
    "events": {"repair": np.arange(N) % 500 == 3},
}


def test_groups_by_the_names_that_people_gave() -> None:
    assert chosen("cluster:'pump starts'", 'cluster:"idle, or off"', **NAMED) == chosen("cluster:0", "cluster:1")
    assert chosen("cluster:'pump starts,1'", "noise", **NAMED) == chosen("cluster:0,1", "noise")
    assert chosen(
        "segment:'valve stuck'",
        "event:repair windows:1000-1439",
        **{**NAMED, "events": {"repair": np.arange(N) % 100 == 3}},
    )[1] == [1003, 1103, 1203, 1303, 1403]
    assert chosen("segment:'valve stuck'", "cluster:1", **NAMED)[0] == [0, 1, 2, 3, 4]
    # a name of digits is no other cluster's number
    assert chosen("cluster:1", "cluster:0", names={0: "7"}) == chosen("cluster:1", "cluster:7", names={0: "7"})


def test_an_expression_is_told_with_the_names_of_its_clusters() -> None:
    told = [with_names(facts(**NAMED), text) for text in ("cluster:0", "cluster:1,0 noise", "cluster:'pump starts'")]
    assert told == [
        "cluster:0 (pump starts)",
        "cluster:1,0 (idle, or off, pump starts) noise",
        "cluster:0 (pump starts)",
    ]
    assert with_names(facts(), "cluster:0 time:2024-02") == "cluster:0 time:2024-02"


@pytest.mark.parametrize(
    ("these", "those", "changes", "said"),
    [
        ("cluster:7", "cluster:0", {}, ["`cluster:7`: no cluster 7; there are 0, 1"]),
        ("cluster:idle", "cluster:0", NAMED, ["no cluster idle; there are 0 (pump starts), 1 (idle, or off)"]),
        ("cluster:1", "noise", {"names": {0: "1"}}, ["1 is the name of cluster 0, and a number: give the number"]),
        ("segment:pump", "event:pump", NAMED, ["no segment of this name; there are valve stuck", "there are repair"]),
        ("event:pump", "noise", {}, ["no event of this name; there are none"]),
        ("cluster:'pump", "noise", {}, ["`cluster:'pump`: No closing quotation"]),
        ("clusters:1 noise:3", "nonsense", {}, ["`clusters:1` is not", "`noise:3` is not", "`nonsense` is not"]),
        ("windows:5-", "windows:9-3", {}, ["got '5-'", "got 9-3"]),
        ("windows:1,99999", "rest", {}, ["numbered 0 to 1439, got 99999"]),
        ("time:2024-13", "time:2030", {}, ["`time:2024-13`", "no window begins then; windows begin from 2024-01-15"]),
        ("time:2024-01", "noise", {"dated": False}, ["these data have no dates"]),
        ("label:on", "label:odd", {}, ["no window has this label; there are even, odd"]),
        ("label:on", "rest", {"named": None}, ["the data have no labels"]),
        ("rest", "before:1d", {}, ["`rest` is not a group"]),
        ("cluster:0", "before:soon", {}, ["`before:soon`"]),
        ("cluster:0 windows:3", "cluster:1", {}, ["the first group, `cluster:0 windows:3`, has 1 windows"]),
        ("cluster:0", "windows:0-600", {}, ["480 windows are in both groups, such as window 0"]),
        ("", "noise", {}, ["a group is empty text"]),
    ],
)
def test_what_cannot_be_understood_is_listed(these: str, those: str, changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(DataError) as raised:
        chosen(these, those, **changes)
    assert all(text in str(raised.value) for text in said), str(raised.value)
    assert "cluster:2 or cluster:2,5" in str(raised.value), "the error tells what a group is"


def test_the_channel_that_sets_two_groups_apart_leads(series: EmbeddedSeries) -> None:  # noqa: F811
    """Noise is like cluster 0, but for the level of channel c; no window of cluster 1 takes part."""
    these, those = np.flatnonzero(LABELS == -1), np.flatnonzero(LABELS == 0)
    found = contrast(series, these, those, SETTINGS)
    assert found.accuracy == 1.0
    assert found.explained.clusters == [THESE, THOSE]
    windows = found.explained.windows
    assert set(windows.loc[windows["cluster"] == THESE, "window"]) <= set(7 + these)
    assert set(windows.loc[windows["cluster"] == THOSE, "window"]) <= set(7 + those)
    importance = found.explained.importance.set_index(["cluster", "channel"])["signed"]
    assert importance[THESE].idxmax() == "c" and importance[THOSE].idxmax() == "c"
    properties = found.explained.properties.assign(unit="bar")
    said = " ".join(contrast_sentences(found, properties, "noise", "cluster:0", 1.0))
    assert "balanced accuracy 100%" in said and "`noise`, unlike `cluster:0`: its leading channel" in said
    assert "c is higher" in said


def test_groups_that_are_alike_are_said_to_be(series: EmbeddedSeries) -> None:  # noqa: F811
    one = np.flatnonzero(LABELS == 0)
    found = contrast(series, one[::2], one[1::2], SETTINGS)
    assert found.accuracy < 0.8
    unknown = contrast(series, one[:3], one[3:], SETTINGS)
    assert np.isnan(unknown.accuracy)
    said = contrast_sentences(unknown, unknown.explained.properties.assign(unit=""), "a", "b", 1.0)
    assert "is not known" in said[0]
