"""Mean gradients of activations and maxima on the straight line between two inputs, in closed form.

Only arithmetic, no masks: torch selects by a mask ten times slower than it adds.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.fixed_rules import pooling_sizes

PART = 4  # windows at a time, so that intermediate values stay in the processor's cache


def share_above(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """The share of the way from `start` to `end` that lies above 0; 0 where both are 0.

    It is also the slope of the secant of a ReLU through both values.
    """
    return (start.relu() + end.relu()).div_((start.abs() + end.abs()).clamp_(min=torch.finfo(start.dtype).tiny))


def shares_of_leaders(first: Sequence[torch.Tensor], last: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The share of the way from `first` to `last` on which each of several values is the greatest.

    Exact, since two values change places at most once on a straight line: each value leads in one interval. Places on
    the way run from -1 to 1. Of values that are the same all along, the first one leads.

    Args:
        first, last: two or more values at both ends; they are broadcast.

    Returns:
        The share of each value; they add up to 1.
    """
    low, high = [torch.tensor(-1.0)] * len(first), [torch.tensor(1.0)] * len(first)
    for i, j in itertools.combinations(range(len(first)), 2):
        start, end = first[i] - first[j], last[i] - last[j]
        turn = (start + end).div_(start.abs() + end.abs()).nan_to_num_(nan=1.0)
        falls = (start - end).sign_()  # 1: i leads before the turn and j after it; -1: j leads before it
        rises = -falls
        # a bound that does not hold is the end of the way
        high[i] = torch.minimum(high[i], torch.maximum(turn, rises))
        low[i] = torch.maximum(low[i], torch.maximum(turn, falls).neg_())
        high[j] = torch.minimum(high[j], torch.minimum(turn, rises).neg_())
        low[j] = torch.maximum(low[j], torch.minimum(turn, falls))
    return [(end - begin).relu_().mul_(0.5) for begin, end in zip(low, high, strict=True)]


def maxima_on_line(
    module: nn.MaxPool1d, here: torch.Tensor, there: torch.Tensor, arriving: torch.Tensor
) -> torch.Tensor:
    """Multipliers of the inputs of max pooling: each input's share of the line on which it is the greatest.

    Args:
        module: the pooling.
        here, there: (window, channel, time) both ends; `there` may be one window for all.
        arriving: (window, channel, place) multipliers of its output.
    """
    if len(here) > PART:
        theirs = there.split(PART) if len(there) > 1 else [there] * -(-len(here) // PART)
        parts = zip(here.split(PART), theirs, arriving.split(PART), strict=True)
        return torch.cat([maxima_on_line(module, *part) for part in parts])
    (_, kernel), (_, stride), (_, padding), (_, dilation), _ = pooling_sizes(module)
    n_places, length = arriving.shape[2], here.shape[2]
    reach = (n_places - 1) * stride + 1
    beyond = max(0, reach + (kernel - 1) * dilation - padding - length)
    taps = [slice(tap * dilation, tap * dilation + reach, stride) for tap in range(kernel)]
    # padding never wins: lower than anything, and finite, so that differences are numbers
    lowest = min(float(here.min()), float(there.min())) - 1.0

    def taken(values: torch.Tensor) -> list[torch.Tensor]:
        """(window, place, channel) of each tap, in the order of the engine's memory."""
        padded = F.pad(values.transpose(1, 2), (0, 0, padding, beyond), value=lowest)
        return [padded[:, tap] for tap in taps]

    found = here.new_zeros(len(here), padding + length + beyond, here.shape[1])
    for tap, share in zip(taps, shares_of_leaders(taken(there), taken(here)), strict=True):
        # a place has one input per tap: threads never add to the same number, whose sum would depend on their order
        found[:, tap].addcmul_(share, arriving.transpose(1, 2))
    return found[:, padding : padding + length].transpose(1, 2)
