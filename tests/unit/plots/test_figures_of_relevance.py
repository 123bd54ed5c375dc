"""Relevance as a table and as a figure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import Relevance, explain, explain_difference, lrp, plot_relevance
from clusterwhy.errors import ShapeError


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6, 3)).eval()


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, 2, 8)).astype(np.float32)


def every_way(network: nn.Module, windows: np.ndarray) -> dict[str, Relevance]:
    return {
        "class of each": explain(network, windows, "lrp_epsilon"),
        "one class": explain(network, windows, "gradient", target=1),
        "lrp": lrp(network, torch.as_tensor(windows), target=1),
        "difference": explain_difference(network, windows, windows[:2], target=1),
    }


def test_a_table_has_what_the_network_read_beside_its_relevance(network: nn.Module, windows: np.ndarray) -> None:
    for name, found in every_way(network, windows).items():
        table = found.to_frame(["left", "right"], rate_hz=50.0)
        assert list(table) == ["window", "channel", "sample", "second", "value", "relevance"], name
        row = table.query("window == 3 and channel == 'right' and sample == 4").iloc[0]
        assert row["value"] == windows[3, 1, 4] and row["relevance"] == found.values[3, 1, 4], name
        assert row["second"] == pytest.approx(0.08)
        assert len(table) == windows.size
    plain = replace(found, windows=None).to_frame()
    assert list(plain) == ["window", "channel", "sample", "relevance"] and set(plain["channel"]) == {0, 1}


def test_a_figure_draws_the_window_over_its_relevance(network: nn.Module, windows: np.ndarray) -> None:
    found = every_way(network, windows)["class of each"]
    figure = plot_relevance(found, -1, ["left", "right"], ["g", ""], rate_hz=50.0)
    first, second, *_ = figure.axes
    np.testing.assert_array_equal(second.lines[0].get_ydata(), windows[4, 1])
    np.testing.assert_allclose(second.lines[0].get_xdata(), np.arange(8) / 50.0)
    drawn = np.concatenate([np.asarray(ax.images[0].get_array()) for ax in (first, second)])
    np.testing.assert_allclose(drawn, 100 * found.values[4] / np.abs(found.values[4]).sum(), rtol=1e-5)
    assert first.get_ylabel() == "left\n(g)" and second.get_ylabel() == "right"
    assert second.get_xlabel() == "time in window (s)" and first.get_title() == "lrp_epsilon"
    assert f"{found.target[4]:.4g}" in figure.get_suptitle()
    assert "adds up to" in figure.get_suptitle()
    recorded = plot_relevance(found, 2, recorded=10 * windows)
    np.testing.assert_array_equal(recorded.axes[0].lines[0].get_ydata(), 10 * windows[2, 0])
    plain = plot_relevance(explain(network, windows, "gradient"))
    assert "adds up to" not in plain.get_suptitle()  # a gradient is not meant to
    assert plain.axes[1].get_xlabel() == "sample in window" and plain.axes[0].get_ylabel() == "channel 0"


def test_what_cannot_be_shown_is_told(network: nn.Module, windows: np.ndarray) -> None:
    found = every_way(network, windows)["one class"]
    with pytest.raises(ShapeError, match="no window 5: there are 5, 0 to 4"):
        plot_relevance(found, 5)
    with pytest.raises(ShapeError, match="expected 2 names of channels, got 'ab'"):
        plot_relevance(found, 0, "ab")
    with pytest.raises(ShapeError, match="expected 2 units"):
        plot_relevance(found, 0, units=["g"])
    with pytest.raises(ShapeError, match=r"recorded windows \(5, 2, 8\), got \(4, 2, 8\)"):
        plot_relevance(found, recorded=windows[:4])
    with pytest.raises(ShapeError, match="were not kept"):
        plot_relevance(replace(found, windows=None))
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(ShapeError, match="`rate_hz` above 0"):
            found.to_frame(rate_hz=rate)
