"""Importing settings or a stage loads no heavy package, LRP loads torch alone, and each checkout imports itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import HEAVY, ROOT

SETTINGS = [
    *("anomaly.detectors", "anomaly.thresholds", "attribution.registry", "clustering", "compute.workers"),
    *("datasets.watch", "encoders.training", "explanations.anomalies", "explanations.evaluation"),
    *("explanations.members", "explanations.targets", "projection", "propagation.composites", "readers.tables"),
]
USES = """
import clusterwhy, numpy as np
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import embed, masked_errors
encoder = InceptionTime(n_filters=2, depth=3, kernel_size=8, head_dropout=0.1).build(2, 32).eval()
windows = np.random.default_rng(0).normal(size=(4, 2, 32)).astype(np.float32)
series, starts = windows.transpose(0, 2, 1).reshape(-1, 2), np.arange(90)
embed(encoder, series, starts, 32, 16)
masked_errors(encoder, series, starts, 32, 4, 2, 16)
member = clusterwhy.ClusterMembership(np.eye(8)[:2], np.eye(8)[2:])
clusterwhy.lrp(encoder, windows, member)
clusterwhy.explain(encoder, windows, "difference", clusterwhy.Distance(np.eye(8)), windows)
clusterwhy.explain(encoder, windows, "gradient", clusterwhy.EmbeddingSum())
"""


def loaded(code: str) -> set[str]:
    """Heavy packages that a new process has loaded after some code."""
    code += "\nimport sys; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.split())


def test_settings_load_nothing_heavy() -> None:
    assert loaded("\n".join(f"import clusterwhy.{name}" for name in SETTINGS)) == set()


def test_stages_load_nothing_heavy_before_they_have_read_their_settings() -> None:
    # the page has pictures
    stages = [name for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if name != "report"]
    assert loaded("\n".join(f"import pipeline.{name}" for name in stages)) == set()


def test_a_network_and_its_explanations_load_torch_alone() -> None:
    assert loaded(USES) == {"torch"}


def test_a_copy_of_the_project_runs_its_own_source_where_another_copy_is_installed(tmp_path: Path) -> None:
    copy, installed = tmp_path / "copy", tmp_path / "installed"
    for name in ("pipeline/__init__.py", "src/clusterwhy/__init__.py", "src/clusterwhy/compute/threads.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (installed / "clusterwhy").mkdir(parents=True)
    (installed / "clusterwhy" / "__init__.py").write_text("raise AssertionError('the installed copy was imported')")
    code = "import pipeline, clusterwhy; print(clusterwhy.__file__)"
    # folders of PYTHONPATH come before those that installed packages are in
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == copy / "src" / "clusterwhy" / "__init__.py"


@pytest.mark.skipif(
    (ROOT / ".venv").is_symlink() or not (ROOT / ".venv" / ".ready").is_file(),
    reason="make has not set up .venv in this checkout",
)
def test_the_package_is_importable_from_any_folder_in_the_environment_of_make(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [ROOT / ".venv" / "bin" / "python", "-c", "import clusterwhy; print(clusterwhy.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "src" / "clusterwhy" / "__init__.py"
