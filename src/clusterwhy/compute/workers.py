"""Computes window shards in this process, in local processes or on a Dask cluster, with the same code."""

import contextlib
import functools
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from pydantic import Field

from clusterwhy.artifacts.store import UNFINISHED, storage_error
from clusterwhy.compute.resources import available_memory
from clusterwhy.compute.threads import available_cores
from clusterwhy.config import Settings
from clusterwhy.errors import WorkerError
from clusterwhy.types import FloatArray

log = logging.getLogger(__name__)
MEMORY_OF_WORKER = 1.5e9  # bytes: torch, the task, and some rest


class Workers(Settings):
    """An option of `conf/workers`.

    `here` is this process, `processes` are `count` local processes, one per core if that is null. `auto` computes
    windows here, with all cores, and clusters in processes, where there are several and memory for more than one.
    `dask` uses the cluster at `address`, or starts one on this machine if that is null; every machine of the cluster
    needs the same packages and the project's folder under the same path.
    """

    backend: Literal["auto", "here", "processes", "dask"]
    count: int | None = Field(ge=1)
    address: str | None
    shard: int = Field(ge=1)
    attempts: int = Field(ge=1)

    @property
    def n_workers(self) -> int:
        """`count`, or one per core."""
        return self.count or available_cores()

    @property
    def in_one_process(self) -> "Workers":
        """The same, with `auto` as this process: for many runs of one process, which share what they keep in memory."""
        return self.model_copy(update={"backend": "here"}) if self.backend == "auto" else self

    def map(self, tasks: Sequence[Callable[[], Any]], desc: str) -> Iterator[tuple[int, Any]]:
        """Results of tasks with their positions, in order of completion; of one task here.

        A task whose worker dies is retried, up to `attempts` times; finished results are kept.

        Raises:
            WorkerError: workers died in each attempt.
        """
        from clusterwhy.compute.progress import progress

        if self.backend == "auto":
            yield from self._for(len(tasks)).map(tasks, desc)
            return
        pending = dict(enumerate(tasks))
        with progress(total=len(tasks), desc=desc, unit="shard") as bar:
            for attempt in range(1, self.attempts + 1):
                try:
                    for position, result in self._results(pending):
                        del pending[position]
                        bar.update()
                        yield position, result
                    return
                except _deaths() as error:
                    log.warning(
                        "%d of %d shards lost a worker (%s), attempt %d", len(pending), len(tasks), error, attempt
                    )
        raise WorkerError(
            f"{desc}: {len(pending)} of {len(tasks)} shards lost their worker in each of {self.attempts} attempts; the "
            f"usual cause is memory: use fewer workers (now workers.count={self.n_workers}) or a smaller workers.shard"
        )

    @contextlib.contextmanager
    def meanwhile(self, tasks: Sequence[Callable[[], Any]], memory: float) -> Iterator[Callable[[], list[Any]]]:
        """Let other processes of this machine compute long tasks while the body of `with` runs.

        All of them at once, up to one per core, also where the body makes it one more than there are cores. Without
        another core, on a GPU and where memory is short, they are computed here when their results are asked for; so
        is a task whose worker died.

        Args:
            memory: bytes that the body and each of the tasks take.

        Yields:
            A function that waits for the results, in the order of the tasks.
        """
        count = self._beside(len(tasks), memory)
        if not count:
            yield lambda: [task() for task in tasks]
            return
        from joblib.externals.loky import ProcessPoolExecutor

        with _same_environment():
            executor = ProcessPoolExecutor(count)
            futures = [executor.submit(_numbered, i, task, os.getpid()) for i, task in enumerate(tasks)]

        def result(position: int) -> Any:
            try:
                return futures[position].result()[1]
            except _deaths() as error:
                log.warning("a worker died (%s): its task is computed here", str(error).splitlines()[0])
                return tasks[position]()

        try:
            yield lambda: [result(position) for position in range(len(tasks))]
        except BaseException:
            executor.shutdown(kill_workers=True)
            raise
        executor.shutdown()

    def _beside(self, n_tasks: int, memory: float) -> int:
        """Processes for tasks beside this one."""
        import torch

        if self.backend == "here" or torch.cuda.is_available():
            return 0
        if self.backend == "processes":
            return min(n_tasks, self.n_workers)
        cores = min(self.n_workers, available_cores())
        return min(n_tasks, cores, max(0, int(available_memory() // memory) - 1)) if cores > 1 else 0

    def _for(self, n_tasks: int) -> "Workers":
        """What `auto` means for tasks of some seconds each, which use one core better than two."""
        import torch

        count = min(n_tasks, self.n_workers, available_cores(), int(available_memory() // MEMORY_OF_WORKER))
        if count < 2 or torch.cuda.is_available():
            return self.in_one_process
        return self.model_copy(update={"backend": "processes", "count": count})

    def _results(self, pending: dict[int, Callable[[], Any]]) -> Iterator[tuple[int, Any]]:
        from joblib import Parallel, delayed, parallel_config

        if self.backend == "here":
            for position, task in list(pending.items()):
                yield position, task()
            return
        with _same_environment(), self._cluster() as backend, parallel_config(backend=backend, n_jobs=self.n_workers):
            # no tasks are queued at a worker, so a dying one loses little work
            run = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")
            parent = os.getpid() if self.backend == "processes" else None
            yield from run(delayed(_numbered)(position, task, parent) for position, task in list(pending.items()))

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[str]:
        if self.backend == "processes":
            yield "loky"
            return
        try:
            import distributed
        except ImportError as error:
            raise WorkerError(
                "workers.backend=dask needs the package `distributed`: `pip install clusterwhy[cluster]`, or choose "
                "workers.backend=processes"
            ) from error
        local = (
            {} if self.address else {"n_workers": self.n_workers, "threads_per_worker": 1, "dashboard_address": None}
        )
        try:
            client: Any = distributed.Client(self.address, **local, set_as_default=True)
        except OSError as error:
            raise WorkerError(f"no Dask scheduler answers at workers.address={self.address}: {error}") from error
        with client:
            yield "dask"

    def windows(self, work: Callable[[slice], FloatArray], n_windows: int, path: Path, batch: int, desc: str) -> None:
        """Map over window shards and write the concatenated results as one `.npy` file, atomically.

        Shards are whole batches, so that the bytes depend neither on their size nor on where they are computed.

        Args:
            work: a slice of windows -> (window, ...) of that slice; importable by, or sent to, the workers.
            n_windows: total number of windows.
            batch: batch size of `work`.
        """
        if self.backend == "auto":
            self.in_one_process.windows(work, n_windows, path, batch, desc)
            return
        shard = -(-self.shard // batch) * batch
        parts = [slice(first, min(first + shard, n_windows)) for first in range(0, n_windows, shard)]
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
        os.close(handle)
        joined: np.memmap | None = None
        try:
            for position, found in self.map([_Shard(work, part) for part in parts], desc):
                if joined is None:
                    shape = (n_windows, *found.shape[1:])
                    joined = np.lib.format.open_memmap(temporary, mode="w+", dtype=found.dtype, shape=shape)
                    # otherwise a full disk kills the process (SIGBUS) when a page is written
                    with open(temporary, "r+b") as stream:
                        os.posix_fallocate(stream.fileno(), 0, os.path.getsize(temporary))
                joined[parts[position]] = found
            if joined is not None:
                joined.flush()
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)
        except BaseException as error:
            Path(temporary).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise storage_error(path, error) from error
            raise


HERE = Workers(backend="here", count=1, address=None, shard=8192, attempts=1)
AUTO = Workers(backend="auto", count=None, address=None, shard=8192, attempts=3)


class _Shard:
    def __init__(self, work: Callable[[slice], FloatArray], part: slice) -> None:
        self.work, self.part = work, part

    def __call__(self) -> FloatArray:
        return self.work(self.part)


class _NotATerminal:
    """A stream that is not a terminal: progress bars of workers would overwrite each other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    silent = True

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _same_environment() -> Iterator[None]:
    """Restore environment variables that Dask and joblib set: OMP_NUM_THREADS=1 would affect later processes."""
    kept = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - kept.keys():
            del os.environ[name]
        os.environ.update(kept)


def _numbered(position: int, task: Callable[[], Any], parent: int | None) -> tuple[int, Any]:
    if parent is not None:
        _end_with(parent)
    stream: Any = _NotATerminal(sys.stderr)
    with contextlib.redirect_stderr(stream):
        return position, task()


@functools.cache
def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, killed perhaps: nobody waits for its results."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _deaths() -> tuple[type[Exception], ...]:
    # not its base class BrokenProcessPool, which is also raised for tasks that cannot be unpickled: retrying is futile
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    found: list[type[Exception]] = [TerminatedWorkerError]
    if (distributed := sys.modules.get("distributed")) is not None:
        found.append(distributed.KilledWorker)
    return tuple(found)
