"""Names follow the windows that were named: through a refit, through other windows, and not further than that."""

from pathlib import Path

import numpy as np
import pytest

from clusterwhy.annotations.annotated import annotate, named_clusters
from clusterwhy.annotations.entries import Annotations
from clusterwhy.annotations.matching import match
from clusterwhy.annotations.spans import common, length, spans_of_text, text_of_spans
from clusterwhy.annotations.window_times import ClusterTimes, WindowTimes, own_samples
from clusterwhy.report.study_results import StudyResults
from tests.synthetic_results import synthetic_results


def slow_common(first: np.ndarray, second: np.ndarray) -> float:
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in first for b in second)


def random_spans(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.sort(rng.choice(1000, 2 * n, replace=False)).reshape(-1, 2).astype(float)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_what_spans_have_in_common_is_the_sum_over_all_pairs(rng: np.random.Generator, n: int) -> None:
    for _ in range(20):
        first, second = random_spans(rng, n), random_spans(rng, 5)
        assert common(first, second) == pytest.approx(slow_common(first, second))
        assert common(second, first) == pytest.approx(common(first, second))
        assert common(first, first) == pytest.approx(length(first))


def test_spans_that_touch_are_counted_once() -> None:
    touching = np.array([[0.0, 1.0], [1.0, 2.0]])
    assert common(touching, np.array([[0.5, 1.5]])) == 1.0


def test_spans_are_written_and_read_to_the_nanosecond(rng: np.random.Generator) -> None:
    spans = np.sort(rng.uniform(-10, 1e6, 40)).round(9).reshape(-1, 2)
    np.testing.assert_allclose(spans_of_text(text_of_spans(spans)), spans, rtol=0, atol=1e-9)
    assert text_of_spans(np.array([[0.0, 42.5], [860.0, 1300.0]])) == "0..42.5 860..1300"


@pytest.mark.parametrize("stride", [5, 8, 16])
@pytest.mark.parametrize("segments", [(0,), (0, 100, 140)])
def test_a_sample_belongs_to_the_window_with_the_nearest_centre(stride: int, segments: tuple[int, ...]) -> None:
    length, stops = 16, [*segments[1:], 200]
    starts = np.concatenate([np.arange(a, b - length + 1, stride) for a, b in zip(segments, stops, strict=True)])
    begins, ends = own_samples(starts, length)
    owners = np.full(200, -1)
    for window, (first, stop) in enumerate(zip(begins, ends, strict=True)):
        assert (owners[first:stop] == -1).all(), "no sample has two"
        owners[first:stop] = window
    for sample in range(200):
        covering = np.flatnonzero((starts <= sample) & (sample < starts + length))
        assert (owners[sample] >= 0) == (len(covering) > 0)
        if len(covering):
            distances = np.abs(starts[covering] + (length - 1) / 2 - sample)
            assert np.abs(starts[owners[sample]] + (length - 1) / 2 - sample) <= distances.min() + 0.5


def test_no_span_reaches_over_a_gap(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path, n_windows=59, gap_s=1000.0)  # the last window before the gap ends at it
    begins, ends = own_samples(study.data.starts, study.data.length)
    covered = (ends - begins).sum() / study.data.card.rate_hz
    (lane,) = times_of(study).lanes.values()
    assert length(lane.within) == pytest.approx(covered) and len(lane.within) == 2
    found = [length(lane.of(cluster)) for cluster in range(3)]
    noise = (ends - begins)[study.labels < 0].sum() / study.data.card.rate_hz
    assert sum(found) == pytest.approx(covered - noise)


def times_of(study: StudyResults, labels: np.ndarray | None = None) -> ClusterTimes:
    own = study.labels if labels is None else labels
    return ClusterTimes.of(study.data, own, sorted(set(own[own >= 0].tolist())))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return synthetic_results(tmp_path_factory.mktemp("study"), gap_s=100.0)


@pytest.mark.parametrize("start", [None, "2024-03-01 10:00"])
@pytest.mark.parametrize("recordings", [(), ("north", "south")])
def test_clusters_with_other_numbers_keep_their_names(
    tmp_path: Path, start: str | None, recordings: tuple[str, ...]
) -> None:
    study = synthetic_results(tmp_path, gap_s=100.0, start=start, recordings=recordings)
    before, turned = times_of(study), np.array([2, 0, 1, -1])[study.labels]
    for cluster, expected in enumerate((2, 0, 1)):
        found = match(before.stored(cluster), times_of(study, turned))
        assert found.cluster == expected and found.found
        assert found.agreement == pytest.approx(1.0, abs=1e-9) and found.share == pytest.approx(found.known)


def test_the_agreement_is_the_jaccard_index_of_the_samples(study: StudyResults, rng: np.random.Generator) -> None:
    labels = np.asarray(study.labels)
    again = np.where(rng.random(len(labels)) < 0.3, rng.integers(-1, 3, len(labels)), labels)
    begins, ends = own_samples(study.data.starts, study.data.length)
    samples = [
        np.concatenate([np.full(b - a, x) for a, b, x in zip(begins, ends, of, strict=True)]) for of in (labels, again)
    ]
    for cluster in range(3):
        both = [(samples[0] == cluster) & (samples[1] == other) for other in range(3)]
        either = [(samples[0] == cluster) | (samples[1] == other) for other in range(3)]
        expected = [a.sum() / b.sum() for a, b in zip(both, either, strict=True)]
        found = match(times_of(study).stored(cluster), times_of(study, again))
        assert found.cluster == int(np.argmax(expected))
        assert found.agreement == pytest.approx(max(expected), abs=1e-6)
        assert found.share == pytest.approx(both[found.cluster].sum() / (samples[0] == cluster).sum(), abs=1e-6)


def test_names_follow_through_windows_of_another_length(tmp_path: Path, study: StudyResults) -> None:
    other = synthetic_results(tmp_path, n_windows=119, length=16, stride=8, gap_s=100.0)
    for cluster in range(3):
        found = match(times_of(study).stored(cluster), times_of(other))
        assert found.cluster == cluster and 0.8 < found.agreement < 1.0


def test_dates_decide_where_recordings_begin_at_other_times(tmp_path: Path) -> None:
    now, earlier = (
        times_of(synthetic_results(tmp_path / name, start=start))
        for name, start in (("now", "2024-03-01 10:00:20"), ("earlier", "2024-03-01 10:00:00"))
    )
    # the first cluster, from 20 to 53 s, lies over the end of the first and the beginning of the second one there
    found = match(now.stored(0), earlier)
    spans, own = now.lanes[""].of(0) + 20.0, earlier.lanes[""].of(1)
    shared = common(spans, own)
    assert found.cluster == 1 and found.share == pytest.approx(shared / length(spans), abs=1e-6)
    assert found.agreement == pytest.approx(shared / (length(spans) + length(own) - shared), abs=1e-6)


def test_only_the_time_that_both_studies_have_counts(study: StudyResults) -> None:
    labels = np.asarray(study.labels)
    stored = times_of(study).stored(0)
    half = [WindowTimes(recording=one.recording, within="0..20", spans="0..20") for one in stored]
    found = match(half, times_of(study))
    assert found.cluster == 0 and found.agreement == pytest.approx(1.0) and (labels == 0).any()
    longer = [
        WindowTimes(recording=one.recording, within="0..20 5000..5060", spans="0..20 5000..5060") for one in stored
    ]
    found = match(longer, times_of(study))
    assert found.found and found.known == pytest.approx(0.25)


@pytest.mark.parametrize(
    "stored",
    [
        {"recording": "another one", "within": "0..60", "spans": "0..30"},
        {"recording": "made up", "since": "2024-03-01T00:00:00", "within": "0..60", "spans": "0..30"},
        {"recording": "made up", "within": "9000..9060", "spans": "9000..9030"},
    ],
    ids=["recording", "dates", "time"],
)
def test_a_name_of_another_recording_is_nobodys(study: StudyResults, stored: dict[str, str]) -> None:
    found = match([WindowTimes(**stored)], times_of(study))
    assert found.cluster is None and not found.found and found.known == 0
    entry = {"cluster": 0, "name": "idle", "windows": [stored]}
    clusters, told, faults = named_clusters(Annotations.model_validate({"clusters": [entry]}), times_of(study))
    assert not clusters and not faults and told == ["'idle' is not shown: this study has none of its windows."]


def test_a_name_whose_windows_fall_apart_is_not_shown(study: StudyResults) -> None:
    stored = [one.model_dump() for one in times_of(study).stored(0)]
    labels = np.asarray(study.labels).copy()
    own = np.flatnonzero(labels == 0)
    labels[own[: len(own) // 2]] = 1  # half of them join a large cluster, a quarter is noise
    labels[own[len(own) // 2 : 3 * len(own) // 4]] = -1
    entry = {"cluster": 0, "name": "idle", "windows": stored}
    clusters, (told,), _ = named_clusters(Annotations.model_validate({"clusters": [entry]}), times_of(study, labels))
    assert not clusters and told.startswith("'idle' is not shown: ") and "which is too little" in told


def test_how_much_of_a_name_moved_is_told(study: StudyResults) -> None:
    stored = [one.model_dump() for one in times_of(study).stored(0)]
    labels = np.asarray(study.labels).copy()
    own = np.flatnonzero(labels == 0)
    labels[own[-2:]] = 1
    turned = np.array([2, 1, 0, -1])[labels]
    entry = {"cluster": 0, "name": "idle", "windows": stored}
    clusters, (told,), _ = named_clusters(Annotations.model_validate({"clusters": [entry]}), times_of(study, turned))
    assert clusters[2].name == "idle" and clusters[2].agreement == pytest.approx(0.9, abs=0.02)
    assert told == "'idle': 90% of its time is now in cluster 2, agreement 0.90."


def test_other_numbers_alone_are_told_in_one_line(study: StudyResults) -> None:
    entries = [
        {"cluster": c, "name": f"state {c}", "windows": [one.model_dump() for one in times_of(study).stored(c)]}
        for c in range(3)
    ]
    given = Annotations.model_validate({"clusters": entries})
    assert named_clusters(given, times_of(study))[1] == []
    _, told, _ = named_clusters(given, times_of(study, np.array([1, 0, 2, -1])[study.labels]))
    assert told == ["With other numbers, and all of their windows: 'state 0' is cluster 1, 'state 1' is cluster 0."]


def test_of_two_names_in_one_cluster_the_one_that_agrees_more_keeps_it(study: StudyResults) -> None:
    whole = [one.model_dump() for one in times_of(study).stored(0)]
    part = [one | {"spans": "0..25"} for one in whole]
    entries = [{"cluster": 1, "name": "part", "windows": part}, {"cluster": 0, "name": "whole", "windows": whole}]
    clusters, told, faults = named_clusters(Annotations.model_validate({"clusters": entries}), times_of(study))
    assert not faults and {c: one.name for c, one in clusters.items()} == {0: "whole"}
    assert any("'part' is not shown" in line and "another name agrees more" in line for line in told)


def test_a_name_by_number_is_told_to_be_one(study: StudyResults) -> None:
    found = annotate(Annotations.model_validate({"clusters": [{"cluster": 1, "name": "run"}]}), [], study.known, "file")
    assert found.name(1) == "run" and found.clusters[1].agreement is None and "by its number only" in found.told[0]
    assert (found.name(0), found.name(-1)) == ("cluster 0", "noise")
