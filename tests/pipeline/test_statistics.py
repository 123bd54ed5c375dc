"""A study of heartbeats without training: windows around beats, statistics of channels, motifs, through every stage."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import wfdb

from clusterwhy.artifacts.validation import check_folder
from clusterwhy.data.storage import Prepared
from tests.conftest import Checkout

RATE, N_BEATS = 100, 160


def write_heart(checkout: Checkout, rng: np.random.Generator) -> np.ndarray:
    """A record of two leads whose every fourth beat is early, wide and upside down; returns the samples of R-peaks."""
    kinds = np.where(np.arange(N_BEATS) % 4 == 3, "V", "N")
    beats = np.cumsum(np.where(kinds == "V", 60, 90) + rng.integers(-4, 5, N_BEATS))
    t = np.arange(beats[-1] + 90)
    signals = 0.02 * rng.normal(size=(len(t), 2))
    for beat, kind in zip(beats, kinds, strict=True):
        width, height = (8.0, -1.2) if kind == "V" else (2.0, 1.0)
        signals += height * np.exp(-0.5 * ((t - beat) / width) ** 2)[:, None] * [1.0, 0.6]
    folder = checkout.root / "data"
    wfdb.wrsamp("heart", RATE, ["mV", "mV"], ["II", "V5"], signals, fmt=["16", "16"], write_dir=str(folder))
    wfdb.wrann("heart", "atr", beats, kinds.tolist(), write_dir=str(folder))
    option = (checkout.root / "conf" / "dataset" / "wfdb.yaml").read_text()
    (checkout.root / "conf" / "dataset" / "heart.yaml").write_text(option)
    checkout.set("dataset/heart", path="data/heart.hea", label="beats", classes={"normal": ["N"], "premature": ["V"]})
    return beats


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The study of beats, all of its stages run."""
    found = study.copy(tmp_path_factory.mktemp("statistics") / "project")
    write_heart(found, np.random.default_rng(0))
    found.choose(dataset="heart", window="around_beats", encoder="statistics", train="none", encoders=1)
    found.choose(detector="matrix_profile")
    found.run("dvc", "repro")
    return found


def test_beats_of_a_kind_are_a_cluster_without_training(copy: Checkout) -> None:
    artifacts = copy.root / "artifacts"
    for stage in ("prepare", "train", "embed", "cluster", "score", "explain", "explain_windows", "evaluate"):
        check_folder(stage, artifacts / stage, {})
    data = Prepared(artifacts / "prepare")
    assert len(data.index) == N_BEATS and len(set(np.diff(data.starts))) > 5, "no stride"
    labels, found = data.index["label"].to_numpy(), np.load(artifacts / "cluster" / "labels.npy")
    inside = found >= 0
    assert inside.mean() > 0.9
    assert all(len(set(labels[found == one])) == 1 for one in set(found[inside])) and len(set(labels[inside])) == 2
    # the embedding has three features per channel, which nothing trained
    assert np.load(artifacts / "embed" / "embeddings.npy").shape == (N_BEATS, 6)
    report = json.loads((copy.root / "reports" / "train.json").read_text())
    assert "train: none" in report["undefined"]["validation_loss"]
    explained = pd.read_parquet(artifacts / "explain" / "explained.parquet")
    assert len(explained) and explained["gap"].abs().median() < 0.02


def test_motifs_are_on_the_page_and_in_a_table(copy: Checkout) -> None:
    artifacts = copy.root / "artifacts"
    motifs = pd.read_csv(artifacts / "score" / "motifs.csv")
    assert set(motifs["channel"]) == {"II", "V5"} and set(motifs["kind"]) == {"motif", "discord"}
    scores = pd.read_parquet(artifacts / "score" / "scores.parquet")
    assert set(motifs["window"]) <= set(scores["window"]) and (motifs["distance"] >= 0).all()
    page = (artifacts / "report" / "report.html").read_text()
    shown = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert shown.count("<article><h3>") == 2 and "Motifs and discords" in shown
    assert "AdaptiveAvgPool1d" in shown, "modules of the encoder"
