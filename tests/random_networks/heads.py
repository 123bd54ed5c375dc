"""Heads of random networks: (window, channel, time) -> (window,)."""

import random
from collections.abc import Callable

import torch
from torch import nn

from tests.random_networks.blocks import Apply, Of, chance
from tests.random_networks.recurrent import last_state


def _weighed(x: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return (x * torch.softmax(scores, dim=-1)).sum(dim=-1)


def head(rng: random.Random, channels: int, time: int, of_all: bool) -> nn.Module:
    """Features of the whole window, and a layer to one scalar or the difference of two.

    Args:
        of_all: or only of operations that zennit has rules for.
    """
    ways: list[Callable[[], nn.Module]] = [
        lambda: nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
        lambda: nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(channels * time, 4), nn.ReLU()),
        lambda: Apply("mean", lambda x: x.mean(dim=-1)),
        lambda: Apply("slice", lambda x: x[:, :, -1]),
        lambda: Apply("flatten", lambda x: x.flatten(1)),
        lambda: Apply("maximum", lambda x: torch.cat([x.max(dim=2)[0], x.mean(dim=2)], dim=1)),
    ]
    if of_all:
        ways += [
            lambda: last_state(rng, channels, time),
            lambda: last_state(rng, channels, time),
            # steps weighed by a softmax (Yang et al. 2016)
            lambda: Of(
                "weighed", lambda x, y: (x * torch.softmax(y, -1)).sum(-1), nn.Identity(), nn.Conv1d(channels, 1, 1)
            ),
        ]
    made = rng.choice(ways)()
    with torch.no_grad():
        n_features = made.double().eval()(torch.zeros(1, channels, time, dtype=torch.float64)).shape[1]
    if chance(rng, 0.2):
        two = nn.Linear(n_features, 2, bias=chance(rng, 0.7))
        return nn.Sequential(made, two, Apply("difference", lambda x: x[:, 1] - x[:, 0]))
    return nn.Sequential(made, nn.Linear(n_features, 1, bias=chance(rng, 0.7)), nn.Flatten(0))
