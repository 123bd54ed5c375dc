"""Explain windows that a user selected, as if they were a cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.errors import DataError
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.propagation.losses import losses_in
from clusterwhy.types import IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance


@dataclass(frozen=True)
class ExplainedSelection:
    """Relevance of windows of a selection.

    Attributes:
        windows: (explained window,) positions.
        relevance: of the membership of each window in the selection.
        losses: where relevance is lost, in words.
    """

    windows: IntArray
    relevance: "Relevance"
    losses: tuple[str, ...] = ()


def explain_selection(
    series: EmbeddedSeries, chosen: IntArray, settings: ExplanationSettings, max_windows: int
) -> ExplainedSelection:
    """What distinguishes chosen windows from all others, by the settings of a study.

    Args:
        chosen: positions of windows; some, not all.
        settings: its `members` are not used.
        max_windows: explained windows, a seeded draw of the chosen.

    Raises:
        ConfigError: there is no network.
        DataError: fewer than two windows, all windows, or positions out of range.
    """
    series.check_network()
    chosen, n_windows = np.unique(chosen), len(series.starts)
    faults = []
    if len(chosen) and not 0 <= chosen[0] <= chosen[-1] < n_windows:
        faults.append(f"windows are numbered 0 to {n_windows - 1}, got {chosen[0]} to {chosen[-1]}")
    elif not 2 <= len(chosen) < n_windows:
        faults.append(f"choose two windows or more of the {n_windows}, but not all of them; got {len(chosen)}")
    if faults:
        raise DataError("selection", faults)
    from clusterwhy.encoders.masked import best_device

    series.encoder.to(best_device())
    labels = np.zeros(n_windows, dtype=np.int64)
    labels[chosen] = 1
    network = settings.target.networks(series.encoder, series.embeddings, labels, settings.seed)[0][1]
    drawn = np.sort(np.random.default_rng(settings.seed).permutation(chosen)[:max_windows])
    others = series.windows_outside(labels, 1, settings.seed)
    task = AttributionTask(network, settings.composite, settings.canonizer.name, series.box, others)
    found = settings.attributor.explain(task, series.windows(drawn), settings.seed)
    return ExplainedSelection(drawn, found, tuple(losses_in(found.provenance)))
