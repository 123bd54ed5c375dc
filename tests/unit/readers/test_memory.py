"""Reading a large file keeps few copies of its numbers in memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import yaml

from clusterwhy.readers.tables import NumpyFile
from tests.conftest import ROOT


def test_an_array_is_read_with_two_copies_of_its_numbers(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(40_000, 24))
    np.save(tmp_path / "own.npy", values)
    settings = yaml.safe_load((ROOT / "conf" / "dataset" / "numpy.yaml").read_text())
    settings |= {"path": str(tmp_path / "own.npy")}
    settings.pop("_target_")
    reader = NumpyFile(**settings)
    tracemalloc.start()
    series = reader.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(series.values, values)
    # the numbers, masks of one byte for each, and times
    assert peak < 2.7 * values.nbytes
