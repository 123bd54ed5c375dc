"""Does relevance depend on what the network learned, and is it stable under noise?"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.attribution.base import AttributionTask, Attributor
from clusterwhy.explanations.randomisation import randomised
from clusterwhy.metrics.insertion_deletion import Cells
from clusterwhy.metrics.rank_correlation import rank_correlation
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from torch import nn


def cell_correlation(first: FloatArray, second: FloatArray) -> float:
    """Mean rank correlation of |relevance| per cell, (window, cell) each; NaN where one is constant."""
    return rank_correlation(np.abs(first), np.abs(second))


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


@dataclass(frozen=True)
class SanityChecks:
    """What is disturbed to see whether relevance follows.

    Attributes:
        shares: of the layers whose weights are redrawn, from the output down.
        draws: of random weights for each share.
        noise: standard deviation of the noise on windows, in units of each channel's own over all references.
    """

    shares: tuple[float, ...]
    draws: int
    noise: float

    def run(
        self,
        explainer: CellExplainer,
        task: AttributionTask,
        network: "nn.Module",
        windows: FloatArray,
        relevance: FloatArray,
        first_draw: int = 0,
    ) -> dict[str, float]:
        """Rank correlation of |relevance| per cell with that of randomised networks and of noisy windows.

        Args:
            task: its network may be in canonical form, which is traced once.
            network: the same network as it is, whose weights are redrawn.
            windows: (window, channel, time).
            relevance: (window, cell) of these windows.
            first_draw: number of the first random network; another one for each cluster tries more networks in all.

        Returns:
            `randomised_<per cent>` for each share, the mean over draws, which should be low, and `noisy`, which should
            be near 1. NaN where relevance is constant.
        """
        found = {}
        for share in self.shares:
            alike = []
            for draw in range(self.draws):
                redrawn = randomised(network, windows, share, explainer.seed + first_draw + draw)
                again = explainer.explain(replace(task, network=redrawn), windows)
                alike.append(cell_correlation(relevance, again))
            known = [value for value in alike if np.isfinite(value)]
            found[f"randomised_{share:.0%}".rstrip("%")] = float(np.mean(known)) if known else float("nan")
        spread = task.references.std(axis=(0, 2), keepdims=True)
        drawn = np.random.default_rng(explainer.seed).standard_normal(windows.shape)
        noisy = (windows + self.noise * spread * drawn).astype(windows.dtype)
        again = explainer.explain(replace(task, drawn_for=windows), noisy)
        return found | {"noisy": cell_correlation(relevance, again)}
