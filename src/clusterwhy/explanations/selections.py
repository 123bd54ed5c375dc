"""Explain windows that a user selected, as if they were a cluster."""

from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class Selection:
    """What distinguishes chosen windows from all others, by the settings of a study; explained in parts.

    The relevance of a window does not depend on the part that it is explained in, except for what a method draws at
    random for each window.

    Attributes:
        series: of all windows.
        chosen: positions of windows; some, not all.
        settings: its `members` are not used.
    """

    series: EmbeddedSeries
    chosen: IntArray
    settings: ExplanationSettings

    @cached_property
    def task(self) -> AttributionTask:
        """Membership in the selection, which all parts share.

        Raises:
            ConfigError: there is no network.
            DataError: fewer than two windows, all windows, or positions out of range.
        """
        series, settings = self.series, self.settings
        series.check_network()
        chosen, n_windows = np.unique(self.chosen), len(series.starts)
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
        others = series.windows_outside(labels, 1, settings.seed)
        return AttributionTask(network, settings.composite, settings.canonizer.name, series.box, others)

    def explain(self, part: IntArray) -> ExplainedSelection:
        """Relevance of some of the chosen windows, in order of time.

        Raises:
            ConfigError: there is no network.
            DataError: the selection is invalid, or windows of the part are not in it.
        """
        task, part = self.task, np.unique(part)
        if len(strange := np.setdiff1d(part, self.chosen)) or not len(part):
            raise DataError("selection", [f"a part has windows of the selection, got others: {strange[:5].tolist()}"])
        found = self.settings.attributor.explain(task, self.series.windows(part), self.settings.seed)
        return ExplainedSelection(part, found, tuple(losses_in(found.provenance)))
