"""Stages in forks of a process that has imported what they need: each costs a fraction of a second."""

import ctypes
import importlib
import json
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

IMPORTED = (
    "torch",
    "torch._dynamo",  # by torch's optimisers
    "hdbscan",
    "umap",
    "pyarrow.parquet",
    "matplotlib.figure",
    "plotly.graph_objects",
    "hydra",
    "tqdm",
    "clusterwhy.explanations.anomalies",
    "clusterwhy.explanations.clusters",
    "clusterwhy.encoders.inception_time",
    "clusterwhy.encoders.masks",
    "clusterwhy.encoders.storage",
    "clusterwhy.attribution.differences",
    "clusterwhy.propagation.explainer",
    "clusterwhy.report.page",
    "clusterwhy.tracking.run",
)


@dataclass(frozen=True)
class Ended:
    """What a stage left: exit status (negative: the signal that ended it), and what it said."""

    returncode: int
    said: str


class StageServer:
    """Runs stages of a checkout, one after the other; each attempt to reach a network fails.

    Args:
        within: a command that runs the server, which is told to it behind; the place is `root` from there.
        said: file for what stages say.
    """

    def __init__(
        self, root: Path, environment: dict[str, str], within: tuple[str, ...] = (), said: Path | None = None
    ) -> None:
        self.root = root
        self._said = said or root / "outputs" / "said.txt"
        self._said.parent.mkdir(exist_ok=True)
        command = (*within, sys.executable, "-m", "tests.stage_server")
        self._process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the server of stages did not start")

    def seen(self, path: Path) -> Path:
        """The path of a file as the server sees it, which may have file systems of its own."""
        return Path("/proc", str(self._process.pid), "root", path.relative_to("/"))

    def start(self, module: str, *overrides: str, **limits: Any) -> int:
        """Begin a stage; its process id.

        Args:
            limits: `fsize`, `memory`: most bytes of a file, and of memory on top of what it has; `free`: bytes of the
                disk that it is told are left; `rights=False`: as a user who has to obey the rights of files, though
                the tests be run by root.
        """
        order = {"module": module, "overrides": overrides, "said": str(self._said), **limits}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> Ended:
        """The end of the stage that was started last."""
        assert self._process.stdout is not None
        code = int(self._process.stdout.readline())
        return Ended(code, self._said.read_text(errors="replace"))

    def run(self, module: str, *overrides: str, **limits: Any) -> Ended:
        self.start(module, *overrides, **limits)
        return self.wait()

    def close(self) -> None:
        self._process.communicate(timeout=60)


def obey_rights() -> None:
    """Take from this process root's right to pass over the rights of files (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    for call in (libc.capget, libc.capset):
        if call(header, sets) != 0:
            raise OSError(ctypes.get_errno(), "rights cannot be dropped")
        for i in range(2):
            sets[i] &= ~0b110


def _no_network(event: str, args: tuple[Any, ...]) -> None:
    # addresses of sockets within this machine's files are plain text
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple)):
        raise RuntimeError(f"a stage asked for the network: {event} {args[1:]}")


def _limit(order: dict[str, Any]) -> None:
    if (size := order.get("fsize")) is not None:
        sys.dont_write_bytecode = True  # it would be cut off, and stay
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if (size := order.get("memory")) is not None:
        has = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (has + size, has + size))
    if (free := order.get("free")) is not None:
        # what a stage was told before another process took the room
        shutil.disk_usage = lambda path: type("Usage", (), {"free": free})
    if not order.get("rights", True):
        obey_rights()


def _become(order: dict[str, Any]) -> int:
    # a new file: workers of a stage that was killed may still write to the last one
    Path(order["said"]).unlink(missing_ok=True)
    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, said), (2, said)):
        os.dup2(source, target)
    sys.argv = [order["module"], *order["overrides"]]
    sys.addaudithook(_no_network)
    _limit(order)
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def main() -> None:
    """Answer orders on standard input: the process id when it begins, the exit status when it has ended."""
    warnings.simplefilter("ignore")
    importlib.import_module("pipeline")
    for module in IMPORTED:
        importlib.import_module(module)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _become(json.loads(line))
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
