"""Which members of a cluster are explained: choices of `conf/members`."""

from typing import Literal

import numpy as np
from pydantic import Field

from clusterwhy.clustering.summary import central_order
from clusterwhy.config import Settings
from clusterwhy.types import FloatArray, IntArray


class MemberSelection(Settings):
    """Which members of a cluster are explained.

    `central`: nearest to all other members, the medoid first; `strongest`: highest membership
    strength, then central; `random`: a seeded draw. `alignment`: how relevance is averaged over time, as it is
    (`none`) or with each window shifted first to where it correlates best with the first one.
    """

    rule: Literal["central", "strongest", "random"]
    count: int = Field(ge=2)
    alignment: Literal["none", "cross_correlation"]

    def align(self, windows: FloatArray, relevance: FloatArray) -> FloatArray:
        """Relevance (window, channel, time), shifted by at most half a window; NaN where no sample exists."""
        from clusterwhy.explanations.aggregation import shifted, shifts_to

        if self.alignment == "none":
            return relevance
        return shifted(relevance, shifts_to(windows[0], windows, windows.shape[2] // 2))

    def choose(
        self, cluster: int, embeddings: FloatArray, labels: IntArray, strengths: FloatArray, seed: int
    ) -> IntArray:
        """Positions of the chosen windows, at most `count`."""
        members = np.flatnonzero(labels == cluster)
        if self.rule == "random":
            order: IntArray = np.random.default_rng([seed, cluster]).permutation(len(members))
        else:
            order = central_order(embeddings[members])
            if self.rule == "strongest":
                order = order[np.argsort(-strengths[members][order], kind="stable")]
        return members[order[: self.count]]
