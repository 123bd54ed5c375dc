"""A W&B run on disk: calls into wandb that may take only so long, and whether what they wrote is whole."""

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

# of wandb's record, which is LevelDB's log: a header of the file, then blocks of chunks (checksum, length, kind)
HEADER, BLOCK = 7, 32768
CHUNK = struct.Struct("<IHB")
WHOLE, FIRST, LAST = 1, 2, 4


class BoundedCalls:
    """Runs calls one after another in a thread of its own, and waits for all of them together only so long.

    Attributes:
        left_s: seconds that may still be waited. A call that takes longer is left behind, in a thread that does not
            keep the process alive.
    """

    def __init__(self, seconds: float) -> None:
        self.left_s = float(seconds)
        self._todo: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="wandb calls", daemon=True).start()

    def __call__(self, call: Callable[[], Any]) -> Any:
        """What the call returns.

        Raises:
            TimeoutError: no time is left.
            Exception: what the call raised; RuntimeError where it wanted to end the process.
        """
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self.waiting():
            if self.left_s <= 0:
                raise TimeoutError("no time left")
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
        """Count what is done here as waited."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.left_s -= time.monotonic() - began

    def _work(self) -> None:
        while True:
            call, answer = self._todo.get()
            try:
                answer.put((call(), None))
            except Exception as error:
                answer.put((None, error))
            except BaseException as error:
                # `wandb.teardown` calls sys.exit when its service failed
                answer.put((None, RuntimeError(f"wandb wanted to end the process: {error!r}")))
            if self.left_s <= 0:
                # nobody waited: a service that this call started late must not be waited for at exit
                end_service()


@contextlib.contextmanager
def hooks_restored() -> Iterator[None]:
    """Undo what wandb does to `sys.exit` and `sys.excepthook`."""
    kept = sys.exit, sys.excepthook
    try:
        yield
    finally:
        sys.exit, sys.excepthook = kept


def end_service() -> None:
    """Kill wandb's service process if it is still there, so that wandb's exit hook has nothing to wait for.

    Reaches into wandb 0.31: it offers no way to stop a service that does not answer.
    """
    # no import: one that hangs in the other thread would be waited for
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


def make_folders(folders: Iterable[str]) -> None:
    """Make what wandb writes to; where it cannot write it takes the system's temporary folder, and talks on stderr.

    Raises:
        OSError: one of them cannot be made or written.
    """
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written")


def in_one_line(error: Exception) -> str:
    """What an error says, short enough for a warning."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_whole(path: Path) -> bool:
    """Whether a run's record is there and complete: numbered without a gap, up to the run's end.

    wandb reports neither a full disk nor a record that was deleted while it was written.
    """
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2
    try:
        found = [messages.Record.FromString(entry) for entry in _entries(path.read_bytes())]
    except Exception:
        # unreadable is not whole; protobuf has a class of its own for it
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
        entry = (b"" if kind in (WHOLE, FIRST) else entry) + content[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            yield entry
