"""Fixtures that several tests share, and the marker of each test: the name of its folder."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Before torch and NumPy are imported: the networks here are so small that a second thread costs more than it computes.
# Numba's is needed, too: UMAP would otherwise set the threads of torch back to the number of cores.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import pytest
import yaml
from filelock import FileLock

from tests import fault_table
from tests.stage_server import StageServer

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"artifacts", "reports", "sweeps", "outputs", "wandb"}
SKIPPED = {".git", ".venv", ".venv-newest", ".venv-audit", ".tmp", "docs", "benchmarks"} | GENERATED

# what only a part that needs it may import: each takes half a second or more, or brings such a package
HEAVY = {
    *("captum", "fastai", "hdbscan", "matplotlib", "plotly", "sympy", "torch", "torch._dynamo", "torchvision"),
    *("stumpy", "tsai", "umap", "wandb", "zennit"),
}

MakeOnce = Callable[[str, Callable[[Path], object]], "Checkout"]

# what passed so far, of this session
noted: set[fault_table.Case] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-faults",
        action="store_true",
        help="add the cases of this run to docs/faults.md; delete it first to write it anew",
    )
    parser.addoption(
        "--study",
        type=Path,
        help="a folder that `python -m benchmarks.guards --make FOLDER` made, in place of a study made for this run",
    )


def folder_of(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each test with the folder below tests/ that it is in."""
    item.add_marker(getattr(pytest.mark, folder_of(item)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, after pytest-randomly has shuffled all.

    pytest-xdist gives the first half of the tests to the first of two workers: while it makes the study, the second one
    runs quick tests instead of waiting for the study.
    """
    items.sort(key=lambda item: folder_of(item) not in ("pipeline", "browser"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        noted.update(tuple(value) for name, value in report.user_properties if name == "fault")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write docs/faults.md, or say which cases it lacks."""
    if hasattr(session.config, "workerinput"):
        return  # pytest-xdist: the main process has the reports of all workers
    known = fault_table.rows(fault_table.DOCUMENT.read_text()) if fault_table.DOCUMENT.is_file() else set()
    if session.config.getoption("--write-faults"):
        fault_table.DOCUMENT.write_text(fault_table.document(noted | known))
    elif missing := sorted(noted - known):
        said = "".join(f"\n  {' | '.join(case)}" for case in missing)
        sys.stderr.write(f"\ndocs/faults.md lacks cases; python -m pytest --write-faults adds them:{said}\n")


@pytest.fixture
def fault(record_property: Callable[[str, object], None]) -> Callable[[str, str, str, str], None]:
    """Note a case of docs/faults.md once it is shown: area, what was done, where, what came of it."""
    return lambda *case: record_property("fault", case)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@dataclass(frozen=True)
class Checkout:
    """A copy of the project in a folder of its own, where a user's commands can be run."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """That of a user without W&B account, W&B variables and network."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "DVC_", "PYTHON", "PYTEST_"))}
        dead = "http://127.0.0.1:9"
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc" / "tmp" / "site"),
            "HOME": str(self.root / ".home"),
            "HTTP_PROXY": dead,
            "HTTPS_PROXY": dead,
        }

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as such a user would."""
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as started:
            try:
                said = started.communicate(timeout=1200)
            except BaseException:
                # what it started, too: it holds the pipes open
                os.killpg(started.pid, signal.SIGKILL)
                raise
        done = subprocess.CompletedProcess(command, started.returncode, *said)
        if ok:
            assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def copy(self, root: Path) -> "Checkout":
        """The same in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)

    def choose(self, **choices: object) -> None:
        """Edit params.yaml."""
        path = self.root / "params.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | choices))

    def set(self, option: str, **values: object) -> None:
        """Edit a file of conf/."""
        path = self.root / "conf" / f"{option}.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def make_checkout(root: Path) -> Checkout:
    """Copy the project; its study is a user's own small CSV, brought in by one YAML."""
    shutil.copytree(ROOT, root, ignore=lambda folder, names: SKIPPED & set(names) if Path(folder) == ROOT else set())
    for left in ("cache", "tmp"):
        shutil.rmtree(root / ".dvc" / left, ignore_errors=True)
    for lock in ("dvc.lock", "studies/dvc.lock"):
        (root / lock).unlink(missing_ok=True)
    (root / ".home").mkdir()
    write_own_csv(root / "data" / "pump.csv")
    (root / "conf" / "dataset" / "pump.yaml").write_text(
        (root / "conf" / "dataset" / "csv.yaml").read_text().replace("data/own.csv", "data/pump.csv")
    )
    checkout = Checkout(root)
    # enough to show every part of a study, and no more
    checkout.set("evaluation/standard", n_windows=3, n_stretches=4, randomise=[1.0], resamples=1)
    checkout.set("anomalies/detector", count=3)
    checkout.choose(dataset="pump", window="short", encoder="inception_time_small", train="quick", encoders=2)
    # `dvc exp run` wants a commit to start from
    for command in ("init", "config user.name test", "config user.email test@example.org", "add .", "commit -m start"):
        subprocess.run(["git", *command.split(" ")], cwd=root, check=True, capture_output=True)
    return checkout


def write_own_csv(path: Path) -> None:
    """Three regimes of a made-up pump, twice each, 20 Hz."""
    rng = np.random.default_rng(1)
    t = np.arange(2400) / 20
    regime = np.repeat([0, 1, 2, 0, 1, 2], 400)
    table = pd.DataFrame(
        {
            "time": t,
            "pressure": np.where(regime == 0, np.sin(2 * np.pi * 0.7 * t), 0.0),
            "flow": np.where(regime == 1, np.sign(np.sin(2 * np.pi * 1.5 * t)), 0.0),
            "current": np.where(regime == 2, np.sin(2 * np.pi * 4.0 * t), 0.0),
        }
    )
    table.iloc[:, 1:] += 0.1 * rng.normal(size=(len(table), 3))
    table.round(6).to_csv(path, index=False)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    """Make a checkout once for all workers of pytest-xdist; no test changes it."""
    # the base folder of a worker is its own, the parent is shared
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent

    def make(name: str, build: Callable[[Path], object]) -> Checkout:
        folder = base / f"made_{name}"
        with FileLock(f"{folder}.lock"):
            if not (folder / "complete").is_file():
                shutil.rmtree(folder, ignore_errors=True)
                build(folder / "project")
                (folder / "complete").touch()
        return Checkout(folder / "project")

    return make


@pytest.fixture(scope="session")
def fresh_study(made_once: MakeOnce, pytestconfig: pytest.Config) -> Checkout:
    """A checkout after its first `dvc repro`, made once for all workers; no test changes it."""
    if made := pytestconfig.getoption("--study"):
        return Checkout(made.resolve())
    return made_once("study", lambda root: make_checkout(root).run("dvc", "repro"))


@pytest.fixture(scope="session")
def study(fresh_study: Checkout, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Checkout:
    """This worker's copy of the study. Tests that change it restore it."""
    if pytestconfig.getoption("--study"):
        return fresh_study
    return fresh_study.copy(tmp_path_factory.mktemp("study") / "project")


@contextlib.contextmanager
def stage_server(checkout: Checkout) -> Iterator[StageServer]:
    """Runs single stages of a checkout, without W&B and DVC."""
    server = StageServer(checkout.root, checkout.environment | {"WANDB_MODE": "disabled"})
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def stages(study: Checkout) -> Iterator[StageServer]:
    """Runs single stages of the study. Tests that change files restore them."""
    with stage_server(study) as server:
        yield server
