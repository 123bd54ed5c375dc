"""Explain clusters, and anomalies by their difference to normal windows: which channels matter, and when."""

import functools
import logging
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.artifacts.store import read_array, read_table, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.target_function import TargetCache

log = logging.getLogger("clusterwhy")


@functools.cache
def _cache() -> "TargetCache":
    """One for all jobs of a sweep, which run in one process."""
    from clusterwhy.explanations.target_function import TargetCache

    return TargetCache()


def _clusters(run: StageRun, series: "EmbeddedSeries") -> None:
    from clusterwhy.explanations.clusters import explain_clusters
    from clusterwhy.explanations.settings import ExplanationSettings

    table = read_table(run.take("cluster") / "clusters.parquet")
    found = explain_clusters(
        series,
        table["cluster"].to_numpy(),
        table["strength"].to_numpy(),
        ExplanationSettings.of(run.settings),
        run.settings["workers"],
        _cache(),
    )
    write_array(run.out / "relevance.npy", found.relevance)
    write_array(run.out / "maps.npy", found.maps)
    write_table(run.out / "explained.parquet", found.windows)
    write_table(run.out / "importance.csv", found.importance)
    write_table(run.out / "quality.csv", found.quality)
    write_table(run.out / "time_bins.csv", found.bins)
    agreements = {str(cluster): value for cluster, value in found.agreements.items()}
    write_json(
        run.out / "clusters.json", {"clusters": found.clusters, "agreements": agreements, "losses": found.losses}
    )
    run.metrics["n_explained"] = len(found.windows)
    if not found.clusters:
        log.warning("no cluster is explained: there are not two groups of windows to compare")
        return
    for sentence in found.losses:
        log.warning("%s", sentence)
    composite = run.settings["composite"]
    if (composite.first_layer or composite.convolution) == "flat":
        log.warning(
            "the flat rule gives all channels of the first layer the same relevance: this composite shows when, not "
            "which channel"
        )
    # empty where no target tells a cluster from other windows
    deletion = found.quality.groupby("ranking")["channel_deletion"].mean()
    flips = found.quality.groupby("ranking")["flip_rate"].mean()
    run.metrics |= {
        "median_abs_gap": float(np.median(np.abs(found.windows["gap"].to_numpy()))),
        "channel_deletion": {name: float(value) for name, value in deletion.dropna().items()},
        "flip_rate": {name: float(value) for name, value in flips.items()},
        "member_agreement": float(np.mean(list(found.agreements.values()))),
        **found.facts,
    }
    # durations differ from run to run, so they are logged and not written into an artifact
    log.info("explained %d windows of clusters in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"attribution_s": found.seconds})
    run.tracker.table("importance", found.importance)
    run.tracker.table("quality", found.quality)


def _anomalies(run: StageRun, series: "EmbeddedSeries") -> None:
    from clusterwhy.explanations.anomalies import WindowScores, explain_anomalies

    score = run.take("score")
    table = read_table(score / "scores.parquet")
    by_channel = score / "channel_scores.npy"
    detected = WindowScores(
        table["score"].to_numpy(),
        table["anomalous"].to_numpy(),
        read_array(by_channel) if by_channel.exists() else None,
    )
    found = explain_anomalies(series, detected, run.settings["anomalies"], run.settings["seed"])
    write_array(run.out / "anomaly_relevance.npy", found.relevance)
    write_table(run.out / "anomalies.parquet", found.windows)
    write_table(run.out / "anomaly_channels.csv", found.channels)
    write_table(run.out / "anomaly_quality.csv", found.quality)
    run.metrics["n_anomalies_explained"] = len(found.windows)
    if len(found.windows):
        quality = found.quality.set_index("ranking")
        run.metrics["anomaly_channel_deletion"] = quality["channel_deletion"].dropna().to_dict()
        run.metrics["anomaly_flip_rate"] = quality["flip_rate"].to_dict()
        run.metrics["anomaly_median_abs_gap"] = float(np.median(np.abs(found.windows["gap"].to_numpy())))
    log.info("explained the %d most anomalous windows in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"anomaly_attribution_s": found.seconds})
    run.tracker.table("anomaly_channels", found.channels)
    run.tracker.table("anomaly_quality", found.quality)


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries

    data, encoder = Prepared(run.take("prepare")), load_encoder(run.take("train"))
    series = EmbeddedSeries.of(data, encoder, read_array(run.take("embed") / "embeddings.npy"))
    _clusters(run, series)
    _anomalies(run, series)


if __name__ == "__main__":
    main()
