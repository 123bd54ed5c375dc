"""Studies whose encoders are those of another study: as they are with another stride, or trained on from there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from tests.conftest import Checkout, write_own_csv


def test_another_stride_keeps_the_encoders(study: Checkout, tmp_path: Path) -> None:
    copy = study.copy(tmp_path / "project")
    artifacts, first = copy.root / "artifacts", copy.root / "networks" / "first"
    shutil.copytree(artifacts / "train", first)
    before, embedded = (
        pd.read_parquet(artifacts / "prepare/windows.parquet"),
        np.load(artifacts / "embed/embeddings.npy"),
    )
    scaling = json.loads((artifacts / "prepare/series.json").read_text())
    copy.choose(train="none", encoders=3)
    copy.set("train/none", **{"from": "networks/first"})
    copy.set("window/short", stride=4)
    refused = copy.run("dvc", "repro", "train", ok=False)
    assert refused.returncode and "Traceback" not in refused.stderr
    assert "it has 2 of the 3 encoders that start from it: set `encoders: 2`" in refused.stderr
    copy.choose(encoders=2)
    done = copy.run("dvc", "repro", "score")
    assert "the encoder starts as that of networks/first" in done.stderr + done.stdout
    for name in ("encoder.safetensors", "replicate_1/encoder.safetensors"):
        assert (artifacts / "train" / name).read_bytes() == (first / name).read_bytes()
    card = json.loads((artifacts / "train/replicate_1/encoder.json").read_text())
    assert card["start"]["from"] == "networks/first/replicate_1"
    after, finer = pd.read_parquet(artifacts / "prepare/windows.parquet"), np.load(artifacts / "embed/embeddings.npy")
    assert len(finer) == len(after) > 3 * len(before)
    now = json.loads((artifacts / "prepare/series.json").read_text())
    assert [now[name] for name in ("centre", "scale")] == [scaling[name] for name in ("centre", "scale")]
    both = after.reset_index().merge(before.reset_index(), on="start")
    assert len(both) == len(before)
    np.testing.assert_allclose(finer[both["index_x"]], embedded[both["index_y"]], atol=1e-5)
    # windows between the earlier ones are placed, clustered and scored like them
    assert len(np.load(artifacts / "cluster/labels.npy")) == len(after)
    report = json.loads((copy.root / "reports/train.json").read_text())
    assert report["undefined"]["validation_loss"] == "`train: none` trains nothing"
    weights = first / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    assert "networks" in copy.run("dvc", "status", "train").stdout
    refused = copy.run("dvc", "repro", "train", ok=False)
    assert refused.returncode and "Traceback" not in refused.stderr
    assert "networks/first/encoder.safetensors does not fit" in refused.stderr


def test_training_goes_on_from_another_recording_s_encoders(study: Checkout, tmp_path: Path) -> None:
    copy = study.copy(tmp_path / "project")
    artifacts = copy.root / "artifacts"
    copy.set("train/quick", n_steps=60)
    copy.run("dvc", "repro", "train")
    shutil.copytree(artifacts / "train", copy.root / "networks" / "start")
    write_own_csv(copy.root / "data" / "pump.csv")
    table = pd.read_csv(copy.root / "data" / "pump.csv")
    turned = table.assign(**{name: table[name][::-1].to_numpy() for name in table.columns[1:]})
    turned.to_csv(copy.root / "data" / "pump.csv", index=False)
    lost = {}
    for option in ("quick", "fine_tune"):
        copy.choose(train=option)
        copy.set(f"train/{option}", n_steps=6, n_reports=6, batch_size=16, learning_rate=1.0e-3)
        copy.run("dvc", "repro", "train")
        lost[option] = pd.read_csv(artifacts / "train/history.csv")["validation_loss"].to_numpy()
    assert lost["fine_tune"].max() < 0.9 * lost["quick"].min()
    config = json.loads((artifacts / "train/provenance.json").read_text())["config"]
    assert config["train"]["from"] == "networks/start"
    names = copy.root / "networks/start/encoder.json"
    names.write_text(names.read_text().replace('"flow"', '"speed"'))
    refused = copy.run("dvc", "repro", "train", ok=False)
    assert refused.returncode and "channels only there: speed" in refused.stderr
    assert "channels only here: flow" in refused.stderr and "2 faults" in refused.stderr


def test_an_encoder_learns_to_forecast(study: Checkout, tmp_path: Path) -> None:
    copy = study.copy(tmp_path / "forecast")
    copy.choose(train="forecast", encoders=1)
    copy.set("train/forecast", n_steps=60)
    copy.run("dvc", "repro", "train")
    history = pd.read_csv(copy.root / "artifacts" / "train" / "history.csv")
    assert history["validation_loss"].iloc[-1] < 0.8 * history["validation_loss"].iloc[0]
