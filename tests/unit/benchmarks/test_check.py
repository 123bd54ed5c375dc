"""A ratio that became much worse fails the check, and only that."""

from typing import Any

import pytest

from benchmarks import check
from benchmarks.record import Result, miniature_table


def test_a_ratio_over_one_and_a_half_times_the_recorded_one_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.engine

    table: Any = miniature_table({"epsilon": 0.6, "epsilon_plus": 1.0}).to_dict("records")
    recorded = Result("", "", {}, {}, 0.0, {}, {"miniature": table})
    monkeypatch.setattr(check, "read", lambda name: recorded)
    monkeypatch.setattr(benchmarks.engine, "miniature", lambda: {"epsilon": 0.95, "epsilon_plus": 1.45})
    assert check.slower("engine") == ["engine: epsilon is 0.95, recorded 0.60"]
    monkeypatch.setattr(benchmarks.engine, "miniature", lambda: {"epsilon": 0.85, "epsilon_plus": 0.5})
    assert check.slower("engine") == []
