"""Shares of a straight line on which a value is positive or the greatest: against points on the line."""

import pytest
import torch
from torch import nn

from clusterwhy.propagation.head_layers import MeanOfSmallest
from clusterwhy.propagation.straight_lines import (
    PART,
    maxima_on_line,
    share_above,
    shares_of_leaders,
    smallest_on_line,
)

POINTS = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000


def on_line(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """(point, ...) values on the way from `first` to `last`."""
    return first + POINTS.reshape(-1, *[1] * first.ndim) * (last - first)


def test_the_share_above_zero_is_counted_on_the_line() -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 200, dtype=torch.float64).round(decimals=1)  # some are 0
    found = share_above(start, end)
    torch.testing.assert_close(found, (on_line(start, end) > 0).double().mean(dim=0), atol=1e-3, rtol=0.0)
    # the secant of a ReLU, without the cancellation of differences
    torch.testing.assert_close(found * (end - start), end.relu() - start.relu())
    assert share_above(torch.zeros(1), torch.zeros(1)) == 0.0


@pytest.mark.parametrize("n_values", [1, 2, 3, 7])
def test_each_value_leads_where_it_is_the_greatest(n_values: int) -> None:
    torch.manual_seed(n_values)
    first, last = torch.randn(2, n_values, 300, dtype=torch.float64)
    first[:, :100], last[:, 50:150] = first[:, :100].relu(), last[:, 50:150].relu()  # zeros tie, at one end or both
    found = torch.stack([share.expand(300) for share in shares_of_leaders(list(first), list(last))])
    leader = on_line(first, last).argmax(dim=1)  # the first of those that tie
    expected = torch.stack([(leader == i).double().mean(dim=0) for i in range(n_values)])
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=0.0)
    torch.testing.assert_close(found.double().sum(dim=0), torch.ones(300, dtype=torch.float64))


@pytest.mark.parametrize("n_references", [1, PART + 3])
def test_maxima_do_not_depend_on_how_windows_are_cut_into_parts(n_references: int) -> None:
    torch.manual_seed(0)
    here, there = torch.randn(PART + 3, 2, 9), torch.randn(n_references, 2, 9)
    pool = nn.MaxPool1d(3, 2, 1)
    arriving = torch.randn_like(pool(here))
    alone = [
        maxima_on_line(pool, here[i : i + 1], there[i % n_references][None], arriving[i : i + 1])
        for i in range(len(here))
    ]
    assert torch.equal(maxima_on_line(pool, here, there, arriving), torch.cat(alone))


@pytest.mark.parametrize("module", [MeanOfSmallest(3), MeanOfSmallest(3, after=2), MeanOfSmallest(1)])
def test_the_smallest_values_count_where_they_are_chosen(module: MeanOfSmallest) -> None:
    torch.manual_seed(0)
    here, there, arriving = (
        torch.rand(20, 12, dtype=torch.float64),
        torch.rand(20, 12).double(),
        torch.rand(20).double(),
    )
    there[:5] = here[:5]  # nothing moves
    found = smallest_on_line(module, here, there, arriving, 32)
    chosen = on_line(there, here).topk(module.k, dim=2, largest=False).indices[..., module.after :]
    counted = torch.nn.functional.one_hot(chosen, 12).sum(dim=2).double().mean(dim=0)
    expected = counted * arriving[:, None] / (module.k - module.after)
    torch.testing.assert_close(found[5:], expected[5:], atol=0.02, rtol=0.0)
    difference = (module(here) - module(there)) * arriving
    # 3e-3 without halving
    torch.testing.assert_close((found * (here - there)).sum(dim=1), difference, atol=1e-5, rtol=0.0)
