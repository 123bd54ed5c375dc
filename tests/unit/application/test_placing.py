"""New windows in a study's projection and clusters."""

from types import SimpleNamespace
from typing import Any

import hdbscan
import numpy as np
import pytest

from clusterwhy.application.placing import NONE, Placed, place, twins_of
from clusterwhy.application.settings import ApplicationSettings
from clusterwhy.clustering.base import NOISE
from clusterwhy.clustering.condensed_tree import number_as_fitted
from clusterwhy.clustering.density import Hdbscan
from clusterwhy.projection import Pca, Umap

LENGTH, STRIDE, LIMITS = 10, 5, ApplicationSettings(risk=0.01, reach=1.5)
CENTRES = np.zeros((3, 8))
CENTRES[1, 0], CENTRES[2, 1] = 40.0, 40.0
CLUSTERER = Hdbscan(space="projection", min_cluster_share=0.1, min_samples_share=0.02)


def study_of(embeddings: np.ndarray) -> Any:
    """What `place` reads of a fitted study."""
    projection = Pca(standardise=False).fit(embeddings, 0)
    return SimpleNamespace(
        settings={"seed": 0, "projection": Pca(standardise=False), "clusterer": CLUSTERER},
        embeddings=embeddings,
        projection=projection,
        clusters=CLUSTERER.fit(projection, embeddings),
        data=SimpleNamespace(starts=STRIDE * np.arange(len(embeddings)), length=LENGTH),
    )


def blobs(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    of = rng.integers(3, size=n)
    return (CENTRES[of] + rng.normal(size=(n, 8))).astype(np.float32), of


def placed(study: Any, embeddings: np.ndarray, twins: np.ndarray | None = None) -> Placed:
    return place(study, embeddings, np.full(len(embeddings), NONE) if twins is None else twins, LIMITS)


def test_a_tree_without_its_model_predicts_as_the_model_does(rng: np.random.Generator) -> None:
    points = np.concatenate([rng.normal(size=(150, 2)), rng.normal(5, 2, size=(150, 2)), rng.normal(-7, 1, (90, 2))])
    found = CLUSTERER.fit(points)
    size, samples = CLUSTERER.sizes(len(points))
    model = hdbscan.HDBSCAN(min_cluster_size=size, min_samples=samples, prediction_data=True).fit(points)
    number_as_fitted(model.prediction_data_, model.condensed_tree_.to_pandas(), model.labels_)
    new = points[rng.integers(len(points), size=400)] + rng.normal(size=(400, 2))
    labels, strengths = hdbscan.approximate_predict(model, new)
    assert len(set(labels)) > 2
    np.testing.assert_array_equal(CLUSTERER.assign(new, points, found, points)[0], labels)
    np.testing.assert_allclose(CLUSTERER.assign(new, points, found, points)[1], strengths)


def test_windows_of_one_embedding_do_not_spoil_the_cluster_that_they_were_moved_to(rng: np.random.Generator) -> None:
    points = np.concatenate([rng.normal(size=(150, 2)), rng.normal(12, 1, size=(150, 2))])
    embeddings = np.arange(300.0)[:, None]
    embeddings[[0, 1, 299]] = -1.0  # windows of both clusters, which the study puts into one
    found = CLUSTERER.fit(points, embeddings)
    assert len({int(found.labels[i]) for i in (0, 1, 299)}) == 1
    labels, _ = CLUSTERER.assign(np.array([[0.0, 0.0], [12.0, 12.0]]), points, found, embeddings)
    assert labels.tolist() == [found.labels[2], found.labels[200]] and NOISE not in labels


def test_a_study_without_clusters_knows_no_new_window(rng: np.random.Generator) -> None:
    points = rng.uniform(size=(60, 2))
    clusterer = Hdbscan(space="projection", min_cluster_size=40, min_samples=20)
    labels, strengths = clusterer.assign(points, points, clusterer.fit(points), points)
    assert set(labels) == {NOISE} and not strengths.any()


def test_new_windows_of_known_states_get_the_clusters_of_these_states(rng: np.random.Generator) -> None:
    embeddings, of = blobs(rng, 600)
    study = study_of(embeddings)
    new, of_new = blobs(rng, 600)
    found = placed(study, new)
    inside = found.labels != NOISE
    assert inside.mean() > 0.9
    numbers = {int(state): int(np.bincount(study.clusters.labels[of == state] + 1).argmax()) - 1 for state in range(3)}
    assert (found.labels[inside] == [numbers[int(state)] for state in of_new[inside]]).all()
    assert ((found.strengths > 0) == inside).all()


def test_a_state_that_was_never_seen_is_noise_wherever_the_projection_puts_it(rng: np.random.Generator) -> None:
    study = study_of(blobs(rng, 600)[0])
    new = blobs(rng, 100)[0]
    new[:, 7] += 30.0  # the plane of the projection does not know this direction
    found = placed(study, new)
    known = placed(study, new - np.eye(8, dtype=np.float32)[7] * 30.0)
    np.testing.assert_allclose(found.projection, known.projection, atol=3.0)
    assert found.unknown.all() and set(found.labels) == {NOISE} and not found.strengths.any()
    assert known.unknown.mean() < 0.1


def test_far_means_further_than_fitted_windows_that_share_no_samples(rng: np.random.Generator) -> None:
    embeddings = np.repeat(rng.normal(size=(40, 8)), LENGTH, axis=0).astype(np.float32)
    study = study_of(embeddings + 1e-3 * rng.normal(size=embeddings.shape).astype(np.float32))
    study.data.starts = np.arange(len(embeddings))
    # ten windows in a row are alike because they overlap: a new one has no such neighbours
    assert placed(study, rng.normal(size=(200, 8)).astype(np.float32)).unknown.mean() < 0.2


@pytest.mark.parametrize("shift", [0.0, 1e-3])
def test_a_twin_of_a_fitted_window_has_its_place_and_cluster(rng: np.random.Generator, shift: float) -> None:
    embeddings = blobs(rng, 300)[0]
    study = study_of(embeddings)
    chosen = rng.permutation(300)[:50]
    found = placed(study, embeddings[chosen] + np.float32(shift), chosen)
    np.testing.assert_array_equal(found.projection, study.projection[chosen])
    np.testing.assert_array_equal(found.labels, study.clusters.labels[chosen])
    np.testing.assert_array_equal(found.strengths, study.clusters.strengths[chosen])


def test_twins_are_windows_of_the_same_values(rng: np.random.Generator) -> None:
    values = rng.normal(size=(100, 2)).astype(np.float32)
    study: Any = SimpleNamespace(scaled=values, starts=np.array([0, 20, 50]), length=10)
    new: Any = SimpleNamespace(
        scaled=np.concatenate([values[50:], values[:30]]), starts=np.array([0, 1, 70]), length=10
    )
    assert twins_of(new, study).tolist() == [2, NONE, 1]


def test_umap_places_new_windows_as_it_places_those_outside_its_sample(rng: np.random.Generator) -> None:
    embeddings = blobs(rng, 300)[0]
    umap = Umap(n_neighbors=5, min_dist=0.0, metric="euclidean", sample=120)
    projection = umap.fit(embeddings, 0)
    left = ~umap.fitted(300, 0)
    np.testing.assert_array_equal(umap.place(embeddings[left], embeddings, projection, 0), projection[left])


def test_pca_places_new_windows_by_its_axes(rng: np.random.Generator) -> None:
    embeddings = blobs(rng, 300)[0]
    projection = Pca().fit(embeddings, 0)
    np.testing.assert_allclose(Pca().place(embeddings[:20], embeddings, projection, 0), projection[:20], atol=1e-5)
