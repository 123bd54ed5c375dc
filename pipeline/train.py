"""Train the encoder by masked value prediction, several times with other seeds (replicates)."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clusterwhy.artifacts.store import write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.errors import ConfigError
from pipeline._stage import StageRun, stage

log = logging.getLogger("clusterwhy")


def _train(run: StageRun, data: Prepared, which: int) -> tuple[pd.DataFrame, int]:
    """Train and store one encoder; its history, and the number of its parameters."""
    from clusterwhy.compute.seeding import seed_torch
    from clusterwhy.encoders.storage import REPLICATE, save_encoder

    name = f"{REPLICATE}{which}" if which else ""
    folder = run.out / name
    folder.mkdir(exist_ok=True)
    seed = run.settings["seed"] + which
    seed_torch(seed)
    encoder = run.settings["encoder"].build(len(data.channels), data.length)
    starts = data.starts[data.index["train"].to_numpy()]

    def report(row: Mapping[str, float]) -> None:
        run.tracker.log({key if key == "step" or not name else f"{name}_{key}": value for key, value in row.items()})

    kept = run.kept(f"training_{name}" if name else "training")
    history = run.settings["train"].train(encoder, data.scaled, starts, data.length, seed, report, kept)
    save_encoder(folder, encoder, run.config["encoder"], len(data.channels), data.length)
    write_table(folder / "history.csv", history)
    last = history.iloc[-1]
    log.info("%s: validation loss %.4f after %d steps", name or "encoder", last["validation_loss"], last["step"])
    return history, sum(parameter.numel() for parameter in encoder.parameters())


@stage
def main(run: StageRun) -> None:
    count = run.settings["encoders"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError("params.yaml", [f"encoders: expected a whole number of at least 1, got {count!r}"])
    data = Prepared(run.take("prepare"))
    trained: list[tuple[pd.DataFrame, int]] = [_train(run, data, which) for which in range(count)]
    losses: list[Any] = [float(history.iloc[-1]["validation_loss"]) for history, _ in trained]
    run.metrics = {
        "train_loss": float(trained[0][0].iloc[-1]["train_loss"]),
        "validation_loss": losses[0],
        "replicates": {f"validation_loss_{i}": loss for i, loss in enumerate(losses[1:], start=1)},
        "n_parameters": trained[0][1],
    }


if __name__ == "__main__":
    main()
