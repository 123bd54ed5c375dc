"""Windows, references and targets, checked in one place for every function that explains them."""

from collections.abc import Callable

import torch
from torch import nn

from clusterwhy.errors import ShapeError
from clusterwhy.types import FloatArray

# a unit of the network's output, a function or module from the output to (window,), or None for the output itself
Target = int | Callable[[torch.Tensor], torch.Tensor] | None

PREFIX = "network."  # of the layers of a network with a head behind it


def as_windows(windows: FloatArray | torch.Tensor) -> torch.Tensor:
    """Windows (window, channel, time) as a tensor.

    Raises:
        ShapeError: they have another shape, are none, or are not finite floating point numbers.
    """
    found = torch.as_tensor(windows)
    if found.ndim != 3 or not len(found) or not found.is_floating_point():
        raise ShapeError(
            "expected windows (window >= 1, channel, time) of float32 or float64, got "
            f"{tuple(found.shape)} {str(found.dtype).removeprefix('torch.')}"
        )
    return _finite("windows", found)


def as_references(references: FloatArray | torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """References (reference, channel, time), perhaps none, as a tensor of the type of the windows.

    Raises:
        ShapeError: they have another shape, or other channels or samples than the windows, or are not finite.
    """
    found = torch.as_tensor(references, dtype=windows.dtype)
    if found.ndim != 3 or found.shape[1:] != windows.shape[1:]:
        raise ShapeError(
            f"expected references (reference, channel, time) like windows {tuple(windows.shape)}, got "
            f"{tuple(found.shape)}"
        )
    return _finite("references", found)


def as_references_of_each(references: FloatArray | torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    """References (window, reference, channel, time) of each window, or (reference, channel, time) for all of them.

    Raises:
        ShapeError: they have another shape, other channels or samples than the windows, are none, or are not finite.
    """
    found = torch.as_tensor(references)
    fits = found.ndim == 3 or (found.ndim == 4 and len(found) == len(windows))
    if not fits or found.shape[-2:] != windows.shape[1:] or not found.shape[-3]:
        raise ShapeError(
            "expected references (reference >= 1, channel, time) for all windows or (window, reference >= 1, channel, "
            f"time) like windows {tuple(windows.shape)}, got {tuple(found.shape)}"
        )
    return _finite("references", found)


def _finite(name: str, values: torch.Tensor) -> torch.Tensor:
    broken = ~values.isfinite().flatten(1).all(dim=1)
    if broken.any():
        first = int(broken.nonzero()[0, 0])
        raise ShapeError(
            f"expected finite {name}, got NaN or infinite values in {int(broken.sum())} of {len(values)} (the first is "
            f"number {first}): fill or leave out what is missing"
        )
    return values


def as_scalars(output: torch.Tensor, n_windows: int) -> torch.Tensor:
    """The output of a network with its target, (window,), as it is.

    Raises:
        ShapeError: it is not one scalar per window.
    """
    if output.shape != (n_windows,):
        raise ShapeError(f"expected a target (window,), got {tuple(output.shape)}: choose one scalar per window")
    return output


class Unit(nn.Module):
    """One unit of an output (window, unit): a class, or a feature of an embedding."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, output: torch.Tensor) -> torch.Tensor:
        """(window, unit) -> (window,)."""
        return output[:, self.index]


class NetworkWithTarget(nn.Module):
    """A network with the target behind it."""

    def __init__(self, network: nn.Module, head: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        return self.head(self.network(windows))


def with_target(network: nn.Module, target: Target) -> nn.Module:
    """The network (window, channel, time) -> (window,) of a target; the network itself where there is none."""
    if target is None:
        return network
    made = NetworkWithTarget(network, Unit(target) if isinstance(target, int) else target)
    made.training = network.training  # of this module alone: `train()` would reach into the network
    return made


def target_name(target: Target) -> str:
    """What a target is called in provenance."""
    return "output" if target is None else f"unit {target}" if isinstance(target, int) else type(target).__name__
