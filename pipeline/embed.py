"""Embed every window by every encoder."""

import logging
from functools import partial

from clusterwhy.artifacts.store import read_array, write_array
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.shards import on_shard
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
BATCH_SIZE = 128


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.masked import embed
    from clusterwhy.encoders.storage import replicate_folders

    prepared, encoder = run.take("prepare"), run.take("train")
    data = Prepared(prepared)
    workers, work = run.settings["workers"], partial(embed, length=data.length, batch_size=BATCH_SIZE)
    asked = [("embeddings", encoder, True), ("untrained_embeddings", encoder, False)]
    asked += [(folder.name, folder, True) for folder in replicate_folders(encoder)]
    for name, folder, trained in asked:
        path = run.out / f"{name}.npy"
        workers.windows(partial(on_shard, work, prepared, folder, trained), len(data.index), path, BATCH_SIZE, name)
    embeddings = read_array(run.out / "embeddings.npy")
    write_array(run.out / "window.npy", data.index["window"].to_numpy())
    run.metrics = {"n_windows": len(embeddings), "n_features": embeddings.shape[1]}
    log.info("embedded %d windows into %d dimensions", *embeddings.shape)


if __name__ == "__main__":
    main()
