"""Explain the strangest windows of a study: which channels, at which moments, made each unlike normal ones."""

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.aggregation import signed_shares
from clusterwhy.explanations.normal_windows import allowed_starts, fitting_references
from clusterwhy.metrics.faithfulness import replace_channels, statistics_z
from clusterwhy.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.encoders.masked import MaskedEncoder

log = logging.getLogger(__name__)
N_RANDOM_RANKINGS = 8
N_NORMAL = 512  # normal windows that statistics and usual targets are taken from


class AnomalySettings(Settings, ABC):
    """A choice of `conf/anomalies`: which windows are explained, and against which normal ones.

    A `count` of 0 explains none.

    Relevance is that of the difference to references: normal windows near in the embedding, moved in time to
    where they fit best (`reach`, as a share of a window).
    """

    count: int = Field(ge=0)
    n_references: int = Field(ge=1)
    reach: float = Field(ge=0.0, le=1.0)
    batch_size: int = Field(ge=1)

    @abstractmethod
    def network(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, values: FloatArray, starts: IntArray, length: int
    ) -> "nn.Module":
        """The target, (window, channel, time) -> (window,).

        Args:
            embeddings: (window, feature) of normal windows.
            values: (time, channel).
            starts: first samples of normal windows.
            length: samples in one window.
        """


class DistanceAnomalies(AnomalySettings):
    """Why is it so far from normal windows? Mean squared distance to the k nearest in the embedding."""

    k: int = Field(ge=1)

    def network(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, values: FloatArray, starts: IntArray, length: int
    ) -> "nn.Module":
        from torch import nn

        from clusterwhy.explanations.target_heads import Distance

        return nn.Sequential(encoder, Distance(embeddings, self.k)).eval()


class MaskedPredictionAnomalies(AnomalySettings):
    """Why is it so badly predicted? Masked-prediction error over its usual value, as the detector has it."""

    n_parts: int = Field(ge=2)
    block: int = Field(ge=1)

    def network(
        self, encoder: "MaskedEncoder", embeddings: FloatArray, values: FloatArray, starts: IntArray, length: int
    ) -> "nn.Module":
        from clusterwhy.encoders.masked import masked_errors, usual_errors
        from clusterwhy.explanations.target_heads import MaskedPredictionError

        errors = masked_errors(encoder, values, starts, length, self.n_parts, self.block, self.batch_size)
        return MaskedPredictionError(encoder, length, self.n_parts, self.block, usual_errors(errors)).eval()


@dataclass(frozen=True)
class AnomalyExplanations:
    """Relevance of the strangest windows and what follows from it.

    Attributes:
        relevance: (explained window, channel, time), signed; adds up to the difference of the target.
        windows: one row per explained window, the strangest first: `window`, `score`, `anomalous` (above the
            threshold), `target` (difference to its references), `relevance_sum`, `gap`, `references` (first
            samples).
        channels: one row per explained window and channel: `share` (signed, of |relevance|), `z_score`, and
            `detector_share` where the detector has parts per channel.
        quality: one row per ranking: `replacement_area`, `flip_rate` (share of windows whose target falls to what
            is usual with a third of the channels replaced by those of their best reference).
        seconds: time spent in attribution.
    """

    relevance: FloatArray
    windows: pd.DataFrame
    channels: pd.DataFrame
    quality: pd.DataFrame
    seconds: float


def strangest(scores: FloatArray, starts: IntArray, length: int, count: int) -> IntArray:
    """Positions of up to `count` windows with the highest scores that do not overlap, the strangest first."""
    chosen: list[int] = []
    for window in np.argsort(-scores, kind="stable"):
        if all(abs(starts[window] - starts[other]) >= length for other in chosen):
            chosen.append(int(window))
            if len(chosen) == count:
                break
    return np.array(chosen, dtype=np.int64)


def explain_anomalies(
    encoder: "MaskedEncoder",
    values: FloatArray,
    index: pd.DataFrame,
    embeddings: FloatArray,
    scores: FloatArray,
    anomalous: BoolArray,
    detector_channels: FloatArray | None,
    channels: tuple[str, ...],
    how: AnomalySettings,
    seed: int,
) -> AnomalyExplanations:
    """Explain the windows with the highest scores against their nearest normal windows.

    Args:
        values: (time, channel), scaled as in training.
        index: the window index.
        embeddings: (window, feature).
        scores: (window,) anomaly scores.
        anomalous: (window,) above the threshold.
        detector_channels: (window, channel) parts of the scores, where the detector has them.
    """
    from clusterwhy.attribution.differences import explain_difference
    from clusterwhy.encoders.masked import best_device

    starts = index["start"].to_numpy()
    length = int(index["stop"].iloc[0] - starts[0])
    if how.count == 0:
        return _nothing(len(channels), length)
    chosen = strangest(np.asarray(scores), starts, length, how.count)
    clear = allowed_starts(starts, length, starts[np.union1d(chosen, np.flatnonzero(anomalous))], len(values))
    normal = np.flatnonzero(clear[starts] & index["train"].to_numpy())
    if len(normal) < how.n_references:
        log.warning(
            "anomalies are not explained: %d normal windows clear of them, %d references needed",
            len(normal),
            how.n_references,
        )
        return _nothing(len(channels), length)
    began = time.monotonic()
    encoder = encoder.to(best_device())
    embeddings = np.asarray(embeddings)
    rng = np.random.default_rng(seed)
    some = starts[np.sort(rng.permutation(normal)[:N_NORMAL])]
    usual = windows_at(values, some, length)
    windows = windows_at(values, starts[chosen], length)
    distances = np.square(embeddings[chosen][:, None] - embeddings[normal][None]).sum(axis=2)
    near = starts[normal][np.argsort(distances, axis=1, kind="stable")[:, : 4 * how.n_references]]
    found = fitting_references(values, windows, near, clear, how.n_references, round(how.reach * length))
    references = windows_at(values, found.ravel(), length).reshape(*found.shape, *windows.shape[1:])
    network = how.network(encoder, embeddings[normal], values, some, length).to(best_device())
    explained = explain_difference(network, windows, references, None, how.batch_size)
    seconds = time.monotonic() - began
    z = statistics_z(windows, usual)
    table = pd.DataFrame(
        {
            "window": np.repeat(index["window"].to_numpy()[chosen], len(channels)),
            "channel": np.tile(np.array(channels, dtype=object), len(chosen)),
            "share": signed_shares(explained.values).ravel(),
            "z_score": z.ravel(),
        }
    )
    parts = None if detector_channels is None else np.asarray(detector_channels)[chosen]
    if parts is not None:
        table["detector_share"] = (parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)).ravel()
    rows = pd.DataFrame(
        {
            "window": index["window"].to_numpy()[chosen],
            "score": scores[chosen],
            "anomalous": anomalous[chosen],
            "target": explained.target,
            "relevance_sum": explained.values.sum(axis=(1, 2), dtype=np.float64),
            "gap": explained.gap,
            "references": [row.tolist() for row in found],
        }
    )
    rankings = {"relevance": explained.values.sum(axis=2), "detector": parts, "z_score": z}
    quality = _quality(network, windows, references[:, 0], usual, rankings, rng, how.batch_size)
    return AnomalyExplanations(explained.values, rows, table, quality, seconds)


def _quality(
    network: "nn.Module",
    windows: FloatArray,
    replacements: FloatArray,
    usual: FloatArray,
    rankings: dict[str, FloatArray | None],
    rng: np.random.Generator,
    batch_size: int,
) -> pd.DataFrame:
    """How fast what is strange about windows goes while channels come from the best fitting normal window."""
    import torch

    device = next(network.parameters()).device

    def target(batch: FloatArray) -> FloatArray:
        with torch.inference_mode():
            parts = [network(torch.from_numpy(part).to(device)).cpu() for part in _batches(batch, batch_size)]
        found: FloatArray = torch.cat(parts).numpy()
        return found

    level = float(np.quantile(target(usual), 0.99))
    order = np.tile(np.arange(windows.shape[1]), (len(windows), 1))
    orders = {n: [np.argsort(-r, axis=1, kind="stable")] for n, r in rankings.items() if r is not None}
    orders["random"] = [rng.permuted(order, axis=1) for _ in range(N_RANDOM_RANKINGS)]
    found = replace_channels(lambda batch: target(batch) - level, windows, replacements, orders)
    return pd.DataFrame(
        [{"ranking": name, "replacement_area": one.area, "flip_rate": one.flip_rate} for name, one in found.items()]
    )


def _batches(windows: FloatArray, size: int) -> list[FloatArray]:
    return [windows[first : first + size] for first in range(0, len(windows), size)]


def _nothing(n_channels: int, length: int) -> AnomalyExplanations:
    windows: dict[str, Any] = {
        name: [] for name in ("window", "score", "anomalous", "target", "relevance_sum", "gap", "references")
    }
    return AnomalyExplanations(
        relevance=np.zeros((0, n_channels, length), dtype=np.float32),
        windows=pd.DataFrame(windows),
        channels=pd.DataFrame({"window": [], "channel": [], "share": [], "z_score": []}),
        quality=pd.DataFrame({"ranking": [], "replacement_area": [], "flip_rate": []}),
        seconds=0.0,
    )
