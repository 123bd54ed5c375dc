"""A study whose encoders have fixed kernels and no training, through every stage."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from clusterwhy.data.storage import Prepared
from clusterwhy.encoders.storage import load_encoder
from tests.conftest import Checkout


def test_encoders_of_fixed_kernels_go_through_every_stage(study: Checkout, tmp_path: Path) -> None:
    copy = study.copy(tmp_path / "project")
    copy.choose(encoder="mini_rocket", encoders=3)
    refused = copy.run("dvc", "repro", "train", ok=False)
    said = "MiniRocketNetwork has no method `predict`: set `train: none`"
    assert refused.returncode and said in refused.stderr and "Traceback" not in refused.stderr
    copy.choose(train="none")
    refused = copy.run("dvc", "repro", "score", ok=False)
    assert refused.returncode and "choose `detector: nearest_neighbours`" in refused.stderr
    copy.choose(detector="nearest_neighbours")
    copy.set("encoder/mini_rocket", per_kernel=2)
    copy.set("coverage/standard", max_windows=12)
    copy.set("members/central", count=8)
    copy.run("dvc", "repro")
    artifacts = copy.root / "artifacts"
    report = json.loads((copy.root / "reports" / "train.json").read_text())
    assert report["validation_loss"] is None and "train: none" in report["undefined"]["validation_loss"]
    modules = pd.read_csv(artifacts / "train" / "modules.csv")
    assert modules["n_parameters"].sum() == report["n_parameters"] and "Heaviside" in set(modules["kind"])
    embed = artifacts / "embed"
    found = [np.load(embed / f"{name}.npy") for name in ("embeddings", "replicate_1", "replicate_2")]
    assert found[0].shape == (147, 168) and not any(np.array_equal(found[0], other) for other in found[1:])
    # thresholds are those of training windows, of which half the values are above half of them
    data = Prepared(artifacts / "prepare")
    trained = found[0][data.index["train"].to_numpy()]
    assert 0.4 < trained.mean() < 0.6 and not np.array_equal(found[0], np.load(embed / "untrained_embeddings.npy"))
    kept = load_encoder(artifacts / "train" / "replicate_2").state_dict()
    assert not any(name.startswith("predictor") for name in kept)
    # three regimes, found without training
    labels = np.load(artifacts / "cluster" / "labels.npy")
    regimes = data.starts // 400 % 3
    inside = (data.starts % 400 <= 400 - data.length) & (labels >= 0)
    purity = sum(np.bincount(regimes[inside & (labels == c)]).max() for c in np.unique(labels[inside]))
    assert inside.sum() > 80 and purity == inside.sum()
    explained = pd.read_parquet(artifacts / "explain" / "explained.parquet")
    assert len(explained) and explained["gap"].abs().median() < 0.01
    # no sentence of the page speaks of predictions
    assert "predicts" not in re.sub(
        r"<script.*?</script>", "", (artifacts / "report" / "report.html").read_text(), flags=re.S
    )
    refused = copy.run("python", "-m", "pipeline.explain", "attributor=gradient", ok=False)
    assert refused.returncode and "the gradient of a count is 0 everywhere: choose `difference`" in refused.stderr
