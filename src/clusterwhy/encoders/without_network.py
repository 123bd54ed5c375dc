"""The stand-in for the network of a study whose vectors were given."""

from typing import NoReturn

import torch
from torch import nn

from clusterwhy.errors import ConfigError

WHY = "vectors were given without a network (`encoder=own` takes the network)"


class WithoutNetwork(nn.Module):
    """Has no weights, embeds nothing and predicts nothing."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Nothing.

        Raises:
            ConfigError: always.
        """
        refuse()


def lacks_network(module: nn.Module) -> bool:
    """Whether a module is, or runs, such a stand-in."""
    return any(isinstance(one, WithoutNetwork) for one in module.modules())


def check_network(encoder: nn.Module) -> None:
    """Refuse the stand-in.

    Raises:
        ConfigError: there is no network.
    """
    if lacks_network(encoder):
        refuse()


def refuse() -> NoReturn:
    """Say that there is no network.

    Raises:
        ConfigError: always.
    """
    raise ConfigError("encoder", [f"nothing can be explained or embedded: {WHY}"])
