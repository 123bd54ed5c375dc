"""Explain each cluster by LRP: which channels, at which moments."""

import logging

import numpy as np

from clusterwhy.artifacts import read_array, read_table, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import load_encoder
    from clusterwhy.relevance.clusters import HowToExplain, explain_clusters

    data = Prepared(run.take("prepare"))
    encoder = load_encoder(run.take("train"))
    embeddings = read_array(run.take("embed") / "embeddings.npy")
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
        1.0 / data.about["rate_hz"],
        HowToExplain(**{name: run.settings[name] for name in names}),
    )
    write_array(run.out / "relevance.npy", found.relevance)
    write_array(run.out / "maps.npy", found.maps)
    write_table(run.out / "explained.parquet", found.windows)
    write_table(run.out / "importance.csv", found.importance)
    write_table(run.out / "quality.csv", found.quality)
    write_table(run.out / "time_bins.csv", found.bins)
    agreements = {str(cluster): value for cluster, value in found.agreements.items()}
    write_json(run.out / "clusters.json", {"clusters": found.clusters, "agreements": agreements})
    if not found.clusters:
        log.warning("nothing to explain: there are not two groups of windows to tell apart")
        run.metrics = {"n_explained": 0}
        return
    if run.settings["composite"].name.endswith("Flat"):
        log.warning("a flat first layer shares alike among the channels it reads: this composite says when, not which")
    # empty where there is nothing to tell the cluster from
    by_ranking = found.quality.groupby("ranking")["replacement_area"].mean()
    flips = found.quality.groupby("ranking")["flip_rate"].mean()
    gap = found.windows["gap"].to_numpy()
    run.metrics = {
        "n_explained": len(found.windows),
        "median_abs_gap": float(np.median(np.abs(gap))),
        "replacement_area": {name: float(value) for name, value in by_ranking.dropna().items()},
        "flip_rate": {name: float(value) for name, value in flips.items()},
        "member_agreement": float(np.mean(list(found.agreements.values()))),
        **found.facts,
    }
    # seconds differ from run to run: shown, never written into an artifact
    log.info("explained %d windows in %.1f s", len(found.windows), found.seconds)
    run.tracker.summarise({"attribution_s": found.seconds})
    run.tracker.table("importance", found.importance)
    run.tracker.table("quality", found.quality)


if __name__ == "__main__":
    main()
