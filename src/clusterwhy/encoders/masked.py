"""A backbone with two outlets: an embedding per window, and a prediction of masked values."""

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from clusterwhy.data.windows import windows_at
from clusterwhy.types import FloatArray, IntArray


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
        # the same head as tsai's MVP callback puts on a backbone while pre-training
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
        for first in tqdm(range(0, len(starts), batch_size), desc="embed", unit="batch", disable=None):
            batch = windows_at(values, starts[first : first + batch_size], length)
            parts.append(encoder(torch.from_numpy(batch).to(device)).cpu().numpy())
    return np.concatenate(parts)
