"""How often a window is explained: once, or as a mean over noisy copies."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.relevance.explaining import Explainer, Relevance


class Attributor(Settings):
    """`once`: one pass; `smooth`: the mean over noisy copies (Smilkov et al. 2017)."""

    kind: Literal["once", "smooth"]
    n_samples: int = Field(ge=1)
    noise_share: float = Field(ge=0.0)  # standard deviation, as a share of the window's range
    batch_size: int = Field(ge=1)

    def explain(self, explainer: "Explainer", windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time); the target is that of the windows without noise."""
        from clusterwhy.relevance.explaining import Relevance

        once = explainer.explain(windows, self.batch_size)
        if self.kind == "once":
            return once
        rng = np.random.default_rng(seed)
        spread = np.ptp(windows, axis=(1, 2), keepdims=True) * self.noise_share
        total, absorbed = np.zeros_like(once.values), np.zeros_like(once.target)
        for _ in range(self.n_samples):
            noise = rng.standard_normal(windows.shape, dtype=np.float32).astype(windows.dtype)
            noisy = explainer.explain(windows + (spread * noise).astype(windows.dtype), self.batch_size)
            total += noisy.values
            absorbed += noisy.bias_share * noisy.target
        share = absorbed / self.n_samples / np.where(once.target == 0, np.nan, once.target)
        return Relevance(total / self.n_samples, once.target, share, once.provenance)
