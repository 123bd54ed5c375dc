"""Evaluate clusters, scores and explanations, each with its baselines."""

import logging
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, read_json, read_table, write_table
from clusterwhy.artifacts.undefined import NOT_TWO, REASONS, Undefined, column_mean, defined_or, mean_of
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import DataError
from clusterwhy.metrics.clusters import ONE_LABEL, cluster_again, cluster_stability, label_agreement, spectral_features
from clusterwhy.metrics.detection import ranking_quality
from clusterwhy.metrics.verdicts import BETTER, EQUAL, WORSE
from clusterwhy.types import BoolArray, IntArray
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.compute.workers import Workers
    from clusterwhy.explanations.embedded_series import EmbeddedSeries

log = logging.getLogger("clusterwhy")
NOT_BOTH = "the scored samples are not both labelled normal and labelled anomalous"


def _cluster_rows(run: StageRun, data: Prepared, part: BoolArray, has_network: bool) -> list[dict[str, Any]]:
    """Whether clusters agree with labels, on `part` of the windows."""
    embed, labels = run.take("embed"), read_array(run.take("cluster") / "labels.npy")
    if data.labels is None:
        return []
    truth = data.labels[part]
    rows = [{"question": "clusters", "method": "ours", **_agreement(truth, labels[part])}]
    windows = windows_at(data.scaled, data.starts[part], data.length)
    projection = run.settings["projection"]
    # these features have one scale already: standardised they cluster worse
    unscaled = projection.model_copy(update={"standardise": False})
    features = {
        "spectral features": (spectral_features(windows), unscaled),
        "raw windows": (windows.reshape(len(windows), -1), unscaled),
    }
    if has_network:
        untrained = read_array(embed / "untrained_embeddings.npy")[part]
        features = {"untrained encoder": (untrained, projection)} | features
    for name, (points, placing) in features.items():
        found = cluster_again(points, data.index[part], placing, run.settings["clusterer"], run.settings["seed"])
        rows.append({"question": "clusters", "method": name, **_agreement(truth, found)})
    return rows


def _agreement(truth: IntArray, labels: IntArray) -> dict[str, Any]:
    return {name: defined_or(value, ONE_LABEL) for name, value in label_agreement(truth, labels).items()}


def _stability(run: StageRun, data: Prepared, part: BoolArray) -> None:
    """Clusterwise stability under resampling of `part` of the windows."""
    reason = "there is no cluster, or no resample"
    try:
        table = cluster_stability(
            read_array(run.take("embed") / "embeddings.npy")[part],
            read_array(run.take("cluster") / "labels.npy")[part],
            data.index[part],
            run.settings["projection"],
            run.settings["clusterer"],
            run.settings["seed"],
            run.settings["evaluation"].resamples,
        )
    except DataError as error:
        reason = f"a sample of the windows is too small: {error}"
        table = pd.DataFrame(columns=["cluster", "resample", "jaccard", "n_windows"])
    write_table(run.out / "stability.csv", table)
    run.tracker.table("stability", table)
    overlap = table["jaccard"].astype(float)
    run.metrics["stability"] = {"jaccard": mean_of(overlap, reason), "lowest": defined_or(overlap.min(), reason)}


def _hidden(run: StageRun, data: Prepared, part: BoolArray) -> None:
    """Groups inside clusters that statistics of single channels tell apart, of `part` of the windows."""
    from clusterwhy.explanations.hidden_groups import channel_statistics, hidden_groups
    from clusterwhy.explanations.units import Units

    index, card = data.index[part], data.card
    statistics = channel_statistics(data.scaled, data.starts[part], data.length)
    groups = cluster_again(
        statistics, index, run.settings["projection"], run.settings["clusterer"], run.settings["seed"]
    )
    labels = read_array(run.inputs / "cluster" / "labels.npy")[part]
    found = hidden_groups(labels, groups, statistics, index["window"].to_numpy(), data.channels)
    table = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz).told(found.table)
    write_table(run.out / "hidden_groups.csv", table)
    write_table(run.out / "hidden_windows.csv", found.windows)
    run.tracker.table("hidden_groups", table)
    run.metrics["n_hidden_groups"] = len(table)
    for cluster, own in table.groupby("cluster"):
        log.warning(
            "cluster %s hides %s: level, spread or change of %s; `encoder: statistics` makes them clusters",
            cluster,
            counted(len(own), "group"),
            ", ".join(own["channel"]),
        )


def _detection_rows(run: StageRun, data: Prepared) -> list[dict[str, object]]:
    scores = read_table(run.take("score") / "scores.parquet")
    if data.anomalous_samples is None:
        return []
    rows: list[dict[str, object]] = []
    for column in ("score", "pca_error", "mean_abs_z", "random"):
        per_sample = sample_scores(scores[column].to_numpy(), data.starts, data.length, len(data.scaled))
        per_sample[data.fitted] = float("nan")
        quality = ranking_quality(data.anomalous_samples, per_sample)
        figures: dict[str, Any] = {**quality} or dict.fromkeys(("auroc", "average_precision"), Undefined(NOT_BOTH))
        rows.append({"question": "detection", "method": "ours" if column == "score" else column, **figures})
    return rows


def _series(run: StageRun, data: Prepared) -> "EmbeddedSeries":
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries

    encoder = load_encoder(run.take("train"))
    return EmbeddedSeries.of(data, encoder, read_array(run.inputs / "embed" / "embeddings.npy"))


def _seed_rows(
    run: StageRun, series: "EmbeddedSeries", replicates: "list[EmbeddedSeries]", part: BoolArray
) -> list[dict[str, Any]]:
    """Whether another seed, of the projection or of the encoder, gives the same clusters, on `part` of the windows."""
    seed = run.settings["seed"]
    others = {f"projection seed {seed + 1}": (series.embeddings, seed + 1)}
    others |= {f"encoder seed {seed + i}": (one.embeddings, seed) for i, one in enumerate(replicates, start=1)}
    labels, index = read_array(run.inputs / "cluster" / "labels.npy")[part], series.index[part]
    projecting, clusterer = run.settings["projection"], run.settings["clusterer"]
    rows = []
    for name, (embeddings, own) in others.items():
        found = cluster_again(embeddings[part], index, projecting, clusterer, own)
        rows.append({"question": "clusters of another seed", "method": name, **_agreement(labels, found)})
    return rows


def _faithfulness(
    run: StageRun, series: "EmbeddedSeries", replicates: "list[EmbeddedSeries]"
) -> dict[str, Any] | Undefined:
    """Measure -> baseline, where it has one -> ranking -> mean over clusters."""
    from clusterwhy.explanations.evaluation import evaluate_clusters
    from clusterwhy.explanations.settings import ExplanationSettings

    clusters = read_table(run.inputs / "cluster" / "clusters.parquet")
    found = evaluate_clusters(
        series,
        clusters["cluster"].to_numpy(),
        clusters["strength"].to_numpy(),
        ExplanationSettings.of(run.settings),
        run.settings["evaluation"],
        replicates,
        _workers(run),
    )
    write_table(run.out / "faithfulness.csv", found.faithfulness)
    write_table(run.out / "relevance_budget.csv", found.budget)
    run.tracker.table("relevance_budget", found.budget)
    groups = found.faithfulness.groupby(["measure", "baseline", "ranking"], sort=False)
    run.tracker.table("faithfulness", groups["value"].mean().reset_index())
    of_each = found.faithfulness.groupby("cluster")["n_windows"].first()
    run.metrics["n_evaluated"] = int(of_each.sum())
    log.info(
        "evaluated explanations on %s of %s, of %d that are explained",
        counted(int(of_each.sum()), "window"),
        counted(len(of_each), "cluster"),
        len(read_table(run.inputs / "explain" / "explained.parquet")),
    )
    figures: dict[str, Any] = {}
    for (measure, baseline, ranking), own in groups:
        of_measure = figures.setdefault(str(measure), {})
        of_measure = of_measure.setdefault(baseline, {}) if baseline else of_measure
        of_measure[ranking] = column_mean(own, "value")
    why_none = read_json(run.inputs / "explain" / "clusters.json").get("why_none", "")
    return figures or Undefined(f"no cluster is explained: {why_none or NOT_TWO}")


def _explanation_rows(question: str, quality: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"question": question, "method": method}
        | {name: column_mean(own, name) for name in ("channel_deletion", "flip_rate")}
        for method, own in quality.groupby("ranking", sort=False)
    ]


def _workers(run: StageRun) -> "Workers":
    """Where clusters are evaluated."""
    workers: Workers = run.settings["workers"]
    return workers if run.by_dvc else workers.in_one_process


def _judged(
    run: StageRun, series: "EmbeddedSeries", replicates: "list[EmbeddedSeries]", part: BoolArray
) -> list[dict[str, Any]]:
    """Whether rankings of channels hold for judges that took no part in the explanation."""
    from clusterwhy.explanations.judged import judge

    explain, seed = run.inputs / "explain", run.settings["seed"]
    explained, importance = read_table(explain / "explained.parquet"), read_table(explain / "importance.csv")
    n_windows = 2 * run.settings["evaluation"].windows_of_each(explained["cluster"].nunique(), len(series.channels))
    labels = read_array(run.inputs / "cluster" / "labels.npy")
    found = judge(series, replicates, labels, explained, importance, part, n_windows, seed, _workers(run))
    write_table(run.out / "judged.csv", found.table)
    run.tracker.table("judged", found.table)
    reason = "no cluster is explained" if found.table.empty else "a cluster lies in too few places of the series"
    run.metrics["judged"] = {"accuracy": defined_or(found.accuracy, reason)}
    rows: list[dict[str, Any]] = []
    for name, own in found.table.groupby("judge", sort=False):
        verdicts = own.loc[own["ranking"] == "relevance", "verdict"]
        counts = {verdict.replace(" ", "_"): int((verdicts == verdict).sum()) for verdict in (BETTER, EQUAL, WORSE)}
        areas = {str(ranking): column_mean(one, "area") for ranking, one in own.groupby("ranking", sort=False)}
        rows += [
            {"question": f"explanation, judged by the {name}", "method": ranking, "channel_deletion": area}
            for ranking, area in areas.items()
        ]
        run.metrics["judged"][str(name).replace(" ", "_")] = {"than_z_score": counts}
    return rows


def _results(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as a table, whose empty cells are explained where they do not just belong to another question."""
    table = pd.DataFrame(
        [{key: None if isinstance(value, Undefined) else value for key, value in row.items()} for row in rows],
        columns=None if rows else ["question", "method"],
    )
    reasons = [{key: value.reason for key, value in row.items() if isinstance(value, Undefined)} for row in rows]
    table[REASONS] = ["; ".join(f"{key}: {reason}" for key, reason in own.items()) for own in reasons]
    return table


@stage
def main(run: StageRun) -> None:
    data, explain = Prepared(run.take("prepare")), run.take("explain")
    series = _series(run, data)
    replicates = series.replicates(run.inputs / "train", run.inputs / "embed")
    part = run.settings["evaluation"].clustered(len(data.starts), run.settings["seed"])
    log.info("comparing clusters on %d of %s", part.sum(), counted(len(part), "window"))
    rows: list[dict[str, Any]] = [
        *_cluster_rows(run, data, part, series.explainable),
        *_seed_rows(run, series, replicates, part),
        *_detection_rows(run, data),
        *_explanation_rows("explanation", read_table(explain / "quality.csv")),
        *_judged(run, series, replicates, part),
        *_explanation_rows("anomaly explanation", read_table(explain / "anomaly_quality.csv")),
    ]
    table = _results(rows)
    write_table(run.out / "results.csv", table)
    run.tracker.table("results", table)
    _stability(run, data, part)
    _hidden(run, data, part)
    run.metrics["n_clustered"] = int(part.sum())
    run.metrics["faithfulness"] = _faithfulness(run, series, replicates)
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("question", "method")}
        question, method = (str(row[key]).replace(" ", "_") for key in ("question", "method"))
        run.metrics.setdefault(question, {})[method] = figures


if __name__ == "__main__":
    main()
