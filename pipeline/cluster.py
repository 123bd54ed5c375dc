"""Cluster the windows."""

import logging

import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, write_array, write_json, write_table
from clusterwhy.artifacts.undefined import defined_or
from clusterwhy.clustering.summary import density_validity, silhouette, summarise
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import timeline
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    data = Prepared(run.take("prepare"))
    embeddings = read_array(run.take("embed") / "embeddings.npy")
    projection = read_array(run.take("project") / "projection.npy")
    clusterer, seed = run.settings["clusterer"], run.settings["seed"]
    points = projection if clusterer.space == "projection" else embeddings
    clusters = clusterer.fit(points, embeddings, data.index)
    labels, fitted = clusters.labels, clusterer.fitted(len(points))
    table = pd.DataFrame(
        {"window": data.index["window"], "cluster": labels, "strength": clusters.strengths, "fitted": fitted}
    )
    write_table(run.out / "clusters.parquet", table)
    write_array(run.out / "labels.npy", labels)
    write_table(run.out / "condensed_tree.parquet", clusters.tree)
    summary = {
        "clusters": summarise(clusters, embeddings, data.index),
        "timeline": timeline(labels, data.index),
    }
    write_json(run.out / "summary.json", summary)
    n_clusters, noise = int(labels.max(initial=-1)) + 1, float(np.mean(labels < 0))
    reason = "there are not two clusters" if n_clusters < 2 else ""
    size, samples = clusterer.sizes(int(fitted.sum()))
    run.metrics = {
        "n_fitted": int(fitted.sum()),
        "n_clusters": n_clusters,
        "noise_share": noise,
        "min_cluster_size": size,
        "min_samples": samples,
        "dbcv": defined_or(
            density_validity(points, labels, seed),
            reason or "densities are not finite: windows coincide, or have too many features",
        ),
        "silhouette_embeddings": defined_or(
            silhouette(embeddings, labels, seed), reason or "all windows have the same embedding"
        ),
    }
    if n_clusters == 0:
        log.warning("all windows are noise (a valid result); a smaller min_cluster_share finds smaller clusters")
    elif n_clusters == 1:
        log.warning("only one cluster: it is explained against the noise windows, if any")
    if not fitted.all():
        log.info(
            "fitted on %d of %d windows, drawn at random (clusterer.sample); the others are assigned to their clusters",
            fitted.sum(),
            len(fitted),
        )
    log.info("%s, %.1f %% noise", counted(n_clusters, "cluster"), 100 * noise)


if __name__ == "__main__":
    main()
