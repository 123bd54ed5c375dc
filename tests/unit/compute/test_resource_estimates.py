"""What a stage is said to need: from the file's numbers and the sizes of its inputs, more of them never need less."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from clusterwhy.encoders.mini_rocket import MiniRocket
from clusterwhy.encoders.statistics import ChannelStatistics
from clusterwhy.encoders.storage import save_encoder
from clusterwhy.explanations.anomaly_targets import DistanceAnomalies
from clusterwhy.readers.tables import NumpyFile
from pipeline._resource_estimates import all_sizes, estimated_needs, reading_sizes, trained_sizes
from tests.conftest import ROOT

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
SIZES = {"sample": 2400, "channel": 3, "window": 147, "step": 64, "feature": 32, "cell": 9600, "reading": 614_400}
SIZES |= {"encoder": 2, "weight": 9000, "found": 3, "member": 32, "cluster": 3, "anomaly": 3, "clustered": 2500}


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_the_numbers_of_a_text_file_are_counted_by_its_beginning(
    tmp_path: Path, rng: np.random.Generator, separator: str
) -> None:
    table = pd.DataFrame(rng.normal(size=(20_000, 7)).round(3))
    table.to_csv(tmp_path / "own.csv", sep=separator, index=False)
    assert reading_sizes(tmp_path / "own.csv")["cell"] == pytest.approx(140_000, rel=0.05)
    packed = gzip.compress((tmp_path / "own.csv").read_bytes())
    (tmp_path / "own.csv.gz").write_bytes(packed)
    assert 70_000 < reading_sizes(tmp_path / "own.csv.gz")["cell"] < 280_000


def test_the_numbers_of_an_array_are_in_its_header(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.zeros((300, 4), dtype=np.float32))
    # two copies in double precision, masks, and the file itself, which is mapped
    assert reading_sizes(tmp_path / "own.npy") == {"cell": 1200.0, "reading": 1200 * 22.0}
    (tmp_path / "broken.npy").write_bytes(b"no array")
    assert reading_sizes(tmp_path / "broken.npy") == reading_sizes(tmp_path / "none.csv") == {}


def test_the_numbers_of_several_files_are_added_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.zeros((300, 4)))
    (tmp_path / "notes.txt").write_text("1,2,3")
    settings = {"dataset": NumpyFile(path=str(tmp_path), rate_hz=1.0)}
    assert all_sizes("prepare", {}, settings, tmp_path) == {"cell": 2400.0, "reading": 2400 * 26.0}
    nowhere = {"dataset": NumpyFile(path=str(tmp_path / "none_*.npy"), rate_hz=1.0)}
    assert all_sizes("prepare", {}, nowhere, tmp_path) == {}


def test_encoders_are_counted_and_measured_without_loading_them(tmp_path: Path) -> None:
    header = json.dumps(
        {"predictor.1.weight": {"dtype": "F32", "shape": [3, 32, 1], "data_offsets": [0, 384]}}
    ).encode()
    (tmp_path / "encoder.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(384))
    (tmp_path / "replicate_1").mkdir()
    assert trained_sizes(tmp_path) == {"encoder": 2, "feature": 32}

    # features of MiniRocket are its convolutions
    save_encoder(tmp_path, MiniRocket(per_kernel=3).build(2, 40), {}, 2, 40)
    assert trained_sizes(tmp_path) == {"encoder": 2, "feature": 252}
    # of statistics, three of each channel
    save_encoder(tmp_path, ChannelStatistics(floor=0.01).build(5, 40), {}, 5, 40)
    assert trained_sizes(tmp_path) == {"encoder": 2, "feature": 15}


def test_the_page_counts_the_windows_that_were_explained_one_by_one() -> None:
    # `explained` are those that were explained for their clusters, an axis of the artifacts of `explain`
    few, many = (estimated_needs("report", SIZES | {"explained": 96, "explained_window": n})[1] for n in (96, 147))
    assert many - few == pytest.approx(1.4 * (147 - 96) * 64 * 3)


@pytest.mark.parametrize(("n_segments", "expected"), [(3, 8), (50, 50), (900, 200), (None, 8)])
def test_explained_anomalies_are_counted_by_the_alarms(tmp_path: Path, n_segments: int | None, expected: int) -> None:
    how = DistanceAnomalies(count=8, n_normal_windows=3, max_shift=0.3, batch_size=8, k=2)
    if n_segments is not None:
        (tmp_path / "score").mkdir()
        (tmp_path / "score" / "segments.json").write_text(json.dumps({"segments": [{}] * n_segments}))
    assert all_sizes("explain", {}, {"anomalies": how}, tmp_path) == {"anomaly": expected}
    none = how.model_copy(update={"count": 0})
    assert all_sizes("explain", {}, {"anomalies": none}, tmp_path)["anomaly"] == 0


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("size", SIZES)
def test_more_never_needs_less(stage: str, size: str) -> None:
    few, many = estimated_needs(stage, SIZES), estimated_needs(stage, SIZES | {size: 100 * SIZES[size]})
    assert 1e8 < few[0] <= many[0] and 1e3 < few[1] <= many[1]
