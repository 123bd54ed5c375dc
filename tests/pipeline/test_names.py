"""Names, notes and events of a real study: what they rerun, where they are shown, what is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from clusterwhy import Study
from clusterwhy.annotations.annotated import Sources
from clusterwhy.artifacts.store import read_array
from clusterwhy.report.study_results import StudyResults
from tests.conftest import Checkout
from tests.stage_server import StageServer

NAME, NOTE = "<script>alert(1)</script> & pump", "pressure rises\nbefore flow"
EVENTS = "start,end,name\n0,19.95,first regime\n0,119.95,whole shift\n500,501,later\n"
AREA = "Names and events"


@pytest.fixture
def named(study: Checkout) -> Iterator[Checkout]:
    """The study, whose files of names and events are put back afterwards, and its report."""
    files = [study.root / name for name in ("annotations.yaml", "events.csv", "dvc.lock")]
    kept = {path: path.read_bytes() for path in files}
    report, metrics = study.root / "artifacts" / "report", study.root / "reports" / "report.json"
    shutil.copytree(report, study.root / "outputs" / "kept_report")
    figures = metrics.read_bytes()
    yield study
    for path, content in kept.items():
        path.write_bytes(content)
    shutil.rmtree(report)
    shutil.move(study.root / "outputs" / "kept_report", report)
    metrics.write_bytes(figures)


def changed_stages(study: Checkout) -> list[str]:
    return list(json.loads(study.run("dvc", "status", "--json", "dvc.yaml").stdout))


def test_a_name_and_an_event_change_the_report_and_nothing_else(named: Checkout, stages: StageServer) -> None:
    assert changed_stages(named) == []
    said = named.run("python", "-m", "pipeline.name", "1", NAME, "--note", NOTE).stdout
    assert f"cluster 1: {NAME} (pressure rises before flow)" in said and "cluster 0: -" in said
    assert changed_stages(named) == ["report"]
    (named.root / "events.csv").write_text(EVENTS)
    assert changed_stages(named) == ["report"]
    done = stages.run("pipeline.report", "run=stage")
    assert done.returncode == 0 and "1 event is not shown: events.csv, line 4 (later)" in done.said, done.said
    folder = named.root / "artifacts" / "report"
    page = (folder / "report.html").read_text()
    assert NAME not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; pump") >= 5
    assert "pressure rises\nbefore flow</p>" in page
    table = pd.read_csv(folder / "clusters.csv", keep_default_na=False)
    assert table["name"].tolist()[1] == NAME and table["agreement"].tolist()[1] == "1.0"
    shares = pd.read_csv(folder / "event_clusters.csv").set_index("name")
    clusters = shares.filter(regex="noise|cluster_|no_window")
    assert clusters.sum(axis=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    labels = read_array(named.root / "artifacts" / "cluster" / "labels.npy")
    stops = pd.read_parquet(named.root / "artifacts" / "prepare" / "windows.parquet")["stop"].to_numpy()
    inside = pd.Series(labels[stops <= 400]).value_counts()  # windows of the event's 20 s at 20 Hz
    names = {"noise" if label == -1 else f"cluster_{label}" for label in inside.index[inside == inside.max()]}
    assert clusters.loc["first regime"].idxmax() in names
    figures = json.loads((named.root / "reports" / "report.json").read_text())
    assert figures | {"n_bytes": 0} == {"n_bytes": 0, "n_named_clusters": 1, "n_segments": 0, "n_events": 2}
    study = Study.load(named.root / "artifacts")
    assert study.clusters.loc[1, ["name", "note"]].tolist() == [NAME, NOTE]
    assert study.events.loc["whole shift", "windows"] == len(study.windows)


def test_a_name_follows_its_windows_through_another_clustering(
    named: Checkout, stages: StageServer, tmp_path: Path
) -> None:
    artifacts = named.root / "artifacts"
    for cluster in StudyResults.of(artifacts).clusters:
        named.run("python", "-m", "pipeline.name", str(cluster), f"state {cluster}")
    done = stages.run("pipeline.cluster", "clusterer=hdbscan_embeddings")
    assert done.returncode == 0, done.said
    again = max((named.root / "outputs" / "cluster").glob("*/labels.npy")).parent
    other = tmp_path / "artifacts"
    other.mkdir()
    for stage in ("prepare", "cluster"):
        shutil.copytree(again if stage == "cluster" else artifacts / stage, other / stage)
    shutil.copy(named.root / "annotations.yaml", tmp_path / "annotations.yaml")
    before, after = StudyResults.of(artifacts), StudyResults.of(other, Sources.beside(other))
    assert after.annotated.clusters
    for cluster, one in after.annotated.clusters.items():
        named_one = int(one.name.removeprefix("state "))
        inside = before.labels == named_one
        share = (after.labels[inside] == cluster).mean()
        assert one.agreement is not None and one.agreement > 0.5 and share > 0.5
    lost = {f"'state {c}'" for c in before.clusters} - {f"'{one.name}'" for one in after.annotated.clusters.values()}
    for name in lost:
        assert any(line.startswith(f"{name} is not shown") for line in after.annotated.told)


@pytest.mark.parametrize(
    ("names", "events", "told"),
    [
        ("clusters: [{cluster: 99, name: far}]", "start,end,name\n", ["'far': no cluster 99; the study has 0 to"]),
        (
            "segments: [{start: 9, end: 3, name: a}]",
            "start,end,name\n5,1,b\n",
            ["segments[0] (a): it begins after it ends", "events.csv, line 2 (b): it begins after it ends"],
        ),
        ("clusters: {", "start,end,name\n", ["annotations.yaml: 1 fault", "not valid YAML"]),
        ("", "begin,end\n", ["events.csv: 1 fault", "no column 'start', 'name'"]),
    ],
    ids=["an unknown cluster", "spans that begin after they end", "no YAML", "other columns"],
)
def test_faulty_files_are_refused_and_the_old_report_stays(
    named: Checkout,
    stages: StageServer,
    names: str,
    events: str,
    told: list[str],
    fault: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    (named.root / "annotations.yaml").write_text(names)
    (named.root / "events.csv").write_text(events)
    page = named.root / "artifacts" / "report" / "report.html"
    kept = page.read_bytes()
    done = stages.run("pipeline.report", "run=stage")
    assert done.returncode == 1 and "Traceback" not in done.said, done.said
    assert all(line in done.said for line in told), done.said
    assert page.read_bytes() == kept
    fault(AREA, request.node.callspec.id, "report", "one error that lists all faults; the old report stays")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("99", "far"), "the study has no cluster 99"),
        (("1",), "expected a name or a note for cluster 1"),
        (("1", "x" * 61), "61 characters, more than 60"),
    ],
)
def test_a_name_that_cannot_be_given_changes_nothing(named: Checkout, arguments: tuple[str, ...], told: str) -> None:
    kept = (named.root / "annotations.yaml").read_bytes()
    done = named.run("python", "-m", "pipeline.name", *arguments, ok=False)
    assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr
    assert (named.root / "annotations.yaml").read_bytes() == kept
