"""A finished study in a folder, as far as it is needed to apply it: the settings of params.yaml on any series."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from benchmarks.record import ROOT
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.relative import relative, usual_scores
from clusterwhy.anomaly.storage import save_fitted
from clusterwhy.application.fitted_study import STAGES, FittedStudy
from clusterwhy.artifacts.store import read_array, write_array, write_json, write_table
from clusterwhy.clustering.summary import summarise
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.config import build_settings
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import timeline, window_index
from clusterwhy.encoders.masked import embed
from clusterwhy.encoders.storage import load_encoder, save_encoder

BATCH_SIZE = 128


def configuration(choices: Mapping[str, str], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options that params.yaml chooses, with other choices or single values changed, as plain values."""
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    found = {}
    for key, option in ({"application": "standard"} | params | choices).items():
        path = ROOT / "conf" / key / f"{option}.yaml"
        values: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else option
        found[key] = values | changes[key] if key in changes else values
    return found


def finished_study(
    artifacts: Path,
    series: Series,
    choices: Mapping[str, str] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> FittedStudy:
    """Fit a study on a series by the functions that the stages call, and write what they write.

    Args:
        artifacts: folder for them; a study that is complete there is not made again.
        series: as it was read.
        choices: group -> option, in place of those of params.yaml.
        changes: group -> values in place of those of the option.
    """
    config = configuration(choices or {}, changes or {})
    settings, seed = build_settings(config), config["seed"]
    if not (artifacts / "explain").is_dir():
        data = _prepared(artifacts, series, settings)
        _train(artifacts, data, settings, config, seed)
        embeddings, projection = _cluster(artifacts, data, settings, seed)
        _score(artifacts, data, settings, embeddings, projection, seed)
        for stage in STAGES:
            (artifacts / stage).mkdir(exist_ok=True)
            write_json(artifacts / stage / "provenance.json", {"config": config})
    return FittedStudy(artifacts)


def _prepared(artifacts: Path, series: Series, settings: dict[str, Any]) -> Prepared:
    index = window_index(series, settings["window"])
    centre, scale = settings["scaler"].fit(series.fitted_values)
    return save_prepared(artifacts / "prepare", series, index, settings["window"], centre, scale, [])


def _train(artifacts: Path, data: Prepared, settings: dict[str, Any], config: dict[str, Any], seed: int) -> None:
    seed_torch(seed)
    encoder = settings["encoder"].build(len(data.channels), data.length)
    starts = data.starts[data.index["train"].to_numpy()]
    settings["encoder"].fit(encoder, np.asarray(data.scaled), starts, data.length, seed)
    settings["train"].train(encoder, np.asarray(data.scaled), starts, data.length, seed, lambda row: None, None)
    save_encoder(artifacts / "train", encoder, config["encoder"], len(data.channels), data.length)


def _cluster(artifacts: Path, data: Prepared, settings: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
    embeddings = embed(load_encoder(artifacts / "train"), data.scaled, data.starts, data.length, BATCH_SIZE)
    write_array(artifacts / "embed" / "embeddings.npy", embeddings)
    projection = settings["projection"].fit(embeddings, seed)
    write_array(artifacts / "project" / "projection.npy", projection)
    points = projection if settings["clusterer"].space == "projection" else embeddings
    clusters = settings["clusterer"].fit(points, embeddings, data.index)
    folder, windows = artifacts / "cluster", data.index["window"]
    table = {"window": windows, "cluster": clusters.labels, "strength": clusters.strengths}
    write_table(folder / "clusters.parquet", pd.DataFrame(table))
    write_array(folder / "labels.npy", clusters.labels)
    write_table(folder / "condensed_tree.parquet", clusters.tree)
    summary = {
        "clusters": summarise(clusters, embeddings, data.index),
        "timeline": timeline(clusters.labels, data.index),
    }
    write_json(folder / "summary.json", summary)
    return embeddings, projection


def _score(
    artifacts: Path,
    data: Prepared,
    settings: dict[str, Any],
    embeddings: np.ndarray,
    projection: np.ndarray,
    seed: int,
) -> None:
    train = data.index["train"].to_numpy()
    inputs = DetectorInput(
        values=data.scaled,
        starts=data.starts,
        length=data.length,
        train=train,
        embeddings=embeddings,
        projection=projection,
        load_encoder=lambda: load_encoder(artifacts / "train"),
        seed=seed,
    )
    labels, folder = read_array(artifacts / "cluster" / "labels.npy"), artifacts / "score"
    scores = settings["detector"].score(inputs)
    usual = {} if settings["detector"].local else settings["relative_to"].usual(scores.windows, labels, train)
    scores = relative(scores, usual_scores(usual, labels))
    threshold = settings["threshold"].fit(scores.windows[train])
    table = {"window": data.index["window"], "score": scores.windows, "anomalous": scores.windows > threshold}
    write_table(folder / "scores.parquet", pd.DataFrame(table))
    save_fitted(folder, scores.fitted)
    said = {"threshold": threshold, "says": settings["threshold"].says, "relative_to": settings["relative_to"].says}
    write_json(folder / "segments.json", said | {"usual": usual, "segments": []})
