"""A backbone with two heads: one embeds windows, the other predicts masked values."""

import numpy as np
import torch
from torch import nn

from clusterwhy.compute.progress import progress
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import ConfigError
from clusterwhy.types import FloatArray, IntArray

WITHOUT_PREDICTION = (
    "choose `detector: nearest_neighbours`, `glosh`, `pca_error`, `relation_and_shape`, `matrix_profile` or "
    "`mean_abs_z`, and `anomalies: detector`"
)


class MaskedEncoder(nn.Module):
    """Windows (window, channel, time) -> embeddings (window, feature).

    The embedding is the mean over time of the backbone's feature maps. The pooling is a module,
    not a call, so that a composite can give it a rule.
    """

    def __init__(self, backbone: nn.Module, n_features: int, n_channels: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.flatten = nn.Flatten()
        # the head of tsai's MVP
        self.predictor = nn.Sequential(nn.Dropout(dropout), nn.Conv1d(n_features, n_channels, 1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        embedding: torch.Tensor = self.flatten(self.pool(self.backbone(windows)))
        return embedding

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) with masked values at 0 -> predicted (window, channel, time)."""
        predicted: torch.Tensor = self.predictor(self.backbone(windows))
        return predicted


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_predicts(encoder: nn.Module, setting: str, advice: str) -> None:
    """Refuse an encoder without `predict`, (window, channel, time) with hidden values at 0 -> the same shape.

    Args:
        setting: what needs it, such as "detector".
        advice: what to do.

    Raises:
        ConfigError: it has none.
    """
    if not callable(getattr(encoder, "predict", None)):
        fault = f"needs an encoder that predicts hidden values, and {type(encoder).__name__} has no method `predict`"
        raise ConfigError(setting, [f"{fault}: {advice}"])


def embed(encoder: MaskedEncoder, values: FloatArray, starts: IntArray, length: int, batch_size: int) -> FloatArray:
    """Embeddings of the chosen windows.

    Args:
        values: (time, channel), scaled as in training.
        starts: first sample of each window.

    Returns:
        (window, feature) float32.
    """
    device = best_device()
    encoder = encoder.to(device).eval()
    parts = []
    with torch.inference_mode():
        for first in progress(range(0, len(starts), batch_size), desc="embed", unit="batch"):
            batch = windows_at(values, starts[first : first + batch_size], length)
            parts.append(encoder(torch.from_numpy(batch).to(device)).cpu().numpy())
    return np.concatenate(parts)


def masked_errors(
    encoder: MaskedEncoder,
    values: FloatArray,
    starts: IntArray,
    length: int,
    n_parts: int,
    block: int,
    batch_size: int,
) -> FloatArray:
    """Mean squared errors of predicting hidden values.

    Time is cut into blocks, and every `n_parts`-th block is hidden at once, so that each value is predicted once from
    values of the other blocks.

    Args:
        values: (time, channel), scaled as in training.
        starts: first sample of each window.
        block: samples hidden together.

    Returns:
        (window, channel) float64.
    """
    device = best_device()
    encoder = encoder.to(device).eval()
    errors = []
    for first in progress(range(0, len(starts), batch_size), desc="predict", unit="batch"):
        windows = torch.from_numpy(windows_at(values, starts[first : first + batch_size], length)).to(device)
        errors.append(_squared_errors(encoder, windows, n_parts, block).mean(dim=2).cpu().numpy())
    return np.concatenate(errors).astype(np.float64)


def cell_errors(encoder: MaskedEncoder, windows: FloatArray, n_parts: int, block: int, batch_size: int) -> FloatArray:
    """(window, channel, time) squared errors; `masked_errors` is their mean over time."""
    device = best_device()
    encoder = encoder.to(device).eval()
    batches = torch.from_numpy(windows).split(batch_size)
    return np.concatenate(
        [_squared_errors(encoder, batch.to(device), n_parts, block).cpu().numpy() for batch in batches]
    )


@torch.inference_mode()
def _squared_errors(encoder: MaskedEncoder, windows: torch.Tensor, n_parts: int, block: int) -> torch.Tensor:
    check_predicts(encoder, "masked prediction", WITHOUT_PREDICTION)
    part_of_time = torch.arange(windows.shape[2], device=windows.device) // block % n_parts
    squared = torch.zeros_like(windows)
    for part in range(n_parts):
        hidden = part_of_time == part
        predicted = encoder.predict(windows.masked_fill(hidden, 0.0))
        squared[:, :, hidden] = (predicted - windows)[:, :, hidden] ** 2
    return squared


def usual_errors(errors: FloatArray) -> FloatArray:
    """(channel,) median of the errors (window, channel) of normal windows, at least 1/1000 of the largest median."""
    usual = np.median(errors, axis=0)
    floor = 1e-3 * max(float(usual.max()), 1e-12)
    return np.asarray(np.maximum(usual, floor))
