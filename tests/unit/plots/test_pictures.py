"""What pictures show is what they were given: data, limits, intervals, names."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.stats import t as student

from clusterwhy.concepts.tables import ReferenceWindow
from clusterwhy.errors import ShapeError
from clusterwhy.explanations.aggregation import time_bins_of_width
from clusterwhy.explanations.contributions import Contributions, contributions
from clusterwhy.plots import classifier_pages, pages
from clusterwhy.plots.classifiers import draw_confusion, draw_curves, draw_reliability
from clusterwhy.plots.clock import Clock
from clusterwhy.plots.concepts import draw_concept_difference, draw_concepts, draw_references
from clusterwhy.plots.contributions import draw_bars, draw_beeswarm, draw_waterfall, prediction_label
from clusterwhy.plots.explanations import (
    Signals,
    draw_attention,
    draw_average,
    draw_methods,
    draw_relevance,
    draw_time_bins,
    limit_of,
    mean_limits,
    shares,
)
from clusterwhy.plots.names import shown, with_unit
from clusterwhy.plots.saving import save

SIGNALS = Signals(
    ("a$x$b", "_under_score_", "a very long name of a channel that goes on", "שלום"), ("m/s²", "", "$", "V"), 0.02
)
PLAIN = Signals(("left", "right"), ("V", "A"), 0.5)


@pytest.mark.parametrize(
    ("span", "resolution", "text"),
    [
        (270.0, 0.128, "269.0 s"),
        (1799.0, 1.0, "269.0 s"),
        (1800.0, 1.0, "4.48 min"),
        (12 * 3600.0, 60.0, "4.5 min"),
        (5 * 86400.0, 60.0, "0.07 h"),
        (40 * 86400.0, 192.0, "0.003 d"),
    ],
)
def test_times_are_shown_in_a_suitable_unit(span: float, resolution: float, text: str) -> None:
    clock = Clock.of(span, resolution)
    assert clock.text(269.0) == text
    assert clock.scaled(np.array([clock.seconds]))[0] == 1.0
    # what is to be told apart is told apart
    assert clock.number(1000.0) != clock.number(1000.0 + resolution)


def panels(rows: int = 1, columns: int = 1) -> Any:
    return Figure().subplots(rows, columns, squeeze=False)


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(12, 4, 50)).cumsum(axis=2)


@pytest.fixture
def relevance(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(12, 4, 50))


def test_names_are_always_shown_as_text(tmp_path: Path) -> None:
    names = ["a$x$b", r"\$5 \alpha", "_under_score_", "x^2 & <b>", "שלום", "two\nlines\tand a tab"]
    figure = Figure()
    for i, name in enumerate(names):
        figure.text(0.1, 0.1 + 0.1 * i, shown(name))
    with mpl.rc_context({"svg.fonttype": "none"}):
        _, svg = save(figure, tmp_path / "names")
    drawn = svg.read_text()
    for text in ("a$x$b", r"\$5 \alpha", "_under_score_", "x^2 &amp; &lt;b&gt;", "שלום", "two lines and a tab"):
        assert f">{text}</text>" in drawn
    assert shown("a" * 30 + "b" * 30) == "a" * 12 + "…" + "b" * 11 and shown("x" * 24) == "x" * 24
    assert with_unit("speed", "") == "speed" and with_unit("speed", "m/s") == "speed\n(m/s)"


def test_relevance_is_drawn_behind_its_samples(windows: Any, relevance: Any) -> None:
    ((ax,),) = panels()
    image = draw_relevance(ax, PLAIN, windows[0, 0], relevance[0, 0], 2.5)
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xdata(), np.arange(50) * 0.5)
    np.testing.assert_array_equal(line.get_ydata(), windows[0, 0])
    np.testing.assert_array_equal(image.get_array(), relevance[0, :1])
    assert image.get_clim() == (-2.5, 2.5) and image.get_cmap().name == "RdBu_r"
    assert image.get_zorder() < line.get_zorder()
    start, stop, *_ = image.get_extent()
    edges = np.linspace(start, stop, 51)
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, line.get_xdata())
    assert ax.get_xlim() == (start, stop)
    # colours cover the whole height, and the line decides what that is
    box = ax.get_window_extent()
    height = image.get_transform().transform([[0.0, 0.0], [0.0, 1.0]])[:, 1]
    np.testing.assert_allclose(height, [box.y0, box.y1])
    assert ax.get_ylim()[0] < windows[0, 0].min() < windows[0, 0].max() < ax.get_ylim()[1]
    with pytest.raises(ShapeError, match=r"expected values and relevance \(time,\)"):
        draw_relevance(ax, PLAIN, windows[0], relevance[0], 1.0)


def test_methods_are_drawn_in_the_same_colours(windows: Any, relevance: Any) -> None:
    axes = panels(4, 3)
    maps = {"one": relevance[0], "tw$o$": 100 * relevance[1], "three": relevance[2] * 0}
    draw_methods(axes, SIGNALS, windows[0], maps, 3.0)
    for (channel, method), ax in np.ndenumerate(axes):
        (image,) = ax.get_images()
        np.testing.assert_array_equal(image.get_array()[0], list(maps.values())[method][channel])
        assert image.get_clim() == (-3.0, 3.0)
        np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), windows[0, channel])
    assert [ax.get_title() for ax in axes[0]] == ["one", r"tw\$o\$", "three"]
    assert (
        axes[2, 0].get_ylabel() == "a very long…hat goes on\n(\\$)" and axes[3, 2].get_xlabel() == "time in window (s)"
    )
    with pytest.raises(ShapeError, match=r"panels \(channel, window\), got .* and \(3, 3\)"):
        draw_methods(axes[:3], SIGNALS, windows[0], maps, 3.0)


def test_shares_sum_to_100_percent_and_limits_enclose_almost_all_cells(relevance: Any) -> None:
    found = shares(relevance)
    np.testing.assert_allclose(np.abs(found).sum(axis=(1, 2)), 100.0)
    np.testing.assert_allclose(found, shares(relevance * 7.0))
    assert not shares(relevance * 0).any()
    limit = limit_of(found[:6], found[6:])
    assert 0.994 < (np.abs(found) <= limit).mean() < 0.996
    assert limit_of(np.zeros((2, 3))) == 1.0
    # a single cell is not cut away
    assert limit_of(np.eye(1, 1000)) == 1.0


def test_a_band_is_the_stated_interval(windows: Any, rng: np.random.Generator) -> None:
    own = windows[:, 0]
    error = own.std(axis=0, ddof=1) / np.sqrt(12)
    low, high = mean_limits(own, "standard error", 0.9, 0)
    expected = student.interval(0.9, 11, own.mean(axis=0), error)
    np.testing.assert_allclose([low, high], expected)
    drawn = np.stack([own[rng.integers(0, 12, 12)].mean(axis=0) for _ in range(4000)])
    low, high = mean_limits(own, "bootstrap", 0.9, 0)
    np.testing.assert_allclose([low, high], np.quantile(drawn, [0.05, 0.95], axis=0), atol=0.25 * error.max())
    ((ax,),) = panels()
    draw_average(ax, PLAIN, own, "bootstrap", 0.9)
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), own.mean(axis=0))
    outline = ax.collections[0].get_paths()[0].vertices
    for limit in (low, high):
        points = np.stack([np.arange(50) * 0.5, limit], axis=1)
        assert all(np.isclose(outline, point).all(axis=1).any() for point in points)
    assert ax.get_legend_handles_labels()[1] == ["90% (bootstrap)", "mean of 12 windows"]
    np.testing.assert_array_equal(mean_limits(own[:1], "standard error", 0.9, 0), [own[0], own[0]])


def test_time_bins_are_drawn_at_their_position_in_the_window(relevance: Any) -> None:
    signals = Signals(("a", "b", "c", "d"), ("", "", "", ""), 0.1)
    table = time_bins_of_width(relevance, signals.channels, 20, 0.1, seed=0)
    axes = panels(4)[:, 0]
    draw_time_bins(axes, signals, table)
    for ax, channel in zip(axes, signals.channels, strict=True):
        own = table[table["channel"] == channel]
        bars = [patch for patch in ax.patches if patch.get_height()]
        np.testing.assert_allclose([bar.get_height() for bar in bars], 100 * own["signed"])
        np.testing.assert_allclose([bar.get_x() + 0.05 for bar in bars], own["start_s"])
        np.testing.assert_allclose([bar.get_width() for bar in bars], [2.0, 2.0, 1.0])
        assert ax.get_ylim() == axes[0].get_ylim()
        assert (100 * own["signed_high"] < ax.get_ylim()[1]).all()
        assert (100 * own["signed_low"] > ax.get_ylim()[0]).all() and ax.get_ylim()[0] < 0
        red = [bar.get_facecolor()[0] > bar.get_facecolor()[2] for bar in bars]
        assert red == (own["signed"] > 0).tolist()


def test_attention_has_its_axes_in_seconds(rng: np.random.Generator) -> None:
    weights = rng.dirichlet(np.ones(8), 8)
    ((ax,),) = panels()
    image = draw_attention(ax, weights, 4.0, 0.7)
    np.testing.assert_array_equal(image.get_array(), weights)
    # row 0 is at the top, and queries are rows
    assert image.get_extent() == [0.0, 4.0, 4.0, 0.0] and image.get_clim() == (0.0, 0.7)
    assert "attends to" in ax.get_xlabel() and ax.get_ylabel() == "time in window (s)"
    assert draw_attention(panels()[0, 0], weights, 4.0).get_clim() == (0.0, weights.max())
    with pytest.raises(ShapeError, match=r"\(time, time\)"):
        draw_attention(ax, weights[:3], 4.0)


@pytest.fixture
def found(windows: Any, relevance: Any, rng: np.random.Generator) -> Contributions:
    return contributions(relevance, rng.normal(size=12), windows, SIGNALS.channels, 3, 0.02)


def test_contributions_and_base_add_up_to_the_target(found: Contributions, windows: Any, relevance: Any) -> None:
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.target)
    stretches = list(itertools.pairwise([0, 17, 33, 50]))
    for i, (channel, (start, stop)) in enumerate(itertools.product(range(4), stretches)):
        np.testing.assert_allclose(found.values[:, i], relevance[:, channel, start:stop].sum(axis=1))
        np.testing.assert_allclose(found.inputs[:, i], windows[:, channel, start:stop].mean(axis=1))
        assert found.names[i] == f"{SIGNALS.channels[channel]} {start * 0.02:.3g}–{stop * 0.02:.3g} s"
    whole = contributions(relevance, found.target, windows, SIGNALS.channels)
    np.testing.assert_allclose(whole.values, relevance.sum(axis=2))
    assert whole.names == SIGNALS.channels
    with pytest.raises(ShapeError, match="a name per channel"):
        contributions(relevance, found.target, windows, ("a",))


def test_a_waterfall_runs_from_the_base_to_the_target(found: Contributions) -> None:
    for n in (4, 12):
        ((ax,),) = panels()
        draw_waterfall(ax, found.of([5]), n)
        bars = ax.patches
        assert len(bars) == min(n + 1, 12)
        at = found.base[5]
        for bar in bars:
            assert bar.get_x() == pytest.approx(at)
            at += bar.get_width()
        assert at == pytest.approx(found.target[5])
        widths = [bar.get_width() for bar in bars][:n]
        expected = found.values[5][np.argsort(-np.abs(found.values[5]), kind="stable")][:n]
        np.testing.assert_allclose(widths, expected)
        if n == 4:
            assert ax.get_yticklabels()[-1].get_text() == "8 others"
        assert f"this window {found.target[5]:.3g}".replace("-", "−") in ax.get_xlabel()
        assert ax.yaxis_inverted()


def test_bars_and_beeswarms_show_each_contribution(found: Contributions) -> None:
    order = np.argsort(-np.abs(found.values).mean(axis=0), kind="stable")[:6]
    ((bars, swarm, single),) = panels(1, 3)
    draw_bars(bars, found, 6)
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], np.abs(found.values).mean(axis=0)[order])
    assert [label.get_text() for label in bars.get_yticklabels()] == [shown(found.names[i], 28) for i in order]
    assert bars.get_ylim()[0] > bars.get_ylim()[1]
    dots = draw_beeswarm(swarm, found, 6)
    x, y = dots.get_offsets().T
    np.testing.assert_allclose(x.reshape(12, 6), found.values[:, order])
    np.testing.assert_array_equal(y.round().reshape(12, 6), np.broadcast_to(np.arange(6), (12, 6)))
    ranks = dots.get_array().reshape(12, 6)
    for column, i in enumerate(order):
        np.testing.assert_array_equal(np.argsort(ranks[:, column]), np.argsort(found.inputs[:, i]))
    assert (ranks.min(), ranks.max()) == (0.0, 1.0)
    draw_bars(single, found.of([2]), 3)
    expected = found.values[2][np.argsort(-np.abs(found.values[2]), kind="stable")][:3]
    np.testing.assert_allclose([bar.get_width() for bar in single.patches], expected)


def test_equal_dots_of_a_beeswarm_do_not_overlap() -> None:
    alike = Contributions(("a",), np.array([[1.0]] * 5 + [[9.0]]), np.arange(6.0)[:, None], np.zeros(6), np.ones(6))
    _, y = draw_beeswarm(panels()[0, 0], alike).get_offsets().T
    assert len(set(y[:5])) == 5 and y[5] == 0.0
    assert np.abs(y).max() < 0.5 and y[:5].mean() == pytest.approx(0.0)


def test_a_prediction_label_names_the_predicted_and_true_class() -> None:
    assert prediction_label("run", "walk", 0.914) == "predicted run (91%), true walk"
    assert prediction_label("ru$n$") == r"predicted ru\$n\$"


def test_references_mark_the_receptive_field_of_the_best_position(windows: Any, relevance: Any) -> None:
    references = [ReferenceWindow(7, 0.5, 3, 10, 18), ReferenceWindow(2, 0.25, 9, 0, 50)]
    axes = panels(4, 2)
    draw_references(axes, SIGNALS, references, windows[[7, 2]], relevance[[7, 2]], 2.0)
    for (channel, column), ax in np.ndenumerate(axes):
        one = references[column]
        (span,) = ax.patches
        assert span.get_x() == pytest.approx((one.start - 0.5) * 0.02)
        assert span.get_width() == pytest.approx((one.stop - one.start) * 0.02)
        np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), windows[one.window, channel])
        np.testing.assert_array_equal(ax.get_images()[0].get_array()[0], relevance[one.window, channel])
        assert ax.get_images()[0].get_clim() == (-2.0, 2.0)
    assert [ax.get_title() for ax in axes[0]] == ["window 7: 0.5", "window 2: 0.25"]
    with pytest.raises(ShapeError, match="2 references"):
        draw_references(axes, SIGNALS, references, windows, relevance, 2.0)


def test_concepts_are_ranked_with_their_limits() -> None:
    table = pd.DataFrame(
        {
            "layer": "conv$1$",
            "concept": [0, 1, 2],
            "relevance": [-0.2, 0.5, 0.1],
            "relevance_low": [-0.3, 0.4, -0.1],
            "relevance_high": [-0.1, 0.55, 0.2],
            "relevance_rank": [3, 1, 2],
        }
    )
    ((ranking, contrast),) = panels(1, 2)
    draw_concepts(ranking, table, 2)
    np.testing.assert_allclose([bar.get_width() for bar in ranking.patches], [50.0, 10.0])
    assert [label.get_text() for label in ranking.get_yticklabels()] == ["1", "2"]
    segments = ranking.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [[40.0, 55.0], [-10.0, 20.0]])
    differences = table.rename(columns={"relevance": "difference", "relevance_low": "low", "relevance_high": "high"})
    draw_concept_difference(contrast, differences.assign(apart=[True, True, False]), "good", "b$a$d", 3)
    assert [bar.get_alpha() for bar in contrast.patches] == [1.0, 1.0, 0.35]
    assert contrast.get_xlabel() == r"share of relevance: good minus b\$a\$d (%)"
    assert contrast.get_yticklabels()[0].get_text() == r"conv\$1\$ 0"


def test_a_confusion_matrix_counts_true_classes_in_rows() -> None:
    counts = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])
    ((ax,),) = panels()
    image = draw_confusion(ax, counts, ["a", "b", "c$"])
    np.testing.assert_allclose(image.get_array(), [[80, 20, 0], [20, 80, 0], [0, 0, 0]])
    assert image.get_clim() == (0.0, 100.0)
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "8\n80%", (1, 0): "2\n20%", (0, 1): "1\n20%", (1, 1): "4\n80%"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", r"c\$"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    with pytest.raises(ShapeError, match="of 2 classes"):
        draw_confusion(ax, counts, ["a", "b"])


def test_training_curves_show_their_values_and_mark_the_best_epoch() -> None:
    ((ax,),) = panels()
    curves = {"training": np.array([3.0, 2.0, 1.0]), "validation": np.array([3.0, 2.5, 2.7])}
    draw_curves(ax, np.arange(1, 4), curves, "cross-entropy (nats)", 2)
    for line, values in zip(ax.get_lines(), curves.values(), strict=False):
        np.testing.assert_array_equal(line.get_ydata(), values)
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    assert ax.get_lines()[2].get_xdata() == [2, 2] and "selected: epoch 2" in texts(ax.figure)
    assert ax.get_ylabel() == "cross-entropy (nats)"


def test_reliability_skips_empty_bins_and_has_wilson_intervals() -> None:
    ((ax,),) = panels()
    draw_reliability(ax, np.array([0.3, 0.6, 0.95]), np.array([0.25, 0.0, 0.9]), np.array([20, 0, 50]))
    points = ax.containers[0].lines[0]
    np.testing.assert_allclose(points.get_xdata(), [30.0, 95.0])
    np.testing.assert_allclose(points.get_ydata(), [25.0, 90.0])
    z = 1.959964
    for segment, (p, n) in zip(ax.containers[0].lines[2][0].get_segments(), [(0.25, 20), (0.9, 50)], strict=True):
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        np.testing.assert_allclose(segment[:, 1], [100 * (middle - half), 100 * (middle + half)], rtol=1e-5)
    assert [text.get_text() for text in ax.texts] == ["20", "50"]


def test_a_figure_is_saved_twice_as_the_same_bytes(tmp_path: Path, windows: Any, relevance: Any) -> None:
    files = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        stem = tmp_path / name / "a.b picture"
        maps = {"one": relevance[0], "two": relevance[1]}
        files.append(pages.methods_page(stem, SIGNALS, windows[0], maps, "predicted a, true b"))
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    png, svg = files[0]
    assert png.name == "a.b picture.png" and png.read_bytes().startswith(b"\x89PNG")
    assert svg.name == "a.b picture.svg" and "<dc:date>" not in svg.read_text()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Figures that pages would write."""
    made: list[Figure] = []
    for module in (pages, classifier_pages):
        monkeypatch.setattr(module, "save", lambda figure, stem: made.append(figure))
    yield made


def drawn_texts(figure: Figure) -> list[Text]:
    """Texts but those of ticks beyond their axis, and those within panels."""
    beyond = set()
    for axis in itertools.chain.from_iterable((ax.xaxis, ax.yaxis) for ax in figure.axes):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                beyond |= {tick.label1, tick.label2}
    all_texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in all_texts if text not in beyond and text.get_clip_box() is None]


def check_readable(figure: Figure) -> None:
    """Texts lie within the figure, and neither axis labels nor titles nor tick labels run into each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(text, text.get_window_extent(canvas.get_renderer())) for text in drawn_texts(figure)]
    for text, box in boxes:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < figure.bbox.x1 + 1 and box.y1 < figure.bbox.y1 + 1, text
    upright = [(text, box) for text, box in boxes if text.get_rotation() % 90 == 0]  # boxes of others are too large
    for (one, first), (other, second) in itertools.combinations(upright, 2):
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(width, height) <= 1.5, (one, other)


def test_pages_are_readable_with_awkward_names(
    drawn: list[Figure], windows: Any, relevance: Any, found: Contributions
) -> None:
    stem = Path("nowhere")
    maps = {
        "epsilon_plus": relevance[0],
        "a method with a name that is far too long": relevance[1],
        "$x$": relevance[2],
    }
    pages.methods_page(stem, SIGNALS, windows[0], maps, prediction_label("ru$n", "שלום", 0.5))
    groups = {"walking": (windows[:6], relevance[:6]), "שלום": (windows[6:], relevance[6:])}
    pages.averages_page(stem, SIGNALS, groups, "standard error", 0.9)
    references = [ReferenceWindow(i, 0.5, 3, 10, 18) for i in range(3)]
    pages.references_page(stem, SIGNALS, references, windows[:3], relevance[:3], "concept 3 of conv1")
    pages.time_bins_page(stem, SIGNALS, time_bins_of_width(relevance, SIGNALS.channels, 7, 0.02, seed=0))
    pages.attention_page(stem, {"head 0": np.eye(5), "head 1": np.full((5, 5), 0.2)}, 2.0, "attention")
    pages.contributions_page(
        stem, found, 0, prediction_label("a class with a very long name", "another very long name", 0.5)
    )
    classes = ["a", "$b$", "a class with a very long name", "שלום"]
    counts = pd.DataFrame(np.diag([90, 8, 7, 6]) + 1, columns=classes).assign(true=classes)
    bins = pd.DataFrame({"confidence": [0.5, 0.99], "accuracy": [0.4, 1.0], "n_windows": [7, 900]})
    classifier_pages.evaluation_page(stem, counts, bins.assign(probabilities="as trained"))
    names = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    history = {name: np.linspace(1, 0, 5) for name in names}
    classifier_pages.training_page(stem, pd.DataFrame({"epoch": np.arange(5), **history}), 4)
    assert len(drawn) == 8
    for figure in drawn:
        check_readable(figure)
    said = " ".join(texts(drawn[1]))
    assert "90% interval (standard error)" in said and "walking (6 windows)" in said


def test_averages_and_methods_have_one_limit_for_all_panels(drawn: list[Figure], windows: Any, relevance: Any) -> None:
    pages.averages_page(Path("x"), SIGNALS, {"a": (windows[:6], relevance[:6]), "b": (windows[6:], relevance[6:] ** 3)})
    pages.methods_page(Path("x"), SIGNALS, windows[0], {"a": relevance[0], "b": relevance[1] ** 3})
    for figure in drawn:
        limits = {
            image.get_clim() for ax in figure.axes for image in ax.get_images() if image.get_cmap().name == "RdBu_r"
        }
        ((low, high),) = limits
        assert low == -high < 0
    means = shares(relevance[:6]).mean(axis=0)
    strips = [ax.get_images()[0].get_array()[0] for ax in drawn[0].axes if ax.get_images() and not ax.get_lines()]
    np.testing.assert_allclose(strips[::2], means)


def test_many_methods_continue_in_a_second_row(drawn: list[Figure], windows: Any, rng: np.random.Generator) -> None:
    n_channels = windows.shape[1]
    maps = {f"method {i}": rng.normal(size=windows[0].shape) for i in range(13)}
    pages.methods_page(Path("x"), SIGNALS, windows[0], maps)
    (figure,) = drawn
    panels = [ax for ax in figure.axes if ax.get_lines()]
    assert [ax.get_title() for ax in panels if ax.get_title()] == list(maps)
    coloured = [ax.get_images()[0].get_array()[0] for ax in panels]
    expected = [
        shares(maps[f"method {method}"][None])[0, channel]
        for band in ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12])
        for channel in range(n_channels)
        for method in band
    ]
    np.testing.assert_allclose(coloured, expected)
    assert sum(ax.get_xlabel() == "time in window (s)" for ax in panels) == len(maps)
    assert figure.get_figwidth() < 14
    check_readable(figure)


def test_a_method_without_relevance_says_why_in_its_panel(drawn: list[Figure], windows: Any, relevance: Any) -> None:
    maps = {"a": relevance[0], "grad_cam": np.zeros_like(relevance[0])}
    reason = "at layer 'b' no sum of activations is above 0, and Grad-CAM keeps only what is (ReLU)"
    pages.methods_page(Path("x"), SIGNALS, windows[0], maps, "title", {"a": "never told", "grad_cam": reason})
    (figure,) = drawn
    check_readable(figure)
    told = {ax.get_title(): " ".join(text.get_text().split()) for ax in figure.axes for text in ax.texts}
    assert told == {"grad_cam": f"0 everywhere: {reason}"}


def test_windows_stand_side_by_side_with_their_own_relevance(drawn: list[Figure], windows: Any, relevance: Any) -> None:
    titles = [f"window {i}\ntrue a" for i in range(8)]
    pages.windows_page(Path("x"), SIGNALS, windows[:8], relevance[:8], titles, "predicted b")
    (figure,) = drawn
    panels = [ax for ax in figure.axes if ax.get_lines()]
    assert [ax.get_title() for ax in panels if ax.get_title()] == titles
    lines = np.stack([ax.get_lines()[0].get_ydata() for ax in panels])
    expected = np.concatenate([windows[part].transpose(1, 0, 2) for part in (slice(0, 4), slice(4, 8))])
    np.testing.assert_array_equal(lines, expected.reshape(lines.shape))
    check_readable(figure)


def test_heads_of_windows_are_rows_and_columns_of_one_limit(drawn: list[Figure], rng: np.random.Generator) -> None:
    weights = rng.dirichlet(np.ones(5), (2, 3, 5))
    pages.heads_page(Path("x"), weights, ["window 4\ntrue a", "window 7\ntrue b"], 2.0, "predicted a")
    (figure,) = drawn
    panels = [ax for ax in figure.axes if ax.get_images() and ax.get_images()[0].get_array().shape == (5, 5)]
    np.testing.assert_array_equal([ax.get_images()[0].get_array() for ax in panels], weights.reshape(6, 5, 5))
    assert {ax.get_images()[0].get_clim() for ax in panels} == {(0.0, weights.max())}
    assert [ax.get_title() for ax in panels] == ["head 0", "head 1", "head 2", "", "", ""]
    assert [bool(ax.get_xlabel()) for ax in panels] == [False] * 3 + [True] * 3
    check_readable(figure)


def test_pages_of_many_channels_state_how_many_are_omitted(drawn: list[Figure], rng: np.random.Generator) -> None:
    signals = Signals(tuple(f"channel {i}" for i in range(30)), ("V",) * 30, 0.1)
    relevance = rng.normal(size=(30, 40)) * np.linspace(1, 2, 30)[:, None]
    pages.methods_page(Path("x"), signals, rng.normal(size=(30, 40)), {"one": relevance, "two": relevance})
    (figure,) = drawn
    assert "18 channels with less relevance are omitted" in texts(figure)
    named = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel().startswith("channel")]
    expected = sorted(np.argsort(-np.abs(relevance).sum(axis=1))[:12])
    assert named == [f"channel {i}\n(V)" for i in expected]
    check_readable(figure)
