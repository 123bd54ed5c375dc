"""Anomaly score of each window, with baselines; threshold; anomalous segments."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import MeanAbsoluteZ, PcaError, Random
from clusterwhy.anomaly.motifs import motif_table
from clusterwhy.anomaly.relative import compared_with_all, relative, usual_scores
from clusterwhy.anomaly.storage import save_fitted
from clusterwhy.anomaly.thresholds import merge_segments, sample_scores
from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.shards import on_shard
from clusterwhy.types import FloatArray
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.anomaly.base import WindowWork
    from clusterwhy.encoders.masked import MaskedEncoder

log = logging.getLogger("clusterwhy")
BATCH_SIZE = 128  # a shard is a multiple of the batch size of any detector up to this
BASELINES = {"pca_error": PcaError(explained_share=0.95), "mean_abs_z": MeanAbsoluteZ(), "random": Random()}


def _load(folder: Path) -> "MaskedEncoder":
    # torch is imported only for detectors that predict
    from clusterwhy.encoders.storage import load_encoder

    return load_encoder(folder)


@stage
def main(run: StageRun) -> None:
    prepared, folder = run.take("prepare"), run.take("train")
    data = Prepared(prepared)

    def over_windows(work: "WindowWork") -> FloatArray:
        path = run.out / ".shards.npy"
        part = partial(on_shard, work, prepared, folder, True)
        run.settings["workers"].windows(part, len(data.index), path, BATCH_SIZE, "score")
        found = np.array(read_array(path))
        path.unlink()
        return found

    train = data.index["train"].to_numpy()
    inputs = DetectorInput(
        values=data.scaled,
        starts=data.starts,
        length=data.length,
        train=train,
        embeddings=read_array(run.take("embed") / "embeddings.npy"),
        projection=read_array(run.take("project") / "projection.npy"),
        load_encoder=lambda: _load(folder),
        seed=run.settings["seed"],
        map=over_windows,
        segments=data.card.segments,
    )
    detector, relative_to = run.settings["detector"], run.settings["relative_to"]
    scores, labels = detector.score(inputs), read_array(run.take("cluster") / "labels.npy")
    usual = {} if detector.local else relative_to.usual(scores.windows, labels, train)
    scores = relative(scores, usual_scores(usual, labels))
    table = pd.DataFrame({"window": data.index["window"], "score": scores.windows})
    for name, baseline in BASELINES.items():
        table[name] = baseline.score(inputs).windows
    threshold = run.settings["threshold"].fit(scores.windows[train])
    table["anomalous"] = scores.windows > threshold
    segments = merge_segments(scores.windows, threshold, data.starts, data.length)
    write_table(run.out / "scores.parquet", table)
    save_fitted(run.out, scores.fitted)
    if scores.nearest is not None:
        motifs = motif_table(inputs, scores.nearest, data.channels, data.index["window"].to_numpy())
        write_table(run.out / "motifs.csv", motifs)
    if scores.channels is not None:
        write_array(run.out / "channel_scores.npy", scores.channels)
    per_sample = sample_scores(scores.windows, data.starts, data.length, len(data.scaled))
    write_array(run.out / "sample_scores.npy", per_sample)
    write_json(
        run.out / "segments.json",
        {
            "threshold": threshold,
            "says": run.settings["threshold"].says,
            "usual": {str(cluster): score for cluster, score in usual.items()},
            "relative_to": relative_to.says if usual else "",
            "segments": segments,
        },
    )
    run.metrics = {
        "threshold": threshold,
        "n_segments": len(segments),
        "anomalous_share": float(np.mean(table["anomalous"])),
    }
    found = counted(len(segments), "anomalous segment")
    log.info("%s above %.4g, %s", found, threshold, run.settings["threshold"].says)
    if usual:
        clusters = [int(cluster) for cluster in np.unique(labels) if cluster >= 0]
        if own := compared_with_all(usual, clusters):
            log.info("no training window is in cluster %s: all are what is usual", ", ".join(map(str, own)))


if __name__ == "__main__":
    main()
