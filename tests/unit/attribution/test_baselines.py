"""References of a window's own: drawn by seed and values, different for each window, the same beside any others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import explain
from clusterwhy.attribution.base import ATTRIBUTORS, AttributionTask
from clusterwhy.attribution.baselines import own_draws
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.errors import MethodError
from clusterwhy.propagation.composites import COMPOSITES

NETWORK = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6, 1), nn.Flatten(0)).double().eval()


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(40, 2, 8))


def test_each_window_has_other_references_and_none_twice(windows: np.ndarray) -> None:
    drawn = own_draws(torch.from_numpy(windows), 30, 3, seed=0)
    assert drawn.shape == (40, 3)
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    assert len({tuple(row) for row in drawn.tolist()}) > 35
    # all references are drawn about equally often
    assert len(drawn.unique()) == 30


def test_a_windows_draw_depends_on_seed_and_values_alone(windows: np.ndarray) -> None:
    data = torch.from_numpy(windows)
    drawn = own_draws(data, 30, 3, seed=0)
    assert torch.equal(own_draws(data.flip(0), 30, 3, seed=0), drawn.flip(0))
    assert not torch.equal(own_draws(data, 30, 3, seed=1), drawn)


@pytest.mark.parametrize("method", ["difference", "integrated_gradients", "occlusion_channels"])
def test_relevance_is_the_mean_over_the_windows_own_references(method: str, windows: np.ndarray) -> None:
    references = np.random.default_rng(1).normal(size=(10, 2, 8))
    name = f"{method}(baseline=own_references, n_references=2)"
    found = explain(NETWORK, windows[:4], name, references=references, seed=3)
    own = own_draws(torch.from_numpy(windows[:4]), 10, 2, seed=3)
    for i in range(4):
        each = [
            explain(
                NETWORK, windows[i : i + 1], f"{method}(baseline=references, n_references=1)", references=references[j]
            )
            for j in own[i, :, None].tolist()
        ]
        np.testing.assert_allclose(found.values[i], np.mean([one.values[0] for one in each], axis=0), atol=1e-9)
        assert found.target[i] == pytest.approx(np.mean([one.target[0] for one in each]))


def test_near_references_are_the_most_similar_of_each_window(windows: np.ndarray) -> None:
    references = np.random.default_rng(1).normal(size=(10, 2, 8))
    found = explain(NETWORK, windows[:4], "difference(n_references=2)", references=references)
    apart = np.square(windows[:4, None] - references[None]).sum(axis=(2, 3))
    near = references[np.argsort(apart, axis=1)[:, :2]]
    np.testing.assert_allclose(found.values, explain_difference(NETWORK, windows[:4], near).values)
    # the same beside other windows
    alone = explain(NETWORK, windows[2:3], "difference(n_references=2)", references=references)
    np.testing.assert_allclose(found.values[2], alone.values[0])
    with pytest.raises(MethodError, match="`baseline: near_references` compares with other windows"):
        explain(NETWORK, windows, "difference")


def test_fewer_references_than_asked_for_are_all_used(windows: np.ndarray) -> None:
    references = np.random.default_rng(1).normal(size=(2, 2, 8))
    found = explain(NETWORK, windows, "difference(n_references=4)", references=references)
    np.testing.assert_allclose(found.values, explain_difference(NETWORK, windows, references).values)


def test_without_references_the_choice_is_named(windows: np.ndarray) -> None:
    with pytest.raises(MethodError, match="`baseline: own_references` compares with other windows"):
        explain(NETWORK, windows, "integrated_gradients(baseline=own_references)")


@pytest.mark.parametrize("method", ["difference", "integrated_gradients"])
def test_a_disturbed_window_can_keep_the_references_of_the_undisturbed_one(method: str, windows: np.ndarray) -> None:
    references = np.random.default_rng(1).normal(size=(30, 2, 8))
    box = np.full(2, -4.0), np.full(2, 4.0)
    task = AttributionTask(NETWORK, COMPOSITES["epsilon"], "auto", box, references)
    chosen = {"baseline": "own_references", "n_references": 2, "batch_size": 3}  # several batches
    attributor = ATTRIBUTORS[method].model_copy(update=chosen)
    noisy = windows + 1e-6
    plain, kept, others = (
        attributor.explain(asked, of, 0).values
        for asked, of in ((task, windows), (replace(task, drawn_for=windows), noisy), (task, noisy))
    )
    np.testing.assert_allclose(kept, plain, atol=1e-4)
    assert np.abs(others - plain).max() > 0.01
