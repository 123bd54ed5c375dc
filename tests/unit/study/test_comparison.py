"""Two studies side by side: what is shared, what is told apart, what is refused."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.artifacts.store import read_array, read_json, read_table, write_array, write_json, write_table
from clusterwhy.errors import ArtifactError, DataError
from clusterwhy.report.study_results import StudyResults
from clusterwhy.study.comparison import sentences
from clusterwhy.study.comparison.comparing import Comparison, compared
from clusterwhy.study.comparison.shared import in_time
from clusterwhy.study.comparison.sides import Side, same_study
from clusterwhy.study.comparison.writing import write_comparison
from tests.synthetic_results import synthetic_results

N, RATE = 60, 10.0


def made(root: Path, seed: int = 0, **choices: object) -> Side:
    synthetic_results(root, **choices)  # type: ignore[arg-type]
    write_json(root / "train" / "provenance.json", {"config": {"seed": seed, "train": {"steps": 10 + seed}}})
    history = pd.DataFrame({"step": [1, 2], "train_loss": [1.0, 0.5], "validation_loss": [0.9, 0.6]})
    write_table(root / "train" / "history.csv", history)
    return loaded(root)


def loaded(root: Path) -> Side:
    return Side(StudyResults.of(root), FittedStudy(root))


def changed(side: Side, place: str, **columns: object) -> Side:
    """The same side, after columns of a table were replaced."""
    path = side.fitted.artifacts / place
    write_table(path, read_table(path).assign(**columns))
    return loaded(side.fitted.artifacts)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Side, Side]:
    return made(tmp_path / "a"), made(tmp_path / "b")


def relabelled(side: Side, order: np.ndarray) -> Side:
    """The same study whose clusters have other numbers: `order[old]` is the new one."""
    root = side.fitted.artifacts
    labels = np.array(read_array(root / "cluster" / "labels.npy"))
    write_array(root / "cluster" / "labels.npy", np.where(labels < 0, -1, order[labels]))
    summary = read_json(root / "cluster" / "summary.json")
    records = [record | {"cluster": int(order[record["cluster"]])} for record in summary["clusters"]]
    write_json(root / "cluster" / "summary.json", summary | {"clusters": sorted(records, key=lambda r: r["cluster"])})
    for name in ("importance.csv", "properties.csv", "quality.csv"):
        table = read_table(root / "explain" / name)
        write_table(root / "explain" / name, table.assign(cluster=order[table["cluster"]]))
    return loaded(root)


def test_a_study_beside_itself_is_identical(two: tuple[Side, Side]) -> None:
    for a, b in ((two[0], two[0]), two):
        found = compared(a, b)
        assert found.agreement == {"n_shared": N, "ari": 1.0, "ami": 1.0}
        assert found.matching.pairs == [(0, 0), (1, 1), (2, 2)]
        assert (found.clusters["kind"] == "matched").all() and (found.clusters["jaccard"] == 1.0).all()
        assert len(found.channels) == 9 and (found.channels["difference"] == 0.0).all()
        assert (found.channels["verdict"] == "not told apart").all()
        assert (found.metrics["change"] == 0.0).all() and (found.metrics["better"] == "").all()
        assert found.anomalies["kind"].tolist() == ["shared", "shared"] and found.settings.empty


def test_clusters_are_compared_with_their_counterparts_not_their_numbers(two: tuple[Side, Side]) -> None:
    order = np.array([2, 0, 1])
    found = compared(two[0], relabelled(two[1], order))
    assert found.matching.pairs == [(0, 2), (1, 0), (2, 1)] and found.agreement["ari"] == 1.0
    assert (found.channels["difference"] == 0.0).all() and len(found.channels) == 9
    table = found.clusters.set_index("cluster_a")
    assert (table["n_windows_a"] == table["n_windows_b"]).all() and (table["leading_a"] == table["leading_b"]).all()


def test_shares_are_told_apart_only_where_their_intervals_are(two: tuple[Side, Side]) -> None:
    limits = {"signed": [0.5, 0.2, 0.1], "signed_low": [0.4, 0.1, 0.0], "signed_high": [0.6, 0.3, 0.2]}
    a = changed(two[0], "explain/importance.csv", **{name: values * 3 for name, values in limits.items()})
    limits = {"signed": [0.75, 0.25, -0.2], "signed_low": [0.61, 0.3, -0.3], "signed_high": [0.9, 0.4, -0.01]}
    b = changed(two[1], "explain/importance.csv", **{name: values * 3 for name, values in limits.items()})
    found = compared(a, b)
    own = found.channels[found.channels["cluster_a"] == 0].set_index("channel")
    # the limits 0.3 of both touch
    told = {"pressure": "higher in B", "flow": "not told apart", "current": "lower in B"}
    assert own["verdict"].to_dict() == told
    np.testing.assert_allclose(own.loc[["pressure", "flow", "current"], "difference"], [0.25, 0.05, -0.3])
    assert own.index[0] == "current"  # the largest difference first
    assert "current +10% in A, -20% in B; pressure +50% in A, +75% in B" in sentences.channels_of(found, 0, 0)
    unknown = changed(b, "explain/importance.csv", signed_high=[np.nan] * 9)
    assert (compared(a, unknown).channels["verdict"] == "not known").all()


def nearest_by_hand(a: Side, b: Side) -> list[tuple[int, int]]:
    """For each window of A the window of B with the nearest centre, at most half a stride of B away."""
    times = [read_array(side.fitted.artifacts / "prepare" / "time.npy") for side in (a, b)]
    names = [side.results.data.card.group_names for side in (a, b)]
    found = []
    for i, start in enumerate(a.results.data.starts):
        at, best = times[0][start + a.results.data.length // 2], None
        for j, other in enumerate(b.results.data.starts):
            if names[0] and names[0][a.results.data.groups[i]] != names[1][b.results.data.groups[j]]:  # type: ignore
                continue
            away = abs(times[1][other + b.results.data.length // 2] - at)
            if away <= b.results.data.card.stride / RATE / 2 + 1e-4 and (best is None or away < best[0]):
                best = away, j
        found += [(i, best[1])] if best else []
    return found


@pytest.mark.parametrize(("length", "stride"), [(32, 8), (16, 8), (48, 4)])
def test_windows_of_another_length_and_stride_are_paired_by_their_centres(
    tmp_path: Path, length: int, stride: int
) -> None:
    a = made(tmp_path / "a")
    n_samples = (N - 1) * 16 + 32
    b = made(tmp_path / "b", length=length, stride=stride, n_windows=(n_samples - length) // stride + 1)
    for shared, turned in ((in_time(a, b), False), (in_time(b, a), True)):
        assert shared is not None
        rows = (shared.rows_b, shared.rows_a) if turned else (shared.rows_a, shared.rows_b)
        assert list(zip(*rows, strict=True)) == nearest_by_hand(a, b)
    assert compared(a, b).agreement["ari"] > 0.9
    assert f"{length} samples" in "".join(sentences.comparable(compared(a, b)))


def test_recordings_that_overlap_share_the_windows_of_that_time(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a", start="2024-03-01"), made(tmp_path / "b", start="2024-03-01 00:00:16")
    values = np.array(read_array(tmp_path / "a" / "prepare" / "values.npy"))
    later = np.array(read_array(tmp_path / "b" / "prepare" / "values.npy"))
    later[:-160] = values[160:]
    write_array(tmp_path / "b" / "prepare" / "values.npy", later)
    shared = in_time(a, loaded(tmp_path / "b"))
    assert shared is not None
    np.testing.assert_array_equal(shared.rows_a, np.arange(10, N))
    np.testing.assert_array_equal(shared.rows_b, np.arange(N - 10))
    alarms = compared(a, loaded(tmp_path / "b")).anomalies.set_index("of")["kind"]
    # A's is at window 5, before B begins; B's at its own window 5, where A has none
    assert alarms.to_dict() == {"A": "not in the other", "B": "only in B"}
    assert "1 where the other has no windows" in sentences.alarms(compared(a, loaded(tmp_path / "b")))
    assert b.results.data.dates


def test_recordings_that_share_a_clock_are_told_apart_by_their_names(tmp_path: Path) -> None:
    sides = []
    for name, recordings in (("a", ("first", "second")), ("b", ("second", "first"))):
        made(tmp_path / name, recordings=recordings)
        root = tmp_path / name / "prepare"
        time, values = read_array(root / "time.npy"), np.array(read_array(root / "values.npy"))
        half = len(time) // 2
        write_array(root / "time.npy", np.concatenate([time[:half], time[: len(time) - half]]))
        if name == "b":  # the same files in another order
            write_array(root / "values.npy", np.concatenate([values[half:], values[:half]]))
        sides.append(loaded(tmp_path / name))
    shared = in_time(*sides)
    assert shared is not None and list(zip(shared.rows_a, shared.rows_b, strict=True)) != []
    groups_a, groups_b = (side.results.data.groups for side in sides)
    assert groups_a is not None and groups_b is not None
    assert (groups_a[shared.rows_a] != groups_b[shared.rows_b]).all()  # numbered the other way round
    assert sorted(zip(shared.rows_a, shared.rows_b, strict=True)) == sorted(nearest_by_hand(*sides))


def test_the_same_time_with_other_values_is_another_recording(two: tuple[Side, Side]) -> None:
    root = two[1].fitted.artifacts / "prepare"
    write_array(root / "values.npy", np.asarray(read_array(root / "values.npy")) + 1.0)
    assert in_time(two[0], loaded(root.parent)) is None
    assert in_time(*two) is None  # as it is on disk now


def test_dates_and_seconds_are_no_common_time(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a"), made(tmp_path / "b", start="1970-01-01")
    assert in_time(a, b) is None
    # nanoseconds whose numbers are those of the seconds
    count = np.arange(len(a.results.data.time_s))
    write_array(tmp_path / "a" / "prepare" / "time.npy", count.astype(float))
    write_array(tmp_path / "b" / "prepare" / "time.npy", count)
    assert in_time(loaded(tmp_path / "a"), loaded(tmp_path / "b")) is None


def test_clusters_of_one_study_in_two_recordings_keep_their_numbers(two: tuple[Side, Side]) -> None:
    root = two[1].fitted.artifacts / "prepare"
    write_array(root / "values.npy", np.asarray(read_array(root / "values.npy")) + 1.0)
    history = pd.DataFrame({"step": [1], "train_loss": [0.5], "validation_loss": [0.4]})
    write_table(root.parent / "train" / "history.csv", history)
    found = compared(two[0], loaded(root.parent))  # the same labels and embeddings
    assert same_study(*two) and found.shared.by == "number" and found.matching.pairs == [(0, 0), (1, 1), (2, 2)]
    assert set(found.anomalies["kind"]) == {"other recording"} and (found.metrics["better"] == "").all()
    assert (found.metrics["change"] != 0).any()
    assert any("keep their numbers" in line for line in sentences.comparable(found))


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    a = made(tmp_path / "a", channels=("pressure", "flow", "current"))
    b = made(tmp_path / "b", channels=("pressure", "flow_1", "speed"), length=16, rate_hz=20.0)
    card = read_json(tmp_path / "b" / "prepare" / "series.json")
    write_json(tmp_path / "b" / "prepare" / "series.json", card | {"units": ["psi", "", ""]})
    card = read_json(tmp_path / "a" / "prepare" / "series.json")
    write_json(tmp_path / "a" / "prepare" / "series.json", card | {"units": ["bar", "", ""]})
    with pytest.raises(DataError) as error:
        compared(loaded(a.fitted.artifacts), loaded(b.fitted.artifacts))
    assert len(error.value.faults) == 7
    kinds = [record.kind for record in error.value.records]
    assert kinds == ["missing-channel"] * 2 + ["added-channel"] * 2 + ["other-unit", "other-rate", "other-length"]
    said = str(error.value)
    assert "'flow' is in A only; is it 'flow_1' there?" in said and "is in bar in A and in psi in B" in said


def test_figures_say_which_is_better_and_settings_how_they_differ(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a"), made(tmp_path / "b", seed=5)
    history = pd.DataFrame({"step": [1], "train_loss": [0.5], "validation_loss": [0.4]})
    write_table(tmp_path / "b" / "train" / "history.csv", history)
    write_table(tmp_path / "b" / "evaluate" / "stability.csv", b.results.stability.assign(jaccard=0.5))
    found = compared(a, loaded(tmp_path / "b"))
    table = found.metrics.set_index("figure")
    assert table.loc["validation loss", ["a", "b", "better"]].tolist() == [0.6, 0.4, "B"]
    assert table.loc["stability of clusters (Jaccard)", "better"] == "A"
    assert table.loc["alarms per 1,000 windows", "a"] == pytest.approx(1000 / N)
    assert table.loc["agreement with labels (AMI)", "a"] == 0.9
    assert found.settings.to_dict("records") == [{"setting": "train.steps", "a": "10", "b": "15"}]
    lines = sentences.metric_lines(found.metrics)
    assert len({len(line) for line in lines}) == 1 and max(map(len, lines)) <= 100
    assert any(re.search(r"validation loss +0\.6 +0\.4 +-0\.2 +B$", line) for line in lines)


def written(found: Comparison, folder: Path) -> str:
    write_comparison(found, folder, ("before", "after"))
    return (folder / "comparison.html").read_text()


def test_the_page_has_the_tiles_of_both_and_what_became_of_clusters(two: tuple[Side, Side], tmp_path: Path) -> None:
    labels = np.array(two[1].results.labels)
    root = two[1].fitted.artifacts / "cluster"
    write_array(root / "labels.npy", np.where(labels == 1, 0, labels))  # 0 and 1 are merged
    summary = read_json(root / "summary.json")
    summary["clusters"][1] |= {"n_windows": 0, "medoid_windows": []}
    write_json(root / "summary.json", summary)
    found = compared(two[0], loaded(root.parent))
    page = written(found, tmp_path / "out")
    titles = re.findall(r"<h3>([AB]\d)", page)
    assert titles.count("A0") == titles.count("A1") == titles.count("B0") == titles.count("B1") == 1
    assert "A0 and A1 are merged in B0" in page and "merges into B0" in page and "Most of its windows are in B0" in page
    assert "A: before; B: after" in page and "data:image/png;base64," in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # nothing outside the file
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {f"{name}.csv" for name in ("clusters", "overlap", "channels", "anomalies", "metrics", "settings")}
    assert names == tables | {"channels.png", "channels.svg", "comparison.html", "comparison.json"}
    clusters = pd.read_csv(tmp_path / "out" / "clusters.csv")
    assert clusters["merged_from"].dropna().tolist() == ["0 1"]
    assert read_json(tmp_path / "out" / "comparison.json")["matched_by"] == "time"
    with pytest.raises(ArtifactError, match="exists"):
        write_comparison(found, tmp_path / "out", ("", ""))


def test_the_tiles_of_a_pair_are_neighbours_of_one_colour(two: tuple[Side, Side], tmp_path: Path) -> None:
    page = written(compared(two[0], relabelled(two[1], np.array([2, 0, 1]))), tmp_path / "out")
    tiles = re.findall(r'class="tile" style="border-color: (#\w+)">\s*<h3>([AB]\d)', page)
    assert [name for _, name in tiles] == ["A0", "B2", "A1", "B0", "A2", "B1"]
    colours = [colour for colour, _ in tiles]
    assert colours[::2] == colours[1::2] and len(set(colours)) == 3


def test_names_are_shown_and_never_run(tmp_path: Path) -> None:
    channels = ("<script>alert(1)</script>", "b & c", "$x$")
    a = made(tmp_path / "a", channels=channels, name="<i>one</i>")
    page = written(compared(a, a), tmp_path / "out")
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert "<i>one" not in page and "&lt;i&gt;one" in page


def test_studies_without_clusters_and_alarms_have_a_page(two: tuple[Side, Side], tmp_path: Path) -> None:
    for side in two:
        root = side.fitted.artifacts
        write_json(root / "cluster" / "summary.json", {"clusters": [], "timeline": []})
        write_array(root / "cluster" / "labels.npy", np.full(N, -1))
        write_json(root / "score" / "segments.json", {"threshold": 99.0, "segments": []})
        write_json(root / "explain" / "clusters.json", {"clusters": []})
        write_table(root / "explain" / "importance.csv", side.results.importance.head(0))
    found = compared(*(loaded(side.fitted.artifacts) for side in two))
    assert found.clusters.empty and found.channels.empty and found.anomalies.empty
    assert found.agreement["ari"] != found.agreement["ari"]
    page = written(found, tmp_path / "out")
    assert "Neither has clusters." in page and "A has no alarm." in page and "undefined" in page
    assert not (tmp_path / "out" / "channels.png").exists()
