"""An example of a network of one's own: two convolutions and the mean and maximum over time."""

import torch
from torch import nn


class Tower(nn.Module):
    """Windows (window, channel, time) -> embeddings (window, 2 x n_features)."""

    def __init__(self, n_channels: int, n_features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(n_channels, n_features, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(n_features, n_features, 9, padding=4),
            nn.ReLU(),
        )

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window, feature)."""
        maps = self.layers(windows)
        return torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)
