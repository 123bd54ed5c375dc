"""The command `pipeline.contrast` on a finished study."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import Checkout


def test_two_clusters_are_contrasted(study: Checkout, tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in (study.root / "artifacts").rglob("*"))
    out = tmp_path / "out"
    done = study.run("python", "-m", "pipeline.contrast", "cluster:0", "cluster:1", "--out", os.fspath(out))
    assert "`cluster:0`, unlike `cluster:1`:" in done.stdout and "balanced accuracy" in done.stdout
    relevance, explained = np.load(out / "relevance.npy"), pd.read_parquet(out / "explained.parquet")
    np.testing.assert_allclose(relevance.sum(axis=(1, 2)), explained["relevance_sum"], rtol=1e-4, atol=1e-4)
    labels = pd.read_parquet(study.root / "artifacts/cluster/clusters.parquet").set_index("window")["cluster"]
    assert (labels[explained["window"]].to_numpy() == explained["cluster"].to_numpy()).all()
    groups = json.loads((out / "contrast.json").read_text())
    assert groups["n_these"] == (labels == 0).sum() and groups["these"] == "cluster:0"
    assert {path.name for path in out.iterdir()} >= {"importance.csv", "quality.csv", "properties.csv", "contrast.png"}
    assert not list(tmp_path.glob("*.tmp"))
    again = study.run("python", "-m", "pipeline.contrast", "cluster:0", "cluster:1", "--out", os.fspath(out), ok=False)
    assert again.returncode == 1 and f"{out} exists" in again.stderr
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (study.root / "artifacts").rglob("*"))


def test_faults_of_the_groups_are_listed(study: Checkout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("python", "-m", "pipeline.contrast", "cluster:99", "clusters", "--out", os.fspath(out))
    refused = study.run(*command, ok=False)
    assert refused.returncode == 1 and not out.exists()
    assert "no cluster 99" in refused.stderr and "`clusters` is not a group" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_names_are_accepted_and_told(study: Checkout, tmp_path: Path) -> None:
    out, file = tmp_path / "out", study.root / "annotations.yaml"
    kept = file.read_bytes()
    for cluster, name in ((0, "pump starts"), (1, "idle, or off")):
        study.run("python", "-m", "pipeline.name", str(cluster), name)
    command = ("python", "-m", "pipeline.contrast", "cluster:'pump starts'", 'cluster:"idle, or off"')
    done = study.run(*command, "--out", os.fspath(out))
    study.run("python", "-m", "pipeline.name", "0", "2")
    refused = study.run("python", "-m", "pipeline.contrast", "cluster:2", "cluster:stop", ok=False)
    file.write_bytes(kept)
    assert "`cluster:0 (pump starts)`, unlike `cluster:1 (idle, or off)`:" in done.stdout
    importance, groups = pd.read_csv(out / "importance.csv"), json.loads((out / "contrast.json").read_text())
    assert set(importance.loc[importance["cluster"] == 0, "group"]) == {"cluster:0 (pump starts)"}
    assert groups["these"] == "cluster:0 (pump starts)" and groups["given_these"] == "cluster:'pump starts'"
    labels = np.load(study.root / "artifacts/cluster/labels.npy")
    assert (groups["n_these"], groups["n_those"]) == ((labels == 0).sum(), (labels == 1).sum())
    assert refused.returncode == 1 and "2 is the name of cluster 0, and a number" in refused.stderr
    assert "no cluster stop; there are 0 (2), 1 (idle, or off)" in refused.stderr
