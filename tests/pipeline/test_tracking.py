"""Whatever W&B does, a stage ends as it would without, after a bounded wait and one warning."""

import ctypes
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clusterwhy.tracking.bounded_calls import BoundedCalls, in_one_line, is_complete
from clusterwhy.tracking.checksums import dvc_md5
from tests.conftest import ROOT, Checkout
from tests.fake_wandb import KEY, FakeWandb, refused_port, serve

AREA = "Weights & Biases"
# of runs that do not wait for a server that fails
LONG_S = 60.0
# the bound is on hanging; this is for a machine that is busy with other things
MARGIN_S = 20.0
Note = Callable[[str, str, str, str], None]

# a small stage: reads, computes, writes, and may meet something on its way
STAGE = """
import json, logging, os, shutil, signal, sys
from pathlib import Path
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import RunLabels, WandbSettings, track

logging.basicConfig(format="%(levelname)s %(message)s")
root, mode, timeout_s = Path.cwd(), sys.argv[1], float(sys.argv[2])
settings = WandbSettings(mode=mode, project="p", entity=None, timeout_s=timeout_s)

def service():
    from wandb.sdk import wandb_setup
    return wandb_setup._singleton._connection._proc._process.pid

labels = RunLabels("score", "score-group", "group", ("tag",), "What it does.")
with track(settings, root, labels, {"seed": 1}, {"git_revision": "abc"}) as tracker:
    tracker.artifact(Collection.of("prepare", "study"), root / "input", as_input=True)
    for step in range(3):
        tracker.log({"step": step, "loss": 1.0 / (step + 1)})
    if mode != "disabled" or "MEANWHILE_ALWAYS" in os.environ:
        exec(os.environ.get("MEANWHILE", ""))
    (root / "output").mkdir()
    (root / "output" / "scores.bin").write_bytes(bytes(range(256)) * 40)
    tracker.summarise({"threshold": 3.5, "none": None})
    tracker.artifact(Collection.of("score", "study"), root / "output")
"""


@dataclass(frozen=True)
class Ending:
    """How a process ended: what it wrote is named by its MD5."""

    code: int
    said: str
    seconds: float
    written: dict[str, str]
    bound_s: float

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.said.splitlines() if "WARNING" in line]


def environment(home: Path | None, **variables: str) -> dict[str, str]:
    """What a user without an account, a proxy and DVC's variables has."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "DVC_", "PYTHON", "PYTEST_", "HOME"))}
    return kept | ({} if home is None else {"HOME": str(home)}) | variables


def end(command: list[str], folder: Path, written: Path, bound_s: float, **options: Any) -> Ending:
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as started:
        try:
            said, _ = started.communicate(timeout=300)
        except BaseException:
            started.kill()
            raise
    seconds = time.monotonic() - began
    files = {
        path.relative_to(written).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(written.rglob("*"))
        if path.is_file() and ".hydra" not in path.parts and path.suffix != ".log"
    }
    return Ending(started.returncode, said, seconds, files, bound_s)


def left_behind(root: Path) -> list[str]:
    """Processes that were started for this folder's runs and are still there after a moment."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"={root}/wandb/config".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                # ended meanwhile, or another user's
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@dataclass(frozen=True)
class Small:
    """The small stage in a folder of its own; without another limit, W&B has `bound_s`."""

    root: Path
    bound_s: float

    def run(
        self, mode: str, *, meanwhile: str = "", bound_s: float | None = None, home: bool = True, **options: Any
    ) -> Ending:
        bound_s = bound_s or self.bound_s
        shutil.rmtree(self.root / "output", ignore_errors=True)
        variables = {"PYTHONPATH": str(ROOT / "src"), "MEANWHILE": meanwhile, **options.pop("variables", {})}
        command = [sys.executable, "-c", STAGE, mode, str(bound_s)]
        env = environment(self.root if home else None, **variables)
        return end(command, self.root, self.root / "output", bound_s, env=env, **options)

    @property
    def records(self) -> list[Path]:
        return sorted((self.root / "wandb").glob("offline-run-*"))


def small_in(root: Path, bound_s: float) -> Small:
    (root / "input").mkdir()
    (root / "input" / "windows.bin").write_bytes(b"windows" * 3000)
    return Small(root, bound_s)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    """The small stage without tracking."""
    found = small_in(tmp_path_factory.mktemp("plain"), LONG_S).run("disabled")
    assert (found.code, found.said, len(found.written)) == (0, "", 1)
    return found


@pytest.fixture(scope="module")
def bound_s(tmp_path_factory: pytest.TempPathFactory, plain: Ending) -> float:
    """The limit where a server fails: three times what W&B needs with a good one, on this machine as busy as it is.

    Servers that hang never answer, so a stage that waited for them would take longer than any limit.
    """
    with serve(FakeWandb()) as server:
        found = small_in(tmp_path_factory.mktemp("healthy"), LONG_S).run("online", variables=at(server.url))
    same(found, plain, warnings=0)
    return max(8.0, 3.0 * (found.seconds - plain.seconds))


@pytest.fixture
def small(tmp_path: Path, bound_s: float) -> Iterator[Small]:
    yield small_in(tmp_path, bound_s)
    assert left_behind(tmp_path) == []


def same(found: Ending, plain: Ending, *, warnings: int = 1) -> None:
    """The stage ended as without tracking, in time, after so many warnings and not a word more."""
    assert (found.code, found.written) == (plain.code, plain.written), found.said
    assert len(found.warnings) == warnings, found.said
    # nothing of wandb's own beside it
    assert plain.said or found.said.splitlines() == found.warnings
    assert found.seconds - plain.seconds <= found.bound_s + MARGIN_S


def inspect(record: Path) -> list[dict[str, Any]]:
    """A record as wandb's own reader has it."""
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(record)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(record))
    return [json.loads(line) for line in said.stdout.splitlines()]


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in records if record["type"] == kind]


def at(url: str, key: str | None = KEY) -> dict[str, str]:
    return {"WANDB_BASE_URL": url} | ({} if key is None else {"WANDB_API_KEY": key})


def sent_later(small: Small, record: Path, plain: Ending) -> None:
    """`wandb sync` brings all of a record to a server that is well."""
    folders = {f"WANDB_{what.upper()}_DIR": str(small.root / "wandb" / what) for what in ("data", "cache", "config")}
    with serve(FakeWandb()) as well:
        command = [str(Path(sys.executable).parent / "wandb"), "sync", str(record)]
        env = environment(small.root, **folders, **at(well.url))
        done = subprocess.run(command, cwd=small.root, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    arrived_whole(well, plain)


def arrived_whole(server: FakeWandb, plain: Ending) -> None:
    (run,) = server.runs.values()
    assert (run["jobType"], run["groupName"], run["tags"], run["finished"]) == ("score", "group", ["tag"], True)
    config = json.loads(run["config"])
    assert (config["seed"]["value"], config["git_revision"]["value"]) == (1, "abc")
    (rows,) = server.history.values()
    assert [row["loss"] for row in rows if "loss" in row] == [1.0, 0.5, 1 / 3]
    (summary,) = server.summary.values()
    assert summary["threshold"] == 3.5 and "none" not in summary
    artifacts = {artifact["name"]: artifact for artifact in server.artifacts.values()}
    assert set(artifacts) == {"study-dataset", "study-scores"}
    assert all(artifact["state"] == "COMMITTED" for artifact in artifacts.values())
    (digest,) = plain.written.values()
    listing = json.dumps([{"md5": digest, "relpath": "scores.bin"}], sort_keys=True)
    assert artifacts["study-scores"]["metadata"]["dvc_md5"] == hashlib.md5(listing.encode()).hexdigest() + ".dir"
    assert artifacts["study-scores"]["metadata"]["git_revision"] == "abc"
    assert f"/blob/{digest}" in server.uploads
    assert [name for _, name in server.used] == ["study-dataset"]


def test_an_online_run_arrives_with_its_figures_artifacts_and_lineage(small: Small, plain: Ending, fault: Note) -> None:
    with serve(FakeWandb()) as server:
        same(small.run("online", variables=at(server.url), bound_s=LONG_S), plain, warnings=0)
    arrived_whole(server, plain)
    fault(
        AREA,
        "no fault, online",
        "`track`",
        "config, curve, figures, artifacts with DVC's MD5 and lineage arrive; no warning",
    )


def test_an_offline_run_can_be_read_with_wandbs_own_reader(small: Small, plain: Ending, fault: Note) -> None:
    same(small.run("offline", bound_s=LONG_S), plain, warnings=0)
    (record,) = small.records
    found = inspect(record)
    (run,) = of_kind(found, "run")
    assert (run["job_type"], run["run_group"]) == ("score", "group")
    rows = [item["item"] for item in of_kind(found, "history")]
    assert [row["loss"] for row in rows] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert {"threshold": 3.5} in [summary["update"] for summary in of_kind(found, "summary")]
    artifacts = {artifact["name"]: artifact for artifact in of_kind(found, "artifact")}
    assert json.loads(artifacts["study-scores"]["metadata"])["dvc_md5"] == dvc_md5(small.root / "output")
    assert artifacts["study-dataset"]["use_after_commit"] and not artifacts["study-scores"].get("use_after_commit")
    assert of_kind(found, "exit")[0].get("exit_code", 0) == 0
    fault(
        AREA,
        "no fault, offline",
        "`track`",
        "wandb's own reader finds config, curve, figures and artifacts; no warning",
    )


SLOW = {
    "every answer takes 0.1 s": FakeWandb("slow", delay_s=0.1),
    "error 500 once": FakeWandb("status", 500, n_faults=1),
    "the connection is cut once": FakeWandb("close", first=4, n_faults=1),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_or_briefly_failing_server_receives_everything(
    small: Small, plain: Ending, fault: Note, name: str
) -> None:
    with serve(SLOW[name]) as server:
        same(small.run("online", variables=at(server.url), bound_s=LONG_S), plain, warnings=0)
    arrived_whole(server, plain)
    fault(AREA, name, "`track`", "everything arrives within the bound; no warning")


SICK = {
    "wrong key (401)": FakeWandb("status", 401),
    "too many requests (429)": FakeWandb("status", 429),
    "error 500": FakeWandb("status", 500),
    "garbage responses": FakeWandb("garbage"),
    "accepts and never answers": FakeWandb("hang"),
}
# some of the run has arrived when the fault begins
SICK_LATER = {
    "dies midway": FakeWandb("close", first=5),
    "hangs at the end": FakeWandb("hang", only="file_stream"),
    "refuses the artifacts' bytes (403)": FakeWandb("status", 403, only="blob"),
    "garbage from the fourth request on": FakeWandb("garbage", first=3),
}


@pytest.mark.parametrize("name", [*SICK, *SICK_LATER])
def test_a_failing_server_costs_at_most_the_time_limit_and_one_warning(
    small: Small, plain: Ending, fault: Note, name: str
) -> None:
    with serve((SICK | SICK_LATER)[name]) as server:
        found = small.run("online", variables=at(server.url))
    same(found, plain)
    assert server.n_requests > 0 and len(server.runs) == (name in SICK_LATER)
    (record,) = small.records
    assert "recorded offline" in found.warnings[0] and f"wandb sync {record}" in found.warnings[0]
    assert is_complete(next(record.glob("*.wandb")))
    outcome = "same files and exit code, bounded, one warning; recorded for `wandb sync`"
    if name in SICK_LATER:
        sent_later(small, record, plain)
        outcome += ", which then sends all of it"
    fault(AREA, name, "`track`", outcome)


@pytest.mark.parametrize("name", ["unknown host", "refused port", "no key", "an invalid key"])
def test_without_a_server_or_a_key_the_run_is_recorded_offline(
    small: Small, plain: Ending, fault: Note, name: str
) -> None:
    url = "http://no-such-host.invalid" if name == "unknown host" else refused_port()
    found = small.run("online", variables=at(url, {"no key": None, "an invalid key": "short"}.get(name, KEY)))
    same(found, plain)
    (record,) = small.records
    assert "recorded offline" in found.warnings[0] and f"wandb sync {record}" in found.warnings[0]
    assert of_kind(inspect(record), "exit")
    fault(AREA, name, "`track`", "same files and exit code, bounded, one warning; recorded for `wandb sync`")


NO_RECORD = {
    "`wandb/` is a file": "is not tracked",
    "`wandb/` cannot be written": "is not tracked",
    "`WANDB_BASE_URL` is not an address": "is not tracked",
    "`WANDB_SERVICE` is garbage": "is not tracked",
    "`WANDB_CACHE_DIR` cannot be made": "is not tracked",
}


def without_rights() -> None:
    """Take from root what lets it write everywhere (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    for capability in (1, 2):
        LIBC.prctl(24, capability, 0, 0, 0)


LIBC = ctypes.CDLL(None)


@pytest.mark.parametrize("name", NO_RECORD)
@pytest.mark.parametrize("mode", ["offline", "online"])
def test_where_nothing_can_be_recorded_the_stage_runs_untracked(
    small: Small, plain: Ending, fault: Note, name: str, mode: str
) -> None:
    variables, options = at(refused_port()), {}
    if name == "`wandb/` is a file":
        (small.root / "wandb").touch()
    elif name == "`wandb/` cannot be written":
        (small.root / "wandb").mkdir(mode=0o555)
        options["preexec_fn"] = without_rights
    else:
        variable = name.split("`")[1]
        values = {"WANDB_BASE_URL": "nowhere", "WANDB_SERVICE": "nothing", "WANDB_CACHE_DIR": "/dev/null/cache"}
        variables |= {variable: values[variable]}
    found = small.run(mode, variables=variables, **options)
    same(found, plain)
    assert NO_RECORD[name] in found.warnings[0] and not list(small.root.rglob("*.wandb"))
    fault(AREA, f"{name}, {mode}", "`track`", "same files and exit code, one warning; untracked")


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_a_full_disk_affects_only_the_record(small: Small, plain: Ending, fault: Note, mode: str) -> None:
    limit = 60_000
    rows = "for step in range(400): tracker.log({'loss': 1.0, 'pad': 'x' * 500})"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    found = small.run(mode, meanwhile=rows, variables=at(refused_port()), preexec_fn=full)
    same(found, plain)
    (record,) = small.records
    assert "is incomplete" in found.warnings[0] and str(record) in found.warnings[0]
    assert max(path.stat().st_size for path in (small.root / "wandb").rglob("*") if path.is_file()) == limit
    fault(AREA, f"full disk, {mode}", "`track`", "same files and exit code, one warning: the record is incomplete")


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_deleting_the_folder_during_the_run_affects_only_the_record(
    small: Small, plain: Ending, fault: Note, mode: str
) -> None:
    bound_s = LONG_S if mode == "offline" else None  # nobody waits for a server
    away = at(refused_port())
    found = small.run(mode, meanwhile="shutil.rmtree(root / 'wandb')", variables=away, bound_s=bound_s)
    same(found, plain)
    assert "is incomplete" in found.warnings[0] and not small.records
    fault(AREA, f"`wandb/` deleted during the run, {mode}", "`track`", "same files and exit code, one warning")


@pytest.mark.parametrize(
    ("name", "signal"), [("stops answering", "SIGSTOP"), ("is killed", "SIGKILL")], ids=["stopped", "killed"]
)
def test_wandbs_own_service_can_hang_or_die(small: Small, plain: Ending, fault: Note, name: str, signal: str) -> None:
    found = small.run("offline", meanwhile=f"os.kill(service(), signal.{signal})")
    same(found, plain)
    assert "is incomplete" in found.warnings[0]
    fault(AREA, f"wandb's service {name}", "`track`", "same files and exit code, bounded, one warning; no process left")


@pytest.mark.parametrize("signal", ["SIGSTOP", "SIGKILL"])
def test_imports_of_the_stage_do_not_need_wandbs_service(small: Small, plain: Ending, fault: Note, signal: str) -> None:
    # wandb would report imports of such packages to its service, from within the import
    meanwhile = f"os.kill(service(), signal.{signal}); import sklearn"
    same(small.run("offline", meanwhile=meanwhile), plain)
    fault(AREA, f"a package is imported after {signal} of wandb's service", "`track`", "same files and exit code")


def test_a_missing_home_changes_nothing(small: Small, plain: Ending, fault: Note) -> None:
    same(small.run("offline", home=False, bound_s=LONG_S), plain, warnings=0)
    assert of_kind(inspect(small.records[0]), "exit")
    fault(AREA, "no `HOME`, offline", "`track`", "the run is recorded; no warning")
    with serve(FakeWandb()) as server:
        same(small.run("online", home=False, variables=at(server.url), bound_s=LONG_S), plain, warnings=0)
    arrived_whole(server, plain)


@pytest.mark.parametrize(
    ("name", "raised"),
    [("an error", "ValueError('the stage')"), ("Ctrl-C", "KeyboardInterrupt()")],
    ids=["error", "ctrl-c"],
)
def test_errors_of_the_stage_pass_through(small: Small, fault: Note, name: str, raised: str) -> None:
    always = {"MEANWHILE_ALWAYS": "1"}
    plain = small.run("disabled", meanwhile=f"raise {raised}", variables=always)
    with serve(FakeWandb("hang", only="file_stream")) as server:
        found = small.run("online", meanwhile=f"raise {raised}", variables=always | at(server.url))
    same(found, plain)
    assert found.code != 0 and found.said.splitlines()[-1] == plain.said.splitlines()[-1]
    assert raised.partition("(")[0] in plain.said.splitlines()[-1]
    (record,) = small.records
    assert of_kind(inspect(record), "exit")[0]["exit_code"] == 1
    fault(
        AREA,
        f"{name} of the stage while the server hangs",
        "`track`",
        "the same error and exit code, bounded; recorded as failed",
    )


def test_a_killed_stage_leaves_no_upload_process(small: Small, fault: Note) -> None:
    # killed when the sender has said all that it says: one that still talks notices by itself that nobody listens
    killed = """
import time
while not list(root.glob("wandb/*/*.syncstate")):
    time.sleep(0.1)
time.sleep(2.0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with serve(FakeWandb("hang")) as server:
        found = small.run("online", meanwhile=killed, variables=at(server.url))
        assert found.code == -9
        assert left_behind(small.root) == []
    fault(AREA, "the stage is killed while the server hangs", "`track`", "no process is left")


def test_calls_share_one_time_limit_and_never_exit_the_process() -> None:
    calls, release = BoundedCalls(0.2), threading.Event()
    assert calls(lambda: 3) == 3
    with pytest.raises(LookupError, match="of the call"):
        calls(lambda: {}["of the call"])
    with pytest.raises(RuntimeError, match="SystemExit"):
        calls(lambda: sys.exit(4))
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="in time"):
        calls(release.wait)
    with pytest.raises(TimeoutError, match="time limit exceeded"):
        calls(release.wait)
    assert time.monotonic() - began < MARGIN_S
    release.set()
    assert in_one_line(ValueError("two\n  lines")) == "two lines" and in_one_line(ValueError()) == "ValueError"


def test_only_a_gapless_record_with_an_end_is_complete(small: Small, plain: Ending) -> None:
    # longer than a block of the file
    rows = "for step in range(200): tracker.log({'loss': 1.0, 'pad': 'x' * 300})"
    same(small.run("offline", meanwhile=rows, bound_s=LONG_S), plain, warnings=0)
    (file,) = small.records[0].glob("*.wandb")
    content = file.read_bytes()
    assert len(content) > 2 * 32768 and is_complete(file)
    cut = small.root / "cut.wandb"
    assert not is_complete(cut)
    for length in (0, 7, 100, 32768, 40000, len(content) - 1):
        cut.write_bytes(content[:length])
        assert not is_complete(cut), length
    # the second block is missing, the end is there
    cut.write_bytes(content[:32768] + content[65536:])
    assert not is_complete(cut)


@dataclass(frozen=True)
class Scored:
    """The stage `score` of a study, run by hand."""

    study: Checkout
    bound_s: float

    def run(self, mode: str, name: str, variables: Mapping[str, str], **options: Any) -> Ending:
        out = self.study.root / "outputs" / "tracking" / name
        shutil.rmtree(out, ignore_errors=True)
        # the first that needs no torch
        overrides = ["detector=pca_error", f"wandb.timeout_s={self.bound_s}", f"hydra.run.dir={out}"]
        command = [sys.executable, "-m", "pipeline.score", *overrides]
        env = environment(self.study.root / ".home", WANDB_MODE=mode, **variables)
        return end(command, self.study.root, out, self.bound_s, env=env, **options)


@pytest.fixture
def score(study: Checkout, bound_s: float) -> Iterator[Scored]:
    """The study, with a folder `wandb/` of its own for the test."""
    wandb, away = study.root / "wandb", study.root / "wandb_of_the_study"
    os.replace(wandb, away)
    yield Scored(study, 2.0 * bound_s)
    wandb.unlink() if wandb.is_file() else shutil.rmtree(wandb, ignore_errors=True)
    os.replace(away, wandb)
    assert left_behind(study.root) == []


@pytest.fixture(scope="module")
def scored(study: Checkout) -> Ending:
    """The stage without tracking."""
    found = Scored(study, LONG_S).run("disabled", "plain", {})
    assert found.code == 0 and not found.warnings and "scores.parquet" in found.written
    return found


@pytest.mark.parametrize("name", ["refused port", "error 500", "wrong key (401)"])
def test_a_stage_of_a_study_ends_the_same_when_the_server_fails(
    score: Scored, scored: Ending, fault: Note, name: str
) -> None:
    sick = {
        "error 500": FakeWandb("status", 500),
        "wrong key (401)": FakeWandb("status", 401),
    }.get(name, FakeWandb())
    with serve(sick) as server:
        found = score.run("online", "faulty", at(refused_port() if name == "refused port" else server.url))
    same(found, scored)
    (record,) = (score.study.root / "wandb").glob("offline-run-*")
    artifacts = of_kind(inspect(record), "artifact")
    assert {artifact["name"]: artifact["type"] for artifact in artifacts} == {
        "pump-dataset": "dataset",
        "pump-encoder": "model",
        "pump-embeddings": "embeddings",
        "pump-projection": "projection",
        "pump-clusters": "clusters",
        "pump-scores-adhoc": "scores",
    }
    fault(AREA, name, "`score`", "same files and exit code, bounded, one warning; recorded with all artifacts")


@pytest.mark.parametrize("name", ["`wandb/` is a file", "`wandb/` cannot be written", "full disk", "no `HOME`"])
def test_a_stage_of_a_study_ends_the_same_when_nothing_can_be_written(
    score: Scored, scored: Ending, fault: Note, name: str
) -> None:
    wandb, options, variables = score.study.root / "wandb", {}, {}
    largest = max(
        path.stat().st_size for path in (score.study.root / "outputs/tracking/plain").rglob("*") if path.is_file()
    )

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    if name == "`wandb/` is a file":
        wandb.touch()
    elif name == "`wandb/` cannot be written":
        wandb.mkdir(mode=0o555)
        options["preexec_fn"] = without_rights
    elif name == "full disk":
        options["preexec_fn"] = full
    same(score.run("offline", "faulty", variables, **options), scored, warnings=int(name != "no `HOME`"))
    fault(AREA, name, "`score`", "same files and exit code, one warning at most")


def test_an_unknown_mode_is_an_error_of_the_configuration(score: Scored, fault: Note) -> None:
    found = score.run("onlin", "faulty", {})
    assert found.code == 1 and "wandb.mode" in found.said and "Traceback" not in found.said
    fault(AREA, "`WANDB_MODE` is garbage", "`score`", "exit code 1, one error that names `wandb.mode`")
