"""A finished study applied to recordings: its own, another one, and files that do not fit."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy.artifacts.store import read_array, read_table
from clusterwhy.artifacts.validation import check_folder
from tests.conftest import Checkout
from tests.stage_server import StageServer

AREA = "Applying a study"
OWN, OTHER = "conf/dataset/pump.yaml", "data/next_week.csv"


@pytest.fixture(scope="module")
def recordings(study: Checkout) -> Iterator[Checkout]:
    """The study with two recordings to apply it to: its own, and the next week with a regime that it has never seen."""
    path = study.root / "applications" / "params.yaml"
    kept = path.read_bytes()
    table = pd.read_csv(study.root / "data" / "pump.csv")
    new, rng = table.iloc[:1800].assign(time=lambda part: part["time"] + 1e4), np.random.default_rng(2)
    # other noise, as another week has
    new.iloc[:, 1:] += 0.02 * rng.normal(size=(len(new), 3))
    new.iloc[1200:, 1:] = 0.1 * rng.normal(size=(600, 3)) + [0.0, 3.0, 0.0]
    new[["current", "time", "flow", "pressure"]].to_csv(study.root / OTHER, index=False)
    text = (study.root / OWN).read_text().replace("data/pump.csv", OTHER)
    (study.root / "conf" / "dataset" / "next_week.yaml").write_text(text)
    path.write_text(
        "recordings:\n  own: {dataset: pump, application: standard}\n"
        "  next_week: {dataset: next_week, application: standard}\n"
    )
    yield study
    path.write_bytes(kept)
    (study.root / "conf" / "dataset" / "next_week.yaml").unlink()
    (study.root / OTHER).unlink()
    for folder in ("artifacts", "reports"):
        shutil.rmtree(study.root / folder / "applications", ignore_errors=True)


@pytest.fixture(scope="module")
def applied(recordings: Checkout, stages: StageServer) -> Callable[[str], Path]:
    """The folder of an application, made when it is first asked for."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            done = stages.run("pipeline.apply", f"recording={name}", "run=stage")
            assert done.returncode == 0, done.said
            made[name] = recordings.root / "artifacts" / "applications" / name / "apply"
        return made[name]

    return folder


def test_a_study_applied_to_its_own_recording_gives_its_own_results(
    recordings: Checkout, applied: Callable[[str], Path]
) -> None:
    own, artifacts = applied("own"), recordings.root / "artifacts"
    labels, found = read_array(artifacts / "cluster/labels.npy"), read_array(own / "cluster/labels.npy")
    assert (labels == found)[labels >= 0].mean() >= 0.99
    scores = [read_table(folder / "score/scores.parquet")["score"] for folder in (artifacts, own)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    for name in ("relevance", "anomaly_relevance", "maps"):
        expected, relevance = (read_array(folder / f"explain/{name}.npy") for folder in (artifacts, own))
        np.testing.assert_allclose(relevance, expected, atol=1e-5 * np.nanmax(np.abs(expected)))
    expected, relevance = (read_array(folder / "explain_windows/channels.npy") for folder in (artifacts, own))
    np.testing.assert_allclose(relevance, expected, atol=1e-5 * np.abs(expected).max())
    every = [read_table(folder / "explain_windows/explained_windows.parquet") for folder in (artifacts, own)]
    assert (every[0]["explained_cluster"] == every[1]["explained_cluster"]).all()
    for name in ("importance.csv", "anomaly_channels.csv"):
        pd.testing.assert_frame_equal(*(read_table(folder / "explain" / name) for folder in (artifacts, own)))


def test_the_artifacts_of_an_application_meet_their_schemas(applied: Callable[[str], Path]) -> None:
    for name in ("own", "next_week"):
        check_folder("apply", applied(name), {})


def test_known_regimes_are_known_and_a_new_one_is_told(recordings: Checkout, applied: Callable[[str], Path]) -> None:
    folder = applied("next_week")
    windows, table = read_table(folder / "prepare/windows.parquet"), read_table(folder / "cluster/clusters.parquet")
    before, after = windows["stop"] <= 1200, windows["start"] >= 1200
    fitted = read_table(recordings.root / "artifacts/cluster/clusters.parquet")
    # the same moments of the fitted recording, whose windows start at the same samples
    same = table.loc[before, "cluster"].to_numpy() == fitted["cluster"].to_numpy()[: before.sum()]
    assert same.mean() > 0.8
    assert table.loc[after, "unknown"].all() and (table.loc[after, "cluster"] == -1).all()
    assert (table["fitted_window"] == -1).all()
    scores = read_table(folder / "score/scores.parquet")
    assert scores.loc[after, "score"].median() > scores.loc[before, "score"].median()
    channels = pd.read_csv(folder / "explain/anomaly_channels.csv")
    leading = channels.loc[channels.groupby("window")["share"].idxmax()].set_index("window")["channel"]
    new = leading[leading.index.isin(windows.loc[after, "window"])]
    assert len(new) and (new == "flow").all()


def test_what_is_new_is_told(applied: Callable[[str], Path]) -> None:
    folder = applied("next_week")
    checks, drift = pd.read_csv(folder / "new/checks.csv"), pd.read_csv(folder / "new/drift.csv")
    assert ("outside its range", "flow") in set(zip(checks["check"], checks["channel"], strict=True))
    assert drift.loc[drift["channel"] == "flow", "drifted"].item()
    assert set(drift["reference"]) == {"the whole recording"}
    windows, found = read_table(folder / "prepare/windows.parquet"), read_table(folder / "new/windows.parquet")
    inside = found["candidate"] >= 0
    assert (windows.loc[inside, "start"] >= 1100).all() and inside[windows["start"] >= 1200].mean() > 0.8
    (record,) = json.loads((folder / "new/candidates.json").read_text())["candidates"]
    importance = pd.read_csv(folder / "new/importance.csv")
    assert record["n_windows"] == inside.sum() and set(importance["cluster"]) == {record["candidate"]}
    assert importance.loc[importance["signed"].idxmax(), "channel"] == "flow"
    page = (folder / "report/report.html").read_text()
    assert f"Candidate state {record['candidate']}" in page and "flow: outside its range" in page
    assert "Drifted from the study (reference: the whole recording): " in page and "Reference: the whole record" in page


def test_nothing_is_new_in_the_recording_of_the_study(applied: Callable[[str], Path]) -> None:
    metrics = json.loads((applied("own").parents[3] / "reports/applications/own/apply.json").read_text())
    found = {name: metrics[name] for name in ("n_sensor_faults", "n_drifted_channels", "n_candidate_states")}
    assert set(found.values()) == {0} and not metrics["embedding_drifted"]


def test_the_scaler_the_threshold_and_the_normal_windows_are_those_of_the_study(
    recordings: Checkout, applied: Callable[[str], Path]
) -> None:
    folder, artifacts = applied("next_week"), recordings.root / "artifacts"
    cards = [json.loads((one / "prepare/series.json").read_text()) for one in (artifacts, folder)]
    assert all(cards[0][key] == cards[1][key] for key in ("channels", "centre", "scale", "length", "stride"))
    segments = [json.loads((one / "score/segments.json").read_text()) for one in (artifacts, folder)]
    assert segments[0]["threshold"] == segments[1]["threshold"]
    assert segments[0]["says"] == segments[1]["says"] and "once in 100" in segments[0]["says"]
    normal = read_table(folder / "explain/anomalies.parquet")["normal_windows"]
    assert max(max(one) for one in normal) > 1800, "normal windows lie in the fitted recording, which is longer"


def test_the_page_shows_new_windows_over_those_of_the_study(applied: Callable[[str], Path]) -> None:
    page = (applied("next_week") / "report/report.html").read_text()
    assert "windows of the study pump" in page and 'id="array-behind_x"' in page
    assert "windows of next_week, read, placed and scored by the study pump, without training" in page


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda table: table.drop(columns="flow"), "the study's channel 'flow' is missing"),
        (lambda table: table.rename(columns={"flow": "flow_1"}), "is missing; is it 'flow_1' now?"),
        (lambda table: table.assign(speed=1.0), "channel 'speed' is not in the study"),
        (lambda table: table.iloc[::2], "10 samples per second, the study has 20"),
        (lambda table: table.head(20), "the longest segment has 20 samples"),
        (lambda table: table.assign(flow="?"), "'flow'"),
    ],
    ids=["missing", "renamed", "added", "rate", "short", "text"],
)
def test_a_recording_that_does_not_fit_is_refused_before_anything_is_written(
    recordings: Checkout,
    stages: StageServer,
    edit: Callable[[pd.DataFrame], pd.DataFrame],
    told: str,
    fault: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    path = recordings.root / "data" / "unfit.csv"
    edit(pd.read_csv(recordings.root / OTHER)).to_csv(path, index=False)
    done = stages.run("pipeline.apply", "dataset=next_week", "dataset.path=data/unfit.csv")
    path.unlink()
    assert done.returncode == 1 and told in done.said and "Traceback" not in done.said, done.said
    what = {
        "rate": "another rate",
        "short": "shorter than a window",
        "text": "a channel that is text",
        "added": "an added channel",
    }
    name = request.node.callspec.id
    fault(AREA, what.get(name, f"a {name} channel"), "apply", "one error that lists all faults")


def test_a_missing_channel_can_be_masked_and_the_page_says_what_that_costs(
    recordings: Checkout, stages: StageServer, fault: Callable[..., None]
) -> None:
    path = recordings.root / "data" / "unfit.csv"
    pd.read_csv(recordings.root / OTHER).drop(columns="current").to_csv(path, index=False)
    options = ("dataset=next_week", "dataset.path=data/unfit.csv", "application.missing_channels=mask")
    done = stages.run("pipeline.apply", *options)
    path.unlink()
    assert done.returncode == 0 and "Without current, " in done.said, done.said
    folder = max((recordings.root / "outputs" / "apply").glob("*/report")).parent
    assert not np.load(folder / "prepare/scaled.npy")[:, 2].any()
    cost = json.loads((folder / "new/masking.json").read_text())
    # one of the three regimes is told by this channel alone
    assert cost["channels"] == ["current"] and 0.2 < cost["same_cluster"] < 0.95
    assert cost["says"].replace("'", "&#39;") in (folder / "report/report.html").read_text()
    assert set(pd.read_csv(folder / "new/drift.csv")["channel"].dropna()) == {"pressure", "flow"}
    fault(AREA, "a missing channel that is masked", "apply", "goes on; what it costs is told")


def test_only_what_belongs_to_the_recording_can_be_chosen(stages: StageServer, recordings: Checkout) -> None:
    done = stages.run("pipeline.apply", "encoder=dcae")
    assert done.returncode == 1 and "not a parameter of the stage `apply`" in done.said, done.said
    done = stages.run("pipeline.apply", "recording=../elsewhere")
    assert done.returncode == 1 and "without its folder" in done.said, done.said


def test_an_unfinished_study_is_refused(recordings: Checkout, stages: StageServer, fault: Callable[..., None]) -> None:
    path = recordings.root / "artifacts" / "cluster" / "clusters.parquet"
    kept = path.read_bytes()
    path.unlink()
    done = stages.run("pipeline.apply", "recording=next_week", "run=stage")
    path.write_bytes(kept)
    assert done.returncode == 1 and "no artifact" in done.said and "Traceback" not in done.said, done.said
    fault(AREA, "a study that is not finished", "apply", "one error")


def test_a_killed_application_leaves_the_old_one_and_gives_the_same_bytes_when_rerun(
    recordings: Checkout, stages: StageServer, applied: Callable[[str], Path], fault: Callable[..., None]
) -> None:
    folder = applied("next_week")
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    child = stages.start("pipeline.apply", "recording=next_week", "run=stage")
    begun = recordings.root / "artifacts" / ".unfinished" / "applications" / "next_week" / "apply" / "score"
    until = time.monotonic() + 120
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    stages.wait()
    assert begun.exists() and {path: path.read_bytes() for path in kept} == kept
    assert stages.run("pipeline.apply", "recording=next_week", "run=stage").returncode == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept
    assert not (recordings.root / "artifacts" / ".unfinished").exists()
    fault(AREA, "kill -9", "apply", "the old artifacts; run again: the same bytes")


def test_an_application_has_the_names_of_the_study_and_events_of_its_own(
    recordings: Checkout, applied: Callable[[str], Path], stages: StageServer
) -> None:
    names, events = recordings.root / "annotations.yaml", recordings.root / "events.csv"
    kept = names.read_bytes(), events.read_bytes()
    recordings.run("python", "-m", "pipeline.name", "0", "first & known")
    # the clocks of both recordings count seconds, so that an event says whose it is
    events.write_text("start,end,name,recording\n10000,10020,of next week,next_week\n0,20,of the study,\n")
    done = stages.run("pipeline.apply", "dataset=next_week")
    names.write_bytes(kept[0])
    events.write_bytes(kept[1])
    assert done.returncode == 0 and "1 event is not in this recording" in done.said, done.said
    folder = max((recordings.root / "outputs" / "apply").glob("*/report"))
    page = (folder / "report.html").read_text()
    assert "first &amp; known</span>" in page and "of next week" in page and "of the study<" not in page
    table = pd.read_csv(folder / "event_clusters.csv").set_index("name")
    assert table.index.tolist() == ["of next week"] and table["seconds"].item() == pytest.approx(20.0, abs=0.1)
    assert pd.read_csv(folder / "clusters.csv", keep_default_na=False)["name"].iloc[0] == "first & known"
