"""What a served page tries: the pipeline's clusters for other settings, and nothing that is written."""

from pathlib import Path

import numpy as np
import pytest

from clusterwhy.clustering.density import Hdbscan
from clusterwhy.errors import ConfigError, DataError, ResourceError
from clusterwhy.projection import Umap
from clusterwhy.report import trials as trials_module
from clusterwhy.report.trials import TrialRequest, Trials, written
from clusterwhy.types import FloatArray
from tests.synthetic_results import synthetic_results
from tests.trial_studies import HDBSCAN, PCA, STATES, UMAP, trials_of


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return trials_of(synthetic_results(tmp_path / "artifacts"))


def fitted(trials: Trials, **changes: object) -> np.ndarray:
    """Labels that the pipeline gives."""
    settings = Hdbscan.model_validate({k: v for k, v in HDBSCAN.items() if k != "_target_"} | changes)
    study = trials.study
    return settings.fit(np.asarray(study.projection), np.asarray(study.embeddings)).labels


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    """Up to the numbers of clusters."""
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    return (
        len(pairs) == len(set(first.tolist())) == len(set(second.tolist()))
        and (first < 0).tolist() == (second < 0).tolist()
    )


def test_the_offer_has_the_values_of_the_study(trials: Trials) -> None:
    offer = trials.offer
    values = {(field["group"], field["name"]): field["value"] for field in offer["fields"]}
    assert values == {
        ("clusterer", "min_cluster_share"): 0.05,
        ("clusterer", "min_samples_share"): 0.05,
        ("clusterer", "selection"): "eom",
        ("clusterer", "cluster_selection_epsilon"): 0.0,
        ("projection", "n_neighbors"): 10,
        ("projection", "min_dist"): 0.0,
        ("projection", "metric"): "euclidean",
    }
    choices = {field["name"]: field["choices"] for field in offer["fields"] if field["choices"]}
    assert choices == {"selection": ["eom", "leaf"], "metric": ["euclidean", "cosine", "manhattan"]}
    assert offer["own"] == 3 and 3 in offer["n_clusters"] and offer["cannot"] == []


def test_a_number_of_clusters_is_what_its_overrides_give(trials: Trials) -> None:
    for n_clusters in trials.cuts:
        answer = trials.answer(TrialRequest(n_clusters=n_clusters))
        found = trials.run(TrialRequest(n_clusters=n_clusters))
        assert answer["n_clusters"] == n_clusters == len(set(found.labels[found.labels >= 0].tolist()))
        changes = dict(found.overrides["clusterer"])
        assert changes["selection"] == "leaf" and same_partition(found.labels, fitted(trials, **changes))
        assert answer["overrides"].startswith("clusterer.selection=leaf")
        assert answer["files"] == ["conf/clusterer/hdbscan.yaml"]


def test_settings_are_refitted_as_by_the_pipeline_and_keep_the_numbers_of_the_study(trials: Trials) -> None:
    changes = {"min_cluster_share": 0.2, "min_samples_share": 0.15}
    answer = trials.answer(TrialRequest(clusterer={**changes, "selection": "eom"}))
    found = trials.run(TrialRequest(clusterer={**changes}))
    assert same_partition(found.labels, fitted(trials, **changes)) and found.projection is None
    study = trials.study.labels
    assert all((found.labels[study == c] == c).mean() > 0.5 for c in range(3))
    assert answer["overrides"] == "clusterer.min_cluster_share=0.2 clusterer.min_samples_share=0.15"
    assert answer["ami"] > 0.7 and answer["noise_share"] == (found.labels < 0).mean()
    assert [one["n_windows"] for one in answer["clusters"]] == np.unique(found.labels, return_counts=True)[1].tolist()


def test_nothing_is_written(trials: Trials) -> None:
    root = trials.study.folders["embed"].parent
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    trials.answer(TrialRequest(n_clusters=3))
    trials.answer(TrialRequest(clusterer={"selection": "leaf"}))
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[Umap]:
    """UMAP is replaced by the first two features, mirrored; the settings that it was asked with."""
    asked: list[Umap] = []

    def of_sample(self: Umap, points: FloatArray, seed: int) -> FloatArray:
        asked.append(self)
        return -points[:, [0, -1]]

    monkeypatch.setattr(Umap, "_of_sample", of_sample)
    return asked


def test_another_projection_moves_the_points_and_is_clustered_again(trials: Trials, placed: list[Umap]) -> None:
    found = trials.run(TrialRequest(projection={"n_neighbors": 30, "min_dist": 0.0}))
    assert placed[0].n_neighbors == 30 and found.projection is not None
    settings = Hdbscan.model_validate({k: v for k, v in HDBSCAN.items() if k != "_target_"})
    again = settings.fit(found.projection, np.asarray(trials.study.embeddings)).labels
    assert same_partition(found.labels, again)
    answer = trials.answer(TrialRequest(projection={"n_neighbors": 30}, clusterer={"min_cluster_share": 0.1}))
    assert answer["overrides"] == "clusterer.min_cluster_share=0.1 projection.n_neighbors=30"
    assert set(answer["arrays"]) == {"tried_cluster", "tried_x", "tried_y"} and len(answer["files"]) == 2


@pytest.mark.parametrize(
    ("asked", "error", "why"),
    [
        ({"clusterer": {"min_cluster_share": 3.0}}, ConfigError, "clusterer.min_cluster_share: Input should be less"),
        ({"clusterer": {"selection": "best"}}, ConfigError, "'eom' or 'leaf'"),
        ({"clusterer": {"min_samples_share": None}}, ConfigError, "exactly one of"),
        ({"projection": {"n_neighbors": 1.5}}, ConfigError, "projection.n_neighbors"),
        ({"projection": {"n_neighbors": 60}}, DataError, "60 windows, but `projection.n_neighbors` is 60"),
        ({"clusterer": {"min_samples_share": 0.999}}, DataError, "min_samples is 60"),
        ({"clusterer": {"_target_": "clusterwhy.projection.Pca"}}, ValueError, "cannot try _target_; expected min_"),
        ({"projection": {"sample": None}}, ValueError, "cannot try sample"),
        ({"n_clusters": 40}, ValueError, "no cut into 40 clusters; expected 2, 3"),
        ({"n_clusters": 3, "clusterer": {"selection": "leaf"}}, ValueError, "not both"),
    ],
)
def test_what_is_invalid_gets_the_reason(trials: Trials, asked: object, error: type[Exception], why: str) -> None:
    with pytest.raises(error) as raised:
        trials.run(TrialRequest.model_validate(asked))
    assert why in str(raised.value)


def test_a_projection_that_memory_does_not_hold_is_refused(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials_module, "NEIGHBOUR_BYTES", 1 << 60)
    with pytest.raises(ResourceError, match="fewer neighbours"):
        trials.run(TrialRequest(projection={"n_neighbors": 20}))


def test_states_and_pca_say_what_cannot_be_tried(tmp_path: Path) -> None:
    trials = trials_of(synthetic_results(tmp_path / "artifacts"), STATES, PCA)
    offer = trials.offer
    assert offer["fields"] == [] and offer["n_clusters"] == []
    assert "`States`" in offer["cannot"][0] and "`Pca`" in offer["cannot"][1]
    for asked in ({"n_clusters": 3}, {"clusterer": {"penalty": 2.0}}, {"projection": {"n_neighbors": 5}}):
        with pytest.raises(ValueError, match=r"expected none"):
            trials.run(TrialRequest.model_validate(asked))


def test_another_projection_leaves_clusters_of_embeddings_alone(tmp_path: Path, placed: list[Umap]) -> None:
    study = synthetic_results(tmp_path / "artifacts")
    for clusterer in (HDBSCAN | {"space": "embeddings"}, STATES):
        found = trials_of(study, clusterer, UMAP).run(TrialRequest(projection={"n_neighbors": 20}))
        assert found.projection is not None and found.labels.tolist() == study.labels.tolist()
        assert not found.overrides["clusterer"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.03, "0.03"), (1e-6, "1.0e-06"), (2.5e-7, "2.5e-07"), (5, "5"), ("leaf", "leaf"), (1.0, "1.0"), (None, "null")],
)
def test_values_are_written_as_yaml_reads_them(value: float | str | None, text: str) -> None:
    assert written(value) == text
