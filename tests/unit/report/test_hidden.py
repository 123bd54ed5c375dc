"""Groups inside a cluster on the page: their windows, times and words; none where they were not looked for."""

from pathlib import Path

import pandas as pd

from clusterwhy.artifacts.store import write_table
from clusterwhy.report.hidden import hidden
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.tiles import Tiles
from clusterwhy.report.trust import trust_table
from tests.synthetic_results import synthetic_results

QUESTION = "Do clusters hide states that single channels show?"


def with_groups(root: Path, rows: list[dict[str, object]]) -> StudyResults:
    """Windows 2, 3, 4 and 8 are group 0, windows 25 to 29 group 1."""
    columns = ["group", "cluster", "n_windows", "n_compared", "window", "channel", "property", "own", "usual", "apart"]
    write_table(root / "evaluate" / "hidden_groups.csv", pd.DataFrame(rows, columns=[*columns, "unit"]))
    windows = pd.DataFrame({"window": [2, 3, 4, 8, *range(25, 30)], "group": [0] * 4 + [1] * 5})
    write_table(root / "evaluate" / "hidden_windows.csv", windows)
    return StudyResults.of(root)


ROWS: list[dict[str, object]] = [
    {"group": 0, "cluster": 0, "n_windows": 4, "n_compared": 20, "window": 3, "channel": "flow", "property": "spread"}
    | {"own": 5.0, "usual": 2.0, "apart": 6.0, "unit": "bar"},
    {"group": 1, "cluster": 1, "n_windows": 5, "n_compared": 20, "window": 27, "channel": "current"}
    | {"property": "change", "own": 0.1, "usual": 0.5, "apart": 3.0, "unit": ""},
]


def answer(study: StudyResults) -> dict[str, str] | None:
    return next((row for row in trust_table(study) if row["question"] == QUESTION), None)


def test_a_group_is_told_with_its_times_and_words(tmp_path: Path) -> None:
    synthetic_results(tmp_path)
    study = with_groups(tmp_path, ROWS)
    (group,) = hidden(study, 0)
    assert (group["channel"], group["words"], group["values"]) == ("flow", "swings wider", "5.0 against 2.0 bar")
    assert (group["n_windows"], group["share"], group["window"]) == (4, 0.2, 3)
    assert group["when"].startswith("2 times, 3.2 to ") and group["strip"].count("M") == 2
    (other,) = hidden(study, 1)
    assert other["words"] == "changes less from sample to sample"
    assert hidden(study, 2) == []
    assert [len(tile["hidden"]) for tile in Tiles(study).shown()["clusters"]] == [1, 1, 0]
    told = answer(study)
    assert (
        told is not None
        and told["measured"].startswith("2 clusters of level")
        and "cluster 1: 1 group" in told["meaning"]
    )


def test_nothing_is_told_where_there_are_none_or_nobody_looked(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path)
    assert hidden(study, 0) == [] and answer(study) is None
    told = answer(with_groups(tmp_path, []))
    assert told is not None and told["meaning"] == "No: no such group lies inside a cluster."
