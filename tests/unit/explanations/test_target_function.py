"""Targets as functions of windows: computed once per network and batch, on a network that is traced once."""

import pickle

import numpy as np
import pytest
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


def test_a_cached_target_is_that_of_its_network_and_batch(windows: np.ndarray) -> None:
    cache, networks = TargetCache(), [weighted_mean(weight, windows.shape[1]) for weight in (1.0, 2.0)]
    for network in networks:
        found = cache.function(network, windows)
        for batch in (windows, windows[::-1].copy(), windows):
            np.testing.assert_array_equal(found(batch), target_function(network, windows)(batch))
    assert found(windows) is cache.function(weighted_mean(2.0, windows.shape[1]), windows)(windows.copy())
    assert len(cache) == 4


def test_a_cache_of_targets_drops_the_least_recently_used(windows: np.ndarray) -> None:
    cache = TargetCache(max_batches=2)
    found = cache.function(weighted_mean(1.0, windows.shape[1]), windows)
    first = found(windows)
    found(windows + 1.0)
    assert found(windows) is first
    found(windows + 2.0)  # drops that of windows + 1
    assert found(windows) is first and len(cache) == 2
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
