"""Stages on a full disk: a separate file system in memory that only the stages see."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Checkout
from tests.stage_server import StageServer

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
NEEDED = (
    "applications",
    "artifacts",
    "conf",
    "data",
    "pipeline",
    "reports",
    "src",
    "studies",
    "tests",
    "dvc.yaml",
    "params.yaml",
)
# a file system of 200 MB at $0, with the project at $1; then the server of stages
SMALL = """
set -e
mount -t tmpfs -o size=200m none "$0"
cp -a "$1"/. "$0"
cd "$0"
shift
exec "$@"
"""
MB = 1_000_000


def may_mount() -> bool:
    tried = subprocess.run(
        ("unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"), capture_output=True
    )
    return tried.returncode == 0


@pytest.fixture(scope="module")
def small(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageServer]:
    """Stages of a copy of the study on a small file system; it is gone when the server ends."""
    if shutil.which("unshare") is None or not may_mount():
        pytest.skip("this machine lets nobody mount a file system in a namespace of their own (unshare --mount)")
    folder = tmp_path_factory.mktemp("small")
    place, source = folder / "project", folder / "source"
    place.mkdir()
    source.mkdir()
    for name in NEEDED:
        path = study.root / name
        shutil.copytree(path, source / name) if path.is_dir() else shutil.copy(path, source)
    within = ("unshare", "--map-root-user", "--mount", "sh", "-c", SMALL, str(place), str(source))
    environment = study.environment | {"WANDB_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "1"}
    server = StageServer(place, environment, within, folder / "said.txt")
    try:
        if not os.access(server.seen(place) / "artifacts", os.R_OK):
            pytest.skip("this machine lets nobody look into the namespace of another process")
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def filled(root: Path, but: int) -> Iterator[None]:
    """Fill a file system except for some bytes."""
    path = root / "filling"
    with path.open("wb") as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(MB))
            stream.flush()
    os.truncate(path, max(0, path.stat().st_size - but))
    try:
        yield
    finally:
        path.unlink()


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((root / "artifacts").rglob("*")) if path.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_error_and_old_artifacts_stay(
    small: StageServer, stage: str, fault: Callable[[str, str, str, str], None]
) -> None:
    root = small.seen(small.root)
    before = contents(root)
    assert before
    with filled(root, but=0):
        done = small.run(f"pipeline.{stage}", "run=stage")
    assert done.returncode == 1 and done.said.count("error: ") == 1 and "Traceback" not in done.said, done.said
    assert "of disk space in" in done.said or "No space left on device" in done.said, done.said
    assert contents(root) == before
    fault("Interruptions, disk and memory", "a full disk", stage, "one error; old artifacts intact")


@pytest.mark.parametrize("stage", ["prepare", "project", "cluster"])
def test_a_disk_that_fills_up_during_the_run_is_one_error_and_old_artifacts_stay(
    small: StageServer, stage: str, fault: Callable[[str, str, str, str], None]
) -> None:
    root = small.seen(small.root)
    before = contents(root)
    with filled(root, but=8192):
        done = small.run(f"pipeline.{stage}", "run=stage", free=10**12)
    assert done.returncode == 1 and done.said.count("error: ") == 1 and "Traceback" not in done.said, done.said
    assert "cannot be written" in done.said, done.said
    assert contents(root) == before
    again = small.run(f"pipeline.{stage}", "run=stage")
    assert again.returncode == 0 and contents(root) == before, again.said
    fault(
        "Interruptions, disk and memory",
        "a disk that fills up during the run",
        stage,
        "one error; old artifacts intact",
    )
