"""The scalar of a network's output that is explained: a unit, a function, or the output itself."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from clusterwhy.errors import ShapeError

# a unit of the network's output, a function or module from the output to (window,), or None for the output itself
Target = int | Callable[[torch.Tensor], torch.Tensor] | None

PREDICTED = "the unit with the highest value"
PREFIX = "network."  # of the layers of a network with a head behind it


def as_scalars(output: Any, n_windows: int) -> torch.Tensor:
    """The output of a network with its target, (window,).

    One window may come without its axis, as `squeeze()` leaves it.

    Raises:
        ShapeError: it is not one scalar per window.
    """
    if not isinstance(output, torch.Tensor):
        raise ShapeError(how_to_pick(output))
    if output.ndim == 0 and n_windows == 1:
        output = output.reshape(1)
    if output.shape != (n_windows,):
        raise ShapeError(
            f"expected a target (window,), got {tuple(output.shape)}: choose one scalar per window, such as `target=0` "
            "for the first unit of an output (window, unit)"
        )
    if not output.is_floating_point():
        raise ShapeError(
            f"expected a target that is a real number, got {str(output.dtype).removeprefix('torch.')}: choose a logit"
        )
    return output


def how_to_pick(output: Any) -> str:
    """What to do about a network that gives something else than one tensor."""
    kind = type(output).__name__.removeprefix("immutable_")  # as torch.fx calls them
    if isinstance(output, Mapping):
        first = next(iter(output), None)
        what, pick = f"{kind} of {', '.join(map(repr, output))}", f"output[{first!r}]"
    elif isinstance(output, tuple | list):
        what, pick = f"{kind} of {len(output)}", "output[0]"
    else:
        what, pick = kind, "output.logits"
    return (
        f"expected one tensor, the network gives a {what}: choose by a function, such as "
        f"`target=lambda output: {pick}[:, 0]`"
    )


class Unit(nn.Module):
    """One unit of an output (window, unit): a class, or a feature of an embedding."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, output: torch.Tensor) -> torch.Tensor:
        """(window, unit) -> (window,).

        Raises:
            ShapeError: there is no such unit, or the output has other axes.
        """
        if isinstance(output, torch.Tensor):  # a traced value has no shape yet
            self._check(output)
        elif isinstance(output, Mapping | tuple | list):
            raise ShapeError(how_to_pick(output))
        return output[:, self.index]

    def _check(self, output: torch.Tensor) -> None:
        if output.ndim < 2:
            raise ShapeError(
                f"expected an output (window, unit) to take unit {self.index} of, got {tuple(output.shape)}: an output "
                "(window,) is a target already, leave `target` out"
            )
        if not -output.shape[1] <= self.index < output.shape[1]:
            raise ShapeError(
                f"expected a target from 0 to {output.shape[1] - 1}, a unit of the output, got {self.index}"
            )


class NetworkWithTarget(nn.Module):
    """A network with the target behind it."""

    def __init__(self, network: nn.Module, head: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(window, channel, time) -> (window,)."""
        return self.head(self.network(windows))


def with_target(network: nn.Module, target: Target) -> nn.Module:
    """The network (window, channel, time) -> (window,) of a target; the network itself where there is none.

    Raises:
        ShapeError: the target is neither an integer nor a function.
    """
    chosen = as_target(target)
    if chosen is None:
        return network
    made = NetworkWithTarget(network, Unit(chosen) if isinstance(chosen, int) else chosen)
    made.training = network.training  # of this module alone: `train()` would reach into the network
    return made


def as_target(target: Any) -> Target:
    """A target with integers of any kind, such as NumPy's, as `int`.

    Raises:
        ShapeError: it is neither an integer nor a function.
    """
    if target is None or callable(target):
        return target  # type: ignore[no-any-return]
    try:
        if isinstance(target, bool | np.bool_):
            raise TypeError
        return operator.index(target)
    except TypeError:
        raise ShapeError(
            "expected a target that is an int (a unit of the output), a function from the output to (window,) or "
            f"None, got {target!r}"
        ) from None


def target_name(target: Target) -> str:
    """What a target is called in provenance."""
    chosen = as_target(target)
    return "output" if chosen is None else f"unit {chosen}" if isinstance(chosen, int) else type(chosen).__name__
