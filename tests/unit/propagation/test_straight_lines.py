"""Shares of a straight line on which a value is positive or the greatest: against points on the line."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from clusterwhy.propagation import straight_lines
from clusterwhy.propagation.compiled import add_shares_of_leaders, compile_loops
from clusterwhy.propagation.head_layers import MeanOfSmallest
from clusterwhy.propagation.straight_lines import maxima_on_line, share_above, shares_of_leaders, smallest_on_line

POINTS = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000


def on_line(first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """(point, ...) values on the way from `first` to `last`."""
    return first + POINTS.reshape(-1, *[1] * first.ndim) * (last - first)


def test_the_share_above_zero_is_counted_on_the_line() -> None:
    torch.manual_seed(0)
    start, end = torch.randn(2, 200, dtype=torch.float64).round(decimals=1)  # some are 0
    found = share_above(start, end, torch.ones(200, dtype=torch.float64))
    torch.testing.assert_close(found, (on_line(start, end) > 0).double().mean(dim=0), atol=1e-3, rtol=0.0)
    # the secant of a ReLU, without the cancellation of differences
    torch.testing.assert_close(found * (end - start), end.relu() - start.relu())
    assert share_above(torch.zeros(1), torch.zeros(1), torch.ones(1)) == 0.0


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


def test_maxima_do_not_depend_on_the_other_windows() -> None:
    torch.manual_seed(0)
    here, there = torch.randn(7, 2, 9), torch.randn(7, 2, 9)
    pool = nn.MaxPool1d(3, 2, 1)
    arriving = torch.randn_like(pool(here))
    alone = [maxima_on_line(pool, *(x[i : i + 1] for x in (here, there, arriving))) for i in range(7)]
    assert torch.equal(maxima_on_line(pool, here, there, arriving), torch.cat(alone))


def of_torch(monkeypatch: pytest.MonkeyPatch, function: Callable[..., torch.Tensor], *given: object) -> torch.Tensor:
    """What a function gives without compiled loops."""
    with monkeypatch.context() as patch:
        patch.setattr(straight_lines, "_is_compiled", lambda *tensors: False)
        return function(*given)


POOLS = [(3, 1, 1), (2, 2, 0), (3, 2, 1), (4, 3, 2), (4, 1, 2, 2), (1, 1, 0), (5, 1, 2)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pool", POOLS)
def test_compiled_maxima_equal_those_of_torch(
    pool: tuple[int, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    here, there = torch.randn(2, 5, 3, 13, dtype=dtype)
    here[0], there[1, :, 4:9], there[2] = 0.0, 0.5, here[2]  # ties, along the line or at one end
    for references in (there, there[:1]):
        arriving = torch.randn_like(nn.MaxPool1d(*pool)(here)).transpose(1, 2).contiguous().transpose(1, 2)
        found = maxima_on_line(nn.MaxPool1d(*pool), here, references, arriving)
        expected = of_torch(monkeypatch, maxima_on_line, nn.MaxPool1d(*pool), here, references, arriving)
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected)


def test_the_loops_of_the_stages_are_those_that_make_compiles() -> None:
    compile_loops()
    signatures = set(add_shares_of_leaders.signatures)
    maxima_on_line(nn.MaxPool1d(3, 1, 1), *torch.randn(3, 2, 3, 9))
    assert set(add_shares_of_leaders.signatures) == signatures


def test_compiled_shares_equal_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    start, end, arriving = torch.randn(3, 4, 3, 50).transpose(2, 3).round(decimals=1)
    for ends in ((start, end), (start[:1], end), (start, end[:1])):
        found = share_above(*ends, arriving)
        torch.testing.assert_close(found, of_torch(monkeypatch, share_above, *ends, arriving))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize(("argument", "reached"), [(0, slice(2, 7)), (1, slice(2, 7)), (2, slice(4, 7))])
def test_compiled_loops_hide_no_value_that_is_not_finite(argument: int, reached: slice, wrong: float) -> None:
    torch.manual_seed(0)
    pool, ends = nn.MaxPool1d(3, 1), list(torch.randn(3, 2, 3, 9))
    ends[argument][0, 1, 4] = wrong
    found = maxima_on_line(pool, *ends[:2], ends[2][..., :7])
    assert not found[0, 1, reached].isfinite().any()
    assert found.isfinite().sum() == found.numel() - (reached.stop - reached.start)
    assert not share_above(*ends)[0, 1, 4].isfinite()


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
