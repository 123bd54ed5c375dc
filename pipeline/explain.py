"""Explain clusters by LRP and anomalies by their difference to normal windows: which channels, at which moments."""

import logging
from typing import TYPE_CHECKING

import numpy as np

from clusterwhy.artifacts.store import read_array, read_table, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.encoders.masked import MaskedEncoder

log = logging.getLogger("clusterwhy")


def _clusters(run: StageRun, data: Prepared, encoder: "MaskedEncoder", embeddings: FloatArray) -> None:
    from clusterwhy.explanations.clusters import HowToExplain, explain_clusters

    table = read_table(run.take("cluster") / "clusters.parquet")
    names = ("target", "canonizer", "composite", "attributor", "members", "seed")
    found = explain_clusters(
        encoder,
        data.scaled,
        data.index,
        embeddings,
        table["cluster"].to_numpy(),
        table["strength"].to_numpy(),
        data.channels,
        1.0 / data.card.rate_hz,
        HowToExplain(**{name: run.settings[name] for name in names}),
        run.settings["workers"],
    )
    write_array(run.out / "relevance.npy", found.relevance)
    write_array(run.out / "maps.npy", found.maps)
    write_table(run.out / "explained.parquet", found.windows)
    write_table(run.out / "importance.csv", found.importance)
    write_table(run.out / "quality.csv", found.quality)
    write_table(run.out / "time_bins.csv", found.bins)
    agreements = {str(cluster): value for cluster, value in found.agreements.items()}
    write_json(run.out / "clusters.json", {"clusters": found.clusters, "agreements": agreements})
    run.metrics["n_explained"] = len(found.windows)
    if not found.clusters:
        log.warning("no cluster to explain: there are not two groups of windows to tell apart")
        return
    composite = run.settings["composite"]
    if (composite.first_layer or composite.convolution) == "flat":
        log.warning("a flat first layer shares alike among the channels it reads: this composite says when, not which")
    # empty where there is nothing to tell the cluster from
    by_ranking = found.quality.groupby("ranking")["replacement_area"].mean()
    flips = found.quality.groupby("ranking")["flip_rate"].mean()
    run.metrics |= {
        "median_abs_gap": float(np.median(np.abs(found.windows["gap"].to_numpy()))),
        "replacement_area": {name: float(value) for name, value in by_ranking.dropna().items()},
        "flip_rate": {name: float(value) for name, value in flips.items()},
        "member_agreement": float(np.mean(list(found.agreements.values()))),
        **found.facts,
    }
    # seconds differ from run to run: shown, never written into an artifact
    log.info("explained %d windows of clusters in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"attribution_s": found.seconds})
    run.tracker.table("importance", found.importance)
    run.tracker.table("quality", found.quality)


def _anomalies(run: StageRun, data: Prepared, encoder: "MaskedEncoder", embeddings: FloatArray) -> None:
    from clusterwhy.explanations.anomalies import explain_anomalies

    score = run.take("score")
    table = read_table(score / "scores.parquet")
    parts = score / "channel_scores.npy"
    found = explain_anomalies(
        encoder,
        data.scaled,
        data.index,
        embeddings,
        table["score"].to_numpy(),
        table["anomalous"].to_numpy(),
        read_array(parts) if parts.exists() else None,
        data.channels,
        run.settings["anomalies"],
        run.settings["seed"],
    )
    write_array(run.out / "anomaly_relevance.npy", found.relevance)
    write_table(run.out / "anomalies.parquet", found.windows)
    write_table(run.out / "anomaly_channels.csv", found.channels)
    write_table(run.out / "anomaly_quality.csv", found.quality)
    run.metrics["n_anomalies_explained"] = len(found.windows)
    if len(found.windows):
        quality = found.quality.set_index("ranking")
        run.metrics["anomaly_replacement_area"] = quality["replacement_area"].dropna().to_dict()
        run.metrics["anomaly_flip_rate"] = quality["flip_rate"].to_dict()
        run.metrics["anomaly_median_abs_gap"] = float(np.median(np.abs(found.windows["gap"].to_numpy())))
    log.info("explained the %d strangest windows in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"anomaly_attribution_s": found.seconds})
    run.tracker.table("anomaly_channels", found.channels)
    run.tracker.table("anomaly_quality", found.quality)


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder

    data = Prepared(run.take("prepare"))
    encoder = load_encoder(run.take("train"))
    embeddings = read_array(run.take("embed") / "embeddings.npy")
    _clusters(run, data, encoder, embeddings)
    _anomalies(run, data, encoder, embeddings)


if __name__ == "__main__":
    main()
