"""The commands `pipeline.compare` and `pipeline.metrics`: another study, another recording, applications."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy import Study
from clusterwhy.compute.workers import HERE
from clusterwhy.study.comparison.shared import by_membership
from tests.conftest import Checkout
from tests.stage_server import StageServer


@pytest.fixture(scope="module")
def next_week(study: Checkout, stages: StageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The study applied to a part of its regimes, in another order and with other noise."""
    table = pd.read_csv(study.root / "data" / "pump.csv")
    new = pd.concat([table.iloc[800:1600], table.iloc[:400]], ignore_index=True)
    new["time"] = np.arange(len(new)) / 20
    new.iloc[:, 1:] += 0.02 * np.random.default_rng(3).normal(size=(len(new), 3))
    path, out = study.root / "data" / "next.csv", tmp_path_factory.mktemp("applied") / "next"
    new.round(6).to_csv(path, index=False)
    done = stages.run("pipeline.apply", f"dataset.path={path}", f"hydra.run.dir={out}")
    assert done.returncode == 0, done.said
    yield out
    path.unlink()


def compare(study: Checkout, *arguments: object, ok: bool = True) -> str:
    done = study.run("python", "-m", "pipeline.compare", *map(os.fspath, arguments), ok=ok)  # type: ignore[arg-type]
    assert ok or (done.returncode == 1 and "Traceback" not in done.stderr)
    return done.stdout if ok else done.stderr


def test_a_study_beside_itself_and_a_recording_of_it(study: Checkout, next_week: Path, tmp_path: Path) -> None:
    artifacts = study.root / "artifacts"
    before = sorted((path, path.stat().st_mtime_ns) for path in artifacts.rglob("*"))
    said = compare(study, artifacts, artifacts, "--out", tmp_path / "same")
    assert "Agreement: adjusted Rand index 1.00" in said and "not told apart: all intervals overlap" in said
    channels = pd.read_csv(tmp_path / "same" / "channels.csv")
    assert (channels["difference"] == 0).all() and (channels["cluster_a"] == channels["cluster_b"]).all()
    assert "<h3>B0" in (tmp_path / "same" / "comparison.html").read_text()
    said = compare(study, artifacts, next_week, "--out", tmp_path / "applied")
    assert "Both have the clusters of one study" in said and "none is shared" in said
    clusters = pd.read_csv(tmp_path / "applied" / "clusters.csv")
    labels = pd.read_parquet(next_week / "cluster" / "clusters.parquet")["cluster"]
    for row in clusters.itertuples():
        assert row.n_b == (labels == row.cluster_a).sum()
        assert row.kind == ("matched" if row.n_b else "vanished")
    assert not list(tmp_path.glob("*.tmp"))
    assert json.loads((tmp_path / "applied" / "comparison.json").read_text())["matched_by"] == "number"
    assert before == sorted((path, path.stat().st_mtime_ns) for path in artifacts.rglob("*"))
    assert "exists" in compare(study, artifacts, artifacts, "--out", tmp_path / "same", ok=False)


def test_faults_of_both_folders_are_listed(study: Checkout, next_week: Path, tmp_path: Path) -> None:
    artifacts, other = study.root / "artifacts", tmp_path / "other"
    shutil.copytree(artifacts, other)
    (other / "score" / "scores.parquet").unlink()
    (tmp_path / "supervised" / "classify").mkdir(parents=True)
    said = compare(study, other, tmp_path / "supervised", "--out", tmp_path / "out", ok=False)
    assert "scores.parquet" in said and "supervised study" in said
    # an application beside a study that did not make it
    shutil.copy(artifacts / "score" / "scores.parquet", other / "score" / "scores.parquet")
    np.save(other / "embed" / "embeddings.npy", np.load(other / "embed" / "embeddings.npy") + 1)
    said = compare(study, artifacts, next_week, "--study", other, "--out", tmp_path / "out", ok=False)
    assert "application of another study" in said and "embed" in said and "`--study`" in said
    said = compare(study, "no-such-revision", other, "--out", tmp_path / "out", ok=False)
    assert "no-such-revision is neither a folder nor a git revision" in said and "score" not in said
    series = other / "prepare" / "series.json"
    series.write_text(series.read_text().replace('"flow"', '"stream"'))
    said = compare(study, artifacts, other, "--out", tmp_path / "out", ok=False)
    assert "'flow' is in A only" in said and "'stream' is in B only" in said and not (tmp_path / "out").exists()


def test_windows_of_another_recording_are_placed_by_the_encoder_of_the_first(
    study: Checkout, next_week: Path, tmp_path: Path
) -> None:
    own = Study.load(study.root / "artifacts")
    again = by_membership(own.side, own.side, HERE)
    np.testing.assert_array_equal(again.a, np.asarray(own.results.labels))
    applied = own.application(next_week)
    placed = by_membership(own.side, applied.side, HERE)
    np.testing.assert_array_equal(placed.a, np.asarray(applied.results.labels))
    # another study of another recording: the clusters of the second are numbered the other way round
    other = tmp_path / "other"
    shutil.copytree(study.root / "artifacts", other)
    n_clusters = len(own.results.summary["clusters"])
    values = np.load(other / "prepare" / "values.npy")
    order = [2, 0, 1]
    np.save(other / "prepare" / "values.npy", (values + 1e-3)[:, order])
    series = json.loads((other / "prepare" / "series.json").read_text())
    series |= {name: [series[name][i] for i in order] for name in ("channels", "units", "centre", "scale")}
    (other / "prepare" / "series.json").write_text(json.dumps(series))
    labels = np.load(other / "cluster" / "labels.npy")
    np.save(other / "cluster" / "labels.npy", np.where(labels < 0, -1, n_clusters - 1 - labels))
    found = own.compare(Study(type(own.results).of(other), type(own.fitted)(other)), HERE)
    assert found.shared.by == "membership" and found.agreement["ari"] > 0.95
    assert found.matching.pairs == [(i, n_clusters - 1 - i) for i in range(n_clusters)]


@pytest.fixture(scope="module")
def committed(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy whose study is committed, and an experiment with the same artifacts."""
    copy = study.copy(tmp_path_factory.mktemp("committed") / "project")
    for command in (("add", "dvc.lock"), ("commit", "-qm", "one")):
        copy.run("git", *command)
    copy.run("git", "update-ref", "refs/exps/ab/cdef/brave-exp", "HEAD")
    return copy


def test_revisions_and_experiments_are_compared_from_the_cache(committed: Checkout, tmp_path: Path) -> None:
    said = compare(committed, "HEAD", "brave-exp", "--out", tmp_path / "out")
    assert "adjusted Rand index 1.00" in said
    about = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (about["a"], about["b"], about["matched_by"]) == ("HEAD", "brave-exp", "time")
    said = compare(committed, "HEAD", "HEAD~1", "--out", tmp_path / "none", ok=False)
    assert "artifacts of HEAD~1" in said and "prepare, train, embed" in said and not (tmp_path / "none").exists()


def test_metrics_of_two_revisions_are_readable_lines(committed: Checkout) -> None:
    copy = committed
    path = copy.root / "reports" / "train.json"
    metrics = json.loads(path.read_text())
    path.unlink()  # a link into the cache
    path.write_text(json.dumps(metrics | {"validation_loss": metrics["validation_loss"] + 0.25}))
    said = copy.run("python", "-m", "pipeline.metrics").stdout
    lines = said.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if line.startswith("  ")][1:] == [
        line for line in lines if re.match(r"  validation loss +[\d.]+ +[\d.]+ +\+0\.25$", line)
    ]
    stages = [line.split(" ")[0] for line in lines if not line.startswith(" ")]
    assert stages[:4] == ["prepare", "train", "embed", "project"] and stages[-1] == "report"
    whole = copy.run("python", "-m", "pipeline.metrics", "--all").stdout
    assert len(whole.splitlines()) > 80 and max(map(len, whole.splitlines())) <= 100
    refused = copy.run("python", "-m", "pipeline.metrics", "nothing", ok=False)
    assert refused.returncode == 1 and "nothing" in refused.stderr and "Traceback" not in refused.stderr
