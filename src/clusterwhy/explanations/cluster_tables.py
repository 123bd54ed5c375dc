"""Tables of all clusters, from what was found for each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clusterwhy.artifacts.undefined import REASONS, with_reasons
from clusterwhy.explanations.aggregation import channel_contrast, channel_importance
from clusterwhy.explanations.properties import COLUMNS as PROPERTY_COLUMNS
from clusterwhy.explanations.relevance_budget import CONSERVATION
from clusterwhy.explanations.replicates import BY_ENCODER, LEADS, leads, over_encoders
from clusterwhy.metrics.z_scores import CONSTANT
from clusterwhy.types import FloatArray

# why a figure is undefined
NO_RELEVANCE = "no window of the cluster has relevance"
NO_OTHER = "no relevance of other clusters to compare with"
LEADS_OR_ONE = "it leads, or there is one encoder only"
REASONS_OF = {
    "signed": NO_RELEVANCE,
    "lrp": NO_RELEVANCE,
    "contrast": NO_OTHER,
    "z_score": CONSTANT,
    "behind": LEADS_OR_ONE,
}


@dataclass(frozen=True)
class ClusterExplanations:
    """Relevance of the explained windows of all clusters, and tables made from it.

    Attributes:
        relevance: (explained window, channel, time), signed, the mean over encoders.
        windows: one row per explained window: `window`, `cluster`, `target`, `relevance_sum`, `gap`,
            `bias_share`, `lost_share`; `lrp_lost_share` by the composite, where the attributor has rules of its own;
            why they are `undefined`.
        importance: one row per cluster and channel, with intervals and the z-score baseline; `lrp` is the share
            by the composite, where the attributor has rules of its own; `signed_by_1` and so on by each encoder;
            `first_in`, `encoders` and `behind` as in `replicates.leads`; why they are `undefined`. Intervals are those
            of `replicates.over_encoders`.
        maps: (cluster, channel, time) mean signed relevance, in the order of `clusters`; NaN where aligned windows
            do not reach.
        clusters: the clusters that were explained.
        quality: one row per cluster and ranking (relevance, the composite's LRP, z-score, random): `channel_deletion`
            and `flip_rate` of cluster membership, whatever target is explained.
        properties: one row per cluster, leading channel and property (`properties.property_table`).
        bins: one row per cluster, channel and stretch of time.
        agreements: cluster -> agreement between the explanations of its windows.
        target_sizes: cluster -> mean size of its target by each encoder.
        losses: where relevance is lost, one sentence per cluster.
        facts: figures about the target (agreement of prototypes with the clusters).
        seconds: time spent in attribution.
        why_none: why no cluster is explained; "" if some are.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    importance: pd.DataFrame
    maps: FloatArray
    clusters: list[int]
    quality: pd.DataFrame
    properties: pd.DataFrame
    bins: pd.DataFrame
    agreements: dict[int, float]
    target_sizes: dict[int, list[float]]
    losses: list[str]
    facts: dict[str, float]
    seconds: float
    why_none: str = ""


@dataclass(frozen=True)
class ExplainedCluster:
    """The part of `ClusterExplanations` of one cluster.

    Attributes:
        relevance: (window, channel, time), the mean over encoders.
        by_encoder: the same of each encoder.
        importance: columns beside those of `channel_importance`, one row per channel.
        bins: of each encoder.
    """

    cluster: int
    relevance: FloatArray
    by_encoder: list[FloatArray]
    windows: pd.DataFrame
    importance: pd.DataFrame
    map: FloatArray
    bins: list[pd.DataFrame]
    agreement: float
    target_sizes: list[float]
    losses: list[str]
    quality: pd.DataFrame
    properties: pd.DataFrame
    seconds: float


def of_cluster(cluster: int, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the number of its cluster in front."""
    table.insert(0, "cluster", cluster)
    return table


def joined(
    each: list[ExplainedCluster], facts: dict[str, float], channels: tuple[str, ...], seed: int
) -> ClusterExplanations:
    """The tables of all clusters, with limits over encoders and windows."""
    tables = [
        [_importance(each, i, k, channels, seed) for k in range(len(one.by_encoder))] for i, one in enumerate(each)
    ]
    merged = over_encoders(tables, ("absolute", "signed", "contrast"))
    importances = []
    for one, own, table, lead in zip(each, tables, merged, leads(tables), strict=True):
        of_each = {f"{BY_ENCODER}{k}": by_one["signed"] for k, by_one in enumerate(own, start=1)}
        whole = pd.concat([table, pd.DataFrame(of_each), lead, one.importance], axis=1)
        told = {name: reason for name, reason in REASONS_OF.items() if name in whole}
        importances.append(of_cluster(one.cluster, with_reasons(whole, told)))
    bins = over_encoders([one.bins for one in each], ("signed",))
    # an empty table has no types of its own
    qualities = [one.quality for one in each if len(one.quality)] or [each[0].quality]
    properties = [one.properties for one in each if len(one.properties)] or [each[0].properties]
    return ClusterExplanations(
        relevance=np.concatenate([one.relevance for one in each]),
        windows=pd.concat([one.windows for one in each], ignore_index=True),
        importance=pd.concat(importances, ignore_index=True),
        maps=np.stack([one.map for one in each]),
        clusters=[one.cluster for one in each],
        quality=pd.concat(qualities, ignore_index=True),
        properties=pd.concat(properties, ignore_index=True),
        bins=pd.concat(
            [of_cluster(one.cluster, table) for one, table in zip(each, bins, strict=True)], ignore_index=True
        ),
        agreements={one.cluster: one.agreement for one in each},
        target_sizes={one.cluster: one.target_sizes for one in each},
        losses=[sentence for one in each for sentence in one.losses],
        facts=facts,
        seconds=sum(one.seconds for one in each),
    )


def _importance(
    each: list[ExplainedCluster], which: int, encoder: int, channels: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """Shares of one cluster's channels by one encoder, and how far they differ from other clusters."""
    own = each[which].by_encoder[encoder]
    rest = [one.by_encoder[encoder] for i, one in enumerate(each) if i != which]
    others = np.concatenate([np.zeros((0, *own.shape[1:])), *rest])
    return channel_importance(own, channels, seed).assign(**channel_contrast(own, others, seed))


def nothing(n_channels: int, length: int, facts: dict[str, float], why: str) -> ClusterExplanations:
    """What is found where no cluster can be explained, and why none can."""
    no_relevance = np.zeros((0, n_channels, length), dtype=np.float32)
    return ClusterExplanations(
        relevance=no_relevance,
        windows=pd.DataFrame(columns=[*CONSERVATION, REASONS]),
        importance=pd.DataFrame(columns=["cluster", "channel", "absolute", "signed", *LEADS, "z_score", REASONS]),
        maps=no_relevance,
        clusters=[],
        quality=pd.DataFrame(columns=["cluster", "ranking", "channel_deletion", "flip_rate", REASONS]),
        properties=pd.DataFrame(columns=["cluster", *PROPERTY_COLUMNS]),
        bins=pd.DataFrame(columns=["cluster", "channel", "signed"]),
        agreements={},
        target_sizes={},
        losses=[],
        facts=facts,
        seconds=0.0,
        why_none=why,
    )
