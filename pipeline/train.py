"""Train the encoder by masked value prediction."""

import logging

from clusterwhy.artifacts.store import write_table
from clusterwhy.data.storage import Prepared
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


@stage
def main(run: StageRun) -> None:
    from clusterwhy.compute.seeding import seed_torch
    from clusterwhy.encoders.storage import save_encoder

    data = Prepared(run.take("prepare"))
    seed = run.settings["seed"]
    seed_torch(seed)
    encoder = run.settings["encoder"].build(len(data.channels), data.length)
    starts = data.starts[data.index["train"].to_numpy()]
    history = run.settings["train"].train(
        encoder, data.scaled, starts, data.length, seed, run.tracker.log, run.kept("training")
    )
    save_encoder(run.out, encoder, run.config["encoder"], len(data.channels), data.length)
    write_table(run.out / "history.csv", history)
    last = history.iloc[-1]
    run.metrics = {
        "train_loss": float(last["train_loss"]),
        "validation_loss": float(last["validation_loss"]),
        "n_parameters": sum(parameter.numel() for parameter in encoder.parameters()),
    }
    log.info("validation loss %.4f after %d steps", last["validation_loss"], last["step"])


if __name__ == "__main__":
    main()
