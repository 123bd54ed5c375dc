"""Which anomalous windows are explained, and by which scalar: choices of `conf/anomalies`."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

N_NORMAL = 512  # normal windows that statistics and usual targets are taken from


class AnomalySettings(Settings, ABC):
    """A choice of `conf/anomalies`.

    The `count` windows with the highest scores are explained; 0 explains none. Each is compared with
    `n_normal_windows` normal windows near it in the embedding, shifted in time by up to `max_shift` (as a share of a
    window) to where they fit best.
    """

    count: int = Field(ge=0)
    n_normal_windows: int = Field(ge=1)
    max_shift: float = Field(ge=0.0, le=1.0)
    batch_size: int = Field(ge=1)

    @abstractmethod
    def network(self, series: EmbeddedSeries, normal: IntArray, usual: IntArray) -> "tuple[nn.Module, FloatArray]":
        """The target, (window, channel, time) -> (window,), and its values (usual window,) in usual windows.

        Args:
            normal: positions of all normal windows.
            usual: positions of up to `N_NORMAL` of them.
        """


class DistanceAnomalies(AnomalySettings):
    """Why is it so far from normal windows? Mean squared distance to the k nearest in the embedding."""

    k: int = Field(ge=1)

    def network(self, series: EmbeddedSeries, normal: IntArray, usual: IntArray) -> "tuple[nn.Module, FloatArray]":
        import torch
        from torch import nn

        from clusterwhy.explanations.target_heads import Distance

        head = Distance(series.embeddings[normal], self.k)
        usual_targets = head(torch.as_tensor(series.embeddings[usual])).numpy()
        return nn.Sequential(series.encoder, head).eval(), usual_targets


class MaskedPredictionAnomalies(AnomalySettings):
    """Why is it so badly predicted? Masked-prediction error relative to its usual value, as in the detector."""

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)

    def network(self, series: EmbeddedSeries, normal: IntArray, usual: IntArray) -> "tuple[nn.Module, FloatArray]":
        from clusterwhy.encoders.masked import masked_errors, usual_errors
        from clusterwhy.explanations.target_heads import MaskedPredictionError

        length, starts = series.length, series.starts[usual]
        errors = masked_errors(series.encoder, series.values, starts, length, self.n_parts, self.block, self.batch_size)
        scale = usual_errors(errors)
        target = MaskedPredictionError(series.encoder, length, self.n_parts, self.block, scale)
        return target.eval(), (errors / scale).mean(axis=1)
