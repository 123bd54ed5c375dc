"""What does W&B being away cost?

A small run (a curve, figures, an artifact in and one out) in a process of its own, against a stand-in of the server
on this machine that can go wrong, with the time limit that conf/wandb/default.yaml ships. Six minutes:

    python -m benchmarks.tracking_faults
    python -m benchmarks.tracking_faults --quick    # without a fault; writes nothing
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import ROOT, Result, record, shown
from clusterwhy.tracking.bounded_calls import is_complete
from tests.fake_wandb import KEY, FakeWandb, refused_port, serve

RUN = """
import logging, os, signal, sys
from pathlib import Path
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, WandbSettings, track

logging.basicConfig(format="%(levelname)s %(message)s")
settings = WandbSettings(mode=sys.argv[1], project="p", entity=None, timeout_s=float(sys.argv[2]))
folder = Path("windows")
folder.mkdir()
(folder / "windows.bin").write_bytes(b"windows" * 3000)
with track(settings, Path.cwd(), RunLabels("score", "score-group", "group"), {}, {}) as tracker:
    tracker.artifact(Collection.of("prepare", "study"), folder, as_input=True)
    for step in range(10):
        tracker.log({"loss": 1.0 / (step + 1)})
    if sys.argv[3]:
        from wandb.sdk import wandb_setup
        os.kill(wandb_setup._singleton._connection._proc._process.pid, getattr(signal, sys.argv[3]))
    tracker.summarise({"threshold": 3.5})
    tracker.artifact(Collection.of("score", "study"), folder)
"""


@dataclass(frozen=True)
class Case:
    """What is wrong; the server is built anew for each run."""

    name: str
    mode: str = "online"
    server: Callable[[], FakeWandb] | None = FakeWandb
    url: str = ""
    key: str = KEY
    signal: str = ""


CASES = [
    Case("tracking disabled", "disabled", None),
    Case("offline", "offline", None),
    Case("online, all well"),
    Case("every answer takes 0.3 s", server=lambda: FakeWandb("slow")),
    Case("no key", key=""),
    Case("wrong key (401)", server=lambda: FakeWandb("status", 401)),
    Case("garbage for an answer", server=lambda: FakeWandb("garbage")),
    Case("unknown host", server=None, url="http://no-such-host.invalid"),
    Case("refused port", server=None),
    Case("accepts and never answers", server=lambda: FakeWandb("hang")),
    Case("too many requests (429)", server=lambda: FakeWandb("status", 429)),
    Case("error 500", server=lambda: FakeWandb("status", 500)),
    Case("dies in the middle", server=lambda: FakeWandb("close", first=5)),
    Case("hangs at the end", server=lambda: FakeWandb("hang", only="file_stream")),
    Case("W&B's own service hangs", "offline", None, signal="SIGSTOP"),
]


def timeout_s() -> float:
    """The limit that is shipped."""
    return float(yaml.safe_load((ROOT / "conf" / "wandb" / "default.yaml").read_text())["timeout_s"])


def measure(case: Case) -> dict[str, object]:
    """Run once, in a new process and folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    nothing: AbstractContextManager[FakeWandb | None] = nullcontext()
    with tempfile.TemporaryDirectory() as folder, serve(case.server()) if case.server else nothing as server:
        environment = kept | {
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": folder,
            "WANDB_BASE_URL": server.url if server else case.url or refused_port(),
        }
        environment |= {"WANDB_API_KEY": case.key} if case.key else {}
        command = [sys.executable, "-c", RUN, case.mode, str(timeout_s()), case.signal]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        sent = bool(server and any(run.get("finished") for run in server.runs.values()))
        whole = any(is_complete(path) for path in Path(folder).glob("wandb/offline-run-*/*.wandb"))
    return {
        "what is wrong": case.name,
        "exit code": done.returncode,
        "all (s)": seconds,
        "warnings": (done.stdout + done.stderr).count("WARNING"),
        "sent": "yes" if sent else "no",
        "whole on disk": "yes" if whole else "no",
    }


def section(result: Result) -> str:
    """Each fault, in Markdown."""
    limit = result.setup["timeout_s"]
    return f"""
A small run in a process of its own; *added* is the time beyond the same run with tracking disabled, the start of
W&B's own process included. `wandb.timeout_s` is {limit:.0f}, as shipped: no fault adds more than that and the moment
it takes to end processes, the exit code stays 0, and what was not sent is kept for `wandb sync`. Only a W&B process
of this machine that hangs takes what was recorded with it, since that process writes the record.

{shown(result.table("faults"), 1)}
"""


def figure(result: Result, figure: Figure) -> None:
    """What each fault adds."""
    figure.set_size_inches(8, 4)
    axes = figure.subplots()
    bars(axes, result.table("faults"), "what is wrong", {"added (s)": "added by tracking"})
    axes.axvline(result.setup["timeout_s"], color="black", linewidth=1, linestyle="--")
    axes.set_xlabel("seconds (dashed: `wandb.timeout_s`)")


def main() -> None:
    """Measure each fault once, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without a fault; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    # Python's and wandb's files are in the cache after this
    measure(CASES[2])
    table = pd.DataFrame([measure(case) for case in tqdm(CASES[:3] if quick else CASES, unit="case")])
    table.insert(3, "added (s)", table["all (s)"] - table["all (s)"].iloc[0])
    if quick:
        print(shown(table, 1))
        return
    record("tracking_faults", "", began, {"timeout_s": timeout_s(), "runs of each": 1}, {"faults": table}, table)


if __name__ == "__main__":
    main()
