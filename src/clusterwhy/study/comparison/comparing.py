"""Compare two studies, two applications, or one of each."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from clusterwhy.compute.workers import AUTO, Workers
from clusterwhy.metrics.clusters import label_agreement
from clusterwhy.study.comparison import frames
from clusterwhy.study.comparison import matching as matched
from clusterwhy.study.comparison import shared as sharing
from clusterwhy.study.comparison.sides import Side, check_comparable, same_study


@dataclass(frozen=True)
class Comparison:
    """A and B side by side: `study.compare(other)`.

    Attributes:
        a, b: what is compared.
        shared: windows that both have placed.
        matching: which cluster is which.
    """

    a: Side
    b: Side
    shared: sharing.Shared
    matching: matched.Matching

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """One row per pair of clusters and per cluster without one (`frames.clusters_table`, `matching.Matching`)."""
        return frames.clusters_table(self.a, self.b, self.matching)

    @property
    def overlap(self) -> pd.DataFrame:
        """One row per cluster of A and of B with the windows in both (`matching.Matching`)."""
        return self.matching.overlap

    @cached_property
    def channels(self) -> pd.DataFrame:
        """One row per pair and channel: shares of relevance with intervals (`frames.channels_table`)."""
        return frames.channels_table(self.a, self.b, self.matching.pairs)

    @cached_property
    def anomalies(self) -> pd.DataFrame:
        """One row per alarm of either, and whether both raise it (`frames.alarms_table`)."""
        return frames.alarms_table(self.a, self.b, self.shared)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per figure of either (`frames.figures_table`); none is better unless the recording is the same."""
        table = frames.figures_table(self.a, self.b)
        return table if self.shared.by == sharing.TIME else table.assign(better="")

    @cached_property
    def settings(self) -> pd.DataFrame:
        """One row per setting that differs (`frames.settings_table`)."""
        return frames.settings_table(self.a, self.b)

    @cached_property
    def agreement(self) -> dict[str, float]:
        """Of both clusterings on shared windows: `n_shared`, `ari` and `ami` (NaN without any, or with one cluster)."""
        n_shared = len(self.shared.a)
        found = label_agreement(self.shared.a, self.shared.b) if n_shared else {}
        return {"n_shared": n_shared, **{name: found.get(name, np.nan) for name in ("ari", "ami")}}


def compared(a: Side, b: Side, workers: Workers = AUTO) -> Comparison:
    """Match the clusters of two results and set them side by side.

    Windows of the same time where both have read the same recording; else by number, where both have the clusters of
    one study; else windows of B in the clusters that A's encoder, projection and clusters give them.

    Args:
        workers: where A's encoder embeds windows of B.

    Raises:
        DataError: lists other channels, units, rates and lengths of windows.
    """
    shared = sharing.in_time(a, b)
    check_comparable(a, b, same_recording=shared is not None)
    if shared is None and same_study(a, b):
        sizes = ([record["n_windows"] for record in side.results.summary["clusters"]] for side in (a, b))
        return Comparison(a, b, sharing.by_number(), matched.by_number(*(np.array(own) for own in sizes)))
    shared = shared or sharing.by_membership(a, b, workers)
    known_a = _of_study(a) if shared.by == sharing.MEMBERSHIP else a.clusters
    return Comparison(a, b, shared, matched.match_clusters(shared.a, shared.b, known_a, b.clusters))


def _of_study(side: Side) -> list[int]:
    return list(range(len(side.fitted.clusters.persistence)))
