"""A study of vectors that another tool has made, through every stage: what needs a network is said not to be there."""

import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clusterwhy import Study
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.errors import ConfigError
from tests.conftest import ROOT, Checkout
from tests.contract.test_readme import python_blocks

WHY = "vectors were given without a network (`encoder=own` takes the network)"


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The study with vectors, made as the docs say, and all of its stages run."""
    found = study.copy(tmp_path_factory.mktemp("vectors") / "project")
    found.choose(encoder="vectors", train="none", encoders=1, detector="nearest_neighbours")
    (block,) = [one for one in python_blocks(ROOT / "docs" / "networks.md") if "networks/vectors.npy" in one]
    found.run("python", "-c", block)
    found.run("dvc", "repro")
    return found


def refused(checkout: Checkout, *command: str) -> str:
    done = checkout.run(*command, ok=False)
    assert done.returncode and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def test_vectors_are_projected_clustered_and_scored(copy: Checkout) -> None:
    artifacts, vectors = copy.root / "artifacts", np.load(copy.root / "networks" / "vectors.npy")
    np.testing.assert_array_equal(np.load(artifacts / "embed" / "embeddings.npy"), vectors.astype(np.float32))
    labels = np.load(artifacts / "cluster" / "labels.npy")
    # three regimes of the pump, which means and deviations tell apart; a regime may have several clusters
    starts = pd.read_parquet(artifacts / "prepare" / "windows.parquet")["start"]
    regime = np.where(starts // 400 == (starts + 63) // 400, (starts // 400) % 3, -1)
    assert all(len(set(regime[labels == one]) - {-1}) == 1 for one in range(labels.max() + 1)) and labels.max() >= 2
    scores = pd.read_parquet(artifacts / "score" / "scores.parquet")["score"].to_numpy()
    assert scores[regime < 0].mean() > 2 * scores[regime >= 0].mean()
    assert not (artifacts / "train" / "modules.csv").exists()
    for stage in ("train", "embed", "cluster", "score", "explain", "explain_windows", "evaluate"):
        check_folder(stage, artifacts / stage, {})


def test_what_needs_the_network_is_empty_and_says_why(copy: Checkout) -> None:
    explain = copy.root / "artifacts" / "explain"
    for name in ("importance.csv", "anomaly_channels.csv", "quality.csv"):
        assert pd.read_csv(explain / name).empty
    assert json.loads((explain / "clusters.json").read_text())["why_none"] == WHY
    report = json.loads((copy.root / "reports" / "explain.json").read_text())
    assert report["n_explained"] == 0 and report["median_abs_gap"] is None
    assert report["undefined"]["median_abs_gap"] == f"no cluster is explained: {WHY}"
    told = report["undefined"]["anomaly_median_abs_gap"]
    assert (
        "score of NearestNeighbours itself (over what is usual in its cluster) needs the network" in told
        and "`pca_error`" in told
    )
    page = (copy.root / "artifacts" / "report" / "report.html").read_text()
    shown = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert f"No cluster is explained: {WHY}. Below are their windows" in shown
    score = "the score of NearestNeighbours itself (over what is usual in its cluster)"
    assert f"No anomaly was explained: {score} needs the network: {WHY}" in shown
    assert "two groups" not in shown and "untrained encoder" not in shown and "Most central:" in shown


def test_scores_of_values_are_explained_without_a_network(copy: Checkout) -> None:
    fresh = copy.copy(copy.root.parent / "by_values")
    fresh.choose(detector="pca_error")
    fresh.run("dvc", "repro", "explain")
    explain = fresh.root / "artifacts" / "explain"
    anomalies = pd.read_parquet(explain / "anomalies.parquet")
    relevance = np.load(explain / "anomaly_relevance.npy")
    assert len(anomalies) >= 3 and np.abs(relevance).sum() > 0
    np.testing.assert_allclose(relevance.sum(axis=(1, 2)), anomalies["target"], rtol=1e-4)
    assert json.loads((explain / "anomalies.json").read_text())["why_none"] == ""


def test_commands_that_need_the_network_refuse_in_one_sentence(copy: Checkout, fault: Callable[..., None]) -> None:
    said = refused(copy, "python", "-m", "pipeline.apply", "dataset=pump")
    assert f"there is no encoder for windows of another recording: its {WHY}" in said
    assert WHY in refused(copy, "python", "-m", "pipeline.contrast", "cluster:0", "cluster:1")
    said = refused(copy, "python", "-m", "pipeline.score", "detector=clipped_prediction")
    assert "WithoutNetwork has no method `predict`: choose `detector: nearest_neighbours`, `glosh`, `pca_err" in said
    assert said.count("\n  - ") == 1
    fault("Applying a study", "a study of vectors without a network", "apply", "refused in one sentence")


def test_the_study_in_python_has_all_but_relevance(copy: Checkout) -> None:
    found = Study.load(copy.root / "artifacts")
    assert f"No cluster is explained: {WHY}." in repr(found)
    assert len(found.windows) == 147 and len(found.clusters) >= 3 and found.channels.empty
    assert found.compare(found).agreement["n_shared"] == len(found.windows)
    with pytest.raises(ConfigError, match="vectors were given without a network"):
        found.relevance(found.windows.index[:2])
    frame = pd.read_csv(copy.root / "data" / "pump.csv", index_col="time")
    with pytest.raises(ConfigError, match="no encoder for windows of another recording"):
        found.apply(frame)


def test_vectors_that_do_not_fit_are_refused_and_the_file_is_watched(
    copy: Checkout, fault: Callable[..., None]
) -> None:
    fresh = copy.copy(copy.root.parent / "wrong")
    path = fresh.root / "networks" / "vectors.npy"
    wrong = np.load(path)[:-2].copy()
    wrong[3, 0] = np.inf
    np.save(path, wrong)
    assert "networks" in fresh.run("dvc", "status", "train").stdout
    assert "has changed since the stage `train`" in refused(fresh, "python", "-m", "pipeline.embed")
    said = refused(fresh, "dvc", "repro", "embed")
    assert "2 faults" in said and "vectors for" in said and "1 row (3) with values that are missing, infinite" in said
    fault("Input files", "vectors that are too few and not finite", "embed", "one error that lists all faults")
    path.unlink()
    said = refused(fresh, "python", "-m", "pipeline.train")
    assert "networks/vectors.npy" in said and "no such file" in said
