"""Judge clusters, scores and explanations, each beside its baselines."""

from typing import Any

import pandas as pd

from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.artifacts import read_array, read_table, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.evaluation.clusters import cluster_like_the_study, label_agreement, spectral_features
from clusterwhy.evaluation.detection import ranking_quality
from pipeline._stage import StageRun, stage


def _cluster_rows(run: StageRun, data: Prepared) -> list[dict[str, object]]:
    embed, labels = run.take("embed"), read_array(run.take("cluster") / "labels.npy")
    if data.labels is None:
        return []
    rows = [{"question": "clusters", "method": "ours", **label_agreement(data.labels, labels)}]
    windows = windows_at(data.scaled, data.starts, data.length)
    features = {
        "untrained encoder": read_array(embed / "untrained_embeddings.npy"),
        "spectral features": spectral_features(windows),
        "raw windows": windows.reshape(len(windows), -1),
    }
    for name, points in features.items():
        found = cluster_like_the_study(
            points, run.settings["projection"], run.settings["clusterer"], run.settings["seed"]
        )
        rows.append({"question": "clusters", "method": name, **label_agreement(data.labels, found)})
    return rows


def _detection_rows(run: StageRun, data: Prepared) -> list[dict[str, object]]:
    scores = read_table(run.take("score") / "scores.parquet")
    if data.anomalous_samples is None:
        return []
    rows: list[dict[str, object]] = []
    for column in ("score", "pca_error", "mean_abs_z", "random"):
        per_sample = sample_scores(scores[column].to_numpy(), data.starts, data.length, len(data.scaled))
        per_sample[: int(data.about["train_stop"])] = float("nan")
        quality = ranking_quality(data.anomalous_samples, per_sample)
        rows.append({"question": "detection", "method": "ours" if column == "score" else column, **quality})
    return rows


@stage
def main(run: StageRun) -> None:
    data = Prepared(run.take("prepare"))
    quality = read_table(run.take("explain") / "quality.csv")
    faithful = quality.groupby("ranking", sort=False)[["replacement_area", "flip_rate"]].mean().dropna()
    rows: list[dict[str, Any]] = [
        *_cluster_rows(run, data),
        *_detection_rows(run, data),
        *(
            {"question": "explanation"} | {str(key): value for key, value in figures.items()}
            for figures in faithful.reset_index(names="method").to_dict("records")
        ),
    ]
    table = pd.DataFrame(rows, columns=None if rows else ["question", "method"])
    write_table(run.out / "results.csv", table)
    run.tracker.table("results", table)
    run.metrics = {f"{row['question']}": {} for row in rows}
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("question", "method")}
        run.metrics[str(row["question"])][str(row["method"]).replace(" ", "_")] = figures


if __name__ == "__main__":
    main()
