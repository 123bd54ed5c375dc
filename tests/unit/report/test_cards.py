"""Pictures of cards: one window over its own relevance, the leading channels first, and what a page makes of them."""

import base64
import io
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.artifacts.undefined import with_reasons
from clusterwhy.metrics.shares import relevance_shares
from clusterwhy.plots.figures import LINE
from clusterwhy.plots.lanes import Lanes, draw_bars, draw_lanes
from clusterwhy.report import pictures
from clusterwhy.report.page import write_pictures
from clusterwhy.report.page_sections import sections
from clusterwhy.report.shown_windows import central_window, cluster_lanes, recorded
from clusterwhy.report.study_results import StudyResults
from clusterwhy.report.summaries import undefined
from tests.synthetic_results import synthetic_results


def test_lanes_draw_each_channel_over_its_own_relevance() -> None:
    up, down = np.linspace(0.0, 1.0, 5), np.linspace(1.0, 0.0, 5)
    relevance = np.array([[0.1, 0.2, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, -0.2, -0.2]])
    lanes = Lanes(np.stack([up, down]), np.stack([down, up])[None], relevance, np.array([[0.0, 1.0], [0.0, 4.0]]))
    ax = Figure().subplots()
    image = draw_lanes(ax, lanes.of([1, 0]), 10.0, 0.3)
    np.testing.assert_allclose(image.get_array(), 100 * relevance[::-1])
    window = [line.get_ydata() for line in ax.lines if to_hex(line.get_color()) == LINE]
    # the y axis points down: channel 1 fills the lowest quarter of the first lane, channel 0 the whole second one
    np.testing.assert_allclose(window[0], 0.86 * (0.5 - down / 4), atol=1e-9)
    np.testing.assert_allclose(window[1], 1 + 0.86 * (0.5 - up), atol=1e-9)
    assert ax.get_ylim() == (1.5, -0.5)
    ax = Figure().subplots()
    draw_bars(ax, np.array([0.5, -0.1]), np.full((2, 2), 0.05), ["red", "blue"])
    assert [patch.get_width() for patch in ax.patches] == [50.0, -10.0]
    assert ax.get_ylim() == (1.5, -0.5), "the first one is on top"


def test_a_card_shows_one_window_and_not_a_mean(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts")
    rows = study.explained
    own = rows.loc[rows["cluster"] == 1, "window"].tolist()
    central = [900, own[2], own[1]]
    summary = study.summary
    summary["clusters"][1]["medoid_windows"] = central
    write_json(tmp_path / "artifacts" / "cluster" / "summary.json", summary)
    study = StudyResults.of(tmp_path / "artifacts")
    assert central_window(study, 1) == own[2], "the most central one that is explained"
    lanes = cluster_lanes(study, 1)
    row = rows.index[(rows["window"] == own[2]) & (rows["cluster"] == 1)][0]
    np.testing.assert_array_equal(lanes.relevance, relevance_shares(study.relevance[[row]])[0])
    np.testing.assert_array_equal(lanes.values, recorded(study, own[2]))
    np.testing.assert_array_equal(lanes.beside, recorded(study, 1)[None])


@pytest.mark.parametrize("what", ["cluster", "anomaly"])
def test_bars_are_sorted_and_ten_at_most(tmp_path: Path, what: str) -> None:
    names = tuple(f"name{i:02d}" for i in range(14))
    study = synthetic_results(tmp_path / "artifacts", channels=names)
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw = pictures.cluster if what == "cluster" else pictures.anomaly
        _, svg = draw(study, 1, tmp_path / "picture")
    drawn = re.findall(r">(name\d\d)(?: \((bar)\))?</text>", svg.read_text())
    if what == "cluster":
        table, column = study.importance[study.importance["cluster"] == 1], "signed"
    else:
        window = study.anomalies["window"].iloc[1]
        table, column = study.anomaly_channels[study.anomaly_channels["window"] == window], "share"
    expected = table.sort_values(column, ascending=False, kind="stable")["channel"].head(10).tolist()
    assert [name for name, _ in drawn] == expected
    assert [bool(unit) for _, unit in drawn] == [bool(int(name[4:]) % 2) for name in expected]
    assert "no unit" not in svg.read_text()


def test_pictures_in_the_page_keep_their_colours(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts")
    write_pictures(study, tmp_path)
    shown = sections(study, tmp_path, None)
    for name, text in (("overview", shown["overview"]), ("cluster_1", shown["clusters"][1]["picture"])):
        packed = base64.b64decode(text)
        kept, file = (
            np.asarray(Image.open(one).convert("RGB")).astype(int)
            for one in (io.BytesIO(packed), tmp_path / f"{name}.png")
        )
        assert np.abs(kept - file).max() <= 16
        assert len(packed) < 0.6 * (tmp_path / f"{name}.png").stat().st_size


def test_columns_that_are_empty_for_the_same_reason_are_named_together() -> None:
    empty = pd.DataFrame({"without_random": [np.nan], "without_leading": [np.nan], "gap": [np.nan], "share": [1.0]})
    reasons = {"without_random": "nothing leads", "without_leading": "nothing leads", "share": "", "gap": "it is 0"}
    assert undefined(with_reasons(empty, reasons)) == "gap: it is 0; without leading, without random: nothing leads"


def test_the_modules_of_the_encoder_are_told_with_its_training(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path / "artifacts")
    write_pictures(study, tmp_path)
    shown = sections(study, tmp_path, None)
    assert [stage["modules"] for stage in shown["stages"]] == [None] * 9, "an encoder without a network has none"
    modules = pd.DataFrame({"module": ["conv", "norm"], "kind": ["Conv1d", "BatchNorm1d"], "field": [39, None]})
    write_table(tmp_path / "artifacts" / "train" / "modules.csv", modules.astype({"field": "Int64"}))
    shown = sections(StudyResults.of(tmp_path / "artifacts"), tmp_path, None)
    (train,) = (stage for stage in shown["stages"] if stage["modules"])
    assert train["name"] == "train" and train["modules"]["rows"] == [
        ["conv", "Conv1d", "39"],
        ["norm", "BatchNorm1d", ""],
    ]
