"""Channels of a cluster are ranked by its mean, as the tables show them."""

from typing import Any

import numpy as np
import pytest

from clusterwhy.explanations import clusters
from clusterwhy.explanations.aggregation import known_mean


def test_the_mean_of_what_is_known() -> None:
    values = np.array([[1.0, np.nan, np.inf], [3.0, np.nan, 2.0]])
    np.testing.assert_array_equal(known_mean(values), [2.0, np.nan, np.inf])


def test_all_windows_are_judged_by_the_order_of_the_clusters_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def deletion(_target: Any, _windows: Any, _others: Any, scores: dict[str, np.ndarray], *_: Any) -> str:
        asked.update(scores)
        return "table"

    monkeypatch.setattr(clusters, "deletion_table", deletion)
    each = np.array([[0.0, 9.0], [4.0, 1.0], [5.0, np.nan]])  # mostly the first, in the mean the second
    task: Any = type("Task", (), {})()
    task.settings = type("Settings", (), {"seed": 0})
    task.tasks = [type("Asked", (), {"references": np.zeros((2, 2, 4))})]
    task.cache = type("Cache", (), {"function": lambda *_: None})
    task.membership = type("Network", (), {"to": lambda *_: None})()
    task.cluster, task.windows = 0, np.zeros((3, 2, 4))
    assert clusters._Task._quality(task, {"relevance": each}) == "table"
    assert asked["relevance"].tolist() == [[3.0, 5.0]] * 3
