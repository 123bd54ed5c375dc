"""Relevance of windows: what every explanation gives, whether it adds up, and how to look at it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from clusterwhy.errors import ShapeError
from clusterwhy.metrics.shares import signed_shares
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd


NOTHING = "nothing"  # entry of the provenance: why windows have no relevance


@dataclass(frozen=True)
class Relevance:
    """An explanation of windows.

    Attributes:
        values: (window, channel, time) with sign, in units of the target.
        target: (window,) the scalar that was explained.
        bias_share: (window,) what biases absorbed, as a share of the target; NaN where the engine does
            not know.
        provenance: every choice that was made, in words. Its `notes` tell what was folded or replaced, and where
            relevance was lost if it is more than `metrics.shares.TOLERATED_LOSS` of the target of a window.
        constant_share: (window,) what constants of the network took that it adds to, joins with or writes into data
            (positions, learned tokens, numbers), as a share of the target; one 0 where there are none, NaN where the
            engine does not know.
        windows: (window, channel, time) what was explained, for `to_frame` and `plot_relevance`; None where not kept.
    """

    values: FloatArray
    target: FloatArray
    bias_share: FloatArray
    provenance: dict[str, Any] = field(default_factory=dict)
    constant_share: FloatArray = field(default_factory=lambda: np.zeros(()))
    windows: FloatArray | None = None

    @property
    def gap(self) -> FloatArray:
        """(window,) 1 - sum(values) / target: what biases absorbed, constants took or a missing rule leaked."""
        total = self.values.sum(axis=(1, 2), dtype=np.float64)
        return 1.0 - total / np.where(self.target == 0, np.nan, self.target)

    @property
    def lost_share(self) -> FloatArray:
        """(window,) the rest of the gap: stabilisers, and sums without a positive part."""
        return self.gap - self.bias_share - self.constant_share

    def to_frame(self, channels: Sequence[str] | None = None, rate_hz: float | None = None) -> "pd.DataFrame":
        """A row per window, channel and sample: `value` that the network read, if it was kept, and `relevance`.

        Args:
            channels: their names; None: their positions.
            rate_hz: samples per second, for a column `second` that counts from the start of the window.

        Raises:
            ShapeError: not one name per channel, or a rate that is not positive.
        """
        import pandas as pd

        n_windows, n_channels, length = self.values.shape
        names = np.asarray(channel_names(channels, n_channels), dtype=object if channels is not None else None)
        sample = np.tile(np.arange(length), n_windows * n_channels)
        columns: dict[str, Any] = {
            "window": np.repeat(np.arange(n_windows), n_channels * length),
            "channel": np.tile(np.repeat(names, length), n_windows),
            "sample": sample,
        }
        if rate_hz is not None:
            columns["second"] = sample * seconds_per_sample(rate_hz)
        if self.windows is not None:
            columns["value"] = self.windows.ravel()
        return pd.DataFrame({**columns, "relevance": self.values.ravel()})

    def _repr_html_(self) -> str:
        """What a notebook shows: a row per window, which channels lead, whether relevance adds up."""
        import pandas as pd

        shares = signed_shares(self.values)
        leading = np.argsort(-np.abs(shares), axis=1)[:, :3]
        rows = pd.DataFrame(
            {
                "target": self.target,
                "sum of relevance": self.values.sum(axis=(1, 2), dtype=np.float64),
                "gap": self.gap,
                "biases' share": self.bias_share,
                "constants' share": np.broadcast_to(self.constant_share, self.target.shape),
                "leading channels": [
                    ", ".join(f"{c} ({row[c]:+.0%})" for c in order) for row, order in zip(shares, leading, strict=True)
                ],
            }
        )
        rows.index.name = "window"
        shape = " x ".join(map(str, self.values.shape))
        choices = escape(", ".join(f"{key}: {value}" for key, value in self.provenance.items()))
        table = rows.to_html(max_rows=12, na_rep="undefined", float_format=lambda value: f"{value:.4g}")
        return f"<p>relevance (window x channel x time): {shape}</p>{table}<p>{choices}</p>"


def channel_names(channels: Sequence[str] | None, count: int) -> Sequence[Any]:
    """The names as they are given, or positions.

    Raises:
        ShapeError: not one name per channel.
    """
    if channels is None:
        return range(count)
    if isinstance(channels, str) or len(channels) != count:
        raise ShapeError(f"expected {count} names of channels, got {channels!r}")
    return list(channels)


def seconds_per_sample(rate_hz: float | None) -> float:
    """1 / rate, or 1 where none is given.

    Raises:
        ShapeError: a rate that is not positive.
    """
    if rate_hz is None:
        return 1.0
    if not rate_hz > 0:
        raise ShapeError(f"expected `rate_hz` above 0 samples per second, got {rate_hz}")
    return 1.0 / rate_hz
