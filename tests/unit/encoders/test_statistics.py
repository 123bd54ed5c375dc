"""Level, spread and change: as defined, explained without a gap, stored and loaded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import explain_difference
from clusterwhy.encoders.statistics import ChannelStatistics
from clusterwhy.encoders.storage import load_encoder, save_encoder
from clusterwhy.errors import ConfigError
from clusterwhy.explanations.target_heads import ClusterMembership, EmbeddingSum

CHANNELS, LENGTH, FLOOR = 3, 32, 0.01


@pytest.fixture
def encoder() -> nn.Module:
    return ChannelStatistics(floor=FLOOR).build(CHANNELS, LENGTH).eval()


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    """(window, channel, time); the second channel of the first window is still."""
    found = rng.normal(size=(8, CHANNELS, LENGTH)).astype(np.float32)
    found[0, 1] = 0.5
    return found


def test_features_are_level_spread_and_change(encoder: nn.Module, windows: np.ndarray) -> None:
    found = encoder(torch.from_numpy(windows)).numpy()
    spread = 0.5 * np.log(windows.var(axis=2) + FLOOR)
    change = 0.5 * np.log((np.diff(windows, axis=2) ** 2).mean(axis=2) + FLOOR)
    np.testing.assert_allclose(found, np.hstack([windows.mean(axis=2), spread, change]), atol=1e-5)
    assert found[0, 1 + CHANNELS] == pytest.approx(0.5 * np.log(FLOOR))


@pytest.mark.parametrize("of", ["sum", "membership"])
def test_relevance_of_a_difference_adds_up(of: str, encoder: nn.Module, windows: np.ndarray) -> None:
    points = encoder(torch.from_numpy(windows)).numpy()
    head = EmbeddingSum() if of == "sum" else ClusterMembership(points[:2], points[2:6], "midpoint")
    network, references = nn.Sequential(encoder, head).eval(), windows[2:][None].repeat(2, axis=0)
    found = explain_difference(network, windows[:2], references)
    # of a membership, mean gradients on 32 points
    tolerance = 1e-5 if of == "sum" else 1e-2
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.target, rtol=tolerance, atol=1e-5)


def test_a_channel_that_swings_wider_is_named(encoder: nn.Module, windows: np.ndarray) -> None:
    wider = windows[4:6].copy()
    wider[:, 2] *= 4.0
    network = nn.Sequential(encoder, EmbeddingSum()).eval()
    found = explain_difference(network, wider, windows[4:6, None]).values.sum(axis=2)
    np.testing.assert_allclose(found[:, :2], 0.0, atol=1e-6)
    assert (found[:, 2] > 1.0).all()


def test_it_is_stored_and_loaded(tmp_path: Path, encoder: nn.Module, windows: np.ndarray) -> None:
    target = {"_target_": "clusterwhy.encoders.statistics.ChannelStatistics", "floor": FLOOR}
    save_encoder(tmp_path, encoder, target, CHANNELS, LENGTH)  # type: ignore[arg-type]
    again = load_encoder(tmp_path)(torch.from_numpy(windows))
    torch.testing.assert_close(again, encoder(torch.from_numpy(windows)))


def test_windows_without_a_spread_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs windows of 4 samples or more, got 3"):
        ChannelStatistics(floor=FLOOR).build(CHANNELS, 3)
