"""What a window is compared with: zero, its own means, or other windows."""

import zlib
from abc import ABC
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clusterwhy.attribution.base import Attributor, BatchAttributor, FrozenNetwork
from clusterwhy.errors import MethodError

if TYPE_CHECKING:
    import torch

BaselineName = Literal["zero", "mean", "references", "own_references", "near_references"]


class WithBaseline(Attributor, ABC):
    """A method that compares each window with a baseline.

    `zero` is the mean of a standardised series, and `mean` each channel's own mean in the window. `references` are the
    first `n_references` of the task's references, for all windows alike, over which relevance is averaged;
    `own_references` are as many drawn for each window, so that the mean over windows depends on many of them;
    `near_references` are those with the least squared distance to it. A window's choice depends on its values (and the
    seed of a draw), not on the windows beside it.
    """

    has_own_rules: ClassVar[bool] = True

    baseline: BaselineName
    n_references: int = Field(ge=1)

    def baselines(
        self, windows: "torch.Tensor", references: "torch.Tensor", drawn_for: "torch.Tensor", seed: int
    ) -> "list[torch.Tensor]":
        """One baseline or several, each (window or 1, channel, time).

        Args:
            windows: (window, channel, time).
            references: (reference, channel, time); there may be none.
            drawn_for: (window, channel, time) windows by whose values references are drawn, mostly the same.
            seed: of the draws.

        Raises:
            MethodError: references are chosen and there are none.
        """
        import torch

        if self.baseline == "zero":
            return [torch.zeros_like(windows[:1])]
        if self.baseline == "mean":
            return [windows.mean(dim=2, keepdim=True).expand_as(windows)]
        if not len(references):
            raise MethodError(
                f"`baseline: {self.baseline}` compares with other windows: give `references` (reference, channel, "
                "time), or choose the baseline `zero` or `mean`"
            )
        if self.baseline == "references" or len(references) <= self.n_references:
            return list(references[: self.n_references].split(1))
        if self.baseline == "near_references":
            chosen = nearest(drawn_for, references, self.n_references)
        else:
            chosen = own_draws(drawn_for, len(references), self.n_references, seed)
        return list(references[chosen].unbind(dim=1))


def own_draws(windows: "torch.Tensor", n_references: int, count: int, seed: int) -> "torch.Tensor":
    """(window, draw) positions of different references for each window (window, channel, time)."""
    import numpy as np
    import torch

    drawn = [
        np.random.default_rng([seed, zlib.crc32(window.tobytes())]).permutation(n_references)[:count]
        for window in windows.detach().cpu().numpy()
    ]
    return torch.from_numpy(np.stack(drawn))


def nearest(windows: "torch.Tensor", references: "torch.Tensor", count: int) -> "torch.Tensor":
    """(window, reference) positions of the references with the least squared distance, the nearest first."""
    import torch

    # one by one: a product of matrices would round by the windows beside it
    found = [(references - one.to(references)).square().flatten(1).sum(dim=1).argsort(stable=True) for one in windows]
    return torch.stack([order[:count] for order in found])


class BaselineAttributor(WithBaseline, BatchAttributor, ABC):
    """A method without rules that compares with a baseline."""

    complete: ClassVar[bool] = False

    def baseline_target(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor | float":
        """(window,) mean target of the baselines."""
        return self.mean_over_baselines(network, windows, network)

    def mean_over_baselines(
        self, network: FrozenNetwork, windows: "torch.Tensor", of: "Callable[[torch.Tensor], torch.Tensor]"
    ) -> "torch.Tensor":
        """The mean of a function of a baseline (window, channel, time)."""
        found = self.baselines(windows, network.references, network.drawn_for, network.generator.initial_seed())
        baselines = [one.expand_as(windows).contiguous() for one in found]
        total: torch.Tensor = sum(of(one) for one in baselines) / len(baselines)  # type: ignore[assignment]
        return total
