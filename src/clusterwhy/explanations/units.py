"""Properties of channels in the units of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clusterwhy.explanations.relations import RELATION, TIMING

SHAPE = "shape"


@dataclass(frozen=True)
class Units:
    """How scaled values are told in units.

    Attributes:
        channels: names.
        units: of each, "" where unknown.
        centre, scale: (channel,) what was subtracted and divided by.
        rate_hz: samples per second.
    """

    channels: Sequence[str]
    units: Sequence[str]
    centre: Sequence[float]
    scale: Sequence[float]
    rate_hz: float

    def told(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of `property_table` or `hidden_groups` with values in units, and a column `unit`."""
        names = list(self.channels)
        texts, columns = [], {column: table[column].to_numpy(dtype=float, copy=True) for column in ("own", "usual")}
        for row, (channel, name) in enumerate(zip(table["channel"], table["property"], strict=True)):
            i = names.index(str(channel))
            times, plus = {
                "level": (self.scale[i], self.centre[i]),
                "spread": (self.scale[i], 0.0),
                "change": (self.scale[i], 0.0),
                "slope": (self.scale[i] * self.rate_hz, 0.0),
                "frequency": (self.rate_hz, 0.0),
                TIMING: (1.0 / self.rate_hz, 0.0),
            }.get(str(name), (1.0, 0.0))
            for values in columns.values():
                values[row] = values[row] * times + plus
            unit = self.units[i]
            slopes = f"{unit}/s" if unit else "per s"
            others = {"frequency": "Hz", "slope": slopes, SHAPE: "", RELATION: "", TIMING: "s"}
            texts.append(others.get(str(name), unit))
        return table.assign(**columns, unit=texts)
