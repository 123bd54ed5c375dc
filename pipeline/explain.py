"""Explain clusters, and anomalies by their difference to normal windows: which channels matter, and when."""

import functools
import logging
from typing import TYPE_CHECKING

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, read_json, read_table
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.explanations.anomaly_targets import Detection
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.target_function import TargetCache
    from clusterwhy.explanations.units import Units

log = logging.getLogger("clusterwhy")


@functools.cache
def _cache() -> "TargetCache":
    """One for all jobs of a sweep, which run in one process."""
    from clusterwhy.explanations.target_function import TargetCache

    return TargetCache()


def _clusters(run: StageRun, series: "EmbeddedSeries", replicates: "list[EmbeddedSeries]", units: "Units") -> None:
    from clusterwhy.explanations.clusters import explain_clusters
    from clusterwhy.explanations.settings import ExplanationSettings
    from clusterwhy.explanations.storage import cluster_figures, save_clusters

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
    save_clusters(run.out, found, units)
    run.metrics |= cluster_figures(found)
    if not found.clusters:
        log.warning("no cluster is explained: %s", found.why_none)
        return
    beside = [sentence for sentence in found.losses if ", LRP of the composite, " in sentence]
    for sentence in found.losses:
        if sentence not in beside:
            log.warning("%s", sentence)
    if beside:
        clusters = dict.fromkeys(sentence.partition(",")[0].removeprefix("cluster ") for sentence in beside)
        where = "a column beside the figures; the page and clusters.json tell where"
        log.info("LRP of the composite lost more than 5 %% in clusters %s (%s)", ", ".join(clusters), where)
    composite = run.settings["composite"]
    if (composite.first_layer or composite.convolution) == "flat":
        log.warning(
            "the flat rule gives all channels of the first layer the same relevance: this composite shows when, not "
            "which channel"
        )
    # durations differ from run to run, so they are logged and not written into an artifact
    log.info("explained %s of clusters in %.1f s", counted(len(found.windows), "window"), found.seconds)
    run.tracker.summarise({"attribution_s": found.seconds})
    run.tracker.table("importance", found.importance)
    run.tracker.table("quality", found.quality)


def _detection(run: StageRun) -> "Detection":
    from clusterwhy.anomaly.relative import read_usual
    from clusterwhy.anomaly.storage import load_fitted
    from clusterwhy.explanations.anomaly_targets import Detection

    score = run.take("score")
    table, labels = read_table(score / "scores.parquet"), read_array(run.inputs / "cluster" / "labels.npy")
    by_channel, segments = score / "channel_scores.npy", read_json(score / "segments.json")
    return Detection(
        scores=table["score"].to_numpy(),
        anomalous=table["anomalous"].to_numpy(),
        threshold=segments["threshold"],
        channels=read_array(by_channel) if by_channel.exists() else None,
        detector=run.settings["detector"],
        fitted=load_fitted(score),
        usual=read_usual(segments, labels),
    )


def _anomalies(run: StageRun, series: "EmbeddedSeries", detection: "Detection") -> None:
    from clusterwhy.explanations.anomalies import explain_anomalies
    from clusterwhy.explanations.storage import anomaly_figures, save_anomalies

    found = explain_anomalies(series, detection, run.settings["anomalies"], run.settings["seed"])
    save_anomalies(run.out, found)
    run.metrics |= anomaly_figures(found)
    if len(found.windows):
        n_windows = counted(len(found.windows), "anomalous window")
        log.info("explained %s in %.1f s: %s", n_windows, found.seconds, found.target)
    elif run.settings["anomalies"].count:
        log.warning("anomalies are not explained: %s", found.why_none)
    n_explained, n_patterns = int(found.patterns["n_alarms"].sum()), len(found.patterns)
    if n_explained:
        alarms, patterns = counted(found.n_alarms, "alarm"), counted(n_patterns, "pattern")
        log.info("%d of %s explained, in %s", n_explained, alarms, patterns)
    run.metrics |= {"n_alarms": found.n_alarms, "n_patterns": n_patterns}
    run.tracker.summarise({"anomaly_attribution_s": found.seconds})
    run.tracker.table("anomaly_channels", found.channels)
    run.tracker.table("anomaly_quality", found.quality)
    run.tracker.table("anomaly_patterns", found.patterns)


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.explanations.embedded_series import EmbeddedSeries
    from clusterwhy.explanations.units import Units

    data, encoder = Prepared(run.take("prepare")), load_encoder(run.take("train"))
    series = EmbeddedSeries.of(data, encoder, read_array(run.take("embed") / "embeddings.npy"))
    detection = _detection(run)
    card = data.card
    units = Units(card.channels, card.units, card.centre, card.scale, card.rate_hz)
    _clusters(run, series, series.replicates(run.inputs / "train", run.inputs / "embed"), units)
    _anomalies(run, series, detection)


if __name__ == "__main__":
    main()
