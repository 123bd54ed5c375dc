"""Relevance of windows that were asked for, as an array and as a table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.errors import MethodError
from clusterwhy.types import FloatArray


@dataclass(frozen=True)
class ExplainedWindows:
    """Why each of some windows belongs to its cluster, or what keeps it out of the nearest one.

    Attributes:
        windows: one row per window, in the order in which they were asked for: `window`, its `cluster` (-1 is noise),
            `explained_cluster` (its own, or of noise the nearest one), `reference` (the most similar of the windows
            that it is compared with; -1 if that is in another recording), `target`, `gap` (share of the target that
            relevance does not add up to), `encoders` (over which relevance is the mean).
        values: (window, channel, time) relevance, in units of the target.
        signals: (window, channel, time) as recorded.
        channels: their names.
        dt_s: seconds between samples.
    """

    windows: pd.DataFrame
    values: FloatArray
    signals: FloatArray
    channels: tuple[str, ...]
    dt_s: float

    def to_frame(self) -> pd.DataFrame:
        """One row per window, channel and sample: `value` as recorded, `relevance`; `second` counts from its start."""
        n_windows, n_channels, length = self.values.shape
        columns = {
            "window": np.repeat(self.windows["window"].to_numpy(), n_channels * length),
            "channel": np.tile(np.repeat(np.asarray(self.channels, dtype=object), length), n_windows),
            "second": np.tile(np.arange(length) * self.dt_s, n_windows * n_channels),
        }
        return pd.DataFrame({**columns, "value": self.signals.ravel(), "relevance": self.values.ravel()})

    def by_channel(self) -> pd.DataFrame:
        """(window, channel) relevance, summed over time."""
        index, columns = pd.Index(self.windows["window"], name="window"), pd.Index(self.channels, name="channel")
        return pd.DataFrame(self.values.sum(axis=2), index=index, columns=columns)


def choices(method: str | None, composite: str | None) -> dict[str, Any]:
    """The settings of an explanation that differ from those of the study."""
    from clusterwhy.attribution.registry import method_of
    from clusterwhy.propagation.canonizer import CanonizerSettings

    if method is not None and composite is not None:
        raise MethodError(f"expected a method or a composite, got {method!r} and {composite!r}")
    name = f"lrp_{composite}" if composite is not None else method
    if name is None:
        return {}
    found = method_of(name)
    canonizer = CanonizerSettings(name=found.canonizer)
    return {"attributor": found.attributor, "composite": found.composite, "canonizer": canonizer}
