"""Explain windows that a person chose, as if they were a cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import DataError
from clusterwhy.explanations.clusters import HowToExplain, outside
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder
    from clusterwhy.propagation.explainer import Relevance


@dataclass(frozen=True)
class ExplainedSelection:
    """Relevance of the membership of windows in a selection.

    Attributes:
        windows: (explained window,) which of those that were chosen.
        relevance: of the target "in the selection, and not in the rest".
    """

    windows: IntArray
    relevance: "Relevance"


def explain_selection(
    encoder: "MaskedEncoder",
    values: FloatArray,
    starts: IntArray,
    length: int,
    embeddings: FloatArray,
    chosen: IntArray,
    how: HowToExplain,
    most: int,
) -> ExplainedSelection:
    """What tells chosen windows from all others, by the target, the rules and the attributor of a study.

    Args:
        encoder: in evaluation mode.
        values: (time, channel), scaled as in training.
        starts: (window,) first sample of each.
        length: of a window, in samples.
        embeddings: (window, feature).
        chosen: positions of windows; some, not all.
        how: target, canonizer, composite, attributor, seed.
        most: windows that are explained, a seeded draw of the chosen.

    Raises:
        DataError: fewer than two windows, or all of them, or windows that there are not.
    """
    chosen = np.unique(chosen)
    faults = []
    if len(chosen) and not 0 <= chosen[0] <= chosen[-1] < len(starts):
        faults.append(f"windows are numbered 0 to {len(starts) - 1}, got {chosen[0]} to {chosen[-1]}")
    elif not 2 <= len(chosen) < len(starts):
        faults.append(f"choose two windows or more of the {len(starts)}, but not all of them; got {len(chosen)}")
    if faults:
        raise DataError("selection", faults)
    from clusterwhy.encoders.masked import best_device

    encoder = encoder.to(best_device())
    labels = np.zeros(len(starts), dtype=np.int64)
    labels[chosen] = 1
    network = how.target.networks(encoder, np.asarray(embeddings), labels, how.seed)[0][1]
    drawn = np.sort(np.random.default_rng(how.seed).permutation(chosen)[:most])
    box = np.asarray(values.min(axis=0)), np.asarray(values.max(axis=0))
    rest = outside(values, starts, labels, 1, length, how.seed)
    task = AttributionTask(network, how.composite, how.canonizer.name, box, rest)
    return ExplainedSelection(drawn, how.attributor.explain(task, windows_at(values, starts[drawn], length), how.seed))
