"""Does relevance depend on what the network learned, and is it stable under noise?"""

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clusterwhy.attribution.base import AttributionTask, Attributor
from clusterwhy.metrics.insertion_deletion import Cells
from clusterwhy.metrics.rank_correlation import rank_correlation
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from torch import nn


def cell_correlation(first: FloatArray, second: FloatArray) -> float:
    """Mean rank correlation of |relevance| per cell, (window, cell) each; NaN where one is constant."""
    return rank_correlation(np.abs(first), np.abs(second))


def randomised(network: "nn.Module", share: float, seed: int) -> "nn.Module":
    """A copy whose last layers are re-initialised (cascading randomisation, Adebayo et al. 2018).

    Args:
        share: of the layers with parameters, from the output down; heads keep what makes the target.
    """
    import torch
    from torch import nn

    made = copy.deepcopy(network)
    layers: list[Any] = [m for m in made.modules() if isinstance(m, nn.Conv1d | nn.BatchNorm1d)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers[len(layers) - round(share * len(layers)) :]:
            layer.reset_parameters()
    return made.eval()


@dataclass(frozen=True)
class CellExplainer:
    """Relevance per cell by one attributor.

    Attributes:
        attributor: explains windows.
        cells: of the windows.
        seed: for attributors that draw random numbers.
    """

    attributor: Attributor
    cells: Cells
    seed: int

    def explain(self, task: AttributionTask, windows: FloatArray) -> FloatArray:
        """(window, cell) signed sums of relevance of windows (window, channel, time)."""
        return self.cells.sums(self.attributor.explain(task, windows, self.seed).values)


def sanity_checks(
    explainer: CellExplainer,
    task: AttributionTask,
    windows: FloatArray,
    relevance: FloatArray,
    shares: tuple[float, ...],
    noise: float,
) -> dict[str, float]:
    """Rank correlation of |relevance| per cell with that of randomised networks and of noisy windows.

    Args:
        windows: (window, channel, time).
        relevance: (window, cell) of these windows.
        shares: of the layers that are randomised.
        noise: standard deviation of the noise, in units of each channel's own over all windows.

    Returns:
        `randomised_<per cent>` for each share, which should be low, and `noisy`, which should be near 1.
    """
    found = {}
    for share in shares:
        network = randomised(task.network, share, explainer.seed)
        again = explainer.explain(replace(task, network=network), windows)
        found[f"randomised_{share:.0%}".rstrip("%")] = cell_correlation(relevance, again)
    spread = task.references.std(axis=(0, 2), keepdims=True)
    drawn = np.random.default_rng(explainer.seed).standard_normal(windows.shape)
    noisy = (windows + noise * spread * drawn).astype(windows.dtype)
    return found | {"noisy": cell_correlation(relevance, explainer.explain(task, noisy))}
