"""Common code of all stages: configuration, checks, folders, provenance, W&B run."""

import contextlib
import functools
import importlib.metadata
import logging
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clusterwhy.artifacts.store import SCHEMA_VERSION, UNFINISHED, replace_folder, write_json
from clusterwhy.artifacts.undefined import REASONS, as_report
from clusterwhy.artifacts.validation import check_folder, check_links
from clusterwhy.compute.resources import as_expected, peak_memory
from clusterwhy.compute.threads import n_threads
from clusterwhy.config import build_settings
from clusterwhy.errors import ClusterWhyError
from clusterwhy.tracking.checksums import dvc_md5
from clusterwhy.tracking.names import Collection
from clusterwhy.tracking.run import track
from clusterwhy.tracking.tracker import Tracker
from pipeline._command_line import check_choices
from pipeline._config_guard import check_files
from pipeline._headlines import headline_figures
from pipeline._help import FLAGS, stage_help
from pipeline._labels import LAST, run_config, run_labels, study_name
from pipeline._parameters import (
    ROOT,
    check_overrides,
    declared,
    owned,
    register_params,
    register_recordings,
    register_studies,
)
from pipeline._paths import check_paths, clear, git_revision, linked_from, main_root, prune
from pipeline._resource_estimates import check_resources

VERSIONS = ("numpy", "torch", "tsai", "zennit", "umap-learn", "hdbscan", "scikit-learn")

log = logging.getLogger("clusterwhy")


@dataclass
class StageRun:
    """The context of a stage's main function.

    Attributes:
        place: subfolder of its artifacts and reports: the stage's name, in a study `studies/<study>/<stage>`, of a
            recording `applications/<recording>/<stage>`.
        settings: the stage's own groups as settings objects, and `seed`.
        config: the same as plain values.
        inputs: folder of the input artifacts, those of the last `dvc repro`.
        out: output folder of this run; it is renamed to `final` when everything is written.
        final: folder of the stage's artifacts; the same as `out` in a manual run.
        owners: names of the study and, of an application, of the recording.
        metrics: written by `finish` to a JSON file; one that has no value is an `Undefined`.
        sizes: axis name -> size, of the input artifacts, such as `window`.
        memory: bytes that the stage is estimated to take.
        figure_names: file name, without ending, of a picture -> its name in W&B, where that is another.
    """

    name: str
    place: str
    settings: dict[str, Any]
    config: dict[str, Any]
    inputs: Path
    out: Path
    final: Path
    tracker: Tracker
    owners: tuple[str, str]
    metrics: dict[str, Any] = field(default_factory=dict)
    used: list[Path] = field(default_factory=list)
    sizes: dict[str, Any] = field(default_factory=dict)
    memory: float = 0.0
    figure_names: dict[str, str] = field(default_factory=dict)

    @property
    def by_dvc(self) -> bool:
        """Whether this is the command of dvc.yaml, not a manual run."""
        return self.out != self.final

    def check_inputs(self) -> None:
        """Validate all input artifacts of the stage, by dvc.yaml, before any work.

        Raises:
            ArtifactError: lists missing and invalid artifacts.
        """
        for dep in declared(self.name)["deps"]:
            if dep.startswith("artifacts/"):
                folder = self.inputs / Path(dep).name
                check_links(folder, linked_from())
                check_folder(folder.name, folder, self.sizes)

    def take(self, stage: str) -> Path:
        """The artifact folder of an earlier stage, recorded as an input."""
        folder = self.inputs / stage
        self.used.append(folder)
        self.tracker.artifact(Collection.of(stage, self.owners[0]), folder, as_input=True)
        return folder

    def kept(self, name: str) -> Path | None:
        """A checkpoint file from which an interrupted run resumes; None in a manual run, which is never resumed.

        It lies beside the unfinished artifacts and is deleted when the stage has finished.
        """
        return self.out.with_name(f"{self.out.name}.{name}") if self.by_dvc else None

    def finish(self) -> None:
        """Write metrics and provenance, publish the artifacts, log them to W&B."""
        write_json(
            self.out / "provenance.json",
            {
                "schema_version": SCHEMA_VERSION,
                "stage": self.place,
                "config": self.config,
                "inputs_md5": {folder.name: dvc_md5(folder) for folder in self.used},
                "threads": n_threads(),
                "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
            },
        )
        report = as_report(self.metrics)
        for name, reason in report.get(REASONS, {}).items():
            log.warning("%s is undefined: %s", name, reason)
        if self.by_dvc:
            write_json(ROOT / "reports" / f"{self.place}.json", report)
            replace_folder(self.out, self.final)
        else:
            write_json(self.out / "metrics.json", report)
        self.tracker.summarise(report)
        if self.by_dvc and self.name in LAST:
            self.tracker.summarise(headline_figures((ROOT / "reports" / self.place).parent))
        for picture in sorted(self.final.glob("*.png")):
            self.tracker.figure(self.figure_names.get(picture.stem, picture.stem), picture)
        # the page and its figures are in the run itself
        if self.name != "report" or self.tracker.left_out:
            self.tracker.artifact(Collection.of(self.name, *self.owners, by_hand=not self.by_dvc), self.final)
        else:
            self.tracker.summarise({"dvc_md5": dvc_md5(self.final)})


def _execute(body: Callable[[StageRun], None], config: DictConfig) -> dict[str, Any]:
    hydra_config = HydraConfig.get()
    name = hydra_config.job.name
    check_overrides(name, list(hydra_config.overrides.task))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    own = {key: plain[key] for key in sorted(owned(name) | {"wandb", "workers"}) if key in plain}
    settings = build_settings(own)
    # tracking and workers do not affect the results
    own.pop("wandb")
    own.pop("workers")
    metadata = {"git_revision": git_revision(), "dvc_exp_name": os.environ.get("DVC_EXP_NAME", "")}
    choices: Any = hydra_config.runtime.choices
    place, entry = plain["place"], str(choices.get("study") or "")
    labels = run_labels(name, hydra_config, own, body)
    recorded = run_config(labels, choices, own, plain)
    start = time.monotonic()
    # atomic: an interrupted stage leaves nothing in its final folder
    out = Path(hydra_config.runtime.output_dir)
    final = ROOT / "artifacts" / place if choices.run == "stage" else out
    check_paths(name, place, None if final == out else out)
    by_dvc = final != out
    try:
        with track(settings["wandb"], main_root(), labels, recorded, metadata) as tracker:
            # those of the study itself; a recording has no other
            inputs = ROOT / "artifacts" / (f"studies/{entry}" if entry else "")
            owners = study_name(name, choices), str(choices.get("recording") or "")
            run = StageRun(name, place, settings, own, inputs, out, final, tracker, owners)
            out.mkdir(parents=True, exist_ok=True)
            if by_dvc:
                clear(out, (ROOT / "reports" / place).parent)
            run.check_inputs()
            run.memory, disk = check_resources(name, run.sizes, settings, inputs, out)
            body(run)
            run.finish()
            if by_dvc:
                for kept in out.parent.glob(f"{out.name}.*"):
                    kept.unlink(missing_ok=True)
    finally:
        # created by Hydra
        if by_dvc:
            shutil.rmtree(out, ignore_errors=True)
            prune(out.parent)
    peak = peak_memory() / 1e6
    log.info(
        "%s done in %.1f s (%d threads), peak memory %.0f MB (estimated before: %.0f MB, and %.3f MB of disk)",
        name,
        time.monotonic() - start,
        n_threads(),
        peak,
        run.memory / 1e6,
        disk / 1e6,
    )
    return run.metrics


def stage(body: Callable[[StageRun], None]) -> Callable[[], None]:
    """Turn a stage's main function into a command; expected errors end it with one message and exit code 1."""
    return _command(body, "config", register_params)


def study_stage(body: Callable[[StageRun], None]) -> Callable[[], None]:
    """The same for a stage of studies/dvc.yaml, whose command selects the study: `study=<name>`."""
    return _command(body, "study", register_studies)


def application_stage(body: Callable[[StageRun], None]) -> Callable[[], None]:
    """The same for the stage of applications/dvc.yaml, whose command may select a recording: `recording=<name>`."""
    return _command(body, "apply", register_recordings)


interrupted = threading.Event()


def _note_interrupt(number: int, frame: FrameType | None) -> None:
    interrupted.set()
    signal.default_int_handler(number, frame)


@contextlib.contextmanager
def _errors_reported() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Ctrl-C inside a library written in Rust or C++ can arrive as another error: pydantic's is a SchemaError
        if interrupted.is_set():
            raise KeyboardInterrupt from error
        _report(error)


def _report(error: Exception) -> NoReturn:
    """End with one message if the error is an expected one, else raise it again."""
    if not isinstance(error, ClusterWhyError | OSError | MemoryError | RuntimeError):
        raise error
    expected = as_expected(error)
    if expected is None:
        raise error
    sys.stderr.write(f"error: {expected}\n")
    # SystemExit, so that in a sweep a failing job does not silently end the process of the others
    raise SystemExit(1) from error


def _command(body: Callable[[StageRun], None], config_name: str, register: Callable[[], None]) -> Callable[[], None]:
    # fastai's import: not in the user's hands
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

    @functools.wraps(body)
    def task(config: DictConfig) -> dict[str, Any]:
        with _errors_reported():
            return _execute(body, config)

    decorated = hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name=config_name)(task)

    def command() -> None:
        if FLAGS & set(sys.argv[1:]):
            module = sys.modules[body.__module__]
            sys.stdout.write(stage_help(Path(str(module.__file__)).stem, str(module.__doc__)) + "\n")
            return
        # a process in the background of a shell ignores Ctrl-C, and continues to do so
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _note_interrupt)
        with _errors_reported():
            check_files()
            check_choices(sys.argv[1:])
            register()
            if "run=stage" in sys.argv:
                # Hydra creates the folders below without a clear error if it cannot
                (ROOT / "artifacts").mkdir(exist_ok=True)
                probe = ROOT / "artifacts" / f".probe{UNFINISHED}"
                probe.touch()
                probe.unlink()
        decorated()

    return command
