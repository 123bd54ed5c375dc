"""The table of an encoder's modules: outputs, parameters, and receptive fields as the traced network has them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.artifacts.validation import check_folder
from clusterwhy.encoders.base import EncoderSettings
from clusterwhy.encoders.dcae import Dcae
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.mini_rocket import MiniRocket
from clusterwhy.encoders.modules import LONGEST, module_table
from clusterwhy.errors import ArtifactError
from clusterwhy.propagation.layer_graph import layer_graph

SMALL = InceptionTime(n_filters=4, depth=3, kernel_size=8, head_dropout=0.1)
AUTOENCODER = Dcae(delta=8, n_filters=[4, 4], kernel_sizes=[7, 3], pools=[2, 2], output_kernel=5)


def by_name(encoder: nn.Module, n_channels: int = 2, length: int = 40) -> pd.DataFrame:
    return module_table(encoder, n_channels, length).set_index("module")


@pytest.mark.parametrize("settings", [SMALL, AUTOENCODER], ids=lambda one: type(one).__name__)
def test_fields_are_those_of_the_traced_network(settings: EncoderSettings) -> None:
    encoder = settings.build(2, 40).eval()
    found = by_name(encoder)
    layers = [layer for layer in layer_graph(encoder, torch.zeros(2, 2, 40)) if layer.name in found.index]
    assert len(layers) > 5
    assert {layer.name: layer.field for layer in layers} == found["field"][[layer.name for layer in layers]].to_dict()


def test_a_network_by_hand() -> None:
    network = nn.Sequential(
        *(nn.Conv1d(2, 3, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(3, 4, 3, dilation=2)),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    )
    found = by_name(network)
    assert found["kind"].tolist() == ["Conv1d", "ReLU", "MaxPool1d", "Conv1d", "AdaptiveAvgPool1d", "Flatten"]
    assert found["output"].tolist() == ["3 x 40", "3 x 40", "3 x 20", "4 x 16", "4 x 1", "4"]
    assert found["n_parameters"].tolist() == [33, 0, 0, 40, 0, 0]
    assert found["field"].tolist() == [5, 5, 6, 14, 40, 40]


@pytest.mark.parametrize("length", [33, 32, 7])
def test_the_last_samples_are_seen_too(length: int) -> None:
    assert by_name(nn.Sequential(nn.Flatten(), nn.Linear(2 * length, 3)), 2, length)["field"].tolist() == [1, length]


@pytest.mark.parametrize("settings", [SMALL, AUTOENCODER, MiniRocket(per_kernel=1)], ids=lambda one: type(one).__name__)
def test_parameters_are_those_of_the_encoder(settings: EncoderSettings) -> None:
    encoder = settings.build(2, 40)
    assert by_name(encoder)["n_parameters"].sum() == sum(one.numel() for one in encoder.parameters())


class Sequence(nn.Module):
    """Cells that read (time, window, channel), a scale of its own, and a part that never runs and shares weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(2, 3)
        self.scale = nn.Parameter(torch.ones(3))
        self.head, self.unused = nn.Linear(3, 3), nn.Linear(3, 3)
        self.unused.weight = self.head.weight

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        states, _ = self.cells(windows.permute(2, 0, 1))
        found: torch.Tensor = self.head(states[9] * self.scale)
        return found


def test_time_first_own_parameters_shared_weights_and_unused_parts() -> None:
    network = Sequence()
    found = by_name(network)
    assert found["output"].to_dict() == {"encoder": "3", "cells": "40 x 3", "head": "3", "unused": ""}
    assert found["n_parameters"].sum() == sum(one.numel() for one in network.parameters())
    assert found["field"].dropna().to_dict() == {"encoder": 10, "cells": 40, "head": 10}


class ChannelByChannel(nn.Module):
    """Windows and channels in one axis, and a mean over all windows."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.mean = nn.Conv1d(1, 3, 5), nn.AdaptiveAvgPool1d(1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.each(windows.flatten(0, 1)[:, None]).mean(dim=2).reshape(len(windows), -1)
        self.mean(windows.mean(dim=(0, 1))[None])
        return found


def test_windows_in_one_axis_with_channels_and_what_is_of_all_windows() -> None:
    found = by_name(ChannelByChannel())
    assert found["output"].to_dict() == {"each": "2 x 3 x 36", "mean": ""}
    assert found["field"].dropna().to_dict() == {"each": 5}


class Refusing(nn.Sequential):
    def forward(self, windows: torch.Tensor) -> Any:
        if windows.isnan().all():
            raise ValueError("not a number")
        return super().forward(windows)


def test_fields_that_cannot_be_told_are_missing() -> None:
    # whether a value is above a threshold is a number, also of what is none
    rocket = by_name(MiniRocket(per_kernel=1).build(2, 40))
    assert (rocket["field"].isna() == (rocket["kind"] != "Conv1d")).all() and (rocket["kind"] == "Conv1d").any()
    convolution = nn.Conv1d(2, 3, 3)
    for network, length in ((nn.Sequential(convolution), LONGEST + 1), (Refusing(convolution), 40)):
        found = by_name(network, 2, length)
        assert found["field"].isna().all() and found["output"].tolist() == [f"3 x {length - 2}"]
    assert not network._forward_hooks and not convolution._forward_hooks


def test_a_study_without_the_table_is_valid_and_one_with_a_damaged_table_is_not(tmp_path: Path) -> None:
    write_json(tmp_path / "encoder.json", {"encoder": {}, "n_channels": 2, "length": 40})
    write_table(tmp_path / "history.csv", pd.DataFrame({"step": [1], "train_loss": [1.0], "validation_loss": [1.0]}))
    check_folder("train", tmp_path, {})
    # names and shapes that are read as numbers, and no field at all
    table = module_table(nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(80, 3))), 2, 40).assign(field=None)
    write_table(tmp_path / "modules.csv", table)
    check_folder("train", tmp_path, {})
    write_table(tmp_path / "modules.csv", table.drop(columns="kind").assign(n_parameters=0.5))
    with pytest.raises(ArtifactError, match=r"(?s)modules.csv: no column 'kind'.*'n_parameters': expected integer"):
        check_folder("train", tmp_path, {})
