"""Judge clusters, scores and explanations, each beside its baselines."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.artifacts.store import read_array, read_table, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import DataError
from clusterwhy.metrics.clusters import cluster_like_the_study, cluster_stability, label_agreement, spectral_features
from clusterwhy.metrics.detection import ranking_quality
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


def _cluster_rows(run: StageRun, data: Prepared) -> list[dict[str, object]]:
    embed, labels = run.take("embed"), read_array(run.take("cluster") / "labels.npy")
    if data.labels is None:
        return []
    rows = [{"question": "clusters", "method": "ours", **label_agreement(data.labels, labels)}]
    windows = windows_at(data.scaled, data.starts, data.length)
    projection = run.settings["projection"]
    # features in the units of the scaled series have one scale already: standardised they cluster worse
    alike = projection.model_copy(update={"standardise": False})
    features = {
        "untrained encoder": (read_array(embed / "untrained_embeddings.npy"), projection),
        "spectral features": (spectral_features(windows), alike),
        "raw windows": (windows.reshape(len(windows), -1), alike),
    }
    for name, (points, placing) in features.items():
        found = cluster_like_the_study(points, placing, run.settings["clusterer"], run.settings["seed"])
        rows.append({"question": "clusters", "method": name, **label_agreement(data.labels, found)})
    return rows


def _stability(run: StageRun) -> None:
    """Whether the clusters are there again."""
    try:
        table = cluster_stability(
            read_array(run.take("embed") / "embeddings.npy"),
            read_array(run.take("cluster") / "labels.npy"),
            run.settings["projection"],
            run.settings["clusterer"],
            run.settings["seed"],
            run.settings["evidence"].resamples,
        )
    except DataError as error:
        log.warning("whether clusters are there again is not told, a sample of the windows is too small: %s", error)
        table = pd.DataFrame(columns=["cluster", "resample", "jaccard"])
    write_table(run.out / "stability.csv", table)
    run.tracker.table("stability", table)
    if len(table):
        run.metrics["stability"] = {"jaccard": table["jaccard"].mean(), "lowest": table["jaccard"].min()}


def _detection_rows(run: StageRun, data: Prepared) -> list[dict[str, object]]:
    scores = read_table(run.take("score") / "scores.parquet")
    if data.anomalous_samples is None:
        return []
    rows: list[dict[str, object]] = []
    for column in ("score", "pca_error", "mean_abs_z", "random"):
        per_sample = sample_scores(scores[column].to_numpy(), data.starts, data.length, len(data.scaled))
        per_sample[: int(data.card.train_stop)] = float("nan")
        quality = ranking_quality(data.anomalous_samples, per_sample)
        rows.append({"question": "detection", "method": "ours" if column == "score" else column, **quality})
    return rows


def _further_encoders(run: StageRun, data: Prepared) -> dict[int, Any]:
    """Encoders that differ from the trained one by their seed alone, with their embeddings."""
    from clusterwhy.compute.seeding import seed_torch
    from clusterwhy.encoders.masked import embed

    found = {}
    train = data.starts[data.index["train"].to_numpy()]
    for i in range(run.settings["evidence"].encoder_seeds):
        seed = run.settings["seed"] + 1 + i
        seed_torch(seed)
        encoder = run.settings["encoder"].build(len(data.channels), data.length)
        kept = run.kept(f"training-{seed}")
        run.settings["train"].train(encoder, data.scaled, train, data.length, seed, lambda row: None, kept)
        encoder = encoder.eval().requires_grad_(False)
        found[seed] = encoder, embed(encoder, data.scaled, data.starts, data.length, batch_size=256)
    return found


def _seed_rows(run: StageRun, encoders: Mapping[int, Any]) -> list[dict[str, Any]]:
    """Whether another seed, of the projection or of the encoder, gives the same clusters."""
    seed, embed = run.settings["seed"], run.inputs / "embed"
    others = {f"projection seed {seed + 1}": (read_array(embed / "embeddings.npy"), seed + 1)}
    others |= {f"encoder seed {other}": (embeddings, seed) for other, (_, embeddings) in encoders.items()}
    labels = read_array(run.inputs / "cluster" / "labels.npy")
    rows = []
    for name, (embeddings, own) in others.items():
        found = cluster_like_the_study(embeddings, run.settings["projection"], run.settings["clusterer"], own)
        rows.append({"question": "clusters of another seed", "method": name, **label_agreement(labels, found)})
    return rows


def _evidence(run: StageRun, data: Prepared, encoders: dict[int, Any]) -> pd.DataFrame:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.clusters import HowToExplain
    from clusterwhy.explanations.evaluation import cluster_evidence

    clusters = read_table(run.inputs / "cluster" / "clusters.parquet")
    names = ("target", "canonizer", "composite", "attributor", "members", "seed")
    found = cluster_evidence(
        load_encoder(run.take("train")),
        data.scaled,
        data.index,
        read_array(run.inputs / "embed" / "embeddings.npy"),
        clusters["cluster"].to_numpy(),
        clusters["strength"].to_numpy(),
        HowToExplain(**{name: run.settings[name] for name in names}),
        run.settings["evidence"],
        encoders,
    )
    write_table(run.out / "evidence.csv", found.measures)
    write_table(run.out / "ledger.csv", found.ledger)
    run.tracker.table("ledger", found.ledger)
    means = found.measures.groupby(["measure", "fill", "ranking"], sort=False)["value"].mean().reset_index()
    run.tracker.table("evidence", means)
    return means


def _explanation_rows(question: str, quality: pd.DataFrame) -> list[dict[str, Any]]:
    faithful = quality.groupby("ranking", sort=False)[["replacement_area", "flip_rate"]].mean().dropna()
    records = faithful.reset_index(names="method").to_dict("records")
    return [{"question": question} | {str(key): value for key, value in figures.items()} for figures in records]


@stage
def main(run: StageRun) -> None:
    data = Prepared(run.take("prepare"))
    explain, encoders = run.take("explain"), _further_encoders(run, data)
    rows: list[dict[str, Any]] = [
        *_cluster_rows(run, data),
        *_seed_rows(run, encoders),
        *_detection_rows(run, data),
        *_explanation_rows("explanation", read_table(explain / "quality.csv")),
        *_explanation_rows("anomaly explanation", read_table(explain / "anomaly_quality.csv")),
    ]
    table = pd.DataFrame(rows, columns=None if rows else ["question", "method"])
    write_table(run.out / "results.csv", table)
    run.tracker.table("results", table)
    _stability(run)
    evidence: dict[str, Any] = {}
    for record in _evidence(run, data, encoders).itertuples():
        at = evidence.setdefault(str(record.measure), {})
        at = at.setdefault(record.fill, {}) if record.fill else at
        at[record.ranking] = record.value
    run.metrics["evidence"] = evidence
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("question", "method")}
        question, method = (str(row[key]).replace(" ", "_") for key in ("question", "method"))
        run.metrics.setdefault(question, {})[method] = figures


if __name__ == "__main__":
    main()
