"""A known-good period, as a user sets it: what `prepare` keeps and says of it, and what it refuses."""

import json
import shutil
from collections.abc import Callable

import numpy as np
import pandas as pd

from clusterwhy.artifacts.validation import check_folder
from clusterwhy.data.storage import Prepared
from tests.conftest import Checkout
from tests.stage_server import StageServer


def test_a_period_on_the_command_line_decides_what_is_fitted(study: Checkout, stages: StageServer) -> None:
    done = stages.run("pipeline.prepare", "dataset.normal=[{from:20,to:39.95},{from:100}]")
    assert done.returncode == 0, done.said
    folder = max((study.root / "outputs" / "prepare").iterdir())
    data, table = Prepared(folder), pd.read_csv(study.root / "data" / "pump.csv")
    check_folder("prepare", folder, {})
    good = np.r_[400:800, 2000:2400]
    np.testing.assert_allclose(data.card.centre, table.iloc[good, 1:].mean(), rtol=1e-9)
    np.testing.assert_allclose(data.card.scale, table.iloc[good, 1:].std(ddof=0), rtol=1e-9)
    assert data.card.normal is not None and data.card.normal.spans == [[400, 800], [2000, 2400]]
    starts = data.starts[data.index["train"]]
    assert {int(start) // 400 for start in starts} == {1, 5} and starts.max() + data.length <= 2400
    assert data.fitted_says().startswith("Fitted on 20 s to 39.95 s and 100 s to the last sample (")
    assert data.fitted_says() in done.said
    told = json.loads((folder / "data_report.json").read_text())["normal"]
    assert told["spans"] == [
        {"start": 400, "stop": 800, "from": 20.0, "to": 39.95},
        {"start": 2000, "stop": 2400, "from": 100.0, "to": 119.95},
    ]


def test_a_period_of_the_yaml_is_replaced_on_the_command_line(study: Checkout, stages: StageServer) -> None:
    path = study.root / "conf" / "dataset" / "pump.yaml"
    kept = path.read_bytes()
    path.write_text(kept.decode().replace("normal: null", "normal: {label: ok}"))
    done = stages.run("pipeline.prepare", "dataset.normal=null", "dataset.normal={to:60}")
    path.write_bytes(kept)
    assert done.returncode == 0 and "Fitted on the first sample to 60 s (" in done.said, done.said


def test_a_range_and_patterns_on_the_command_line_choose_what_is_read(study: Checkout, stages: StageServer) -> None:
    done = stages.run("pipeline.prepare", "dataset.from=20", "dataset.to=99.95", "dataset.exclude=[curr*]")
    assert done.returncode == 0, done.said
    assert "1600 of 2400 rows are read" in done.said
    data = Prepared(max((study.root / "outputs" / "prepare").iterdir()))
    table = pd.read_csv(study.root / "data" / "pump.csv")
    assert data.channels == ("pressure", "flow")
    np.testing.assert_array_equal(data.values, table[["pressure", "flow"]].iloc[400:2000])


def test_windows_of_two_repetitions_are_cut_and_it_is_said_what_repeats(study: Checkout, stages: StageServer) -> None:
    done = stages.run("pipeline.prepare", "window=periods")
    assert done.returncode == 0, done.said
    folder = max((study.root / "outputs" / "prepare").iterdir())
    data = Prepared(folder)
    check_folder("prepare", folder, {})
    assert data.card.repeats in done.said and "a window holds 2.0 repetitions." in data.card.repeats
    assert f"every {data.length // 2} samples" in data.card.repeats
    assert np.diff(data.starts).max() == data.card.stride == round(data.length / 5)


def test_windows_are_a_thirtieth_of_the_recording(study: Checkout, stages: StageServer) -> None:
    done = stages.run("pipeline.prepare", "window=parts")
    assert done.returncode == 0, done.said
    data = Prepared(max((study.root / "outputs" / "prepare").iterdir()))
    assert (data.length, data.card.stride) == (len(data.values) // 30, 10)


def test_a_period_that_fits_nothing_ends_with_one_message(
    stages: StageServer, study: Checkout, fault: Callable[..., None]
) -> None:
    done = stages.run("pipeline.prepare", "dataset.normal=[{from:500,to:600},{from:9,to:3},{label:good}]")
    assert done.returncode == 1 and "Traceback" not in done.said and "3 faults" in done.said, done.said
    told = ("runs from 0 s to 119.95 s", "begins after it ends", "the recording has no labels")
    assert all(text in done.said for text in told), done.said
    fault(
        "Input files",
        "a known-good period outside the recording, backwards, or of unknown labels",
        "prepare",
        "one error that lists all faults",
    )
    few = stages.run("pipeline.prepare", "dataset.normal={from:0,to:5}")
    assert few.returncode == 1 and "holds 3 windows, 10 are needed" in few.said, few.said
    both = stages.run("pipeline.prepare", "dataset.normal={from:0,to:50}", "dataset.train_share=0.5")
    assert both.returncode == 1 and "both say what everything is fitted on" in both.said, both.said


def test_a_recording_that_a_study_is_applied_to_needs_no_period_of_its_own(
    stages: StageServer, study: Checkout
) -> None:
    done = stages.run("pipeline.apply", "dataset=pump", "dataset.normal={from:500,to:600}")
    assert done.returncode == 0, done.said
    assert "`normal` of the recording is not used" in done.said
    assert "the study was fitted on all windows, so anomalies are judged by the recording itself" in done.said


def test_the_page_says_what_anomalies_are_relative_to(study: Checkout) -> None:
    page = (study.root / "artifacts/report/report.html").read_text()
    assert "Fitted on all windows, so anomalies are judged by the recording itself." in page


def test_a_folder_of_runs_is_one_study(study: Checkout, stages: StageServer, fault: Callable[..., None]) -> None:
    runs = study.root / "data" / "runs"
    runs.mkdir()
    table = pd.read_csv(study.root / "data" / "pump.csv")
    for i in range(3):
        table.iloc[800 * i : 800 * (i + 1)].assign(time=table["time"].head(800).to_numpy()).to_csv(
            runs / f"run_{i + 9}.csv", index=False
        )
    done = stages.run("pipeline.prepare", "dataset.path=data/runs", "dataset.normal={recording:run_10}")
    assert done.returncode == 0, done.said
    assert "Fitted on recording run_10 (33 % of windows)" in done.said
    data = Prepared(max((study.root / "outputs" / "prepare").iterdir()))
    check_folder("prepare", data.folder, {})
    assert data.card.group_names == ["run_9", "run_10", "run_11"] and data.card.segments == [0, 800, 1600]
    np.testing.assert_array_equal(data.values, table.iloc[:, 1:])
    assert (data.starts // 800 == (data.starts + data.length - 1) // 800).all()
    np.testing.assert_array_equal(data.index["train"], data.groups == 1)
    (runs / "run_12.csv").write_text("time,pressure,flow\n" + "".join(f"{i / 20},1,2\n" for i in range(100)))
    (runs / "run_13.csv").write_text("")
    done = stages.run("pipeline.prepare", "dataset.path=data/runs")
    assert done.returncode == 1 and "run_13: the file is empty" in done.said, done.said
    (runs / "run_13.csv").unlink()
    done = stages.run("pipeline.prepare", "dataset.path='data/runs/*.csv'")
    shutil.rmtree(runs)
    assert done.returncode == 1 and "run_12: lacks 'current', unlike most recordings" in done.said, done.said
    fault("Input files", "a recording of several that lacks a channel", "prepare", "one error that lists all files")
