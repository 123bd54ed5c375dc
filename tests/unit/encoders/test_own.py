"""A network of the user's own: found, checked, loaded as data, and refused with what to do."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import ClippedPredictionError, MaskedPredictionError
from clusterwhy.encoders.masked import embed, masked_errors
from clusterwhy.encoders.own import OwnNetwork
from clusterwhy.encoders.storage import load_encoder, save_encoder
from clusterwhy.encoders.training import MaskedPrediction, NoTraining
from clusterwhy.errors import ArtifactError, ConfigError
from clusterwhy.explanations.targets import ReconstructionTarget

CODE = """
import torch
from torch import nn

class Tower(nn.Module):
    def __init__(self, n_channels, n_features=4):
        super().__init__()
        self.layer = nn.Conv1d(n_channels, n_features, 3, padding=1)

    def forward(self, windows):
        return self.layer(windows).relu().mean(dim=2)

class Predicts(Tower):
    def __init__(self, n_channels):
        super().__init__(n_channels)
        self.back = nn.Conv1d(4, n_channels, 1)

    def predict(self, windows):
        return self.back(self.layer(windows).relu())

class Maps(Tower):
    def forward(self, windows):
        return self.layer(windows)

class Failing(Tower):
    def forward(self, windows):
        raise KeyError("a fault of mine")

class Plain:
    def __init__(self, n_channels):
        raise SystemExit("it was built")

def function(n_channels):
    return Tower(n_channels)
"""
N, CHANNELS, LENGTH = 40, 3, 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with networks, on the path for modules."""
    (tmp_path / "my_networks.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_networks", None)


def own(name: str = "Tower", **choices: Any) -> OwnNetwork:
    return OwnNetwork(
        **{"network": f"my_networks:{name}", "arguments": {"n_channels": CHANNELS}, "weights": None} | choices
    )


@pytest.fixture
def series(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(400, CHANNELS)).astype(np.float32), np.arange(0, 380, 10)


def test_embeddings_are_what_the_network_gives(folder: Path, series: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = own().build(CHANNELS, LENGTH)
    found = embed(encoder, *series, LENGTH, 7)
    weight, bias = (one.detach().numpy() for one in encoder.parameters())
    for start, row in zip(series[1], found, strict=True):
        padded = np.pad(series[0][start : start + LENGTH].T, ((0, 0), (1, 1)))
        by_hand = [
            np.mean([max(0.0, (w * padded[:, t : t + 3]).sum() + b) for t in range(LENGTH)])
            for w, b in zip(weight, bias, strict=True)
        ]
        np.testing.assert_allclose(row, by_hand, atol=1e-5)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_weights_are_read_as_data_and_stored_with_the_encoder(folder: Path, name: str) -> None:
    torch.manual_seed(1)
    given = own().build(CHANNELS, LENGTH).state_dict()
    path = folder / name
    save_file(given, path) if name.endswith("safetensors") else torch.save(given, path)
    settings = own(weights=str(path))
    torch.manual_seed(2)
    encoder = settings.build(CHANNELS, LENGTH)
    assert not all(torch.equal(one, given[key]) for key, one in encoder.state_dict().items())
    settings.load_given(encoder)
    config = {"_target_": "clusterwhy.encoders.own.OwnNetwork", **settings.model_dump()}
    save_encoder(folder / "train", encoder, settings.stored(config), CHANNELS, LENGTH)
    path.unlink()  # the stored encoder has its weights
    again = load_encoder(folder / "train")
    assert all(torch.equal(one, given[key]) for key, one in again.state_dict().items())
    untrained = load_encoder(folder / "train", trained=False).state_dict()
    assert not torch.equal(untrained["layer.weight"], given["layer.weight"])
    (folder / "my_networks.py").write_text(CODE.replace("relu()", "tanh()"))
    with pytest.raises(ConfigError, match=r"my_networks\.py has changed since this encoder was stored"):
        load_encoder(folder / "train")


class Dangerous:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_files_that_are_no_weights_are_refused_and_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    encoder = own().build(CHANNELS, LENGTH)
    torch.save({"layer.weight": Dangerous()}, folder / "code.pt")
    torch.save([1, 2], folder / "list.pt")
    save_file({"other": torch.zeros(3)}, folder / "other.safetensors")
    state = encoder.state_dict()
    save_file(state | {"layer.bias": torch.full((4,), torch.nan)}, folder / "nan.safetensors")
    (folder / "text.safetensors").write_text("no weights")
    cases = {
        "code.pt": "expected a state dict of my_networks:Tower",
        "list.pt": "expected a state dict, `torch.save",
        "other.safetensors": "Missing key",
        "text.safetensors": "expected a state dict",
        "none.pt": "no such file",
        "nan.safetensors": "not finite: layer.bias",
    }
    for name, said in cases.items():
        with pytest.raises(ConfigError, match=said):
            own(weights=name).load_given(encoder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"network": "my_networks:Missing"}, "expected a class `Missing` in my_networks.py"),
        ({"network": "my_networks:function"}, "that is a torch.nn.Module"),
        ({"network": "my_networks:Plain"}, "that is a torch.nn.Module"),
        ({"network": "nowhere_at_all:Tower"}, "no file of a module 'nowhere_at_all'"),
        ({"network": "torch.nn:Linear", "arguments": {"in_features": 1, "out_features": 1}}, "installed package"),
        ({"network": "subprocess:Popen", "arguments": {"args": "true"}}, "installed package"),
        ({"network": "sys:Popen"}, "no file of a module"),
        ({"network": "my_networks:Maps"}, r"expected \(window, feature\).*got \(2, 4, 16\)"),
        ({"network": "my_networks:Failing"}, "KeyError.*a fault of mine"),
        ({"arguments": {"channels": 3}}, "TypeError when it is built"),
        ({"arguments": {"n_channels": 5}}, "windows of 3 channels x 16 samples"),
    ],
)
def test_what_is_no_encoder_is_refused(folder: Path, choices: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        own(**choices).build(CHANNELS, LENGTH)


@pytest.mark.parametrize("name", ["my_networks", "my networks:Tower", "../other:Tower", "a:b:c", "my_networks:Tower()"])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        own(network=name)


def test_a_network_that_predicts_nothing_says_what_needs_that(
    folder: Path, series: tuple[np.ndarray, np.ndarray]
) -> None:
    values, starts = series
    encoder = own().build(CHANNELS, LENGTH)
    training = MaskedPrediction(
        n_steps=2, batch_size=4, learning_rate=1e-3, weight_decay=0.0, mask_share=0.4, mask_length=3.0,
        same_mask_for_channels=False, validation_share=0.1, validation_windows=8, n_reports=1, flat_gain=None,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"Tower has no method `predict`: set `train: none`"):
        training.train(encoder, values, starts, LENGTH, 0, lambda row: None)
    inputs = DetectorInput(
        values, starts, LENGTH, np.ones(len(starts), bool), np.zeros((len(starts), 2)), np.zeros((len(starts), 2)),
        lambda: encoder, 0,
    )  # fmt: skip
    for detector in (
        MaskedPredictionError(n_parts=2, block=4, batch_size=8),
        ClippedPredictionError(n_parts=2, block=4, stretch=8, quantile=0.9, clip=3.0, batch_size=8),
    ):
        with pytest.raises(ConfigError, match="choose `detector: nearest_neighbours`"):
            detector.score(inputs)
    with pytest.raises(ConfigError, match="choose another target"):
        ReconstructionTarget().networks(encoder, np.zeros((4, 2)), np.array([0, 0, 1, 1]), 0)
    # one that predicts is trained, and scored
    predicts = own("Predicts").build(CHANNELS, LENGTH)
    before = [one.detach().clone() for one in predicts.parameters()]
    history = training.train(predicts, values, starts, LENGTH, 0, lambda row: None)
    assert len(history) and not all(torch.equal(*both) for both in zip(before, predicts.parameters(), strict=True))
    assert np.isfinite(masked_errors(predicts, values, starts, LENGTH, 2, 4, 8)).all()


def test_without_training_nothing_changes(folder: Path, series: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = own().build(CHANNELS, LENGTH).train()
    before = [one.detach().clone() for one in encoder.parameters()]
    history = NoTraining().train(encoder, *series, LENGTH, 0, lambda row: None)
    assert history.empty and list(history) == ["step", "train_loss", "validation_loss"]
    assert not encoder.training and all(map(torch.equal, before, encoder.parameters()))


def test_a_stored_encoder_names_only_networks_of_the_user(folder: Path) -> None:
    encoder = own().build(CHANNELS, LENGTH)
    own_target = {"_target_": "clusterwhy.encoders.own.OwnNetwork", "arguments": {}, "weights": None}
    for target in ("os:system", "subprocess:Popen", "sys:exit"):
        config = own_target | {"network": target, "sha256": "0" * 64}
        save_encoder(folder / "train", encoder, config, CHANNELS, LENGTH)
        with pytest.raises(ConfigError, match=r"installed package|no file of a module"):
            load_encoder(folder / "train")
    # a file of the user's that the encoder was not made with is not imported
    (folder / "aside.py").write_text("raise SystemExit('it was imported')")
    for sha256, said in ((None, "no `sha256` of the file with aside:Tower"), ("0" * 64, "has changed")):
        save_encoder(
            folder / "train", encoder, own_target | {"network": "aside:Tower", "sha256": sha256}, CHANNELS, LENGTH
        )
        with pytest.raises((ArtifactError, ConfigError), match=said):
            load_encoder(folder / "train")
