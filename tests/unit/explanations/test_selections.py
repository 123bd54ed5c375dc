"""A selection is explained in parts: each window as if all were explained together."""

import numpy as np
import pytest

from clusterwhy.errors import DataError
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.selections import Selection
from tests.unit.explanations import test_every_window

series = test_every_window.series
CHOSEN = np.arange(5, 20)


def test_parts_have_the_relevance_of_the_whole(series: EmbeddedSeries) -> None:
    selection = Selection(series, CHOSEN, test_every_window.SETTINGS)
    whole = selection.explain(CHOSEN)
    assert whole.windows.tolist() == CHOSEN.tolist() and whole.relevance.values.shape == (15, 3, 32)
    for part in (CHOSEN[::2], CHOSEN[1::2][::-1]):
        found = Selection(series, CHOSEN, test_every_window.SETTINGS).explain(part)
        assert found.windows.tolist() == sorted(part.tolist())
        own = np.searchsorted(CHOSEN, found.windows)
        np.testing.assert_allclose(found.relevance.values, whole.relevance.values[own], atol=1e-5)
        np.testing.assert_allclose(found.relevance.target, whole.relevance.target[own], atol=1e-5)


@pytest.mark.parametrize(
    ("chosen", "part", "why"),
    [
        ([3], [3], "two windows or more"),
        (list(range(36)), [1], "not all of them"),
        ([-1, 2], [2], "numbered 0 to 35"),
        ([1, 99], [1], "numbered 0 to 35"),
        ([1, 2], [2, 3], r"got others: \[3\]"),
        ([1, 2], [], "got others"),
    ],
)
def test_invalid_selections_are_refused(series: EmbeddedSeries, chosen: list[int], part: list[int], why: str) -> None:
    selection = Selection(series, np.array(chosen), test_every_window.SETTINGS)
    with pytest.raises(DataError, match=why):
        selection.explain(np.array(part, dtype=int))
