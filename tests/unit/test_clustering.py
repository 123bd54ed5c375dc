"""Clusters, scores, thresholds, segments and agreement, against cases solved by hand."""

import itertools
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from clusterwhy.anomaly import base
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import Glosh, MeanAbsoluteZ, NearestNeighbours, PcaError, Random
from clusterwhy.anomaly.thresholds import (
    ExtremeValueThreshold,
    HalvingTailThreshold,
    QuantileThreshold,
    merge_segments,
    sample_scores,
)
from clusterwhy.clustering.base import Clusters
from clusterwhy.clustering.condensed_tree import number_as_fitted
from clusterwhy.clustering.density import Hdbscan, with_twins
from clusterwhy.clustering.summary import central_order, density_validity, silhouette, summarise
from clusterwhy.compute.seeding import drawn
from clusterwhy.data.windows import timeline
from clusterwhy.errors import DataError
from clusterwhy.metrics.clusters import (
    best_overlaps,
    cluster_stability,
    covering,
    label_agreement,
    spectral_features,
)
from clusterwhy.metrics.detection import ranking_quality
from clusterwhy.projection import Tsne, Umap, compile_kernels, trustworthiness

SHARES = Hdbscan(space="embeddings", min_cluster_share=0.1, min_samples_share=0.025)


def blobs(rng: np.random.Generator, n: int = 50) -> tuple[Any, Any]:
    centres = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    return (centres[:, None] + rng.normal(size=(3, n, 2))).reshape(-1, 2), np.repeat([0, 1, 2], n)


def test_densities_beyond_floating_point_have_no_validity(rng: np.random.Generator) -> None:
    """Distances are raised to the number of features: as of MiniRocket."""
    wide = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 1008))
    assert density_validity(wide, np.repeat([0, 1, 2], 40), 0) is None


def test_three_blobs_are_three_clusters_and_outliers_are_noise(rng: np.random.Generator) -> None:
    points, truth = blobs(rng)
    outliers = np.array([[100.0, 100.0], [-90.0, 50.0]])
    found = SHARES.fit(np.concatenate([points, outliers]))
    assert label_agreement(truth, found.labels[:-2])["ari"] > 0.9
    assert found.labels[-2:].tolist() == [-1, -1] and found.strengths[-2:].tolist() == [0.0, 0.0]
    assert (density_validity(points, truth, 0) or 0) > 0.5
    assert (silhouette(points, truth, 0) or 0) > 0.8


def test_cluster_sizes_grow_with_the_number_of_windows() -> None:
    assert SHARES.sizes(1000) == (100, 25) and SHARES.sizes(10) == (5, 3)
    fixed = Hdbscan(space="projection", min_cluster_size=7, min_samples=3)
    assert fixed.sizes(10_000) == (7, 3)


def test_fewer_windows_than_a_cluster_needs_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match="4 windows, but min_cluster_size is 5"):
        SHARES.fit(rng.normal(size=(4, 2)))
    with pytest.raises(DataError, match=r"n_neighbors. is 15"):
        Umap(n_neighbors=15, min_dist=0.0, metric="euclidean").fit(rng.normal(size=(15, 3)), 0)


def test_the_medoid_comes_first() -> None:
    assert central_order(np.array([[0.0], [1.0], [10.0]])).tolist() == [1, 0, 2]


def test_members_are_as_central_by_a_sample_of_the_others(rng: np.random.Generator) -> None:
    points = rng.normal(size=(400, 3))
    exact, sampled = central_order(points), central_order(points, limit=200)
    assert sorted(sampled) == list(range(400))
    assert set(sampled[:20].tolist()) <= set(exact[:40].tolist())
    np.testing.assert_array_equal(central_order(points, limit=400), exact)


def test_the_timeline_joins_neighbours_of_one_label() -> None:
    index = pd.DataFrame({"start": [0, 5, 10, 15], "stop": [10, 15, 20, 25]})
    runs = timeline(np.array([0, 0, -1, 0]), index)
    assert [(r["cluster"], r["start"], r["stop"], r["n_windows"]) for r in runs] == [
        (0, 0, 15, 2),
        (-1, 10, 20, 1),
        (0, 15, 25, 1),
    ]


def test_umap_is_repeatable_and_keeps_neighbours(rng: np.random.Generator) -> None:
    points = np.repeat(blobs(rng)[0], 3, axis=1)
    umap = Umap(n_neighbors=10, min_dist=0.0, metric="euclidean")
    first = umap.fit(points, 0)
    np.testing.assert_array_equal(first, umap.fit(points, 0))
    assert trustworthiness(points, first, 10, 0) > 0.9
    assert trustworthiness(points, rng.permutation(first), 10, 0) < 0.7


@pytest.mark.parametrize("sample", [None, 150])
def test_standardised_features_do_not_drown_each_other(rng: np.random.Generator, sample: int | None) -> None:
    points, truth = blobs(rng, 200)
    loud = np.column_stack(
        [np.repeat(points, 3, axis=1), 1000.0 * rng.normal(size=len(points)), np.full(len(points), 7.0)]
    )
    standardised = Umap(n_neighbors=10, min_dist=0.0, metric="euclidean", sample=sample)
    np.testing.assert_allclose(standardised.points(loud).std(axis=0), [1.0] * (loud.shape[1] - 1) + [0.0], atol=1e-6)
    as_it_is = standardised.model_copy(update={"standardise": False})
    assert as_it_is.points(loud) is loud
    agreement = {
        projection.standardise: label_agreement(truth, SHARES.fit(projection.fit(loud, 0)).labels)["ari"]
        for projection in (standardised, as_it_is)
    }
    assert agreement[True] > 0.8 > 0.4 > agreement[False]


def test_windows_outside_the_sample_land_where_their_kind_is(rng: np.random.Generator) -> None:
    points, truth = blobs(rng, 200)
    umap = Umap(n_neighbors=10, min_dist=0.0, metric="euclidean", sample=150)
    projection = umap.fit(np.repeat(points, 3, axis=1), 0)
    np.testing.assert_array_equal(projection, umap.fit(np.repeat(points, 3, axis=1), 0))
    by_sample = Hdbscan(space="projection", min_cluster_share=0.2, min_samples_share=0.02, sample=150)
    for where in (points, projection):
        found = by_sample.fit(where)
        assert label_agreement(truth, found.labels)["ari"] > 0.9
        assert found.tree["child_size"].max() <= 150
    alone = by_sample.model_copy(update={"sample": len(points)}).fit(points)
    np.testing.assert_array_equal(alone.labels, by_sample.model_copy(update={"sample": None}).fit(points).labels)


def test_a_sample_is_projected_as_if_it_were_alone(rng: np.random.Generator) -> None:
    points = np.repeat(blobs(rng, 80)[0], 3, axis=1)
    umap = Umap(n_neighbors=10, min_dist=0.0, metric="euclidean", sample=150, standardise=False)
    fitted = umap.fitted(len(points), 3)
    assert fitted.sum() == 150 and umap.fitted(150, 3).all()
    projection = umap.fit(points, 3)
    np.testing.assert_array_equal(projection[fitted], umap.fit(points[fitted], 3))
    # by hand: the median place of the ten nearest windows of the sample
    for window in np.flatnonzero(~fitted)[:5]:
        nearest = np.argsort(np.linalg.norm(points[fitted] - points[window], axis=1))[:10]
        np.testing.assert_allclose(projection[window], np.median(projection[fitted][nearest], axis=0))
    with pytest.raises(DataError, match="100 windows, but"):
        Umap(n_neighbors=100, min_dist=0.0, metric="euclidean", sample=100).fit(points, 0)


def test_tsne_keeps_neighbours_and_places_the_rest_beside_them(rng: np.random.Generator) -> None:
    points, truth = blobs(rng, 240)
    points = np.repeat(points, 3, axis=1)
    tsne = Tsne(n_neighbors=10, perplexity=15.0, metric="euclidean", sample=150)
    projection = tsne.fit(points, 0)
    np.testing.assert_array_equal(projection, tsne.fit(points, 0))
    assert trustworthiness(points, projection, 10, 0) > 0.9
    assert label_agreement(truth, SHARES.fit(projection).labels)["ari"] > 0.9
    with pytest.raises(DataError, match=r"150 windows, but `projection.perplexity` is 60: expected three times it"):
        tsne.model_copy(update={"perplexity": 60.0}).fit(points, 0)


def test_components_come_before_the_projection(rng: np.random.Generator) -> None:
    points = rng.normal(size=(60, 5)) * [9.0, 5.0, 1.0, 0.1, 0.1]
    umap = Umap(n_neighbors=10, min_dist=0.0, metric="euclidean", standardise=False, pca_components=2)
    # by hand: the two directions of the largest variance
    centred = points - points.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    np.testing.assert_allclose(np.abs(umap.points(points)), np.abs(centred @ directions.T), atol=1e-5)
    # new windows by the axes of the others
    np.testing.assert_allclose(umap.points(points[:7], points), umap.points(points)[:7], atol=1e-5)
    with pytest.raises(DataError, match=r"60 windows x 5 features, but `projection.pca_components` is 6"):
        umap.model_copy(update={"pca_components": 6}).fit(points, 0)


@pytest.mark.parametrize("sample", [None, 120])
def test_clusters_that_part_below_the_distance_stay_one(rng: np.random.Generator, sample: int | None) -> None:
    centres = np.repeat([[0.0, 0.0], [3.0, 0.0], [30.0, 0.0], [33.0, 0.0]], 50, axis=0)
    points = centres + rng.normal(scale=0.2, size=centres.shape)
    apart = SHARES.model_copy(update={"sample": sample, "min_cluster_share": 0.1})
    assert len(apart.fit(points).persistence) == 4
    found = apart.model_copy(update={"cluster_selection_epsilon": 5.0}).fit(points)
    assert len(found.persistence) == 2
    assert label_agreement(centres[:, 0] > 15, found.labels)["ari"] > 0.9


def test_windows_are_assigned_in_parts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = blobs(rng, 200)
    by_sample = Hdbscan(space="projection", min_cluster_share=0.2, min_samples_share=0.02, sample=150)
    at_once = by_sample.fit(points)
    monkeypatch.setattr("clusterwhy.clustering.condensed_tree.PART", 64)
    in_parts = by_sample.fit(points)
    np.testing.assert_array_equal(in_parts.labels, at_once.labels)
    np.testing.assert_array_equal(in_parts.strengths, at_once.strengths)


def ring(x: float, n: int) -> Any:
    """n points at distance 1 in a ring: all are equally dense, so that a cluster loses none before it splits."""
    angles = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angles), np.sin(angles)]) * n / (2 * np.pi) + [x, 0.0]


def two_rings(x: float, n: int) -> Any:
    """A cluster that splits into two branches before it loses a point."""
    return np.concatenate([ring(x, n // 2), ring(x + n / (2 * np.pi) + 3.0, n // 2)])


@pytest.mark.parametrize("shapes", list(itertools.product((ring, two_rings), repeat=3)))
def test_windows_outside_the_sample_get_the_number_of_their_ring(shapes: Any, rng: np.random.Generator) -> None:
    """By hand: each window outside the sample lies beside a window of the sample, and so in its cluster."""
    points = np.concatenate([shape(150.0 * i, 128) for i, shape in enumerate(shapes)])[rng.permutation(384)]
    fitted = drawn(768, 384, seed=0)
    every = np.empty((768, 2))
    every[fitted], every[~fitted] = points, points + 0.2
    by_sample = Hdbscan(space="projection", min_cluster_size=20, min_samples=3, sample=384)
    found = by_sample.fit(every)
    assert set(found.labels[fitted].tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(found.labels[fitted], by_sample.fit(points).labels)
    np.testing.assert_array_equal(found.labels[~fitted], found.labels[fitted])
    np.testing.assert_allclose(found.strengths[~fitted], found.strengths[fitted], atol=0.15)


@pytest.mark.parametrize(("selection", "single"), [("eom", False), ("eom", True), ("leaf", False)])
def test_branches_have_the_number_of_all_points_below_them(
    selection: str, single: bool, rng: np.random.Generator
) -> None:
    import hdbscan

    for n in range(120, 900, 60):
        kinds = rng.uniform(-40, 40, (6, 1, 2)) + rng.normal(0, 3, (6, 4, 2))
        points = kinds.reshape(-1, 2)[rng.integers(0, 24, n)] + rng.normal(0, 0.6, (n, 2))
        model = hdbscan.HDBSCAN(
            min_cluster_size=10,
            min_samples=4,
            cluster_selection_method=selection,
            allow_single_cluster=single,
            core_dist_n_jobs=1,
            prediction_data=True,
        ).fit(points)
        tree = model.condensed_tree_.to_pandas()
        number_as_fitted(model.prediction_data_, tree, model.labels_)
        children = {parent: part["child"].tolist() for parent, part in tree.groupby("parent")}

        def below(branch: int) -> set[int]:
            return set().union(*(below(c) if c in children else {int(model.labels_[c])} for c in children[branch]))  # noqa: B023

        slow = {branch: below(branch) for branch in children}
        own = {branch: min(labels) for branch, labels in slow.items() if len(labels) == 1 and -1 not in labels}
        assert model.prediction_data_.cluster_map == own
        again, strengths = hdbscan.approximate_predict(model, points)
        assert (again == model.labels_).mean() > 0.99 and ((strengths >= 0) & (strengths <= 1)).all()


def test_windows_of_one_embedding_are_in_the_cluster_of_most_of_them() -> None:
    """By hand: kind 0 has two votes for cluster 1 and one for 0; kind 1 is in 2 where it is not noise; 2 is noise."""
    embeddings = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0])[:, None]
    labels, strengths = np.array([1, 0, 1, -1, 2, -1, 1]), np.array([0.4, 0.9, 0.8, 0.0, 0.7, 0.0, 1.0])
    found = with_twins(Clusters(labels, strengths, np.array([0.1, 0.2, 0.3]), pd.DataFrame()), embeddings, 2)
    # cluster 0 has no window left: 1 and 2 are 0 and 1 now, both with another window
    assert found.labels.tolist() == [0, 0, 0, 1, 1, -1, 0]
    np.testing.assert_allclose(found.strengths, [0.4, 0.6, 0.8, 0.7, 0.7, 0.0, 1.0])
    assert np.isnan(found.persistence).all() and len(found.persistence) == 2
    apart = Clusters(labels, strengths, np.array([0.1, 0.2, 0.3]), pd.DataFrame())
    assert with_twins(apart, np.arange(7.0)[:, None], 2) is apart


def test_enough_windows_of_one_embedding_are_a_cluster_where_none_was_found() -> None:
    """By hand: of kinds 0 and 2 all are noise, and a cluster has three windows at least."""
    embeddings = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0])[:, None]
    labels, strengths = np.array([-1, -1, -1, 0, 0, -1, -1]), np.array([0.0, 0.0, 0.0, 0.8, 1.0, 0.0, 0.0])
    found = with_twins(Clusters(labels, strengths, np.array([0.1]), pd.DataFrame()), embeddings, 3)
    assert found.labels.tolist() == [1, 1, 1, 0, 0, -1, -1]
    np.testing.assert_array_equal(found.strengths, [1.0, 1.0, 1.0, 0.8, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.persistence, [0.1, np.nan])


def test_windows_of_one_embedding_are_one_cluster_wherever_they_are_placed(rng: np.random.Generator) -> None:
    same = np.full((60, 3), 0.3, dtype=np.float32) * (1 + 1e-7 * rng.normal(size=(60, 3)))
    clusterer = Hdbscan(space="projection", min_cluster_size=20, min_samples=3)
    placed = rng.normal(size=(60, 2))
    assert set(clusterer.fit(placed).labels) == {-1}  # by the places alone, all are noise
    found = clusterer.fit(placed, same)
    assert set(found.labels) == {0} and set(found.strengths) == {1.0} and np.isnan(found.persistence).tolist() == [True]


def test_coinciding_embeddings_have_neither_trustworthiness_nor_silhouette(rng: np.random.Generator) -> None:
    same = np.full((40, 3), 0.3, dtype=np.float32) * (1 + 1e-7 * rng.normal(size=(40, 3)))
    labels = np.arange(40) % 2
    assert trustworthiness(same, rng.normal(size=(40, 2)), 5, 0) is None and silhouette(same, labels, 0) is None
    # rounding is not made into features of variance 1
    assert (Umap(n_neighbors=5, min_dist=0.0, metric="euclidean").points(same) == 0).all()


def test_the_persistence_of_coinciding_windows_is_unknown(rng: np.random.Generator) -> None:
    """Their density is infinite; hdbscan says 1.0."""
    points, truth = np.repeat([[0.0, 0.0], [5.0, 0.0]], 20, axis=0), np.repeat([0, 1], 20)
    found = SHARES.fit(points)
    assert label_agreement(truth, found.labels)["ari"] == 1.0 and np.isnan(found.persistence).all()
    index = pd.DataFrame({"window": np.arange(40)})
    assert [one["persistence"] for one in summarise(found, points, index)] == [None, None]
    assert np.isfinite(SHARES.fit(blobs(rng)[0]).persistence).all()


def detector_input(rng: np.random.Generator, anomalous: int) -> DetectorInput:
    """40 windows of 8 samples and 3 channels; in one, channel 1 is 6 too high."""
    values = rng.normal(size=(320, 3)).astype(np.float32)
    values[anomalous * 8 : anomalous * 8 + 8, 1] += 6.0
    starts, train = np.arange(0, 320, 8), np.arange(40) != anomalous
    embeddings = values.reshape(40, -1)

    def load_encoder() -> Any:
        raise AssertionError("no network is needed")

    return DetectorInput(values, starts, 8, train, embeddings, embeddings[:, :2], load_encoder, 0)


@pytest.mark.parametrize(
    "detector",
    [
        MeanAbsoluteZ(),
        PcaError(explained_share=0.5),
        NearestNeighbours(k=3),
        Glosh(space="embeddings", min_cluster_share=0.1),
    ],
)
def test_detectors_rank_the_anomalous_window_first(detector: Any, rng: np.random.Generator) -> None:
    found = detector.score(detector_input(rng, 17))
    assert found.windows.argmax() == 17
    if found.channels is not None:
        assert found.channels[17].argmax() == 1


def test_distances_between_many_windows_take_little_memory(rng: np.random.Generator) -> None:
    points = rng.normal(size=(5000, 3))
    tracemalloc.start()
    order = central_order(points)
    silhouette(points, (points[:, 0] > 0).astype(int), seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.75 * 5000 * 5000 * 8
    by_hand = np.array([np.linalg.norm(points - point, axis=1).sum() for point in points])
    np.testing.assert_array_equal(order[:50], np.argsort(by_hand, kind="stable")[:50])


def test_principal_components_of_a_sample_score_every_window(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = detector_input(rng, 17)
    whole = PcaError(explained_share=0.5).score(made)
    monkeypatch.setattr(base, "PART", 7)
    np.testing.assert_allclose(PcaError(explained_share=0.5, sample=39).score(made).windows, whole.windows, rtol=1e-5)
    fitted = made.windows[made.train][drawn(39, 20, seed=0)].reshape(20, -1)
    model = PCA(n_components=0.5, svd_solver="full").fit(fitted)
    flat = made.windows.reshape(40, -1)
    by_hand = ((flat - model.inverse_transform(model.transform(flat))) ** 2).mean(axis=1)
    found = PcaError(explained_share=0.5, sample=20).score(made).windows
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)
    assert not np.allclose(found, whole.windows, rtol=1e-2)


def test_random_scores_are_uniform_and_repeatable(rng: np.random.Generator) -> None:
    made = detector_input(rng, 3)
    np.testing.assert_array_equal(Random().score(made).windows, Random().score(made).windows)


def test_nearest_neighbours_of_a_training_window_leave_itself_out() -> None:
    values = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    made = DetectorInput(values, np.arange(4), 1, np.array([1, 1, 1, 0], dtype=bool), values, values, None, 0)  # type: ignore[arg-type]
    assert NearestNeighbours(k=1).score(made).windows.tolist() == [1.0, 1.0, 2.0, 4.0]


def test_an_extreme_value_threshold_finds_the_quantile_of_an_exponential(rng: np.random.Generator) -> None:
    # P(score > q) = exp(-q): risk 1e-3 is at 6.9
    threshold = ExtremeValueThreshold(initial_quantile=0.95, risk=1e-3)
    scores = rng.exponential(size=50_000)
    assert threshold.fit(scores) == pytest.approx(np.log(1e3), rel=0.1)
    assert threshold.fit(scores * 1e-9) == pytest.approx(1e-9 * threshold.fit(scores), rel=1e-3)


def test_a_halving_tail_solved_by_hand() -> None:
    scores = np.zeros(40)
    # four runs of windows above the quantile 0.75, which is 0: they peak at 2, 3, 5 and 20
    scores[[3, 4, 10, 20, 21, 22, 30]] = [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 20.0]
    # half of the peaks are above 4: every 4 halves the four of 40 windows, sixteen of 160 are one after four times
    assert HalvingTailThreshold(initial_quantile=0.75, every=160).fit(scores) == pytest.approx(4 * 4)
    scores[30] = 2000.0  # a fault does not stretch the tail
    assert HalvingTailThreshold(initial_quantile=0.75, every=160).fit(scores) == pytest.approx(4 * 4)
    assert HalvingTailThreshold(initial_quantile=0.75, every=2).fit(scores) == 0.0
    assert HalvingTailThreshold(initial_quantile=0.75, every=10_000).fit(np.minimum(scores, 30.0)) == 30.0
    scores[[3, 4, 10]] = 0.0  # two peaks are too few for a tail
    assert HalvingTailThreshold(initial_quantile=0.75, every=160).fit(scores) == 2000.0
    assert HalvingTailThreshold(initial_quantile=0.75, every=160).fit(np.ones(9)) == 1.0


def test_every_threshold_says_what_it_is() -> None:
    assert "about once in 50" in HalvingTailThreshold(initial_quantile=0.8, every=50).says
    assert "probability 0.001" in ExtremeValueThreshold(initial_quantile=0.95, risk=1e-3).says
    assert "0.02 of" in QuantileThreshold(quantile=0.98).says


@pytest.mark.parametrize("every", [100, 1000])
def test_normal_windows_exceed_a_halving_tail_about_as_often_as_it_says(every: int, rng: np.random.Generator) -> None:
    scores = np.zeros(200_000)
    scores[::2] = rng.exponential(size=100_000)  # each score above the quantile is a peak of its own
    threshold = HalvingTailThreshold(initial_quantile=0.8, every=every)
    assert np.mean(scores > threshold.fit(scores)) == pytest.approx(1 / every, rel=0.25)
    assert threshold.fit(scores * 1e-9) == pytest.approx(1e-9 * threshold.fit(scores), rel=1e-9)


def test_faults_among_the_training_windows_are_above_a_halving_tail_and_below_an_extreme_value(
    rng: np.random.Generator,
) -> None:
    scores, faulty = rng.exponential(size=2000), np.zeros(2000, dtype=bool)
    for at, height in zip(range(100, 2000, 120), np.geomspace(15.0, 150.0, 16), strict=True):  # four windows each
        faulty[at : at + 4] = True
        scores[at : at + 4] = height
    assert (scores > HalvingTailThreshold(initial_quantile=0.8, every=400).fit(scores))[faulty].all()
    assert (scores > ExtremeValueThreshold(initial_quantile=0.95, risk=1e-3).fit(scores))[faulty].mean() < 0.1


def test_scores_of_samples_are_the_mean_over_their_windows() -> None:
    found = sample_scores(np.array([1.0, 3.0]), np.array([0, 2]), 4, 8)
    np.testing.assert_allclose(found, [1, 1, 2, 2, 3, 3, np.nan, np.nan])


def test_overlapping_anomalous_windows_merge_the_worst_first() -> None:
    segments = merge_segments(np.array([5.0, 6.0, 0.0, 9.0]), 1.0, np.array([0, 2, 6, 20]), 4)
    assert [(s["start"], s["stop"], s["peak_window"]) for s in segments] == [(20, 24, 3), (0, 6, 1)]


def test_overlaps_of_clusters_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, -1, 2])
    found = np.array([3, 3, 3, 5, 5, 5, -1, 5, -1])
    # cluster 0: three of four; cluster 1: two of five; cluster 2 is noise now
    assert best_overlaps(labels, found) == {0: 0.75, 1: 0.4, 2: 0.0}


def test_real_clusters_are_there_again_and_arbitrary_ones_are_not(rng: np.random.Generator) -> None:
    points, truth = blobs(rng)
    placing = Umap(n_neighbors=15, min_dist=0.0, metric="euclidean")
    projected = SHARES.model_copy(update={"space": "projection"})
    index = pd.DataFrame({"start": np.arange(len(points)), "stop": np.arange(len(points)) + 4})
    for clusterer in (SHARES, projected):
        found = cluster_stability(points, truth, index, placing, clusterer, 0, 2)
        assert found.groupby("cluster").size().to_dict() == {0: 2, 1: 2, 2: 2}
        assert found["jaccard"].min() > 0.8
    mixed = np.arange(len(truth)) % 3
    assert cluster_stability(points, mixed, index, placing, SHARES, 0, 2)["jaccard"].max() < 0.6
    assert cluster_stability(points, truth, index, placing, SHARES, 0, 0).empty


def test_covering_is_the_best_overlap_of_each_segment(rng: np.random.Generator) -> None:
    truth, found = np.repeat(rng.integers(0, 4, 40), 7), np.repeat(rng.integers(-1, 3, 56), 5)

    def segments(labels: Any) -> list[set[int]]:
        edges = [0, *(np.flatnonzero(np.diff(labels)) + 1), len(labels)]
        return [set(range(a, b)) for a, b in itertools.pairwise(edges)]

    slow = sum(len(a) * max(len(a & b) / len(a | b) for b in segments(found)) for a in segments(truth)) / len(truth)
    assert covering(truth, found) == pytest.approx(slow)
    assert covering(rng.integers(0, 9, 200_000), rng.integers(0, 9, 200_000)) > 0.5


def test_covering_solved_by_hand() -> None:
    truth, found = np.array([0] * 4 + [1] * 4), np.array([0] * 3 + [1] * 5)
    # first segment: best overlap 3/4; second: 4/5
    assert covering(truth, found) == pytest.approx((4 * 0.75 + 4 * 0.8) / 8)
    assert covering(truth, truth) == 1.0


def test_detection_quality_of_perfect_and_missing_scores() -> None:
    truth = np.array([0, 0, 1, 1], dtype=bool)
    assert ranking_quality(truth, np.array([0.1, np.nan, 0.8, 0.9]))["auroc"] == 1.0
    assert ranking_quality(np.zeros(4, dtype=bool), np.arange(4.0)) == {}


def test_spectral_features_see_frequency_and_not_phase() -> None:
    t = np.arange(64) / 64
    wave = lambda f, shift: np.sin(2 * np.pi * (f * t + shift))[None, None]  # noqa: E731
    near = np.abs(spectral_features(wave(5, 0.0)) - spectral_features(wave(5, 0.3))).max()
    far = np.abs(spectral_features(wave(5, 0.0)) - spectral_features(wave(9, 0.0))).max()
    assert near < 1e-9 < 1.0 < far


COMPILED = """
import sys
import umap, pynndescent
from clusterwhy.projection import compile_kernels
modules = [m for name, m in sys.modules.items() if name.split(".")[0] in ("umap", "pynndescent")]
functions = {id(f): f for m in modules for f in vars(m).values() if hasattr(f, "py_func") and hasattr(f, "stats")}
at_import = {key for key, f in functions.items() if f.signatures}
compile_kernels()
used = [f for key, f in functions.items() if f.signatures and key not in at_import]
print(len(used), *sorted(f.py_func.__name__ for f in used if not f.stats.cache_hits or f.stats.cache_misses))
"""


def test_a_second_process_compiles_no_kernel_of_umap() -> None:
    compile_kernels()
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=True)
    n_used, *compiled = done.stdout.split()
    assert int(n_used) >= 3 and not compiled
