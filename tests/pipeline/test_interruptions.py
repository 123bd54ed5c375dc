"""Killed and interrupted stages, and lack of disk or memory: old artifacts stay intact, and a rerun resumes."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from clusterwhy.artifacts.store import UNFINISHED, write_array
from clusterwhy.compute.resources import as_expected, require
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.training import MaskedPrediction
from clusterwhy.errors import ResourceError, StorageError
from pipeline import _stage
from tests.conftest import ROOT, Checkout
from tests.stage_server import StageServer

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
FIT = MaskedPrediction(
    **{"n_steps": 12, "batch_size": 4, "learning_rate": 1e-2, "weight_decay": 0.0, "mask_share": 0.4},
    **{"mask_length": 3.0, "same_mask_for_channels": False, "validation_share": 0.2, "n_reports": 4},
    **{"validation_windows": 8, "flat_gain": None},
)
NETWORK = InceptionTime(n_filters=4, depth=3, kernel_size=8, head_dropout=0.1)
AREA = "Interruptions, disk and memory"


def contents(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def intact(study: Checkout) -> Iterator[Callable[[str], bool]]:
    """Whether the artifacts of a stage are those of the undisturbed run; all is put back in the end."""
    kept = contents(study.root / "artifacts", study.root / "reports")
    yield (
        lambda stage: (
            {
                name: value
                for name, value in contents(study.root / "artifacts" / stage, study.root / "reports").items()
                if "reports" not in name or name.endswith(f"/{stage}.json")
            }
            == {
                name: value
                for name, value in kept.items()
                if f"/artifacts/{stage}/" in name or f"/reports/{stage}." in name
            }
        )
    )
    for name, value in kept.items():
        path = Path(name)
        if not path.is_file() or path.read_bytes() != value:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(value)
    # such as the checkpoint of a training that was not resumed
    shutil.rmtree(study.root / "artifacts" / ".unfinished", ignore_errors=True)


# a training to its end, and one whose loss is flat at the second row, so that it has three
@pytest.mark.parametrize(("at", "flat_gain"), [(1, None), (2, None), (4, None), (1, 0.9), (2, 0.9)])
def test_an_interrupted_training_of_an_encoder_ends_with_the_same_weights(
    tmp_path: Path, at: int, flat_gain: float | None
) -> None:
    fit = FIT.model_copy(update={"flat_gain": flat_gain})
    values = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    starts = np.arange(0, 380, 10)

    def train(report: Callable[[dict[str, float]], None], resume: Path | None) -> tuple[torch.nn.Module, pd.DataFrame]:
        torch.manual_seed(5)
        encoder = NETWORK.build(3, 20)
        return encoder, fit.train(encoder, values, starts, 20, 7, report, resume)

    seen: list[float] = []

    def interrupt(row: dict[str, float]) -> None:
        seen.append(row["step"])
        if len(seen) == at:
            raise KeyboardInterrupt

    expected, expected_history = train(lambda row: None, None)
    assert len(expected_history) == (4 if flat_gain is None else 3)
    with pytest.raises(KeyboardInterrupt):
        train(interrupt, tmp_path / "state")
    again: list[float] = []
    found, history = train(lambda row: again.append(row["step"]), tmp_path / "state")
    assert again == expected_history["step"].tolist()[at:]
    pd.testing.assert_frame_equal(history, expected_history, check_exact=True)
    assert all(torch.equal(tensor, found.state_dict()[name]) for name, tensor in expected.state_dict().items())


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_gives_the_same_bytes_when_rerun(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None], stage: str
) -> None:
    began = time.monotonic()
    assert stages.run(f"pipeline.{stage}", "run=stage").returncode == 0
    took = time.monotonic() - began
    child = stages.start(f"pipeline.{stage}", "run=stage")
    # the same moment in each run of the tests; benchmarks.kills tries many
    time.sleep(random.Random(stage).uniform(0.3, 0.9) * took)
    with contextlib.suppress(ProcessLookupError):  # it may have been quicker this time
        os.kill(child, signal.SIGKILL)
    ended = stages.wait()
    assert ended.returncode in (-signal.SIGKILL, 0), ended.said
    assert intact(stage), "the artifacts are incomplete after a kill"
    assert stages.run(f"pipeline.{stage}", "run=stage").returncode == 0
    assert intact(stage)
    assert not (study.root / "artifacts" / ".unfinished").exists()
    fault(AREA, "kill -9 at a random moment", stage, "old artifacts intact; run again: the same bytes")
    # as everywhere in these tests: an attempt to reach a network would have ended the stage
    fault(AREA, "no network", stage, "the same bytes; no connection is tried")


def test_files_left_by_a_killed_run_are_removed(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None]
) -> None:
    unfinished = study.root / "artifacts" / ".unfinished"
    left = [
        unfinished / "prepare" / "values.npy",
        unfinished / "prepare" / "half.csv",
        unfinished / f".prepare.kept.x{UNFINISHED}",
        study.root / "reports" / f".prepare.json.x{UNFINISHED}",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert stages.run("pipeline.prepare", "run=stage").returncode == 0
    assert intact("prepare") and not unfinished.exists() and not any(path.exists() for path in left)
    fault(AREA, "files left by a killed run", "prepare", "removed; none ends up in the artifacts")


def test_a_killed_training_resumes_from_its_checkpoint(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None]
) -> None:
    state = study.root / "artifacts" / ".unfinished" / "train.training"
    child = stages.start("pipeline.train", "run=stage")
    until = time.monotonic() + 120
    while not state.exists() and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    stages.wait()
    assert state.exists() and intact("train")
    done = stages.run("pipeline.train", "run=stage")
    assert done.returncode == 0 and "training resumes after step" in done.said
    assert intact("train") and not state.parent.exists()
    fault(AREA, "kill -9 after an epoch", "train", "resumes after its last checkpoint; the same bytes")


def test_encoders_that_are_trained_in_several_processes_have_the_same_bytes(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None]
) -> None:
    unfinished = study.root / "artifacts" / ".unfinished"
    order = ("pipeline.train", "run=stage", "workers.backend=processes")
    child = stages.start(*order)
    until = time.monotonic() + 120
    while not list(unfinished.glob("train.training_replicate_*")) and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    stages.wait()
    assert list(unfinished.glob("train.training_replicate_*")) and intact("train")
    time.sleep(1.5)  # workers of the killed stage notice within a second
    done = stages.run(*order)
    assert done.returncode == 0 and intact("train"), done.said
    assert not unfinished.exists()
    fault(AREA, "kill -9 of several trainings", "train", "all resume after their last checkpoints; the same bytes")


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_ends_a_stage_at_once_without_traceback(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None], stage: str
) -> None:
    unfinished = study.root / "artifacts" / ".unfinished" / stage
    child = stages.start(f"pipeline.{stage}", "run=stage")
    until = time.monotonic() + 120
    # while it works; the quickest stage takes a fifth of a second
    while not unfinished.exists() and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.02)
    os.kill(child, signal.SIGINT)
    began = time.monotonic()
    ended = stages.wait()
    # a bound on hanging, not a measure of speed
    assert time.monotonic() - began < 30
    assert ended.returncode != 0 and "Traceback" not in ended.said, ended.said
    assert "interrupted: nothing was changed" in ended.said and intact(stage)
    fault(AREA, "Ctrl-C", stage, "ends at once with one line; old artifacts intact")


def test_ctrl_c_that_a_library_turns_into_another_error_is_still_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = threading.Event()
    monkeypatch.setattr(_stage, "interrupted", noted)
    with pytest.raises(TypeError, match="not by Ctrl-C"), _stage._errors_reported():
        raise TypeError("not by Ctrl-C")
    with pytest.raises(KeyboardInterrupt), _stage._errors_reported():
        try:
            _stage._note_interrupt(signal.SIGINT, None)
        except KeyboardInterrupt:
            raise TypeError("SchemaError: KeyboardInterrupt") from None


@pytest.mark.parametrize("stage", STAGES)
def test_no_space_for_a_file_is_one_error_and_old_artifacts_stay(
    stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None], stage: str
) -> None:
    # simulates a full disk by a limit of the file size; the output is also written to a file
    done = stages.run(f"pipeline.{stage}", "run=stage", fsize=3000)
    assert done.returncode == 1 and done.said.count("error: ") == 1 and "Traceback" not in done.said, done.said
    assert "cannot be written" in done.said and intact(stage), done.said
    fault(AREA, "no space for a file", stage, "one error: cannot be written; old artifacts intact")


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_without_write_permission_is_one_error(
    study: Checkout, stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None], stage: str
) -> None:
    folder = study.root / "artifacts"
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        done = stages.run(f"pipeline.{stage}", "run=stage", rights=False)
    finally:
        folder.chmod(mode)
    assert done.returncode == 1 and "Traceback" not in done.said, done.said
    assert "error: " in done.said and "cannot be written" in done.said and intact(stage), done.said
    fault(AREA, "folder without write permission", stage, "one error: cannot be written; old artifacts intact")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.arange(3))

    def full(*args: object, **kwargs: object) -> None:
        # NumPy's own error of a full disk, which has no number
        raise OSError("3 requested and 0 written")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match=r"a\.npy cannot be written: 3 requested and 0 written \([\d,]+ MB free"):
        write_array(path, np.arange(4))
    assert list(tmp_path.iterdir()) == [path] and len(np.load(path)) == 3


def test_work_that_does_not_fit_is_refused_with_needed_and_available_amounts(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"explain needs about 1\.00PB of memory, .*B are available: .*fewer"):
        require("explain", 1e15, 0, tmp_path, "explain fewer windows")
    with pytest.raises(ResourceError, match=r"of disk space in .*, .* are available"):
        require("explain", 0, 1e18, tmp_path / "not" / "there", "explain fewer windows")
    require("explain", 1, 1, tmp_path, "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
)
def test_a_lack_of_memory_becomes_a_resource_error(error: Exception) -> None:
    assert isinstance(as_expected(error), ResourceError)
    assert as_expected(RuntimeError("mat1 and mat2 cannot be multiplied")) is None


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_does_not_fit_is_refused_before_it_starts(
    stages: StageServer, intact: Callable[[str], bool], fault: Callable[..., None], stage: str
) -> None:
    done = stages.run(f"pipeline.{stage}", "run=stage", memory=100_000_000)
    assert done.returncode == 1 and "Traceback" not in done.said, done.said
    assert f"the stage `{stage}` needs about" in done.said and "MB are available: " in done.said, done.said
    assert intact(stage)
    fault(AREA, "too little memory", stage, "refused before it starts: what it needs, what is available, what to do")


@pytest.mark.parametrize("stage", ["prepare", "train", "embed", "cluster", "score", "explain"])
def test_a_stage_needs_no_more_memory_than_estimated(study: Checkout, stage: str) -> None:
    done = study.run("python", "-m", f"pipeline.{stage}", "wandb.mode=disabled")
    told = re.findall(r"peak memory (\d+) MB \(estimated before: (\d+) MB", done.stdout + done.stderr)
    peak, estimated = map(float, told[-1])
    assert peak <= estimated <= 1.6 * peak  # of so small a study the peak is now 5 % lower, now higher


def test_a_stage_that_uses_the_network_is_detected(stages: StageServer) -> None:
    (stages.root / "asks.py").write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    done = stages.run("asks")
    (stages.root / "asks.py").unlink()
    assert done.returncode == 1 and "a stage asked for the network" in done.said


def test_a_second_repro_reports_the_lock_of_the_first(study: Checkout, fault: Callable[..., None]) -> None:
    # a stage that takes a while, begun and held by a first `dvc repro`
    first = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", "evaluate"],
        cwd=study.root,
        env=study.environment | {"WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert first.stdout is not None
    for line in first.stdout:
        if "Running stage" in line:
            break
    second = study.run("dvc", "repro", ok=False)
    said = first.communicate(timeout=600)[0]
    assert first.returncode == 0, said
    assert second.returncode != 0 and "lock" in (second.stdout + second.stderr), second.stdout + second.stderr
    assert study.run("dvc", "status", "--json", "dvc.yaml").stdout.strip() == "{}"
    fault(AREA, "two repros at once", "dvc repro", "the second one says that the first one holds the lock")


@pytest.mark.parametrize("left", [b"", b'{"artifacts/prepare": {"wri'], ids=["nothing", "half"])
def test_a_half_written_lock_file_of_dvc_is_removed(study: Checkout, fault: Callable[..., None], left: bytes) -> None:
    rwlock = study.root / ".dvc" / "tmp" / "rwlock"
    rwlock.write_bytes(left)
    refused = study.run("dvc", "repro", ok=False)
    assert refused.returncode != 0 and "RWLock-file" in refused.stderr, "DVC minds no more: unlock is not needed"
    assert "removed rwlock" in study.run("python", "-m", "pipeline.unlock").stderr
    assert study.run("dvc", "repro").returncode == 0
    kept = rwlock.read_bytes()
    assert study.run("python", "-m", "pipeline.unlock").stderr == "" and rwlock.read_bytes() == kept
    fault(AREA, "DVC killed while writing its lock file", "dvc repro", "`make repro` removes the file and continues")
