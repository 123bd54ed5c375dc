"""Why are these windows not like those? Two groups of windows, each explained against the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clusterwhy.compute.seeding import drawn
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.explanations.cluster_tables import ClusterExplanations
from clusterwhy.explanations.clusters import explain_clusters
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.metrics.window_classifier import WindowClassifier
from clusterwhy.types import IntArray

THESE, THOSE = 0, 1  # numbers of both groups in the tables
MOST_LEARNED = 2000  # windows that a classifier learns the groups from


@dataclass(frozen=True)
class Contrast:
    """What sets two groups of windows apart.

    Attributes:
        explained: tables in which both groups are clusters: `THESE` and `THOSE`, each compared with the other.
        accuracy: balanced accuracy, in cross-validation, of a classifier of raw windows that tells the groups apart;
            0.5 is chance. NaN where a group lies in too few stretches of time.
    """

    explained: ClusterExplanations
    accuracy: float


def contrast(
    series: EmbeddedSeries,
    these: IntArray,
    those: IntArray,
    settings: ExplanationSettings,
    replicates: Sequence[EmbeddedSeries] = (),
    workers: Workers = HERE,
) -> Contrast:
    """Explain two groups of windows against each other, as clusters are explained: no other window takes part.

    Args:
        these, those: positions of windows, two or more each, none in both.
        settings: as of clusters; its `members` choose which windows of a group are explained.
        replicates: the same series with encoders of other seeds.
        workers: where both groups are explained.

    Raises:
        ConfigError: there is no network.
    """
    series.check_network()
    positions = np.concatenate([these, those])
    labels = np.repeat([THESE, THOSE], [len(these), len(those)])

    def part(one: EmbeddedSeries) -> EmbeddedSeries:
        index = one.index.iloc[positions].reset_index(drop=True)
        return replace(one, index=index, embeddings=np.asarray(one.embeddings)[positions])

    own = part(series)
    strengths = np.ones(len(labels))
    explained = explain_clusters(own, labels, strengths, settings, workers, None, [part(one) for one in replicates])
    few = np.ones(len(labels), dtype=bool) if len(labels) <= MOST_LEARNED else drawn(len(labels), MOST_LEARNED, 0)
    learned, blocks = np.flatnonzero(few), own.starts[few] // (2 * series.length)
    classifier = WindowClassifier(own.windows(learned), labels[learned], blocks, settings.seed)
    return Contrast(explained, classifier.accuracy)
