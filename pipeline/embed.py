"""Embed every window."""

import logging

from clusterwhy.artifacts import write_array
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")
BATCH_SIZE = 128


@stage
def main(run: StageRun) -> None:
    from clusterwhy.encoders.masked import embed
    from clusterwhy.encoders.storage import load_encoder

    data = Prepared(run.take("prepare"))
    folder = run.take("train")
    for name, trained in (("embeddings", True), ("untrained_embeddings", False)):
        encoder = load_encoder(folder, trained)
        embeddings = embed(encoder, data.scaled, data.starts, data.length, BATCH_SIZE)
        write_array(run.out / f"{name}.npy", embeddings)
    write_array(run.out / "window.npy", data.index["window"].to_numpy())
    run.metrics = {"n_windows": len(embeddings), "n_features": embeddings.shape[1]}
    log.info("embedded %d windows into %d dimensions", *embeddings.shape)


if __name__ == "__main__":
    main()
