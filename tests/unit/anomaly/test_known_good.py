"""Five faulty runs of six: without a known-good run they are what is usual; with it they are found."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.config import build_settings
from clusterwhy.data.scaling import standardised
from clusterwhy.data.windows import window_index
from clusterwhy.readers.tables import CsvFile
from tests.conftest import ROOT

N_RUN, RUNS = 600, 6


def chosen(option: str, **changes: Any) -> Any:
    group = option.split("/")[0]
    node: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / f"{option}.yaml"))
    return build_settings({group: node | changes})[group]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine of three channels; from the second run on, the current vibrates."""
    time, run = np.arange(RUNS * N_RUN) / 20, np.repeat(np.arange(RUNS), N_RUN)
    slow = 2 * np.pi * 0.7 * time
    table = pd.DataFrame(
        {"time": time, "flow": np.sin(slow), "pressure": np.sin(slow + 1), "current": np.sin(2 * slow)}
    )
    table["current"] += np.where(run > 0, 0.8 * np.sin(2 * np.pi * 6 * time), 0.0)
    table.iloc[:, 1:] += 0.1 * np.random.default_rng(3).normal(size=(len(table), 3))
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    table.assign(state=np.where(run > 0, "unknown", "good")).to_csv(path, index=False)
    return path


def shares_found(path: Path, normal: dict[str, Any] | None) -> tuple[float, float]:
    """Share of windows above the threshold in the faulty runs, and in the good one."""
    series = CsvFile(path=str(path), time="time", label="state", normal=normal).read()
    index = window_index(series, chosen("window/short"))
    centre, scale = chosen("scaler/standard").fit(series.fitted_values)
    values = standardised(series.values, centre, scale).astype(np.float32)
    starts, train = index["start"].to_numpy(), index["train"].to_numpy()
    seed_torch(0)
    encoder = chosen("encoder/inception_time_small").build(3, 64)
    chosen("train/quick", n_steps=60).train(encoder, values, starts[train], 64, 0, lambda row: None)
    nothing = np.zeros((len(starts), 2))
    inputs = DetectorInput(values, starts, 64, train, nothing, nothing, lambda: encoder, 0)
    scores = chosen("detector/clipped_prediction").score(inputs).windows
    anomalous = scores > chosen("threshold/halving_tail").fit(scores[train])
    good = index["stop"].to_numpy() <= N_RUN
    return float(anomalous[index["start"] >= N_RUN].mean()), float(anomalous[good].mean())


@pytest.mark.parametrize("normal", [{"from": 0, "to": N_RUN / 20 - 0.05}, {"label": "good"}], ids=["seconds", "label"])
def test_a_named_good_run_finds_the_five_faulty_ones_that_the_default_takes_for_usual(
    recording: Path, normal: dict[str, Any]
) -> None:
    by_default, _ = shares_found(recording, None)
    found, alarms = shares_found(recording, normal)
    assert by_default < 0.05 and found > 0.9 and alarms < 0.05
