"""What CONTRIBUTING says of extending: a composite is one YAML; others are one Python file and one YAML."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from clusterwhy import explain, list_methods
from clusterwhy.attribution.registry import ATTRIBUTORS, load_attributors
from clusterwhy.config import build_settings
from clusterwhy.data.windows import window_index
from clusterwhy.propagation.explainer import lrp
from pipeline._parameters import register_params
from tests.conftest import ROOT, make_checkout

# option group -> room of its Python file
ROOMS = {"attributor": "attribution", "dataset": "datasets", "detector": "anomaly", "encoder": "encoders"}
MODULES = {
    "dataset": '''
"""A sine and its negative."""

import numpy as np
from pydantic import Field

from clusterwhy.data.series import Series
from clusterwhy.datasets.bundled import Bundled


class Mine(Bundled):
    """Two channels, 10 Hz."""

    n_samples: int = Field(ge=2)

    def whole(self) -> Series:
        """Make the series."""
        time = np.arange(self.n_samples) / 10.0
        values = np.stack([np.sin(time), -np.sin(time)], axis=1)
        return Series("mine", values, time, 10.0, ("up", "down"), ("V", "V"), self.n_samples)
''',
    "encoder": '''
"""One convolution."""

from pydantic import Field

from clusterwhy.encoders.base import EncoderSettings


class Mine(EncoderSettings):
    """Embeddings of `n_filters` features."""

    n_filters: int = Field(ge=1)

    def build(self, n_channels: int, length: int):
        """An untrained encoder for windows (window, channel, time)."""
        from torch import nn

        from clusterwhy.encoders.masked import MaskedEncoder

        backbone = nn.Sequential(nn.Conv1d(n_channels, self.n_filters, 3, padding=1), nn.ReLU())
        return MaskedEncoder(backbone, self.n_filters, n_channels, 0.0)
''',
    "detector": '''
"""The greatest value of a window."""

import numpy as np
from pydantic import Field

from clusterwhy.anomaly.base import Detector, Scores


class Mine(Detector):
    """Scores grow with the values to a power."""

    power: float = Field(gt=0.0)

    def score(self, inputs):
        """A score for each window."""
        return Scores(np.abs(inputs.windows).max(axis=(1, 2)) ** self.power)
''',
    "attributor": '''
"""Each value times a factor."""

import numpy as np

from clusterwhy.attribution.base import Attributor, register_attributor


@register_attributor("mine", batch_size=8, factor=0.5)
class Mine(Attributor):
    """Relevance that does not depend on the network."""

    factor: float

    def explain(self, task, windows, seed):
        """Relevance of windows (window, channel, time)."""
        from clusterwhy.propagation.relevance import Relevance

        target = windows.sum(axis=(1, 2))
        return Relevance(self.factor * windows, target, np.full_like(target, np.nan))
''',
}
OPTIONS = {
    "dataset": "n_samples: 40",
    "encoder": "n_filters: 5",
    "detector": "power: 2.0",
    "attributor": "batch_size: 8\nfactor: 0.5",
    "composite": """convolution: gamma
first_layer: w_square
dense: alpha_beta
residual: norm
attention: constant
zero_bias: false
alpha: 1.5
gamma: 0.1""",
}


def write_option(root: Path, group: str) -> None:
    """All that a newcomer adds to a checkout: `mine` of an option group."""
    target = "clusterwhy.propagation.composites.CompositeSettings"
    if group != "composite":
        target = f"clusterwhy.{ROOMS[group]}.mine_{group}.Mine"
        module = root / "src" / "clusterwhy" / ROOMS[group] / f"mine_{group}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(MODULES[group].lstrip())
    (root / "conf" / group / "mine.yaml").write_text(f"_target_: {target}\n{OPTIONS[group]}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of conf/, and rooms whose modules may also lie in the copy's src/."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ROOMS.values():
        room = importlib.import_module(f"clusterwhy.{name}")
        monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path / "src" / "clusterwhy" / name)])
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if ".mine_" in name]:
        del sys.modules[name]


def chosen(root: Path, group: str, *overrides: str) -> Any:
    """The settings of `<group>=mine`, composed and built as a stage does."""
    write_option(root, group)
    register_params()
    with initialize_config_dir(str(root / "conf"), version_base="1.3", job_name="explain"):
        found = compose("config", overrides=[f"{group}=mine", *overrides])
    return build_settings({group: OmegaConf.to_container(found[group], resolve=True)})[group]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(4, 3)).double().eval()


def test_a_composite_is_one_yaml(root: Path, rng: np.random.Generator) -> None:
    made = chosen(root, "composite", "composite.gamma=0.3")
    assert not (root / "src").exists()
    assert (made.convolution, made.first_layer, made.dense) == ("gamma", "w_square", "alpha_beta")
    assert (made.gamma, made.alpha, made.epsilon) == (0.3, 1.5, None)
    windows = rng.normal(size=(3, 2, 20))
    fused, hooks = (lrp(small_network(), windows, 1, made, engine=engine) for engine in ("fused", "zennit"))
    np.testing.assert_allclose(fused.values, hooks.values, rtol=1e-8, atol=1e-12)
    assert fused.provenance["composite"]["first_layer"] == "w_square"
    # zennit's hooks on the network as it is need no more of a new combination
    assert np.isfinite(lrp(small_network(), windows, 1, made, canonizer="none").values).all()


def test_a_dataset_is_one_python_file_and_one_yaml(root: Path) -> None:
    series = chosen(root, "dataset", "dataset.n_samples=60").read()
    window = OmegaConf.load(ROOT / "conf" / "window" / "short.yaml")
    settings: Any = build_settings({"window": {**window, "length": 20, "stride": 10}})["window"]
    assert window_index(series, settings)["start"].tolist() == [0, 10, 20, 30, 40]


def test_an_encoder_is_one_python_file_and_one_yaml(root: Path, rng: np.random.Generator) -> None:
    encoder = chosen(root, "encoder").build(2, 20).double().eval()
    windows = rng.normal(size=(3, 2, 20))
    assert encoder(torch.from_numpy(windows)).shape == (3, 5)
    # LRP knows its operations without being told of them
    assert lrp(encoder, windows, 0).values.shape == windows.shape


def test_a_detector_is_one_python_file_and_one_yaml(root: Path, rng: np.random.Generator) -> None:
    windows = rng.normal(size=(6, 2, 20))
    windows[4, 1, 7] = 30.0
    scores = chosen(root, "detector").score(SimpleNamespace(windows=windows)).windows
    assert scores.argmax() == 4 and scores[4] == 900.0


def test_an_attributor_is_one_python_file_and_one_yaml(
    root: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTRIBUTORS, "mine", None)  # removed afterwards
    windows, made = rng.normal(size=(3, 2, 20)), chosen(root, "attributor")
    load_attributors()
    assert ATTRIBUTORS["mine"] == made and "mine" in list_methods()
    for method, factor in {"mine": 0.5, "mine(factor=3.0)": 3.0}.items():
        np.testing.assert_array_equal(explain(small_network(), windows, method, 1).values, factor * windows)


def test_the_contract_tests_of_a_checkout_hold_with_all_five(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "project")
    for group in OPTIONS:
        write_option(checkout.root, group)
    config, stages = (
        str(next((ROOT / "tests").rglob(name)).relative_to(ROOT)) for name in ("test_config.py", "test_dag.py")
    )
    done = checkout.run("python", "-m", "pytest", "-q", "-k", "mine or of_conf or depends_on", config, stages)
    assert " passed" in done.stdout and "mine" not in done.stdout
