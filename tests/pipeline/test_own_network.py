"""A study whose encoder is a network of the user's own, through every stage."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from clusterwhy import Study
from clusterwhy.data.windows import windows_at
from tests.conftest import Checkout


class Tower(torch.nn.Module):
    """As networks/example.py."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = torch.nn.Conv1d(3, 16, 9, padding=4), torch.nn.Conv1d(16, 16, 9, padding=4)
        self.layers = torch.nn.Sequential(convolutions[0], torch.nn.ReLU(), convolutions[1], torch.nn.ReLU())

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        maps = self.layers(windows)
        return torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)


def test_a_network_of_ones_own_goes_through_every_stage(
    study: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = study.copy(tmp_path / "project")
    torch.manual_seed(5)
    network = Tower().eval()
    save_file(network.state_dict(), copy.root / "networks" / "tower.safetensors")
    arguments = {"n_channels": 3, "n_features": 16}
    copy.set("encoder/own", arguments=arguments, weights="networks/tower.safetensors")
    copy.choose(encoder="own", train="none", encoders=2)
    refused = copy.run("dvc", "repro", "train", ok=False)
    assert refused.returncode and "`encoders: 2` with `train: none` are all the same" in refused.stderr
    copy.choose(encoders=1)
    copy.run("dvc", "repro", "project")
    refused = copy.run("dvc", "repro", "score", ok=False)
    assert refused.returncode and "Tower has no method `predict`: choose `detector: nearest_neigh" in refused.stderr
    copy.choose(detector="nearest_neighbours")
    copy.set("coverage/standard", max_windows=12)
    copy.set("members/central", count=8)
    copy.run("dvc", "repro")
    artifacts = copy.root / "artifacts"
    report = json.loads((copy.root / "reports" / "train.json").read_text())
    assert report["validation_loss"] is None and "train: none" in report["undefined"]["validation_loss"]
    # the embedding is that of the network with its weights
    scaled = np.load(artifacts / "prepare" / "scaled.npy")
    windows = pd.read_parquet(artifacts / "prepare" / "windows.parquet")
    with torch.no_grad():
        expected = network(torch.from_numpy(windows_at(scaled, windows["start"].to_numpy(), 64).copy())).numpy()
    np.testing.assert_allclose(np.load(artifacts / "embed" / "embeddings.npy"), expected, atol=1e-5)
    explained = pd.read_parquet(artifacts / "explain" / "explained.parquet")
    assert len(explained) and explained["gap"].abs().median() < 0.01
    assert (artifacts / "report" / "report.html").is_file()
    # the study in Python needs the user's file, too
    monkeypatch.syspath_prepend(copy.root / "networks")
    try:
        loaded = Study.load(artifacts)
        found = loaded.relevance(loaded.windows.index[:2])
        np.testing.assert_allclose(found.values.sum(axis=(1, 2)), found.windows["target"], rtol=0.02)
        assert loaded.compare(loaded).agreement["n_shared"] == len(windows)
    finally:
        sys.modules.pop("example", None)
    # the file is watched, and a stored encoder belongs to it
    path = copy.root / "networks" / "example.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    embed = copy.run("python", "-m", "pipeline.embed", ok=False)
    assert embed.returncode == 1 and "example.py has changed" in embed.stderr and "Traceback" not in embed.stderr
    assert "networks" in copy.run("dvc", "status", "train").stdout
