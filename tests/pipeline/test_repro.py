"""The whole chain on a user's own CSV: what `dvc repro` leaves behind, what reruns, what is refused."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from clusterwhy.tracking.names import Collection
from tests.conftest import HEAVY, ROOT, Checkout, make_checkout, stage_server
from tests.stage_server import StageServer

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def digests(checkout: Checkout) -> dict[str, str]:
    folders = (checkout.root / "artifacts", checkout.root / "reports")
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(checkout.root)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def status(checkout: Checkout) -> dict[str, object]:
    found: dict[str, object] = json.loads(checkout.run("dvc", "status", "--json", "dvc.yaml").stdout)
    return found


@pytest.fixture
def edited(study: Checkout) -> Iterator[Checkout]:
    """The study, whose configuration is put back afterwards."""
    kept = {path: path.read_bytes() for path in [study.root / "params.yaml", *(study.root / "conf").rglob("*.yaml")]}
    yield study
    for path in set((study.root / "conf").rglob("*.yaml")) - set(kept):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    # whatever the test found: the next ones begin with the study as it was, most of it from the run cache
    study.run("dvc", "repro")


def test_a_user_csv_passes_through_the_whole_pipeline(study: Checkout) -> None:
    assert status(study) == {}
    about = json.loads((study.root / "artifacts/prepare/series.json").read_text())
    assert about["channels"] == ["pressure", "flow", "current"] and about["rate_hz"] == pytest.approx(20.0)
    relevance = np.load(study.root / "artifacts/explain/relevance.npy")
    explained = pd.read_parquet(study.root / "artifacts/explain/explained.parquet")
    assert relevance.shape == (len(explained), 3, 64) and len(explained) > 0
    np.testing.assert_allclose(relevance.sum(axis=(1, 2)), explained["relevance_sum"], rtol=1e-4, atol=1e-4)
    every = pd.read_parquet(study.root / "artifacts/explain_windows/explained_windows.parquet")
    index = pd.read_parquet(study.root / "artifacts/prepare/windows.parquet")
    assert every["window"].tolist() == index["window"].tolist(), "all windows are explained"
    assert every["gap"].abs().median() < 0.01
    anomalies = pd.read_parquet(study.root / "artifacts/explain/anomalies.parquet")
    relevance = np.load(study.root / "artifacts/explain/anomaly_relevance.npy")
    assert relevance.shape == (len(anomalies), 3, 64) and len(anomalies) >= 3
    np.testing.assert_allclose(relevance.sum(axis=(1, 2)), anomalies["target"], rtol=1e-3, atol=1e-3)
    measures = pd.read_csv(study.root / "artifacts/evaluate/faithfulness.csv")
    assert {"deletion", "insertion", "flip_rate", "similarity"} == set(measures["measure"])
    assert {"relevance", "lrp", "z_score", "random"} < set(measures["ranking"])
    page = (study.root / "artifacts/report/report.html").read_text()
    assert all(name in page for name in about["channels"])
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", page), "the page needs the network"


def test_repro_does_not_run_the_studies(fresh_study: Checkout) -> None:
    # not of `study`: other tests' `dvc exp run` leaves empty folders for the outputs of studies there
    root = fresh_study.root
    assert not (root / "artifacts" / "studies").exists() and not (root / "studies" / "dvc.lock").exists()


def test_a_second_fresh_run_gives_the_same_bytes(fresh_study: Checkout, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "project")
    with stage_server(checkout) as stages:
        for stage in STAGES:
            done = stages.run(f"pipeline.{stage}", "run=stage")
            assert done.returncode == 0, done.said
    assert digests(checkout) == digests(fresh_study)


@pytest.mark.parametrize("stage", ["embed", "score", "explain"])
def test_two_processes_write_the_same_bytes(study: Checkout, stage: str) -> None:
    out = study.root / "outputs" / "by_processes" / stage
    # shards of one batch, so that there are several
    workers = ("workers.backend=processes", "workers.count=2", "workers.shard=1")
    study.run("python", "-m", f"pipeline.{stage}", *workers, f"hydra.run.dir={out}")
    made = [path for path in (study.root / "artifacts" / stage).iterdir() if path.suffix in (".npy", ".parquet")]
    assert made
    for path in made:
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_dvc_shows_metrics_plots_and_the_graph(study: Checkout) -> None:
    shown = json.loads(study.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    # those of supervised studies and applications are listed, too, though nobody ran them
    of_others = {"studies", "applications"}
    assert {Path(path).stem for path in shown if not of_others & set(Path(path).parts)} == set(STAGES)
    made = study.run("dvc", "plots", "show", "-o", str(study.root / "outputs" / "plots")).stdout
    assert (study.root / "outputs" / "plots" / "index.html").is_file(), made
    assert all(stage in study.run("dvc", "dag").stdout for stage in STAGES)


def test_a_changed_composite_reruns_explain_and_what_follows(edited: Checkout) -> None:
    table = edited.root / "artifacts/explain/importance.csv"
    before = table.read_bytes()
    output = edited.run("dvc", "exp", "run", "-S", "composite=epsilon").stdout
    assert set(re.findall(r"Running stage '(\w+)'", output)) == {"explain", "explain_windows", "evaluate", "report"}
    assert table.read_bytes() != before
    edited.choose(composite="epsilon_plus")
    back = edited.run("dvc", "repro").stdout
    assert "Running stage" not in back, "the run cache restores what was computed before"
    assert table.read_bytes() == before


def test_a_changed_window_length_reruns_from_prepare(edited: Checkout) -> None:
    path = edited.root / "conf/window/short.yaml"
    path.write_text(path.read_text().replace("length: 64", "length: 48"))
    assert "prepare" in status(edited)


def test_an_unselected_file_reruns_nothing(edited: Checkout) -> None:
    for path in (edited.root / "conf").rglob("*.yaml"):
        group, name = path.parent.name, path.stem
        chosen = yaml.safe_load((edited.root / "params.yaml").read_text())
        if chosen.get(group) != name and path.read_text().startswith(("_target_", "#")):
            path.write_text(path.read_text() + "\nchanged: 1\n")
    assert status(edited) == {}


def test_prepare_depends_on_the_data_folder(study: Checkout) -> None:
    path = study.root / "data" / "pump.csv"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0.", b"1.", 1))
    assert "prepare" in status(study)
    path.write_bytes(content)
    assert status(study) == {}


@pytest.mark.parametrize(
    ("stage", "needed"),
    [
        ("prepare", set()),
        # torch's optimisers import _dynamo
        ("train train.n_steps=1", {"torch", "torch._dynamo", "sympy"}),
        ("embed", {"torch"}),
        ("project", {"umap"}),
        ("cluster", {"hdbscan"}),
        ("score", {"torch"}),
        ("score detector=pca_error", set()),
        ("explain", {"torch"}),
        ("report", {"matplotlib", "plotly"}),
    ],
)
def test_a_stage_imports_no_heavy_package_that_it_does_not_need(study: Checkout, stage: str, needed: set[str]) -> None:
    command = ["python", "-X", "importtime", "-m", *f"pipeline.{stage}".split(" "), "wandb.mode=disabled"]
    lines = study.run(*command).stderr.splitlines()
    imported = {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time")}
    assert "numpy" in imported
    assert HEAVY & imported == needed


def test_a_sweep_ends_in_one_ranking_and_touches_no_artifact(study: Checkout) -> None:
    before = digests(study)
    rules = "epsilon,epsilon_plus,epsilon_plus_norm,epsilon_gamma_box"
    done = study.run("python", "-m", "pipeline.explain", "-m", f"composite={rules}")
    (folder,) = (study.root / "sweeps" / "explain").iterdir()
    table = pd.read_csv(folder / "ranking.csv")
    overall = table[table["cluster"] == "all"]
    assert set(overall["job"]) == {f"composite={rule}" for rule in rules.split(",")}
    # the relevance of differences does not depend on the composite, whose own LRP decides
    assert overall["channel_deletion.relevance"].nunique() == 1
    assert overall["rank"].is_monotonic_increasing and overall["channel_deletion.lrp"].is_monotonic_increasing
    assert set(table["cluster"]) > {"all", "0"}
    unused = "attributor `difference` has rules of its own: composites do not change what is ranked"
    assert unused in done.stdout[: done.stdout.index("#0 : ")], "it is said before the first job"
    assert done.stdout.rindex(unused) > done.stdout.index("#3 : "), "and again with the ranking"
    assert unused in (folder / "ranking.md").read_text().splitlines()[0]
    assert (folder / "ranking.png").is_file() and "composite=epsilon_plus_norm" in (folder / "ranking.md").read_text()
    assert "composite=epsilon_plus_norm" in done.stdout
    assert digests(study) == before
    assert status(study) == {}
    again = study.run("python", "-m", "pipeline.rank")
    assert "composite=epsilon_gamma_box" in again.stdout
    # the page shows it where it is asked for, and refuses one of other clusters
    study.run("python", "-m", "pipeline.report", f"ranking=sweeps/explain/{folder.name}", "hydra.run.dir=by_hand")
    page = (study.root / "by_hand" / "report.html").read_text()
    shown = page[page.index("Ranking of LRP rules for these clusters") :]
    places = [shown.index(f"<td>{job}</td>") for job in overall["job"]]
    assert places == sorted(places) and "channel deletion, z-score" in shown
    assert "composites do not change what is ranked" in shown
    provenance = folder / "3" / "provenance.json"
    known = json.loads(provenance.read_text())
    provenance.write_text(json.dumps(known | {"inputs_md5": known["inputs_md5"] | {"cluster": "0.dir"}}))
    refused = study.run("python", "-m", "pipeline.report", f"ranking=sweeps/explain/{folder.name}", ok=False)
    assert refused.returncode == 1 and "job 3 explained other artifacts: cluster" in refused.stderr
    missing = study.run("python", "-m", "pipeline.report", "ranking=sweeps/none", ok=False)
    assert missing.returncode == 1 and "no ranking in" in missing.stderr and "sweep=lrp_rules" in missing.stderr


def records(checkout: Checkout, folder: Path) -> list[dict[str, Any]]:
    lines = checkout.run("wandb", "leet", "inspect", "--json", str(folder)).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_runs_are_recorded_offline_with_the_checksums_of_dvc(fresh_study: Checkout) -> None:
    lock = yaml.safe_load((fresh_study.root / "dvc.lock").read_text())["stages"]
    runs, groups = {}, set()
    for folder in sorted((fresh_study.root / "wandb").glob("offline-run-*")):
        found = records(fresh_study, folder)
        run = next(record["run"] for record in found if record["type"] == "run")
        groups.add(run["run_group"])
        # the last stage's run sums up the study
        stage = "report" if run["job_type"] == "summary" else run["job_type"]
        assert stage not in runs
        runs[stage] = found
    assert set(runs) == set(STAGES) and len(groups) == 1
    order = list(runs)
    collections = {Collection.of(stage, "pump").name: stage for stage in STAGES}
    for stage in STAGES:
        # DVC chooses the order of stages that do not depend on each other
        inputs = {Path(entry["path"]).name for entry in lock[stage]["deps"] if entry["path"].startswith("artifacts/")}
        assert all(order.index(earlier) < order.index(stage) for earlier in inputs)
        known = {
            Path(entry["path"]).name: entry["md5"]
            for entry in (*lock[stage].get("deps", []), *lock[stage]["outs"])
            if entry["path"].startswith("artifacts/")
        }
        artifacts = [record["artifact"] for record in runs[stage] if record["type"] == "artifact"]
        # the page is in its run, not in an artifact
        updates = [record["summary"]["update"] for record in runs[stage] if record["type"] == "summary"]
        pages = [update["dvc_md5"] for update in updates if "dvc_md5" in update]
        assert len(pages) == (stage == "report")
        logged = dict(zip(["report"], pages, strict=False))
        for artifact in (artifact for artifact in artifacts if artifact["type"] != "run_table"):
            metadata = artifact["metadata"]
            metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
            source = collections[artifact["name"]]
            logged[source] = metadata["dvc_md5"]
            assert metadata["git_revision"] != "none"
            assert artifact.get("use_after_commit", False) == (source != stage)
        assert logged == known


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("pipeline.explain", "composite=nope"), "`composite` has no option `nope`; it has deep_taylor, epsilon, "),
        (("pipeline.explain", "composite.epsilonn=1.0"), "(did you mean `epsilon`?)"),
        (("pipeline.explain", "+composite.sharpness=1.0"), "composite.sharpness: Extra inputs are not permitted"),
        (("pipeline.explain", "clusterer.space=embeddings"), "not a parameter of the stage `explain`"),
        (("pipeline.explain", "composite.epsilon=-1.0"), "composite.epsilon: Input should be greater than 0"),
        (("pipeline.explain", "composite.first_layer=box"), "`box` is missing: the rule box of first_layer needs it"),
        (("pipeline.prepare", "window.length=64", "window.stride=65"), "stride 65 > length 64"),
        (
            ("pipeline.prepare", "window.length=5000", "window.stride=50"),
            "the longest segment has 2400 samples, `window.length` is 5000",
        ),
        (("pipeline.prepare", "dataset.path=data/nowhere.csv"), "no such file"),
        (("pipeline.prepare", "dataset._target_=os.system"), "expected a class below clusterwhy."),
        (("pipeline.project", "projection.n_neighbors=5000"), "`projection.n_neighbors` is 5000"),
        (("pipeline.cluster", "clusterer=notebook", "clusterer.min_cluster_size=5000"), "min_cluster_size is 5000"),
    ],
)
def test_bad_input_ends_with_one_clear_error(study: Checkout, command: tuple[str, ...], message: str) -> None:
    done = study.run("python", "-m", *command, "wandb.mode=disabled", ok=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_stage_leaves_no_artifact(study: Checkout, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "project")
    (checkout.root / "data" / "pump.csv").write_text("time,a\n0,1\n1,x\n1,2\n0,3\n")
    done = checkout.run("dvc", "repro", ok=False)
    assert done.returncode != 0
    for fault in ("duplicate time stamps", "not sorted", "1 cells are not numbers, first 'x' in row 1"):
        assert fault in done.stderr
    assert not (checkout.root / "artifacts").exists() or not any((checkout.root / "artifacts").iterdir())


@pytest.mark.parametrize(
    ("override", "n_clusters"),
    [
        ({"min_cluster_size": 140, "min_samples": 100, "allow_single_cluster": False}, 0),
        ({"min_cluster_size": 100, "min_samples": 5, "allow_single_cluster": True}, 1),
    ],
    ids=["all noise", "one cluster"],
)
def test_degenerate_clusterings_are_reported_and_finish(
    edited: Checkout, stages: StageServer, override: dict, n_clusters: int
) -> None:
    folder = edited.root / "conf" / "clusterer"
    settings = yaml.safe_load((folder / "notebook.yaml").read_text()) | override
    (folder / "degenerate.yaml").write_text(yaml.safe_dump(settings))
    edited.choose(clusterer="degenerate")
    said = ""
    for stage in ("cluster", "explain", "explain_windows", "evaluate", "report"):
        done = stages.run(f"pipeline.{stage}", "run=stage")
        assert done.returncode == 0, done.said
        said += done.said
    metrics = json.loads((edited.root / "reports" / "cluster.json").read_text())
    assert metrics["n_clusters"] == n_clusters
    assert ("all windows are noise" if n_clusters == 0 else "only one cluster") in said
    page = (edited.root / "artifacts/report/report.html").read_text()
    assert f"form {n_clusters} cluster" in page


def test_two_overrides_select_another_file(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "project")
    rows = "".join(f"{i / 10},{i % 7},{(i * i) % 11}\n" for i in range(900))
    (checkout.root / "data" / "other.csv").write_text("time,left,right\n" + rows)
    checkout.run("dvc", "exp", "run", "-S", "dataset=csv", "-S", "conf/dataset/csv.yaml:path=data/other.csv", "prepare")
    about = json.loads((checkout.root / "artifacts/prepare/series.json").read_text())
    assert about["channels"] == ["left", "right"] and about["name"] == "other"
