"""The benchmark of a million windows: its recording, its measure of memory, its arithmetic."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import million

HOLDS_200_MB = "import time; held = bytearray(200_000_000); print('held', flush=True); time.sleep(1.5)"


def test_the_recording_is_made_again_from_its_seed(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        million.write(tmp_path / name, 30_000)
    values = np.load(tmp_path / "a.npy")
    assert values.shape == (30_000, million.CHANNELS) and values.dtype == np.float32
    np.testing.assert_array_equal(values, np.load(tmp_path / "b.npy"))
    assert np.isfinite(values).all() and (values.std(axis=0) > 0.1).all()


def test_memory_is_that_of_a_process_and_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(million, "POLL_S", 0.05)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDS_200_MB!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as started:
        watch = million.Watch(started.pid)
        started.wait()
    assert 200e6 < watch.end() < 300e6


def test_growth_is_that_of_tenfold_windows() -> None:
    rows = pd.DataFrame(
        {
            "windows": n,
            "stage": stage,
            "seconds": 2.0 * n,
            "processor (s)": float(n),
            "memory (MB)": i,
            "disk (MB)": 1.0,
        }
        for n in (10, 100, 1000)
        for i, stage in enumerate(million.STAGES)
    )
    table = million.summary(rows).set_index("stage")
    assert (table["growth, 100 to 1,000"] == 10.0).all()
    assert table.loc["sum", "seconds"] == 2000.0 * len(million.STAGES)
    assert table.loc["sum", "memory (MB)"] == len(million.STAGES) - 1
