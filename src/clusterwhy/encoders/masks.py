"""Masks of masked value prediction: hidden and visible stretches of random length in turn, or the end of each window.

Stretches are those of Zerveas et al. 2021 (arXiv 2010.02803). The draws are those of tsai's `create_mask`, in number
and order, so that a seed gives the same masks (tests/reference/test_tsai.py).
"""

import random
from collections.abc import Sequence

import torch
from torch.distributions import Binomial, Geometric


def stretch_mask(shape: Sequence[int], share: float, mean_length: float, same_for_channels: bool) -> torch.Tensor:
    """Draw which values of a batch are hidden, from the global generators of Python and torch.

    Lengths of stretches are geometric. Stretches run on from one channel to the next, and from one window to the next.

    Args:
        shape: windows, channels, samples.
        share: of all values that are hidden, on average.
        mean_length: of hidden stretches, samples. Visible ones have mean_length * (1 - share) / share, at most 1000.
        same_for_channels: hide the same samples of all channels of a window.

    Returns:
        (window, channel, time) bool, True where hidden.
    """
    n_windows, n_channels, length = shape
    size = n_windows * (1 if same_for_channels else n_channels) * length
    # probability that a stretch ends after each of its samples
    end_hidden = torch.tensor([1.0 / mean_length])
    end_visible = (end_hidden * (share / (1.0 - share))).clip(1e-3, 1.0)
    visible_first = bool(random.random() > end_hidden)
    ends = (end_visible, end_hidden) if visible_first else (end_hidden, end_visible)
    # twice as many pairs as are needed on average
    n_pairs = max(1, 2 * int(torch.div(size, 1 / end_hidden + 1 / end_visible, rounding_mode="floor")))
    lengths = torch.empty(0, 2, dtype=torch.long)
    while lengths.sum() <= size:
        drawn = [1 + Geometric(end).sample(torch.Size([n_pairs])).long() for end in ends]
        lengths = torch.cat([lengths, torch.cat(drawn, dim=1)])
    hidden = torch.tensor([not visible_first, visible_first]).repeat(len(lengths))
    mask = hidden.repeat_interleave(lengths.flatten())[:size].reshape(n_windows, -1, length)
    return mask.repeat(1, n_channels, 1) if same_for_channels else mask


def future_mask(shape: Sequence[int], share: float, same_for_channels: bool) -> torch.Tensor:
    """The end of each window, as of a forecast. At least one sample is hidden, and one is visible.

    Args:
        shape: windows, channels, samples.
        share: of each window that is hidden.
        same_for_channels: hide exactly that share, of all channels. Otherwise each channel of each window ends at a
            time of its own: a binomial draw of samples, `share` of them on average, from the global generator of torch.

    Returns:
        (window, channel, time) bool, True where hidden.
    """
    n_windows, n_channels, length = shape
    if same_for_channels:
        n_hidden = torch.full((n_windows, n_channels), round(share * length))
    else:
        n_hidden = Binomial(1, torch.tensor(share)).sample(torch.Size(shape)).sum(dim=2).long()
    return torch.arange(length) >= length - n_hidden.clamp(1, length - 1)[:, :, None]
