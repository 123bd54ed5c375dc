"""Studies whose encoders are those of another study: as they are with another stride, or trained on from there."""

import json
import shutil
from pathlib import Path

import pandas as pd

from tests.conftest import Checkout, write_own_csv


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
