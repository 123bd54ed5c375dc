"""Which cluster of a study a name belongs to, after a refit: the one that shares most time with the named windows."""

from collections.abc import Sequence
from dataclasses import dataclass

from clusterwhy.annotations.spans import common, length, spans_of_text
from clusterwhy.annotations.window_times import ClusterTimes, WindowTimes

LEAST_AGREEMENT = 0.5  # above it, at most one cluster can be meant: sets that are apart cannot both have more than half
NOTHING = 1e-6  # times are rounded


@dataclass(frozen=True)
class Match:
    """How the windows of a name are clustered today.

    Attributes:
        cluster: that shares most time with them; None if none shares any.
        agreement: Jaccard index: the time that both have, over the time that one of them has, where both the study that
            gave the name and this one have windows.
        share: of the named time there that lies in the cluster.
        known: share of the named time at which this study has windows.
        yields: whether another name has more in common with the cluster.
    """

    cluster: int | None
    agreement: float
    share: float
    known: float
    yields: bool = False

    @property
    def found(self) -> bool:
        """Whether the name is the cluster's."""
        return self.cluster is not None and self.agreement > LEAST_AGREEMENT and not self.yields


def match(named: Sequence[WindowTimes], study: ClusterTimes) -> Match:
    """The cluster with the largest Jaccard index, by time, over all recordings that both know."""
    all_named = known = 0.0
    shared = dict.fromkeys(study.clusters, 0.0)
    sizes = dict.fromkeys(study.clusters, 0.0)
    for one in named:
        lane = study.lanes.get(one.recording)
        kept = None if lane is None else lane.here(one)
        if lane is None or kept is None:
            all_named += length(spans_of_text(one.spans))
            continue
        within, spans = kept
        all_named += length(spans)
        known += common(spans, lane.within)
        for cluster in study.clusters:
            shared[cluster] += common(spans, lane.of(cluster))
            sizes[cluster] += common(within, lane.of(cluster))
    if not known:
        return Match(None, 0.0, 0.0, 0.0)
    agreements = {c: shared[c] / union if (union := known + sizes[c] - shared[c]) > 0 else 0.0 for c in study.clusters}
    best = max(agreements, key=lambda cluster: agreements[cluster], default=None)
    if best is None or shared[best] <= NOTHING * known:
        return Match(None, 0.0, 0.0, known / all_named)
    return Match(best, agreements[best], shared[best] / known, known / all_named)
