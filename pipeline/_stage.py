"""What all stages share: configuration, checked overrides, folders, provenance, one W&B run."""

import functools
import hashlib
import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clusterwhy.artifacts import SCHEMA_VERSION, write_json
from clusterwhy.config import build_settings
from clusterwhy.errors import ClusterWhyError, ConfigError
from clusterwhy.tracking import Tracker, dvc_md5, track

ROOT = Path(__file__).resolve().parents[1]
# not tracked by DVC: they change where a run writes or what a run by hand compares, never a stage
UNTRACKED = {"run", "sweep", "wandb", "workers", "hydra", "preset"}
VERSIONS = ("numpy", "torch", "tsai", "zennit", "umap-learn", "hdbscan", "scikit-learn")

log = logging.getLogger("clusterwhy")


@dataclass
class StageRun:
    """What a stage's main function works with.

    Attributes:
        place: where its artifacts and reports are: the stage's name, in a study `studies/<study>/<stage>`.
        settings: the stage's own groups as settings objects, and `seed`.
        config: the same as plain values.
        inputs: artifacts of the last `dvc repro`, of the study where it is one.
        out: where this run writes; a stage's folder gets its final name when all is written.
        final: the stage's artifacts, or the same as `out` when run by hand.
        metrics: figures that `finish` writes beside the artifacts.
    """

    name: str
    place: str
    settings: dict[str, Any]
    config: dict[str, Any]
    inputs: Path
    out: Path
    final: Path
    tracker: Tracker
    metrics: dict[str, Any] = field(default_factory=dict)
    used: list[Path] = field(default_factory=list)

    def take(self, stage: str) -> Path:
        """The folder of an earlier stage, noted as an input."""
        folder = self.inputs / stage
        self.used.append(folder)
        self.tracker.artifact(f"{Path(self.place).parent / stage}", folder, as_input=True)
        return folder

    def finish(self) -> None:
        """Write metrics and provenance, log everything."""
        write_json(
            self.out / "provenance.json",
            {
                "schema_version": SCHEMA_VERSION,
                "stage": self.place,
                "config": self.config,
                "inputs_md5": {folder.name: dvc_md5(folder) for folder in self.used},
                "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
            },
        )
        if self.out == self.final:
            write_json(self.out / "metrics.json", self.metrics)
        else:
            write_json(ROOT / "reports" / f"{self.place}.json", self.metrics)
            shutil.rmtree(self.final, ignore_errors=True)
            os.replace(self.out, self.final)
        self.tracker.summarise(flat(self.metrics))
        for picture in sorted(self.final.glob("*.png")):
            self.tracker.figure(picture.stem, picture)
        # a run by hand is no newer version of the study's artifact
        self.tracker.artifact(self.place if self.out != self.final else f"{self.place}-adhoc", self.final)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested metrics with dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def groups() -> set[str]:
    """The folders of conf/."""
    return {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}


def declared(stage: str) -> dict[str, Any]:
    """What dvc.yaml says of a stage, or studies/dvc.yaml of a stage of each study."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    of_studies = yaml.safe_load((ROOT / "studies" / "dvc.yaml").read_text())["stages"]
    found: dict[str, Any] = stages[stage] if stage in stages else of_studies[stage]["do"]
    return found


def owned(stage: str) -> set[str]:
    """The parameters that dvc.yaml says a stage depends on."""
    names: list[str] = []
    for entry in declared(stage).get("params", []):
        for file, keys in entry.items() if isinstance(entry, dict) else [("", [entry])]:
            names += [Path(file).parts[1]] if keys is None else [key.split(".")[-1] for key in keys]
    return set(names)


def check_overrides(stage: str, overrides: list[str]) -> None:
    """Refuse overrides that would change nothing.

    Raises:
        ConfigError: an override names a parameter of another stage.
    """
    mine = owned(stage) | ({"study"} if "${key}" in declared(stage)["cmd"] else set())
    faults = [
        f"`{override}` is no parameter of the stage `{stage}` (it has {', '.join(sorted(mine))}), so it would change "
        "nothing here; use `dvc exp run -S ...`"
        for override in overrides
        if override.lstrip("+~").split("=")[0].split(".")[0].split("@")[0].split("/")[0] not in mine | UNTRACKED
    ]
    if faults:
        raise ConfigError("command line", faults)


def register_params() -> None:
    """Make params.yaml part of Hydra's defaults list: keys named like a group choose its option."""
    # OmegaConf, since PyYAML reads 1e-6 as a string
    params: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    chosen = [key for key in params if key in groups()]
    defaults = [{key: params.pop(key)} for key in chosen]
    node = {"defaults": [*defaults, "_self_"], "place": "${hydra:job.name}", **params}
    ConfigStore.instance().store("params", node)


def register_studies() -> None:
    """Make each study of studies/params.yaml an option of Hydra's group `study`."""
    studies: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "studies" / "params.yaml"))
    for study, choices in studies["studies"].items():
        defaults = [{f"/{key}": option} for key, option in choices.items() if key in groups()]
        values = {key: value for key, value in choices.items() if key not in groups()}
        node = {"defaults": [*defaults, "_self_"], "place": f"studies/{study}/${{hydra:job.name}}", **values}
        ConfigStore.instance().store(study, node, group="study", package="_global_")


def git_revision() -> str:
    """Short revision of the checkout, "none" outside git."""
    answer = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "none"


def run_group(study: str) -> str:
    """One name for all runs of one repro: the experiment's, else revision and parameters; a study's name before it."""
    if name := os.environ.get("DVC_EXP_NAME"):
        return name
    digest = hashlib.md5((ROOT / ("studies" if study else "") / "params.yaml").read_bytes())
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        digest.update(path.read_bytes())
    return f"{study}-" * bool(study) + f"{git_revision()}-{digest.hexdigest()[:6]}"


def main_root() -> Path:
    """The repository that a temporary experiment folder of DVC belongs to, else this one."""
    folders = [folder for folder in ROOT.parents if folder.parts[-3:] == (".dvc", "tmp", "exps")]
    return folders[0].parents[2] if folders else ROOT


def _execute(body: Callable[[StageRun], None], config: DictConfig) -> dict[str, Any]:
    hydra_config = HydraConfig.get()
    name = hydra_config.job.name
    check_overrides(name, list(hydra_config.overrides.task))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    own = {key: plain[key] for key in sorted(owned(name) | {"wandb", "workers"}) if key in plain}
    settings = build_settings(own)
    # where a run is computed and reviewed does not change what it finds
    own.pop("wandb")
    own.pop("workers")
    metadata = {"git_revision": git_revision(), "dvc_exp_name": os.environ.get("DVC_EXP_NAME", "")}
    choices: Any = hydra_config.runtime.choices
    by_dvc = choices.run == "stage"
    final = Path(hydra_config.runtime.output_dir)
    # complete or not at all: an interrupted stage leaves nothing that looks like an artifact
    out = final.with_name(f".{final.name}.partial") if by_dvc else final
    study, place = str(choices.get("study") or ""), plain["place"]
    tagged = own | {"preset": 0, "study": 0}
    tags = [
        str(choices[key]) for key in ("study", "network", "composite", "preset") if choices.get(key) and key in tagged
    ]
    began = time.monotonic()
    with track(settings["wandb"], main_root(), name, run_group(study), own, metadata, tags) as tracker:
        inputs = (ROOT / "artifacts" / place).parent
        run = StageRun(name, place, settings, own, inputs, out, final, tracker)
        if by_dvc:
            shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
        try:
            body(run)
            run.finish()
        finally:
            if by_dvc:
                shutil.rmtree(out, ignore_errors=True)
                if final.is_dir() and not any(final.iterdir()):
                    final.rmdir()
    log.info("%s done in %.1f s", name, time.monotonic() - began)
    return run.metrics


def stage(body: Callable[[StageRun], None]) -> Callable[[], None]:
    """Make a command of a stage's main function: expected errors end it with one message and exit code 1."""
    register_params()
    return _command(body, "config")


def study_stage(body: Callable[[StageRun], None]) -> Callable[[], None]:
    """The same for a stage of studies/dvc.yaml, whose command chooses the study: `study=<name>`."""
    register_studies()
    return _command(body, "study")


def _command(body: Callable[[StageRun], None], config_name: str) -> Callable[[], None]:
    # fastai's import: not in the user's hands
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)

    @functools.wraps(body)
    def task(config: DictConfig) -> dict[str, Any]:
        try:
            return _execute(body, config)
        except ClusterWhyError as error:
            sys.stderr.write(f"error: {error}\n")
            # in a sweep the exit code of one job must not end the others' process unseen
            raise SystemExit(1) from error

    command: Callable[[], None] = hydra.main(
        version_base="1.3", config_path=str(ROOT / "conf"), config_name=config_name
    )(task)
    return command
