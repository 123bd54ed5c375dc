"""A process of its own that sends a W&B run to the server while it is recorded, so that it can be left behind.

Run as a script, it is that process; then nothing of this project is on Python's path.
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


class Sending:
    """`wandb sync` of a record that is still written.

    A stage's calls into wandb never wait for the network this way, and whatever the server does, the record stays
    whole on disk for a later `wandb sync`.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        # the service of this process must not be the one that waits for the network
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
            # Ctrl-C is for the stage, which ends the run and lets it be sent
            start_new_session=True,
        )

    def end(self, seconds: float) -> str:
        """Wait for the rest to be sent, then end the process; the reason if not all was sent, else an empty string."""
        try:
            said, _ = self._process.communicate(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return "the server did not take it in time"
        finally:
            self.stop()
        # its exit code is 0 also when the server refused everything, and it calls a run synced whose artifacts it lost
        synced = self._record.with_suffix(".wandb.synced")
        if not (faults := [*self._faults(said), *([] if synced.is_file() else ["wandb sync ended before its work"])]):
            return ""
        # a later `wandb sync` would leave it out
        synced.unlink(missing_ok=True)
        return faults[0][:200]

    def _faults(self, said: str) -> list[str]:
        found = []
        for path in sorted((self._record.parent / "logs").rglob("debug-sync.*.log")):
            for entry in map(json.loads, path.read_text().splitlines()):
                # requests are tried again: what counts is what was given up
                if entry["level"].startswith("ERROR") and not entry["msg"].startswith("api:"):
                    found.append(" ".join(str(entry[key]) for key in ("msg", "error") if key in entry))
        lines = [line.removeprefix("wandb: ").strip() for line in said.splitlines()]
        return found + [line for line in lines if "error" in line.lower()]

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                # wandb's own service has another group and ends when its parent does
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _leave_with(parent: int) -> None:
    # `--live` waits for the run's end for ever if the stage was killed
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def main() -> None:
    """Send the record named on the command line, as long as the process named there lives."""
    parent, record = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    from wandb.cli.cli import cli

    cli(["beta", "sync", "--live", record])


if __name__ == "__main__":
    main()
