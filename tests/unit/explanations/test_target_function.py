"""Targets as functions of windows: computed once per network and batch, on a network that is traced once."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.attribution.lrp_variants import Lrp
from clusterwhy.attribution.registry import ATTRIBUTORS
from clusterwhy.explanations.target_function import (
    TargetCache,
    fingerprint,
    target_function,
    with_canonical_network,
)
from clusterwhy.explanations.target_heads import EmbeddingSum
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.targets import Unit
from tests.unit.propagation.test_relevance import made_encoder


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 3, 32))


def weighted_mean(weight: float, n_channels: int) -> nn.Module:
    linear = nn.Linear(n_channels, 1, bias=False).double()
    nn.init.constant_(linear.weight, weight)
    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), linear, nn.Flatten(0)).eval()


def test_a_cached_target_is_that_of_its_network_and_window(windows: np.ndarray) -> None:
    cache, networks = TargetCache(), [weighted_mean(weight, windows.shape[1]) for weight in (1.0, 2.0)]
    for network in networks:
        found = cache.function(network, windows)
        for batch in (windows[1:4], windows[::-1].copy(), windows, windows[[0, 0, 4]]):
            np.testing.assert_array_equal(found(batch), target_function(network, windows)(batch))
    assert len(cache) == 2 * len(windows)
    cache.function(weighted_mean(2.0, windows.shape[1]), windows)(windows.copy())
    assert len(cache) == 2 * len(windows)


def test_a_window_is_computed_once(windows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[np.ndarray] = []

    def target(batch: np.ndarray) -> np.ndarray:
        computed.append(batch)
        return batch.sum(axis=(1, 2))

    monkeypatch.setattr("clusterwhy.explanations.target_function.target_function", lambda *_: target)
    found = TargetCache().function(nn.Linear(32, 1), windows)
    for batch in (windows[:2], windows[[0, 1, 1]], windows):
        np.testing.assert_array_equal(found(batch), batch.sum(axis=(1, 2)))
    assert [len(np.unique(batch, axis=0)) for batch in computed] == [2, 3]


def test_an_encoder_is_traced_once_for_several_targets(windows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[nn.Module] = []

    def tracing(network: nn.Module, example: np.ndarray) -> Any:
        traced.append(network)
        return target_function(network, example)

    monkeypatch.setattr("clusterwhy.explanations.target_function.target_function", tracing)
    encoder, cache = made_encoder(3), TargetCache()
    for index in (0, 1):
        network = nn.Sequential(encoder, Unit(index)).eval()
        with torch.no_grad():
            expected = network(torch.from_numpy(windows)).numpy()
        np.testing.assert_allclose(cache.function(network, windows)(windows), expected, rtol=1e-9)
    assert traced == [encoder]
    with torch.no_grad():
        next(encoder.parameters()).mul_(2.0)
    cache.function(network, windows)
    assert len(traced) == 2  # other weights


def test_a_cache_of_targets_drops_the_least_recently_used(windows: np.ndarray) -> None:
    cache = TargetCache(max_windows=2)
    found = cache.function(weighted_mean(1.0, windows.shape[1]), windows)
    for i in (0, 1, 0, 2):  # the last one drops window 1
        found(windows[[i]])
    assert len(cache) == 2
    kept = set(cache._targets)
    found(windows[[0, 2]])
    assert set(cache._targets) == kept
    np.testing.assert_array_equal(found(windows), target_function(weighted_mean(1.0, 3), windows)(windows))
    assert len(cache) == 2
    assert len(pickle.loads(pickle.dumps(cache))) == 0


def test_networks_that_compute_something_else_have_another_fingerprint() -> None:
    networks = [nn.Sequential(nn.Linear(3, 4), Unit(index)) for index in (0, 0, 1)]
    for network in networks[1:]:
        network.load_state_dict(networks[0].state_dict())
    first, same, other = map(fingerprint, networks)
    assert first == same != other
    # as many weights in another arrangement
    assert fingerprint(nn.Linear(6, 1, bias=False)) != fingerprint(nn.Linear(3, 2, bias=False))


@pytest.mark.parametrize("attributor", [Lrp(batch_size=4), ATTRIBUTORS["difference"], ATTRIBUTORS["gradient"]])
def test_a_network_in_canonical_form_is_explained_the_same(attributor: Lrp, windows: np.ndarray) -> None:
    network, box = nn.Sequential(made_encoder(3), EmbeddingSum()).eval(), (np.full(3, -4.0), np.full(3, 4.0))
    task = AttributionTask(network, COMPOSITES["epsilon_plus_box"], "auto", box, windows[3:])
    canonical = with_canonical_network(task, attributor, windows)
    found, expected = (attributor.explain(one, windows[:3], 0) for one in (canonical, task))
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.target, expected.target)
    # gradients are those of the network itself
    assert (canonical.network is network) == (attributor == ATTRIBUTORS["gradient"])
