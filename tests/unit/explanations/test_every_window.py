"""Windows explained one by one: each as its cluster is, and noise by what keeps it out of the nearest one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans

from clusterwhy.attribution.differences import DeepLift, explain_difference
from clusterwhy.explanations.clusters import explain_clusters
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.every_window import Coverage, KnownWindows, WindowExplanations, explain_every_window
from clusterwhy.explanations.members import MemberSelection
from clusterwhy.explanations.noise import noise_table
from clusterwhy.explanations.settings import ExplanationSettings
from clusterwhy.explanations.targets import MembershipTarget
from clusterwhy.propagation.canonizer import CanonizerSettings
from clusterwhy.propagation.composites import COMPOSITES
from tests.unit.propagation.test_relevance import made_encoder

LENGTH, N_EACH = 32, 12
LABELS = np.repeat([0, 1, -1], N_EACH)
SETTINGS = ExplanationSettings(
    target=MembershipTarget(n_prototypes=1, against="all", root="zero", sharpness=None),
    canonizer=CanonizerSettings(name="auto"),
    composite=COMPOSITES["epsilon_plus"],
    attributor=DeepLift(baseline="near_references", n_references=2, batch_size=16),
    members=MemberSelection(rule="central", count=4, alignment="none"),
    seed=0,
)
ALL = Coverage(max_windows=1000, encoders=1, part=512)


@pytest.fixture
def series(rng: np.random.Generator) -> EmbeddedSeries:
    """Channel 0 oscillates faster in cluster 1; noise is like cluster 0, but for the level of channel 2."""
    encoder, time = made_encoder(3).float(), np.arange(LENGTH)
    parts = []
    for label in LABELS:
        window = 0.2 * rng.normal(size=(LENGTH, 3))
        window[:, 0] += np.sin(time * (1.3 if label == 1 else 0.3))
        window[:, 2] += 0.8 * (label == -1)
        parts.append(window)
    values = np.concatenate(parts).astype(np.float32)
    starts = np.arange(0, len(values), LENGTH)
    index = pd.DataFrame({"window": 7 + np.arange(len(LABELS)), "start": starts, "stop": starts + LENGTH})
    windows = np.stack([part.T for part in parts]).astype(np.float32)
    embeddings = encoder(torch.from_numpy(windows)).detach().numpy()
    return EmbeddedSeries(encoder, values, index.assign(train=True), embeddings, ("a", "b", "c"), 0.1)


def known_of(series: EmbeddedSeries, replicates: list[EmbeddedSeries]) -> KnownWindows:
    found = explain_clusters(series, LABELS, np.ones(len(LABELS)), SETTINGS, replicates=replicates)
    return KnownWindows(found.windows, found.relevance, found.target_sizes)


def relevance(found: WindowExplanations) -> np.ndarray:
    return np.asarray(found.levels * found.windows["step"].to_numpy()[:, None, None])


def test_every_window_is_explained_as_its_cluster_is(series: EmbeddedSeries) -> None:
    known = known_of(series, [])
    found = explain_every_window(series, LABELS, SETTINGS, ALL, known)
    table = found.windows
    assert table["window"].tolist() == (7 + np.arange(len(LABELS))).tolist()
    assert table["cluster"].tolist() == LABELS.tolist()
    rows = known.windows["window"].to_numpy() - 7
    half = table["step"].to_numpy()[rows, None, None] / 2
    assert (np.abs(relevance(found)[rows] - known.relevance) <= half * (1 + 1e-5)).all()
    np.testing.assert_allclose(found.channels[rows], known.relevance.sum(axis=2), rtol=1e-5)
    np.testing.assert_allclose(table["target"].to_numpy()[rows], known.windows["target"], rtol=1e-6)
    # a window that was not known: by hand, from its cluster's target and the two most similar windows outside
    other = next(i for i in range(N_EACH) if i not in rows)
    network = SETTINGS.target.networks(series.encoder, series.embeddings, LABELS, 0)[0][0]
    window, outside = series.windows(np.array([other])), np.flatnonzero(LABELS != 0)
    distance = np.square(series.windows(outside) - window).sum(axis=(1, 2))
    nearest = outside[np.argsort(distance)[:2]]
    by_hand = explain_difference(network, window, series.windows(nearest)[None])
    np.testing.assert_allclose(found.channels[other], by_hand.values[0].sum(axis=1), atol=1e-4)
    assert table["reference"][other] == 7 + nearest[0]
    np.testing.assert_allclose(table["size"][other], np.abs(by_hand.values).sum(), rtol=1e-4)


def test_noise_is_compared_with_members_of_the_nearest_cluster(series: EmbeddedSeries) -> None:
    found = explain_every_window(series, LABELS, SETTINGS, ALL, known_of(series, []))
    noise, table = np.flatnonzero(LABELS == -1), found.windows.set_index("window")
    # by hand: the nearest of four k-means centres of each cluster
    points = np.asarray(series.embeddings, dtype=float)
    centres = [KMeans(4, n_init=4, random_state=0).fit(points[c == LABELS]).cluster_centers_ for c in (0, 1)]
    distances = [np.square(points[noise][:, None] - own).sum(axis=2).min(axis=1) for own in centres]
    np.testing.assert_array_equal(table.loc[7 + noise, "explained_cluster"], np.argmin(distances, axis=0))
    last = int(noise[-1])
    cluster = int(table.loc[7 + last, "explained_cluster"])
    network = SETTINGS.target.networks(series.encoder, series.embeddings, LABELS, 0)[0][cluster]
    window, inside = series.windows(np.array([last])), np.flatnonzero(cluster == LABELS)
    nearest = inside[np.argsort(np.square(series.windows(inside) - window).sum(axis=(1, 2)))[:2]]
    by_hand = explain_difference(network, window, series.windows(nearest)[None])
    np.testing.assert_allclose(found.channels[last], by_hand.values[0].sum(axis=1), atol=1e-5)
    assert table.loc[7 + last, "reference"] == 7 + nearest[0]
    counts = noise_table(found.windows, found.channels, series.channels)
    assert counts["first_in"].sum() == len(noise)


def test_several_encoders_count_as_they_do_in_clusters(series: EmbeddedSeries) -> None:
    """With the same two encoders, windows that are known and windows that are not have relevance on one scale."""
    double = replace(series, embeddings=2.0 * series.embeddings)  # targets of another size
    known = known_of(series, [double])
    few = KnownWindows(known.windows.iloc[:0], known.relevance[:0], known.target_sizes)
    both = ALL.model_copy(update={"encoders": 2, "part": 5})
    found = explain_every_window(series, LABELS, SETTINGS, both, few, replicates=[double])
    rows = known.windows["window"].to_numpy() - 7
    np.testing.assert_allclose(found.channels[rows], known.relevance.sum(axis=2), rtol=1e-3, atol=1e-4)
    assert set(found.windows["encoders"]) == {2}
    # one encoder of two: what is known is still the mean over both
    one = explain_every_window(series, LABELS, SETTINGS, ALL, known, replicates=[double]).windows
    assert set(one["encoders"][rows]) == {2} and set(one["encoders"].drop(rows)) == {1}


def test_the_size_of_parts_changes_nothing(series: EmbeddedSeries) -> None:
    known = known_of(series, [])
    whole = explain_every_window(series, LABELS, SETTINGS, ALL, known)
    parts = explain_every_window(series, LABELS, SETTINGS, ALL.model_copy(update={"part": 3}), known)
    # gaps are rounding errors
    pd.testing.assert_frame_equal(whole.windows.drop(columns="gap"), parts.windows.drop(columns="gap"), rtol=1e-4)
    np.testing.assert_allclose(whole.channels, parts.channels, rtol=1e-3, atol=1e-4)


def test_beyond_the_budget_clusters_and_noise_are_drawn_in_proportion() -> None:
    labels = np.repeat([-1, 0, 1], [1000, 3000, 6000])
    known = np.array([0, 5000])
    chosen = ALL.choose(labels, known, seed=1)
    assert len(chosen) == 998 and not set(chosen) & set(known)
    np.testing.assert_allclose(np.bincount(labels[chosen] + 1), [100, 300, 600], atol=3)
    assert (np.diff(chosen) > 0).all() and len(ALL.choose(labels, known, seed=2)) == 998
    assert set(ALL.choose(labels, known, seed=2)) != set(chosen)
    none = ALL.model_copy(update={"max_windows": 1})
    assert not len(none.choose(labels, known, seed=1))


def test_nothing_is_explained_without_two_groups(series: EmbeddedSeries) -> None:
    labels = np.zeros(len(LABELS), dtype=int)
    known = KnownWindows(pd.DataFrame({"window": [], "cluster": []}), np.zeros((0, 3, LENGTH)), {})
    found = explain_every_window(series, labels, SETTINGS, ALL, known)
    assert not len(found.windows) and found.levels.shape == (0, 3, LENGTH)
    assert noise_table(found.windows, found.channels, series.channels).empty


def test_noise_table_solved_by_hand() -> None:
    windows = pd.DataFrame(
        {"cluster": [0, -1, -1, -1], "explained_cluster": [0, 2, 2, 1], "size": [9.0, 4.0, 2.0, 1.0]}
    )
    found = noise_table(windows, np.array([[9.0, 0.0], [-2.0, 2.0], [0.0, -2.0], [-1.0, 0.0]]), ("a", "b"))
    expected: dict[str, Any] = {"cluster": [1, 1, 2, 2], "channel": ["a", "b"] * 2}
    expected |= {"share": [-1.0, 0.0, -0.25, -0.25], "first_in": [1, 0, 1, 1], "n_windows": [1, 1, 2, 2]}
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)
