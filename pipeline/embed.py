"""Embed every window by every encoder."""

import logging
from functools import partial
from pathlib import Path

from clusterwhy.artifacts.store import read_array, write_array
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
BATCH_SIZE = 128


def _embed(prepared: Path, encoder: Path, trained: bool, part: slice) -> FloatArray:
    from clusterwhy.encoders.masked import embed
    from clusterwhy.encoders.storage import load_encoder

    data = Prepared(prepared)
    return embed(load_encoder(encoder, trained), data.scaled, data.starts[part], data.length, BATCH_SIZE)


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.storage import replicate_folders

    prepared, encoder = run.take("prepare"), run.take("train")
    data = Prepared(prepared)
    workers = run.settings["workers"]
    asked = [("embeddings", encoder, True), ("untrained_embeddings", encoder, False)]
    asked += [(folder.name, folder, True) for folder in replicate_folders(encoder)]
    for name, folder, trained in asked:
        path = run.out / f"{name}.npy"
        workers.windows(partial(_embed, prepared, folder, trained), len(data.index), path, BATCH_SIZE, name)
    embeddings = read_array(run.out / "embeddings.npy")
    write_array(run.out / "window.npy", data.index["window"].to_numpy())
    run.metrics = {"n_windows": len(embeddings), "n_features": embeddings.shape[1]}
    log.info("embedded %d windows into %d dimensions", *embeddings.shape)


if __name__ == "__main__":
    main()
