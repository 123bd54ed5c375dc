"""Embed every window by every encoder."""

import logging
from functools import partial
from pathlib import Path

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_array, write_array
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.shards import on_shard
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
BATCH_SIZE = 128


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import stored_settings

    prepared, encoder = run.take("prepare"), run.take("train")
    data = Prepared(prepared)
    if (given := stored_settings(encoder)[0].given(data.index)) is not None:
        write_array(run.out / "embeddings.npy", given)
        log.info("%d vectors of %d dimensions were given", *given.shape)
    else:
        _embed(run, data, encoder)
    embeddings = read_array(run.out / "embeddings.npy")
    write_array(run.out / "window.npy", data.index["window"].to_numpy())
    run.metrics = {"n_windows": len(embeddings), "n_features": embeddings.shape[1]}


def _embed(run: StageRun, data: Prepared, encoder: Path) -> None:
    """By the encoder, by the same before training, and by those of other seeds."""
    from clusterwhy.encoders.masked import embed
    from clusterwhy.encoders.storage import replicate_folders

    workers, work = run.settings["workers"], partial(embed, length=data.length, batch_size=BATCH_SIZE)
    asked = [("embeddings", encoder, True), ("untrained_embeddings", encoder, False)]
    asked += [(folder.name, folder, True) for folder in replicate_folders(encoder)]
    for name, folder, trained in asked:
        path = run.out / f"{name}.npy"
        workers.windows(partial(on_shard, work, data.folder, folder, trained), len(data.index), path, BATCH_SIZE, name)
    n_windows, n_dimensions = read_array(run.out / "embeddings.npy").shape
    log.info("embedded %s into %d dimensions", counted(n_windows, "window"), n_dimensions)


if __name__ == "__main__":
    main()
