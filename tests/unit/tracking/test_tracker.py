"""What the tracker gives to W&B, with a run that only takes notes."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clusterwhy.tracking.bounded_calls import BoundedCalls
from clusterwhy.tracking.tracker import MOST_BYTES, Tracker


class Notebook:
    """In place of a run."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.defined: list[tuple[str, str]] = []
        self.summary: dict[str, Any] = {}

    def define_metric(self, name: str, step_metric: str) -> None:
        self.defined.append((name, step_metric))

    def log(self, row: dict[str, Any], commit: bool = True) -> None:
        self.rows.append(row)


@pytest.fixture
def run() -> Notebook:
    return Notebook()


@pytest.fixture
def tracker(run: Notebook) -> Tracker:
    return Tracker(run, {}, BoundedCalls(60.0))


def test_metrics_of_a_training_are_drawn_over_its_steps(run: Notebook, tracker: Tracker) -> None:
    tracker.log({"step": 1, "loss": 2.0})
    tracker.log({"step": 2, "loss": 1.0})
    tracker.log({"epoch": 1, "balanced accuracy": 0.5})
    tracker.log({"alone": 1.0})
    assert run.defined == [("loss", "step"), ("balanced_accuracy", "epoch")]
    assert run.rows[2] == {"epoch": 1, "balanced_accuracy": 0.5} and not tracker.errors


def test_undefined_metrics_are_left_out_of_the_summary(run: Notebook, tracker: Tracker) -> None:
    tracker.summarise({"areas": {"|relevance|": 0.5, "random": None}})
    assert run.summary == {"areas_abs_relevance": 0.5}


def test_pictures_beyond_the_limit_are_left_out_and_told(
    run: Notebook, tracker: Tracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from PIL import Image

    small, large, page = tmp_path / "small.png", tmp_path / "large.png", tmp_path / "page.html"
    Image.new("RGB", (4, 4)).save(small)
    large.write_bytes(bytes(MOST_BYTES["pictures"]))
    page.write_bytes(bytes(MOST_BYTES["pages"] + 1))
    tracker.figure("small", small)
    tracker.figure("large", large)
    tracker.page("page", page)
    assert [list(row) for row in run.rows] == [["small"]] and not tracker.errors
    assert tracker.left_out == ["large.png", "page.html"]
    with caplog.at_level("INFO"):
        tracker.tell_left_out()
    assert "large.png" in caplog.text and "small.png" not in caplog.text


def test_tables_have_no_number_that_json_has_not_and_no_dot_in_a_column(
    run: Notebook, tracker: Tracker, tmp_path: Path
) -> None:
    from PIL import Image

    picture = tmp_path / "picture.png"
    Image.new("RGB", (5, 4), "red").save(picture)
    table = pd.DataFrame({"area.relevance": [0.5, float("nan")], "job": ["a", "b"]})
    tracker.table("ranking", table, {"picture": [picture, None]})
    tracker.table("nothing", table.head(0), {"picture": []})
    tracker.bars("chart", table, "job", "area.relevance", "title")
    assert not tracker.errors
    shown = run.rows[0]["ranking"]
    assert shown.columns == ["picture", "area_relevance", "job"]
    (image, value, job), empty = shown.data
    assert (image.image.size, value, job) == ((3, 2), 0.5, "a") and empty == [None, None, "b"]
    assert run.rows[1]["nothing"].data == []
    assert run.rows[2]["chart"].table.data == [["a", 0.5]]
