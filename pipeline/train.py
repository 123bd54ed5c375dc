"""Train the encoder by masked value prediction, several times with other seeds (replicates), side by side."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clusterwhy.artifacts.store import write_table
from clusterwhy.artifacts.undefined import Undefined
from clusterwhy.compute.threads import n_threads
from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.training import NoTraining
from clusterwhy.errors import ConfigError
from clusterwhy.tracking.names import Collection
from pipeline._stage import StageRun, stage

if TYPE_CHECKING:
    from clusterwhy.encoders.replicates import Training

log = logging.getLogger("clusterwhy")
LONG = 5_000  # windows in a training; processes for a shorter one take longer than they save
GIVEN = Undefined("`train: none` trains nothing")


def _trainings(run: StageRun, prepared: Path, count: int) -> "dict[str, Training]":
    """By name; the one of the first encoder is empty."""
    from clusterwhy.encoders.replicates import Training
    from clusterwhy.encoders.storage import REPLICATE

    settings = {name: run.settings[name] for name in ("encoder", "train", "seed")}
    threads = max(1, n_threads() // count)
    trainings = {}
    for which in range(count):
        name = f"{REPLICATE}{which}" if which else ""
        kept = run.kept(f"training_{name}" if name else "training")
        trainings[name] = Training(prepared, settings, run.config["encoder"], which, run.out / name, kept, threads)
    return trainings


@stage
def main(run: StageRun) -> None:
    count = run.settings["encoders"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError("params.yaml", [f"encoders: expected a whole number of at least 1, got {count!r}"])
    fit, workers = run.settings["train"], run.settings["workers"]
    alike = isinstance(fit, NoTraining) and fit.start is None and not run.settings["encoder"].differs_by_seed
    if count > 1 and alike:
        raise ConfigError(
            "params.yaml", [f"`encoders: {count}` with `train: none` are all the same: set `encoders: 1`"]
        )
    prepared = run.take("prepare")
    if fit.start is not None:
        _check_start(run, Path(fit.start), Prepared(prepared), count)
    trainings = _trainings(run, prepared, count)
    if isinstance(fit, NoTraining) or fit.n_steps * fit.batch_size < LONG:
        workers = workers.in_one_process
    first, *others = trainings.values()
    with workers.meanwhile(others, run.memory) as results:
        trained = [first(run.tracker.log), *results()]
    for name, (history, _) in zip(trainings, trained, strict=True):
        if name:
            _log(run, name, history)
        if history.empty:
            log.info("%s is not trained", name or "the encoder")
            continue
        last = history.iloc[-1]
        log.info("%s: validation loss %.4f after %d steps", name or "encoder", last["validation_loss"], last["step"])
    _write_modules(run)
    losses: list[Any] = [_last(history, "validation_loss") for history, _ in trained]
    run.metrics = {
        "train_loss": _last(trained[0][0], "train_loss"),
        "validation_loss": losses[0],
        "replicates": {f"validation_loss_{i}": loss for i, loss in enumerate(losses[1:], start=1)},
        "n_parameters": trained[0][1],
    }


def _check_start(run: StageRun, folder: Path, data: Prepared, count: int) -> None:
    from clusterwhy.encoders.starting import check_start

    check_start(folder, run.config["encoder"], data, count)
    # a copy of the folder of a study in the same W&B project has the digest of its encoder, so that lineage joins them
    run.tracker.artifact(Collection.of("train", folder.name), folder, as_input=True)


def _write_modules(run: StageRun) -> None:
    """The modules of the first encoder; those of the others are the same."""
    from clusterwhy.encoders.modules import module_table
    from clusterwhy.encoders.storage import load_encoder, stored_settings
    from clusterwhy.encoders.without_network import WHY, lacks_network

    encoder, (_, card) = load_encoder(run.out), stored_settings(run.out)
    if lacks_network(encoder):
        log.info("no table of modules: %s", WHY)
        return
    table = module_table(encoder, card.n_channels, card.length)
    write_table(run.out / "modules.csv", table)
    run.tracker.table("modules", table)


def _last(history: pd.DataFrame, column: str) -> float | Undefined:
    return float(history[column].iloc[-1]) if len(history) else GIVEN


def _log(run: StageRun, name: str, history: pd.DataFrame) -> None:
    rows: list[Mapping[str, float]] = history.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        run.tracker.log({key if key == "step" else f"{name}_{key}": value for key, value in row.items()})


if __name__ == "__main__":
    main()
