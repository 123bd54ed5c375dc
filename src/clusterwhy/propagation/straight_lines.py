"""Mean gradients of activations, maxima and smallest values on the line between two inputs, in closed form.

Compiled loops on the CPU (`propagation.compiled`), torch's operations elsewhere: only arithmetic, no masks, since torch
selects by a mask ten times slower than it adds.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from clusterwhy.propagation.fixed_rules import pooling_sizes
from clusterwhy.propagation.head_layers import MeanOfSmallest

SHORTEST = 1e-4  # interval of a line that is not halved further


def _is_compiled(*tensors: torch.Tensor) -> bool:
    """Whether `propagation.compiled` has loops for them."""
    return all(tensor.is_cpu and tensor.dtype in (torch.float32, torch.float64) for tensor in tensors)


def share_above(start: torch.Tensor, end: torch.Tensor, arriving: torch.Tensor) -> torch.Tensor:
    """`arriving` times the share of the way from `start` to `end` that lies above 0; 0 where both are 0.

    The share is also the slope of the secant of a ReLU through both values. Shapes are broadcast.
    """
    if _is_compiled(start, end, arriving):
        from clusterwhy.propagation.compiled import times_share_above

        with np.errstate(all="ignore"):  # as torch does
            return torch.from_numpy(times_share_above(*(x.detach().numpy() for x in (start, end, arriving))))
    size = (start.abs() + end.abs()).clamp_(min=torch.finfo(start.dtype).tiny)
    return (start.relu() + end.relu()).div_(size) * arriving


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
    if _is_compiled(here, there, arriving):
        return _compiled_maxima(module, here, there, arriving)
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


def _compiled_maxima(
    module: nn.MaxPool1d, here: torch.Tensor, there: torch.Tensor, arriving: torch.Tensor
) -> torch.Tensor:
    from clusterwhy.propagation.compiled import add_shares_of_leaders

    (_, kernel), (_, stride), (_, padding), (_, dilation), _ = pooling_sizes(module)
    # the engine's values have channels last in memory
    ends = [values.detach().transpose(1, 2).contiguous().numpy() for values in (here, there, arriving)]
    found = np.zeros_like(ends[0])
    bounds = np.empty((2, kernel, here.shape[1]), found.dtype)
    add_shares_of_leaders(*ends, found, bounds, stride, padding, dilation)  # type: ignore[call-arg, arg-type]
    return torch.from_numpy(found).transpose(1, 2)


def smallest_on_line(
    module: MeanOfSmallest, here: torch.Tensor, there: torch.Tensor, arriving: torch.Tensor, n_path: int
) -> torch.Tensor:
    """Multipliers of values of which the smallest ones are averaged: the share of the line on which each is chosen.

    Of each rank, the chosen value is known at the ends of `n_path` intervals. Where another one is chosen at the end of
    an interval, both share it so that their slopes add up to the change of the ranked value. Where they cannot, since
    three values change places, the interval is halved.

    Args:
        module: the mean.
        here, there: (window, point) both ends.
        arriving: (window,) multipliers of its output.
        n_path: intervals.
    """
    there = there.expand_as(here)
    slopes, found = here - there, torch.zeros_like(here)

    def chosen(rows: torch.Tensor, at: float) -> tuple[torch.Tensor, torch.Tensor]:
        ranked = torch.lerp(there[rows], here[rows], at).topk(module.k, dim=1, largest=False)
        return ranked.values[:, module.after :], ranked.indices[:, module.after :]

    every = torch.arange(len(here), device=here.device)
    ends = [chosen(every, n / n_path) for n in range(n_path + 1)]
    todo = [(every, n / n_path, (n + 1) / n_path, *pair) for n, pair in enumerate(itertools.pairwise(ends))]
    while todo:
        rows, begin, end, (low, first), (high, second) = todo.pop()
        of_first, of_second = slopes[rows].gather(1, first), slopes[rows].gather(1, second)
        steeper = of_first - of_second
        length = ((high - low) - (end - begin) * of_second) / steeper.masked_fill(steeper == 0, 1.0)
        length = length.masked_fill(steeper == 0, end - begin)
        rounding = 1e-3 * (end - begin)
        fits = ((length > -rounding) & (length < end - begin + rounding)).all(dim=1)
        if not fits.all() and end - begin > SHORTEST:
            middle, wrong = (begin + end) / 2.0, rows[~fits]
            halfway = chosen(wrong, middle)
            todo.append((wrong, begin, middle, (low[~fits], first[~fits]), halfway))
            todo.append((wrong, middle, end, halfway, (high[~fits], second[~fits])))
            rows, first, second, length = rows[fits], first[fits], second[fits], length[fits]
        length = length.clamp(0.0, end - begin)
        places = rows[:, None].expand_as(first)
        found.index_put_((places, first), length, accumulate=True)
        found.index_put_((places, second), end - begin - length, accumulate=True)
    return found * (arriving / (module.k - module.after))[:, None]
