"""The default study on any series: the settings of params.yaml, a trained encoder, windows and their embeddings."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf

from benchmarks.record import ROOT
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.config import build_settings
from clusterwhy.data.series import Series
from clusterwhy.data.windows import window_index, windows_at
from clusterwhy.encoders.masked import MaskedEncoder, embed
from clusterwhy.explanations.embedded_series import EmbeddedSeries

GROUPS = (
    "dataset",
    "scaler",
    "window",
    "encoder",
    "train",
    "projection",
    "clusterer",
    "detector",
    "relative_to",
    "threshold",
)


def chosen(choices: dict[str, str] | None = None, **changes: dict[str, Any]) -> dict[str, Any]:
    """The settings that params.yaml chooses, with other choices or single values changed."""
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    params |= choices or {}
    values: Any = {g: OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / g / f"{params[g]}.yaml")) for g in GROUPS}
    return build_settings({group: value | changes.get(group, {}) for group, value in values.items()})


def archive(folder: str, path: Path, **changes: Any) -> Series:
    """A series of the benchmark data, read as `conf/dataset/<folder>.yaml` says."""
    series: Series = chosen({"dataset": folder}, dataset={"path": str(path)} | changes)["dataset"].read()
    return series


@dataclass(frozen=True)
class Study:
    """A series, prepared, with an encoder that learned from its training span.

    Attributes:
        series: as it was read.
        values: (time, channel), scaled on the training span.
        index: the window index.
        length: samples in one window.
        untrained: the encoder before training.
        encoder: and after it.
        settings: of each group.
        seed: of training.
        loss: validation loss at the end.
    """

    series: Series
    values: np.ndarray
    index: pd.DataFrame
    length: int
    untrained: MaskedEncoder
    encoder: MaskedEncoder
    settings: dict[str, Any]
    seed: int
    loss: float

    @cached_property
    def starts(self) -> np.ndarray:
        """(window,) first samples."""
        return self.index["start"].to_numpy()

    @cached_property
    def train(self) -> np.ndarray:
        """(window,) True where a window may be fitted on."""
        return self.index["train"].to_numpy()

    @cached_property
    def windows(self) -> np.ndarray:
        """(window, channel, time)."""
        return windows_at(self.values, self.starts, self.length)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """(window, feature)."""
        return embed(self.encoder, self.values, self.starts, self.length, 128)

    @property
    def embedded(self) -> EmbeddedSeries:
        """What explanations start from."""
        return EmbeddedSeries(
            self.encoder, self.values, self.index, self.embeddings, self.series.channels, 1.0 / self.series.rate_hz
        )


@dataclass(frozen=True)
class Kept:
    """Training whose result is kept in a file, and taken from there when it has been made before.

    Benchmarks that share a folder share its encoders: those of a long one, cut off, are not lost.
    """

    settings: Any
    path: Path

    def train(self, encoder: torch.nn.Module, *arguments: Any) -> pd.DataFrame:
        """As `MaskedPrediction.train`."""
        if self.path.is_file():
            kept = torch.load(self.path)
            encoder.load_state_dict(kept["weights"])
            return pd.DataFrame({"validation_loss": [kept["loss"]]})
        history = self.settings.train(encoder, *arguments)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"weights": encoder.state_dict(), "loss": float(history["validation_loss"].iloc[-1])}, self.path)
        return history


def study(series: Series, settings: dict[str, Any], seed: int, keep: Path | None = None) -> Study:
    """Prepare a series and train its encoder as the pipeline does; `keep` is a file for the encoder."""
    import copy

    centre, scale = settings["scaler"].fit(series.fitted_values)
    values = ((series.values - centre) / scale).astype(np.float32)
    index, length = window_index(series, settings["window"]), settings["window"].length
    seed_torch(seed)
    encoder = settings["encoder"].build(len(series.channels), length)
    untrained = copy.deepcopy(encoder).eval()
    starts = index["start"].to_numpy()[index["train"].to_numpy()]
    settings["encoder"].fit(encoder, values, starts, length, seed)
    train = settings["train"] if keep is None else Kept(settings["train"], keep)
    history = train.train(encoder, values, starts, length, seed, lambda row: None)
    encoder = encoder.eval().requires_grad_(False)
    loss = float(history["validation_loss"].iloc[-1])
    return Study(series, values, index, length, untrained, encoder, settings, seed, loss)
