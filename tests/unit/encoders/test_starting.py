"""Encoders that start as those of another study: of the same number, kind and channels, or refused."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clusterwhy.config import build_settings
from clusterwhy.data.series import Series
from clusterwhy.data.storage import Prepared, save_prepared
from clusterwhy.data.windows import WindowSettings, window_index
from clusterwhy.encoders.replicates import Training
from clusterwhy.encoders.starting import check_start
from clusterwhy.encoders.storage import encoder_folder, load_encoder, stored_settings
from clusterwhy.errors import ArtifactError, ConfigError

SMALL = {
    "_target_": "clusterwhy.encoders.inception_time.InceptionTime",
    "n_filters": 2,
    "depth": 3,
    "kernel_size": 8,
    "head_dropout": 0.1,
}
ROCKET = {"_target_": "clusterwhy.encoders.mini_rocket.MiniRocket", "per_kernel": 1}
VECTORS = {"_target_": "clusterwhy.encoders.vectors.Vectors", "path": "networks/vectors.npy"}
NONE = {"_target_": "clusterwhy.encoders.training.NoTraining"}
FEW_STEPS = {
    "_target_": "clusterwhy.encoders.training.MaskedPrediction",
    **{"n_steps": 3, "batch_size": 8, "learning_rate": 1.0e-3, "weight_decay": 0.0, "mask_share": 0.4},
    **{"mask_length": 3.0, "same_mask_for_channels": False, "validation_share": 0.1, "validation_windows": 9},
    **{"n_reports": 3, "flat_gain": None},
}
SERIES = Series(
    name="pump",
    values=np.random.default_rng(0).normal(size=(400, 2)),
    time=np.arange(400) / 20.0,
    rate_hz=20.0,
    channels=("flow", "pressure"),
    units=("", ""),
    train_stop=400,
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def prepared(length: int = 32, stride: int = 8, **changes: Any) -> Prepared:
    series, window = replace(SERIES, **changes), WindowSettings(length=length, stride=stride)
    folder = Path(f"prepare{len(list(Path().glob('prepare*')))}")
    folder.mkdir()
    n = len(series.channels)
    return save_prepared(folder, series, window_index(series, window), window, np.zeros(n), np.ones(n), [])


def train(
    out: Path, encoder: dict[str, Any] = SMALL, fit: dict[str, Any] = FEW_STEPS, count: int = 2, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Train encoders as the stage does; the weights of the last one."""
    for which in range(count):
        settings = build_settings({"encoder": encoder, "train": fit}) | {"seed": seed}
        folder = encoder_folder(out, which)
        folder.mkdir(parents=True)
        Training(prepared().folder, settings, encoder, which, folder, None, 1)()
    return load_encoder(folder).state_dict()


def weights(folder: Path, which: int = 0) -> dict[str, torch.Tensor]:
    return load_encoder(encoder_folder(folder, which)).state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("encoder", [SMALL, ROCKET], ids=["trained", "fitted to training windows"])
def test_without_training_each_encoder_is_the_other_study_s_of_its_number(encoder: dict[str, Any]) -> None:
    train(Path("networks/first"), encoder, FEW_STEPS if encoder is SMALL else NONE)
    train(Path("second"), encoder, NONE | {"from": "networks/first"}, seed=5)
    assert not same(weights(Path("second"), 0), weights(Path("second"), 1))
    for which in (0, 1):
        assert same(weights(Path("second"), which), weights(Path("networks/first"), which))
    card = json.loads(Path("second/replicate_1/encoder.json").read_text())
    assert card["start"]["from"] == "networks/first/replicate_1" and len(card["start"]["sha256"]) == 64
    assert card["channels"] == ["flow", "pressure"] and card["rate_hz"] == 20.0
    assert "start" not in json.loads(Path("networks/first/encoder.json").read_text())


def test_training_goes_on_from_there() -> None:
    slow = FEW_STEPS | {"learning_rate": 1.0e-6}
    train(Path("networks/first"), count=1)
    train(Path("second"), fit=slow | {"from": "networks/first"}, count=1, seed=5)
    there, here = weights(Path("networks/first")), weights(Path("second"))
    learned = [name for name in there if name.endswith("weight") and there[name].ndim > 1]
    assert all(0 < (there[name] - here[name]).abs().max() < 1e-5 for name in learned if name.startswith("predictor"))
    assert all((there[name] - here[name]).abs().max() < 1e-5 for name in learned)


def test_the_length_of_windows_is_free_unless_the_network_needs_it() -> None:
    train(Path("networks/first"), count=1)
    check_start(Path("networks/first"), SMALL, prepared(length=50, stride=3), 1)
    train(Path("networks/rocket"), ROCKET, NONE, count=1)
    check_start(Path("networks/rocket"), ROCKET, prepared(stride=3), 1)
    with pytest.raises(ConfigError, match="window: 32 samples there, 50 here, and this network needs as many"):
        check_start(Path("networks/rocket"), ROCKET, prepared(length=50), 1)


def test_every_difference_is_listed_in_one_error() -> None:
    train(Path("networks/first"))
    values = np.zeros((400, 3))
    other = prepared(values=values, channels=("flow", "speed", "power"), units=("",) * 3, rate_hz=50.0)
    with pytest.raises(ConfigError) as refused:
        check_start(Path("networks/first"), SMALL | {"n_filters": 4, "kernel_size": 12}, other, 3)
    assert refused.value.faults == (
        "it has 2 of the 3 encoders that start from it: set `encoders: 2`",
        "encoder.kernel_size: 8 there, 12 here",
        "encoder.n_filters: 2 there, 4 here",
        "channels: 2 there, 3 here",
        "channels only there: pressure",
        "channels only here: speed, power",
        "sampling rate: 20 Hz there, 50 Hz here, and kernels count samples",
    )
    with pytest.raises(ConfigError, match="encoder: InceptionTime there, MiniRocket here"):
        check_start(Path("networks/first"), ROCKET, prepared(), 1)
    with pytest.raises(ConfigError, match="order of channels: flow, pressure there, pressure, flow here"):
        check_start(Path("networks/first"), SMALL, prepared(channels=("pressure", "flow")), 1)
    with pytest.raises(ConfigError, match="Vectors has no weights"):
        check_start(Path("networks/first"), VECTORS, prepared(), 1)
    with pytest.raises(ConfigError, match=r"no encoder\.json and encoder\.safetensors in networks/none: copy the fold"):
        check_start(Path("networks/none"), SMALL, prepared(), 1)


def test_an_encoder_without_names_of_channels_is_compared_by_their_number(caplog: pytest.LogCaptureFixture) -> None:
    train(Path("networks/first"), count=1)
    path = Path("networks/first/encoder.json")
    card = json.loads(path.read_text())
    path.write_text(json.dumps({key: card[key] for key in ("encoder", "n_channels", "length")}))
    with caplog.at_level(logging.WARNING, "clusterwhy"):
        check_start(path.parent, SMALL, prepared(channels=("a", "b")), 1)
    assert "has no names of channels: only their number is compared" in caplog.text
    with pytest.raises(ConfigError, match="channels: 2 there, 3 here") as refused:
        check_start(
            path.parent, SMALL, prepared(channels=("a", "b", "c"), values=np.zeros((400, 3)), units=("",) * 3), 1
        )
    assert len(refused.value.faults) == 1


class Dangerous:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


@pytest.mark.parametrize("damage", ["code", "not finite", "json"])
def test_files_that_are_no_encoder_are_refused_and_never_run(damage: str) -> None:
    from safetensors.torch import save_file

    folder = Path("networks/first")
    state = train(folder, count=1)
    if damage == "code":
        torch.save(Dangerous(), folder / "encoder.safetensors")
    elif damage == "json":
        (folder / "encoder.json").write_text('{"encoder": {"_target_": "os.system"}, "n_channels": 2, "length": 32}')
    else:
        damaged = {name: one / 0 if one.is_floating_point() else one for name, one in state.items()}
        save_file(damaged, folder / "encoder.safetensors")
    with pytest.raises(ArtifactError):
        check_start(folder, SMALL, prepared(), 1)
        train(Path("second"), fit=NONE | {"from": str(folder)}, count=1)
    assert not Path("ran").exists() and not Path("second/encoder.json").exists()


@pytest.mark.parametrize("path", ["other", "/networks/other", "networks/../other", "networks", "../networks/other"])
def test_only_folders_that_dvc_watches_are_taken(path: str) -> None:
    with pytest.raises(ConfigError, match="a copy of another study's artifacts/train"):
        build_settings({"train": NONE | {"from": path}})


def test_a_study_that_was_stored_before_has_no_start() -> None:
    assert build_settings({"train": NONE})["train"].start is None


def test_a_network_of_one_s_own_starts_only_with_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Path(__file__).parents[3] / "networks" / "example.py"
    shutil.copy(code, "starting_tower.py")
    monkeypatch.syspath_prepend(Path.cwd())
    own = {
        "_target_": "clusterwhy.encoders.own.OwnNetwork",
        **{"network": "starting_tower:Tower", "arguments": {"n_channels": 2, "n_features": 3}, "weights": None},
    }
    train(Path("networks/first"), own, NONE, count=1)
    train(Path("second"), own, NONE | {"from": "networks/first"}, count=1, seed=3)
    check_start(Path("networks/first"), own, prepared(), 1)
    assert same(weights(Path("second")), weights(Path("networks/first")))
    assert stored_settings(Path("second"))[1].start is not None
    with Path("starting_tower.py").open("a") as stream:
        stream.write("# edited\n")
    with pytest.raises(ConfigError, match=r"encoder\.sha256: .* there, .* here"):
        check_start(Path("networks/first"), own, prepared(), 1)
