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
    NaN where the other is not; 0 of empty ones."""
    if not expected.numel():
        return 0.0
    same = (expected == found) | (expected.isnan() & found.isnan())
    apart = (expected - found).abs().masked_fill(same, 0.0).nan_to_num(nan=torch.inf)
    size = expected.nan_to_num(0.0, 0.0, 0.0).abs().max().clamp(min=1e-30)
    return float(apart.max() / size)


def name_of(network: nn.Module) -> str:
    """The class of a network, without the target behind it."""
    return type(getattr(network, "network", network)).__name__


@torch.no_grad()
def fault_of_batches(network: nn.Module, windows: torch.Tensor, name: str | None = None) -> str | None:
    """What is wrong with a network whose output for a window depends on the windows beside it; None if nothing is.

    The windows are tried all together and in pairs, and the first one beside a large fast oscillation, which outweighs
    it where a network chooses by a mean of the batch; one alone would lose its axis where a network has `squeeze()`.

    Args:
        network: (window, channel, time) -> (window, ...), in evaluation mode.
        windows: (window, channel, time) three or more, such as `probes`.
        name: of the network in the message; its class if None.
    """
    name, together = name or name_of(network), network(windows.clone())
    try:
        pairs = [network(windows[i : i + 2].clone()) for i in range(len(windows) - 1)]
        pairs.append(network(torch.stack([windows[0], _oscillation(windows)])))
    except (RuntimeError, ValueError) as error:
        return f"{name} runs on {len(windows)} windows, but not on 2 of them ({error}): it has to take any number"
    if not isinstance(together, torch.Tensor):
        return None
    if len(together) != len(windows) or any(pair.shape != (2, *together.shape[1:]) for pair in pairs):
        return (
            f"{name} gives {tuple(together.shape)} for {len(windows)} windows and {tuple(pairs[0].shape)} for two of "
            "them: the first axis of its output has to be the window; do not fold windows into another axis"
        )
    expected = torch.cat([together[i : i + 2] for i in range(len(windows) - 1)] + [together[:1]])
    if difference(expected, torch.cat([*pairs[:-1], pairs[-1][:1]])) <= TOLERANCE.get(windows.dtype, 1e-2):
        return None
    if windows.dtype == torch.float32:  # an output that is a small difference of large values says little here
        return fault_of_batches(copy.deepcopy(network).double(), windows.double(), name)
    return (
        f"{name} gives a window another output beside other windows: it takes means, or mixes, over the windows of a "
        "batch, or draws random numbers; its relevance would depend on which windows stand together"
    )


def _oscillation(windows: torch.Tensor) -> torch.Tensor:
    """(channel, time) changes of sign from sample to sample, ten times as large as the windows."""
    signs = torch.ones_like(windows[0])
    signs[:, 1::2] = -1.0
    return signs * 10.0 * torch.where(windows.abs().max() > 0, windows.abs().max(), 1.0)


@torch.no_grad()
def other_rows(canonical: Canonical, windows: torch.Tensor) -> frozenset[int]:
    """Positions of the steps computed from the data whose output has other rows than one per window, in their order.

    Args:
        canonical: whose output has.
        windows: (window, channel, time) two or more, such as `probes`.
    """
    together, of_data, found = _values(canonical, windows), {0}, set()
    alone = [_values(canonical, window) for window in windows.split(1)]
    for n, step in enumerate(canonical.steps):
        if step.kind == "shape" or not of_data & set(step.inputs):
            continue
        of_data.add(n + 1)
        if not _is_joined(together[n + 1], [values[n + 1] for values in alone]):
            found.add(n)
    return frozenset(found)


def _is_joined(together: torch.Tensor, parts: list[torch.Tensor]) -> bool:
    """Whether a value of several windows is those of each window, one after the other."""
    if len(together) != len(parts) or any(part.shape != (1, *together.shape[1:]) for part in parts):
        return False
    joined = torch.cat(parts)
    return difference(together, joined) <= 1e-2 if together.is_floating_point() else torch.equal(together, joined)


def _values(canonical: Canonical, windows: torch.Tensor) -> list[Any]:
    values: list[Any] = [windows]
    for step in canonical.steps:
        values.append(step.module(*[values[i] for i in step.inputs]))
    return values
