"""Tables of clusters and anomalies for a review outside the page."""

from pathlib import Path

import pytest

from clusterwhy.artifacts.store import read_table, write_table
from clusterwhy.report.review_tables import anomaly_pictures, anomaly_review, cluster_pictures, cluster_review
from clusterwhy.report.study_results import StudyResults
from tests.synthetic_results import N_ANOMALIES, N_CLUSTERS, synthetic_results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return synthetic_results(tmp_path_factory.mktemp("review"))


def test_a_cluster_has_its_leading_channels_and_what_they_do(study: StudyResults) -> None:
    table = cluster_review(study)
    assert table["cluster"].tolist() == list(range(N_CLUSTERS))
    leading = study.importance.sort_values("signed", ascending=False).drop_duplicates("cluster").set_index("cluster")
    for row in table.to_dict("records"):
        first = leading.loc[row["cluster"]]
        assert row["leading"].startswith(f"{first['channel']} {first['signed']:+.0%}")
        assert first["channel"] in row["what_they_do"] and row["when"]
    assert table["share"].tolist() == [record["share"] for record in study.summary["clusters"]]


def test_anomalies_are_ranked_by_their_score(study: StudyResults) -> None:
    table = anomaly_review(study)
    assert table["rank"].tolist() == list(range(1, N_ANOMALIES + 1))
    assert table["window"].tolist() == study.anomalies["window"].tolist()
    scores = study.scores.set_index("window")["score"]
    assert table["score"].tolist() == scores[table["window"]].tolist()
    assert table["above_threshold"].tolist() == (scores[table["window"]] > study.threshold).tolist()


def test_pictures_are_named_by_rank_and_left_out_where_there_is_none(study: StudyResults, tmp_path: Path) -> None:
    clusters, anomalies = cluster_review(study), anomaly_review(study)
    (tmp_path / "cluster_1.png").touch()
    assert cluster_pictures(clusters, tmp_path) == [None, tmp_path / "cluster_1.png", None]
    first = anomalies["window"].iloc[0]
    assert anomaly_pictures(anomalies, tmp_path)["anomaly_rank_1"] == tmp_path / f"anomaly_{first}.png"


def test_without_anomalies_the_table_is_empty(tmp_path: Path) -> None:
    study = synthetic_results(tmp_path)
    for name in ("anomalies.parquet", "anomaly_patterns.csv"):
        path = study.folders["explain"] / name
        write_table(path, read_table(path).head(0))
    assert anomaly_review(study).empty and anomaly_review(study).columns[0] == "rank"
