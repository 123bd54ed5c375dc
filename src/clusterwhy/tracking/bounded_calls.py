"""Calls into wandb with a time limit, and a check that the record of a run on disk is complete."""

import contextlib
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# wandb records are LevelDB logs: a file header, then blocks of chunks (checksum, length, kind)
HEADER, BLOCK = 7, 32768
CHUNK = struct.Struct("<IHB")
COMPLETE, FIRST, LAST = 1, 2, 4


class BoundedCalls:
    """Runs calls sequentially in a thread, with one time limit for all calls together.

    Attributes:
        left_s: remaining seconds. A call that exceeds them is abandoned in a daemon thread.
    """

    def __init__(self, seconds: float) -> None:
        self.left_s = float(seconds)
        self._todo: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="wandb calls", daemon=True).start()

    def __call__(self, call: Callable[[], Any]) -> Any:
        """What the call returns.

        Raises:
            TimeoutError: the time limit is exceeded.
            Exception: what the call raised; RuntimeError if it tried to exit the process.
        """
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self.waiting():
            if self.left_s <= 0:
                raise TimeoutError("time limit exceeded")
            self._todo.put((call, answer))
            try:
                result, error = answer.get(timeout=self.left_s)
            except queue.Empty:
                raise TimeoutError("wandb did not answer in time") from None
        if error is not None:
            raise error
        return result

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Subtract the time spent here from the limit."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.left_s -= time.monotonic() - start

    def _work(self) -> None:
        while True:
            call, answer = self._todo.get()
            try:
                answer.put((call(), None))
            except Exception as error:
                answer.put((None, error))
            except BaseException as error:
                # `wandb.teardown` calls sys.exit if its service failed
                answer.put((None, RuntimeError(f"wandb tried to exit the process: {error!r}")))
            if self.left_s <= 0:
                # the caller gave up: do not wait at exit for a service that this call started late
                end_service()


@contextlib.contextmanager
def hooks_restored() -> Iterator[None]:
    """Restore `sys.exit` and `sys.excepthook`, which wandb replaces."""
    kept = sys.exit, sys.excepthook
    try:
        yield
    finally:
        sys.exit, sys.excepthook = kept


def disable_import_telemetry() -> None:
    """Keep wandb from reporting imports of packages such as sklearn to its service.

    It would do so inside the stage's own import, without a time limit, and raise there if the service is gone. Uses a
    private name of wandb 0.31, which has no setting for it.
    """
    from wandb.sdk.wandb_run import Run

    def register_no_hooks(run: Run) -> None:
        """In place of the hooks."""

    Run._register_telemetry_import_hooks = register_no_hooks  # type: ignore[method-assign, assignment]


def end_service() -> None:
    """Kill wandb's service process if it is alive, so that wandb's exit hook does not wait for it.

    Uses private names of wandb 0.31, which has no public way to stop a service that does not respond.
    """
    # no import here: it would wait for an import that hangs in the other thread
    wandb_setup: Any = sys.modules.get("wandb.sdk.wandb_setup")
    if wandb_setup is None:
        return
    connection = getattr(wandb_setup._singleton, "_connection", None)
    wandb_setup._singleton = None
    if connection is None or connection._proc is None:
        return
    connection._cleanup()
    os.environ.pop("WANDB_SERVICE", None)
    process = connection._proc._process
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)


def create_folders(folders: Iterable[str]) -> None:
    """Create the folders that wandb writes to; otherwise it falls back to the temporary folder and prints on stderr.

    Raises:
        OSError: a folder cannot be created or written.
    """
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written")


def in_one_line(error: Exception) -> str:
    """The message of an error in one line, shortened for a warning."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_complete(path: Path) -> bool:
    """Whether the record of a run exists and is complete: consecutive numbers up to the exit record.

    wandb reports neither a full disk nor a record that is deleted while it is written.
    """
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2
    try:
        found = [messages.Record.FromString(entry) for entry in _entries(path.read_bytes())]
    except Exception:
        # unreadable means incomplete; protobuf raises its own exception class
        return False
    numbers = [record.num for record in found]
    return bool(found) and numbers == list(range(1, len(found) + 1)) and found[-1].HasField("exit")


def _entries(content: bytes) -> Iterator[bytes]:
    at, entry = HEADER, b""
    while at + CHUNK.size <= len(content):
        if BLOCK - at % BLOCK < CHUNK.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = CHUNK.unpack_from(content, at)
        at += CHUNK.size
        entry = (b"" if kind in (COMPLETE, FIRST) else entry) + content[at : at + length]
        at += length
        if kind in (COMPLETE, LAST):
            yield entry
