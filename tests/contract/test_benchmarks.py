"""What the documents say is what the benchmarks found, and the benchmarks' own arithmetic is right."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.document import TITLES, page, picture, readme
from benchmarks.guards import guards
from benchmarks.record import RESULTS, ROOT, mean_interval, read, shown, with_interval

MADE = sorted(path.stem for path in RESULTS.glob("*.json"))


def test_docs_and_readme_are_in_step_with_the_results() -> None:
    what = "run `python -m benchmarks.document`"
    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(), what
    assert (ROOT / "README.md").read_text() == readme(), what
    assert set(MADE) <= set(TITLES)


def test_the_guards_that_can_be_taken_away_are_where_they_are_said_to_be() -> None:
    found = {guard["what"]: (ROOT / guard["file"]).read_text().count(guard["text"]) for guard in guards()}
    assert {what: count for what, count in found.items() if count != 1} == {}
    assert len(found) >= 20 and all((ROOT / guard["test"]).is_file() for guard in guards())


@pytest.mark.parametrize("name", MADE)
def test_every_result_says_where_it_comes_from_and_has_its_figure(name: str) -> None:
    result = read(name)
    assert result.command.startswith(f"python -m benchmarks.{name}")
    assert {"cores", "memory_gb"} <= set(result.machine) and "torch" in result.versions
    assert (RESULTS / f"{name}.csv.gz").stat().st_size < 500_000 > (RESULTS / f"{name}.json").stat().st_size
    assert picture(name).startswith(b"\x89PNG") and (ROOT / "docs" / f"{name}.png").is_file()
    assert importlib.import_module(f"benchmarks.{name}").__doc__.count(f"python -m benchmarks.{name}") >= 1
    json.loads((RESULTS / f"{name}.json").read_text())


def test_an_interval_of_groups_gives_each_group_the_same_weight() -> None:
    values, groups = pd.Series([0.0] * 98 + [1.0, 1.0]), pd.Series(["many"] * 98 + ["few"] * 2)
    mean, low, high = mean_interval(values, groups)
    # within either group nothing varies
    assert (mean, low, high) == (0.5, 0.5, 0.5)
    spread = pd.Series(np.random.default_rng(0).normal(3.0, 1.0, 400))
    mean, low, high = mean_interval(spread)
    assert low < mean < high and high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_tables_show_intervals_behind_their_figure() -> None:
    runs = pd.DataFrame({"method": ["a", "a", "b"], "x": [1.0, 1.0, np.nan]})
    assert shown(with_interval(runs, ["method"], ["x"])).splitlines()[2].split("|")[2].strip() == "1.00 (1.00, 1.00)"
