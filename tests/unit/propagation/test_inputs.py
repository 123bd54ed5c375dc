"""Every function that explains refuses the same windows, references and targets, and with the same words."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from clusterwhy import concept_relevance, explain, explain_difference, lrp
from clusterwhy.errors import ShapeError

ENTRY_POINTS: dict[str, Callable[..., Any]] = {
    "lrp": lrp,
    "lrp on the network as it is": lambda network, windows, target: lrp(network, windows, target, canonizer="none"),
    "explain": lambda network, windows, target: explain(network, windows, "gradient", target),
    "explain_difference": lambda network, windows, target: explain_difference(network, windows, REFERENCES, target),
    "concept_relevance": lambda network, windows, target: concept_relevance(network, windows, target, {"0": 1}),
}
REFERENCES = np.zeros((3, 2, 8))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize("entry", ENTRY_POINTS)
@pytest.mark.parametrize(
    ("windows", "got"),
    [
        (np.ones((2, 8)), r"\(2, 8\) float64"),
        (np.ones((0, 2, 8)), r"\(0, 2, 8\) float64"),
        (np.ones((1, 2, 3, 8)), r"\(1, 2, 3, 8\) float64"),
        (np.ones((3, 2, 8), dtype=np.int64), r"\(3, 2, 8\) int64"),
    ],
)
def test_windows_are_floating_point_numbers_of_three_axes(
    entry: str, windows: np.ndarray, got: str, network: nn.Module
) -> None:
    with pytest.raises(ShapeError, match=rf"expected windows \(window >= 1, channel, time\) of .*, got {got}"):
        ENTRY_POINTS[entry](network, windows, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_windows_that_are_not_finite_are_refused(entry: str, value: float, network: nn.Module) -> None:
    windows = np.ones((4, 2, 8))
    windows[2, 1, 3] = value
    with pytest.raises(ShapeError, match=r"expected finite windows, got .* in 1 of 4 \(the first is number 2\)"):
        ENTRY_POINTS[entry](network, windows, 0)


@pytest.mark.parametrize("shape", [(3, 2, 8), (4, 3, 2, 8)])
def test_references_that_are_not_finite_are_refused(shape: tuple[int, ...], network: nn.Module) -> None:
    references = np.zeros(shape)
    references[1] = np.nan
    with pytest.raises(ShapeError, match=r"expected finite references, got .* in 1 of"):
        explain_difference(network, np.ones((4, 2, 8)), references, 0)
    if len(shape) == 3:
        with pytest.raises(ShapeError, match="expected finite references"):
            explain(network, np.ones((4, 2, 8)), "gradient", 0, references)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_a_target_is_one_scalar_per_window(entry: str, network: nn.Module, rng: np.random.Generator) -> None:
    windows = rng.normal(size=(4, 2, 8))
    if entry == "explain":  # explains the predicted class, and other axes not
        network.append(nn.Unflatten(1, (3, 1)))
    got = r"\(4, 3, 1\)" if entry == "explain" else r"\(4, 3\)"
    with pytest.raises(ShapeError, match=rf"expected a target \(window,\), got {got}: choose one scalar per window"):
        ENTRY_POINTS[entry](network, windows, None)
    if entry == "explain":
        network.pop(-1)
    for kind in (windows, torch.as_tensor(windows)):
        assert ENTRY_POINTS[entry](network, kind, 1).target.shape == (4,)


@pytest.mark.parametrize("shape", [(2, 8), (4, 2, 9), (4, 3, 8), (4, 1, 2, 8)])
def test_references_of_methods_by_name_are_like_the_windows(shape: tuple[int, ...], network: nn.Module) -> None:
    with pytest.raises(ShapeError, match=r"expected references \(reference, channel, time\) like windows \(4, 2, 8\)"):
        explain(network, np.ones((4, 2, 8)), "difference", 0, np.ones(shape))
