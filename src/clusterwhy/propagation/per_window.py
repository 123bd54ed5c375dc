"""Whether a network judges each window by itself: an explanation of one window is meaningless where it does not."""

import copy
from typing import Any

import torch
from torch import nn

from clusterwhy.propagation.steps import Canonical

Network = nn.Module | Canonical
# greatest accepted difference of outputs, as a share of their greatest size: batches of other sizes round otherwise
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def probes(windows: torch.Tensor) -> torch.Tensor:
    """Three windows to try a network on, (3, channel, time): the first one, and two with noise added.

    Noise shows what windows of zeros, or all alike, hide. It is the same each time.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = windows[[0, 0, len(windows) - 1]]
    noise = torch.randn(chosen.shape, generator=generator, dtype=chosen.dtype).to(chosen.device)
    noise[0] = 0.0
    spread = chosen.std()
    return chosen + noise * torch.where(spread > 0, spread, 1.0)


def difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Greatest difference of two tensors of one shape, as a share of their greatest finite size; infinite if one is
    NaN where the other is not."""
    same = (expected == found) | (expected.isnan() & found.isnan())
    apart = (expected - found).abs().masked_fill(same, 0.0).nan_to_num(nan=torch.inf)
    size = expected.nan_to_num(0.0, 0.0, 0.0).abs().max().clamp(min=1e-30)
    return float(apart.max() / size)


@torch.no_grad()
def fault_of_batches(network: nn.Module, windows: torch.Tensor) -> str | None:
    """What is wrong with a network whose output for a window depends on the windows beside it; None if nothing is.

    Args:
        network: (window, channel, time) -> (window, ...), in evaluation mode.
        windows: (window, channel, time) two or more, such as `probes`.
    """
    name, together = type(getattr(network, "network", network)).__name__, network(windows.clone())
    try:
        alone = [network(window.clone()) for window in windows.split(1)]
    except (RuntimeError, ValueError) as error:
        return f"{name} does not run on one window alone ({error}): an explanation is of one window at a time"
    if not isinstance(together, torch.Tensor):
        return None
    shapes = {tuple(output.shape) for output in alone}
    if shapes != {(1, *together.shape[1:])} or len(together) != len(windows):
        return (
            f"{name} gives {tuple(together.shape)} for {len(windows)} windows and {tuple(alone[0].shape)} for one of "
            "them alone: the first axis of its output has to be the window; name the axis in `squeeze()` and "
            "`flatten()`, and do not fold windows into another axis"
        )
    if difference(together, torch.cat(alone)) <= TOLERANCE.get(windows.dtype, 1e-2):
        return None
    if windows.dtype == torch.float32:  # an output that is a small difference of large values says little here
        return fault_of_batches(copy.deepcopy(network).double(), windows.double())
    return (
        f"{name} gives a window another output beside other windows than alone: it takes means, or mixes, over the "
        "windows of a batch, or draws random numbers; its relevance would depend on which windows stand together"
    )


@torch.no_grad()
def rows_are_windows(canonical: Canonical, windows: torch.Tensor) -> bool:
    """Whether each value computed from the data has one row per window, in the order of the windows.

    Args:
        canonical: whose output has.
        windows: (window, channel, time) two or more, such as `probes`.
    """
    together, of_data = _values(canonical, windows), {0}
    alone = [_values(canonical, window) for window in windows.split(1)]
    for n, step in enumerate(canonical.steps, start=1):
        if step.kind == "shape" or not of_data & set(step.inputs):
            continue
        of_data.add(n)
        parts = [values[n] for values in alone]
        if any(len(part) != 1 for part in parts) or len(together[n]) != len(windows):
            return False
        if together[n].shape[1:] != parts[0].shape[1:] or difference(together[n], torch.cat(parts)) > 1e-2:
            return False
    return True


def _values(canonical: Canonical, windows: torch.Tensor) -> list[Any]:
    values: list[Any] = [windows]
    for step in canonical.steps:
        values.append(step.module(*[values[i] for i in step.inputs]))
    return values
