"""Train a classifier, test it on held-out groups with baselines, and write a self-contained checkpoint."""

import logging
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.data.periods import WindowOfRecording, period_of
from clusterwhy.data.series import Series, constant_channels, without_channels
from clusterwhy.data.splits import LEFT_OUT, PARTS, check_split, covered
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import window_index
from clusterwhy.errors import ConfigError
from clusterwhy.readers.data_report import data_report
from clusterwhy.types import FloatArray
from pipeline._data_report import NAME, faults_reported
from pipeline._stage import StageRun, study_stage

if TYPE_CHECKING:
    from clusterwhy.classifiers.base import Classifier
    from clusterwhy.classifiers.training import LabelledWindows

log = logging.getLogger("clusterwhy")


def _prepare(run: StageRun) -> Prepared:
    """Read, split, and scale by the training windows only; the artifacts are those of the stage `prepare`."""
    if getattr(run.settings["dataset"], "normal", ()):
        text = "`normal` is not for supervised studies: their split says which windows everything is fitted on"
        raise ConfigError("dataset", [text])
    series: Series = run.settings["dataset"].read()
    write_json(run.out / NAME, data_report(series))
    window, scaler = run.settings["window"], run.settings["scaler"]
    if isinstance(window, WindowOfRecording):
        window = window.of(series, period_of(series))
    index, split = window_index(series, window), run.settings["split"]
    part = split.split(index, series, run.settings["seed"])
    if n_left_out := int((part == LEFT_OUT).sum()):
        log.info("%s left out between training and validation", counted(n_left_out, "window"))
        index, part = index[part != LEFT_OUT].reset_index(drop=True), part[part != LEFT_OUT]
        index["window"] = np.arange(len(index))
    check_split(index, part, series, split.within_groups)
    index["split"], index["train"] = part, part == "train"
    fitted = covered(index[index["train"]], len(series.values))
    constant = constant_channels(series.values[fitted])
    names = [series.channels[i] for i in constant]
    if constant:
        log.warning("constant in the training windows: %s", ", ".join(names))
    if constant and scaler.constant_channels == "drop":
        series = without_channels(series, constant)
    centre, scale = scaler.fit(series.values[fitted])
    return save_prepared(run.out, series, index, window, centre, scale, names)


def _train(run: StageRun, data: Prepared, parts: "dict[str, LabelledWindows]") -> "tuple[Classifier, pd.DataFrame]":
    from clusterwhy.compute.seeding import seed_torch

    seed = run.settings["seed"]
    seed_torch(seed)
    network = run.settings["classifier"].build(len(data.channels), data.length, len(data.card.label_names))
    kept = run.kept("training")
    history = run.settings["classifier_training"].train(
        network, (parts["train"], parts["validation"]), seed, run.tracker.log, kept
    )
    return network, history


def _predictions(data: Prepared, probabilities: FloatArray) -> pd.DataFrame:
    names, groups = np.array(data.card.label_names), np.array(data.card.group_names)
    table = pd.DataFrame(
        {
            "window": data.index["window"],
            "split": data.index["split"],
            "group": groups[data.index["group"]],
            "label": names[data.index["label"]],
            "predicted": names[probabilities.argmax(axis=1)],
        }
    )
    return table.assign(**{f"probability_{name}": probabilities[:, i] for i, name in enumerate(names)})


def _calibration(raw: FloatArray, calibrated: FloatArray, labels: Any) -> pd.DataFrame:
    from clusterwhy.metrics.calibration import reliability
    from clusterwhy.metrics.classification import N_BINS

    tables = {"as trained": raw, "with temperature": calibrated}
    return pd.concat([reliability(found, labels, N_BINS).assign(probabilities=kind) for kind, found in tables.items()])


def _baselines(run: StageRun, parts: "dict[str, LabelledWindows]") -> dict[str, dict[str, float]]:
    from clusterwhy.metrics.classification import baselines, measures

    train, test = (parts[name].windows(slice(None)).numpy() for name in ("train", "test"))
    found = baselines(train, parts["train"].labels, test, run.settings["seed"])
    return {name: measures(probabilities, parts["test"].labels) for name, probabilities in found.items()}


@study_stage
def main(run: StageRun) -> None:
    from clusterwhy.classifiers.checkpoint import ClassifierCard, save_classifier
    from clusterwhy.classifiers.training import LabelledWindows, logits_of
    from clusterwhy.metrics.calibration import fit_temperature, softmax
    from clusterwhy.metrics.classification import confusion, measures, report
    from clusterwhy.plots.classifier_pages import evaluation_page, training_page

    mpl.use("agg")
    with faults_reported(run):
        data = _prepare(run)
    names = tuple(data.card.label_names)
    labels, split = data.index["label"].to_numpy(), data.index["split"].to_numpy()
    whole = LabelledWindows(data.scaled, data.starts, labels, data.length)
    parts = {
        part: LabelledWindows(data.scaled, data.starts[split == part], labels[split == part], data.length)
        for part in PARTS
    }
    network, history = _train(run, data, parts)
    logits = logits_of(network, whole, run.settings["classifier_training"].batch_size)
    validation, test = split == "validation", split == "test"
    temperature = fit_temperature(logits[validation], labels[validation])
    raw, calibrated = softmax(logits, 1.0), softmax(logits, temperature)
    card = ClassifierCard(
        network=run.config["classifier"],
        classes=names,
        temperature=temperature,
        **data.card.model_dump(include={"channels", "units", "length", "rate_hz", "centre", "scale"}),
    )
    save_classifier(run.out / "checkpoint", network, card)
    predicted = calibrated.argmax(axis=1)[test]
    tables = {
        "history": history,
        "report": report(labels[test], predicted, names),
        "confusion": confusion(labels[test], predicted, names),
        "calibration": _calibration(raw[test], calibrated[test], labels[test]),
    }
    for name, table in tables.items():
        write_table(run.out / f"{name}.csv", table)
        run.tracker.table(name, table)
    write_table(run.out / "predictions.parquet", _predictions(data, calibrated))
    kept = run.settings["classifier_training"].kept_epoch(history)
    training_page(run.out / "training", history, kept)
    evaluation_page(run.out / "test", tables["confusion"], tables["calibration"])
    run.metrics = {
        "n_windows": {part: len(parts[part]) for part in PARTS},
        "n_groups": {part: int(data.index.loc[split == part, "group"].nunique()) for part in PARTS},
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "kept_epoch": kept,
        "temperature": temperature,
        "test": {
            "network": measures(calibrated[test], labels[test]),
            "network_as_trained": measures(raw[test], labels[test]),
            **_baselines(run, parts),
        },
    }
    for method, figures in run.metrics["test"].items():
        log.info("%s: balanced accuracy %.3f on held-out groups", method, figures["balanced_accuracy"])


if __name__ == "__main__":
    main()
