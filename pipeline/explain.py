"""Explain clusters, and anomalies by their difference to normal windows: which channels matter, and when."""

import functools
import logging
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterwhy.artifacts.store import read_array, read_json, read_table, write_array, write_json, write_table
from clusterwhy.artifacts.undefined import Undefined, column_mean, mean_of, median_of
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.explanations.anomaly_targets import Detection
    from clusterwhy.explanations.cluster_tables import ClusterExplanations
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.properties import Units
    from clusterwhy.explanations.target_function import TargetCache

log = logging.getLogger("clusterwhy")
NOT_TWO = "there are not two groups of windows to compare"


@functools.cache
def _cache() -> "TargetCache":
    """One for all jobs of a sweep, which run in one process."""
    from clusterwhy.explanations.target_function import TargetCache

    return TargetCache()


def _clusters(run: StageRun, series: "EmbeddedSeries", replicates: "list[EmbeddedSeries]", units: "Units") -> None:
    from clusterwhy.explanations.clusters import explain_clusters
    from clusterwhy.explanations.settings import ExplanationSettings

    table = read_table(run.take("cluster") / "clusters.parquet")
    found = explain_clusters(
        series,
        table["cluster"].to_numpy(),
        table["strength"].to_numpy(),
        ExplanationSettings.of(run.settings),
        # the jobs of a sweep share targets that they have computed
        run.settings["workers"] if run.by_dvc else run.settings["workers"].in_one_process,
        _cache(),
        replicates,
    )
    write_array(run.out / "relevance.npy", found.relevance)
    write_array(run.out / "maps.npy", found.maps)
    write_table(run.out / "explained.parquet", found.windows)
    write_table(run.out / "importance.csv", found.importance)
    write_table(run.out / "quality.csv", found.quality)
    write_table(run.out / "properties.csv", units.told(found.properties))
    write_table(run.out / "time_bins.csv", found.bins)
    # NaN is no JSON
    agreements = {str(cluster): value if value == value else None for cluster, value in found.agreements.items()}
    sizes = {str(cluster): value for cluster, value in found.target_sizes.items()}
    write_json(
        run.out / "clusters.json",
        {"clusters": found.clusters, "agreements": agreements, "target_sizes": sizes, "losses": found.losses},
    )
    run.metrics |= {"n_explained": len(found.windows), **_cluster_figures(found), **found.facts}
    if not found.clusters:
        log.warning("no cluster is explained: %s", NOT_TWO)
        return
    for sentence in found.losses:
        log.warning("%s", sentence)
    composite = run.settings["composite"]
    if (composite.first_layer or composite.convolution) == "flat":
        log.warning(
            "the flat rule gives all channels of the first layer the same relevance: this composite shows when, not "
            "which channel"
        )
    # durations differ from run to run, so they are logged and not written into an artifact
    log.info("explained %d windows of clusters in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"attribution_s": found.seconds})
    run.tracker.table("importance", found.importance)
    run.tracker.table("quality", found.quality)


def _cluster_figures(found: "ClusterExplanations") -> dict[str, Any]:
    none = "" if found.clusters else f"no cluster is explained: {NOT_TWO}"
    gaps, agreements = found.windows["gap"].abs(), list(found.agreements.values())
    return {
        "median_abs_gap": median_of(gaps, none or "the target is 0 in every explained window"),
        **_faithfulness(found.quality, none),
        "member_agreement": mean_of(agreements, none or "no cluster has two explained windows with relevance"),
    }


def _faithfulness(quality: pd.DataFrame, none: str) -> dict[str, Any]:
    """Measure -> ranking -> mean over clusters; `none` says why there is no row."""
    if quality.empty:
        reason = none or "no target tells a cluster from other windows"
        return {measure: Undefined(reason) for measure in ("channel_deletion", "flip_rate")}
    return {
        measure: {str(name): column_mean(own, measure) for name, own in quality.groupby("ranking")}
        for measure in ("channel_deletion", "flip_rate")
    }


def _detection(run: StageRun) -> "Detection":
    from clusterwhy.anomaly.storage import load_fitted
    from clusterwhy.explanations.anomaly_targets import Detection

    score = run.take("score")
    table = read_table(score / "scores.parquet")
    by_channel = score / "channel_scores.npy"
    return Detection(
        scores=table["score"].to_numpy(),
        anomalous=table["anomalous"].to_numpy(),
        threshold=read_json(score / "segments.json")["threshold"],
        channels=read_array(by_channel) if by_channel.exists() else None,
        detector=run.settings["detector"],
        fitted=load_fitted(score),
    )


def _anomalies(run: StageRun, series: "EmbeddedSeries", detection: "Detection") -> None:
    from clusterwhy.explanations.anomalies import explain_anomalies

    found = explain_anomalies(series, detection, run.settings["anomalies"], run.settings["seed"])
    write_array(run.out / "anomaly_relevance.npy", found.relevance)
    write_table(run.out / "anomalies.parquet", found.windows)
    write_table(run.out / "anomaly_channels.csv", found.channels)
    write_table(run.out / "anomaly_quality.csv", found.quality)
    write_json(run.out / "anomalies.json", {"target": found.target})
    none = "" if len(found.windows) else "no anomaly is explained"
    gap = median_of(found.windows["gap"].abs(), none or "the explained windows do not differ from their normal windows")
    figures = {**_faithfulness(found.quality, none), "median_abs_gap": gap}
    run.metrics |= {"n_anomalies_explained": len(found.windows)}
    run.metrics |= {f"anomaly_{name}": value for name, value in figures.items()}
    if len(found.windows):
        log.info(
            "explained the %d most anomalous windows in %.1f s: %s", len(found.windows), found.seconds, found.target
        )
    run.tracker.summarise({"anomaly_attribution_s": found.seconds})
    run.tracker.table("anomaly_channels", found.channels)
    run.tracker.table("anomaly_quality", found.quality)


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.properties import Units

    data, encoder = Prepared(run.take("prepare")), load_encoder(run.take("train"))
    series = EmbeddedSeries.of(data, encoder, read_array(run.take("embed") / "embeddings.npy"))
    detection = _detection(run)
    card = data.card
    units = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz)
    _clusters(run, series, series.replicates(run.inputs / "train", run.inputs / "embed"), units)
    _anomalies(run, series, detection)


if __name__ == "__main__":
    main()
