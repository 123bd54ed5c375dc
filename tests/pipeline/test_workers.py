"""Shards give the same bytes wherever they are computed, and a dead worker costs its own shard."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from clusterwhy.compute.seeding import seed_torch
from clusterwhy.compute.workers import HERE, Workers
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.encoders.masked import embed
from clusterwhy.errors import WorkerError

SHARD, N_WINDOWS = 16, 100
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def workers(backend: str, shard: int = SHARD, attempts: int = 3) -> Workers:
    return Workers(backend=backend, count=2, address=None, shard=shard, attempts=attempts)


def squares(folder: Path, deaths: int, part: slice) -> np.ndarray:
    """Squares of the positions; the shard that begins at 32 kills its worker as often as told."""
    (folder / f"ran-{part.start}-{len(list(folder.iterdir()))}").touch()
    died = len(list(folder.glob("died-*")))
    if part.start == 32 and died < deaths:
        (folder / f"died-{died}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return np.arange(part.start, part.stop, dtype=np.float64)[:, None] ** 2


def embedded(values: np.ndarray, starts: np.ndarray, part: slice) -> np.ndarray:
    seed_torch(0)
    encoder = InceptionTime(n_filters=4, depth=3, kernel_size=10, head_dropout=0.0).build(values.shape[1], 32)
    return embed(encoder, values, starts[part], 32, SHARD)


@pytest.mark.parametrize("backend", ["processes", "dask"])
def test_a_dying_worker_loses_only_its_own_shard(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, path = tmp_path / "runs", tmp_path / "out" / "squares.npy"
    runs.mkdir()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    threads = {name: os.environ.get(name) for name in THREADS}
    workers(backend).windows(partial(squares, runs, 1), N_WINDOWS, path, SHARD, "squares")
    # they give their workers one thread each by way of this process
    assert {name: os.environ.get(name) for name in THREADS} == threads
    assert np.array_equal(np.load(path)[:, 0], np.arange(N_WINDOWS) ** 2.0)
    n_shards = -(-N_WINDOWS // SHARD)
    # two workers, so at most two shards were under way; the result of a third may have been on its way back
    assert n_shards < len(list(runs.glob("ran-*"))) <= n_shards + 3


def test_a_shard_that_always_kills_its_worker_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    runs, path = tmp_path / "runs", tmp_path / "out" / "squares.npy"
    runs.mkdir()
    with pytest.raises(WorkerError, match=r"squares: .* lost their worker in each of 2 attempts"):
        workers("processes", attempts=2).windows(partial(squares, runs, 99), N_WINDOWS, path, SHARD, "squares")
    assert list(path.parent.iterdir()) == []


def test_an_error_in_a_shard_is_raised_and_leaves_no_file(tmp_path: Path) -> None:
    def fail(part: slice) -> np.ndarray:
        if part.start:
            raise ZeroDivisionError("in a shard")
        return np.zeros((part.stop, 1))

    with pytest.raises(ZeroDivisionError, match="in a shard"):
        workers("here").windows(fail, N_WINDOWS, tmp_path / "x.npy", SHARD, "fail")
    assert list(tmp_path.iterdir()) == []


def test_embeddings_do_not_depend_on_backend_and_shard_size(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.standard_normal((500, 3)).astype(np.float32)
    work = partial(embedded, values, np.arange(N_WINDOWS) * 4)
    whole = work(slice(0, N_WINDOWS))
    # 20 is no multiple of the batch: shards are rounded up to whole batches
    for how in (HERE, workers("here", 20), workers("processes", 20), workers("dask", 48)):
        how.windows(work, N_WINDOWS, tmp_path / "x.npy", SHARD, "embed")
        assert np.load(tmp_path / "x.npy").tobytes() == whole.tobytes(), how


def test_results_come_with_the_position_of_their_task() -> None:
    assert dict(HERE.map([partial(pow, 2, n) for n in range(4)], "powers")) == {0: 1, 1: 2, 2: 4, 3: 8}


def process_of(_: int) -> int:
    return os.getpid()


def test_auto_takes_processes_for_several_clusters_and_this_one_for_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterwhy.compute.workers.available_cores", lambda: 2)
    auto = Workers(backend="auto", count=None, address=None, shard=SHARD, attempts=1)
    several = dict(auto.map([partial(process_of, i) for i in range(3)], "clusters"))
    assert sorted(several) == [0, 1, 2] and os.getpid() not in several.values()
    assert dict(auto.map([partial(process_of, 0)], "clusters")) == {0: os.getpid()}
    assert dict(auto.in_one_process.map([partial(process_of, i) for i in range(2)], "clusters"))[1] == os.getpid()
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setattr("joblib.Parallel", None)  # no process is started
    auto.windows(partial(squares, runs, 0), N_WINDOWS, tmp_path / "out" / "squares.npy", SHARD, "squares")
    # nor where memory is short
    monkeypatch.setattr("clusterwhy.compute.workers.available_memory", lambda: 2e9)
    assert dict(auto.map([partial(process_of, i) for i in range(2)], "clusters"))[1] == os.getpid()


def in_worker_only(parent: int, folder: Path, number: int) -> int:
    """The number's square; in a worker, the first time, it dies instead."""
    if os.getpid() != parent and number == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def sleeping(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(600)


def until(happened: Callable[[], object], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(happened())


def test_long_tasks_are_computed_beside_the_body_or_here_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterwhy.compute.workers.available_cores", lambda: 2)
    monkeypatch.setattr("clusterwhy.compute.workers.available_memory", lambda: 3.5e9)
    tasks = [partial(process_of, i) for i in range(2)]
    auto = Workers(backend="auto", count=None, address=None, shard=SHARD, attempts=1)
    with auto.meanwhile(tasks, 1e9) as results:
        assert os.getpid() not in results()
    # memory for this process alone, one core, or told so
    with auto.meanwhile(tasks, 2e9) as results:
        assert results() == [os.getpid()] * 2
    with HERE.meanwhile(tasks, 1.0) as results:
        assert results() == [os.getpid()] * 2
    monkeypatch.setattr("clusterwhy.compute.workers.available_cores", lambda: 1)
    with auto.meanwhile(tasks, 1.0) as results:
        assert results() == [os.getpid()] * 2


def test_a_long_task_whose_worker_dies_is_computed_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [partial(in_worker_only, os.getpid(), tmp_path, i) for i in range(4)]
    with workers("processes").meanwhile(tasks, 1.0) as results:
        assert results() == [0, 1, 4, 9]
    assert (tmp_path / "died").exists() and "a worker died" in caplog.text


def test_an_error_in_the_body_ends_the_workers(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pytest.raises(ZeroDivisionError), workers("processes").meanwhile([partial(sleeping, path)], 1.0):
        assert until(path.exists)
        raise ZeroDivisionError
    assert until(lambda: not psutil.pid_exists(int(path.read_text())))


@pytest.mark.parametrize(
    "how",
    [
        "with workers('processes').meanwhile(tasks, 1.0) as results: results()",
        "list(workers('processes').map(tasks, 'sleep'))",
    ],
)
def test_workers_of_a_killed_process_end(tmp_path: Path, how: str) -> None:
    body = f"""
from functools import partial; from pathlib import Path
from tests.pipeline.test_workers import sleeping, workers
tasks = [partial(sleeping, Path("{tmp_path}", name)) for name in ("a", "b")]
{how}
"""
    process = subprocess.Popen([sys.executable, "-c", body])
    written = [tmp_path / "a", tmp_path / "b"]
    assert until(lambda: all(path.exists() and path.read_text() for path in written))
    process.kill()
    process.wait()
    left = [int(path.read_text()) for path in written]
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in left), 30.0)
