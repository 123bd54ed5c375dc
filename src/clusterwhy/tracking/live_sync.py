"""Uploads a W&B run in a separate process while it is recorded, so that the stage never waits for the network.

This module is also the script of that process, which imports nothing else of this project.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

POLL_S = 0.5


class LiveSync:
    """A `wandb sync` of a record that is still being written.

    Calls into wandb thus never wait for the network, and whatever the server does, the record stays complete on disk
    for a later `wandb sync`.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        # the upload must not use the wandb service of this process
        environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(os.getpid()), str(record)],
            env=environment
            | {"WANDB_SILENT": "false", "WANDB_QUIET": "false", "WANDB_DIR": str(record.parent / "logs")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C goes to the stage only, which ends the run and waits for the upload
            start_new_session=True,
        )

    def end(self, seconds: float) -> str:
        """Wait for the upload, then end the process; the reason if it is incomplete, else an empty string."""
        try:
            output, _ = self._process.communicate(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return "the server did not respond in time"
        finally:
            self.stop()
        # it exits with 0 even if the server refused everything, and marks runs as synced whose artifacts were lost
        synced = self._record.with_suffix(".wandb.synced")
        if not (faults := [*self._faults(output), *([] if synced.is_file() else ["wandb sync ended early"])]):
            return ""
        # otherwise a later `wandb sync` would skip this run
        synced.unlink(missing_ok=True)
        return faults[0][:200]

    def _faults(self, output: str) -> list[str]:
        found = []
        for path in sorted((self._record.parent / "logs").rglob("debug-sync.*.log")):
            for entry in map(json.loads, path.read_text().splitlines()):
                # requests are retried; only errors after the last retry count
                if entry["level"].startswith("ERROR") and not entry["msg"].startswith("api:"):
                    found.append(" ".join(str(entry[key]) for key in ("msg", "error") if key in entry))
        lines = [line.removeprefix("wandb: ").strip() for line in output.splitlines()]
        return found + [line for line in lines if "error" in line.lower()]

    def stop(self) -> None:
        """Kill the process."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                # wandb's own service has another process group and ends with its parent
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _exit_with(parent: int) -> None:
    # `--live` would wait forever for the end of a run whose stage was killed
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def main() -> None:
    """Upload the record given on the command line while the parent process, given by its id, is alive."""
    parent, record = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()
    from wandb.cli.cli import cli

    cli(["beta", "sync", "--live", record])


if __name__ == "__main__":
    main()
