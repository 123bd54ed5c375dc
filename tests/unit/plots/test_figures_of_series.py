"""The picture of a series: every segment is drawn, nothing joins two of them, and of very much a part is drawn."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from clusterwhy.plots.figures import MOST_POINTS, PLACES, draw_labels, draw_projection, draw_series, visible_runs


def test_no_line_crosses_a_gap() -> None:
    times = np.concatenate([np.arange(50.0), np.arange(100.0, 180.0)])
    values = np.stack([times, -times], axis=1)
    axes = Figure().subplots(2, 1)
    draw_series(axes, times, values, ("a", "b"), ("bar", ""), (0, 50))
    for ax, column in zip(axes, values.T, strict=True):
        drawn = [line.get_xydata() for line in ax.lines]
        np.testing.assert_array_equal(np.concatenate(drawn), np.stack([times, column], axis=1))
        assert [line[0, 0] for line in drawn] == [0.0, 100.0]
    (thin,) = np.atleast_1d(Figure().subplots(1, 1))
    draw_series([thin], times, values[:, :1], ("a",), ("bar",), (0, 50), limit=10)
    assert sum(len(line.get_xdata()) for line in thin.lines) <= 12


def test_no_label_reaches_across_a_gap() -> None:
    """Five windows of ten samples; the third begins a segment, the last one another label."""
    starts = np.array([0, 10, 20, 30, 40])
    index = pd.DataFrame({"start": starts, "stop": starts + 10, "label": [0, 0, 0, 0, 1]})
    times = np.arange(50.0) + 100.0 * (np.arange(50) >= 20)
    ax = Figure().subplots()
    draw_labels(ax, index, ["run", "stop"], times, (0, 20))
    assert [text.get_text() for text in ax.texts] == ["run", "run", "stop"]
    drawn = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    place = (times[-1] - times[0]) / PLACES
    assert all(stop <= 20 + place or start >= 120 - place for start, stop in drawn)


def test_names_of_labels_are_written_where_they_fit() -> None:
    starts, kinds = np.arange(0, 4000, 10), np.arange(400) % 2
    kinds[200:300] = 0
    index = pd.DataFrame({"start": starts, "stop": starts + 10, "label": kinds})
    ax = Figure().subplots()
    draw_labels(ax, index, ["normal", "premature"], np.arange(4000.0))
    assert [text.get_text() for text in ax.texts] == ["normal"]
    assert len({patch.get_facecolor() for patch in ax.patches}) == 2


def test_of_many_runs_each_place_has_the_colour_of_its_middle(rng: np.random.Generator) -> None:
    edges = np.unique(rng.integers(10, 4000, 900))
    pairs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    runs = [{"cluster": i % 3 - 1, "start": start, "stop": stop} for i, (start, stop) in enumerate(pairs)]
    assert visible_runs(runs, places=len(runs)) is runs
    seen = visible_runs(runs, places=100)
    assert len(seen) <= 100
    of_sample = np.full(4000, -9)
    for run in runs:
        of_sample[run["start"] : run["stop"]] = run["cluster"]
    places = np.linspace(edges[0], edges[-1], 101).astype(int)
    for first, last in itertools.pairwise(places.tolist()):
        (own,) = [run for run in seen if run["start"] <= first and last <= run["stop"]]
        assert own["cluster"] == of_sample[(first + last) // 2]
    assert (seen[0]["start"], seen[-1]["stop"]) == (edges[0], edges[-1])


def test_of_many_windows_every_nth_is_drawn(rng: np.random.Generator) -> None:
    n_windows = 2 * MOST_POINTS + 2
    projection, labels = rng.normal(size=(n_windows, 2)), np.arange(n_windows) // 3 % 2
    ax = Figure().subplots()
    draw_projection(ax, projection, labels)
    drawn = np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections])
    np.testing.assert_array_equal(np.sort(drawn[:, 0]), np.sort(projection[::3, 0]))
