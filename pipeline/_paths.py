"""Where runs read and write, what they are called, and what may be taken away there."""

import configparser
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from clusterwhy.artifacts.store import UNFINISHED
from clusterwhy.errors import ConfigError
from pipeline._parameters import ROOT


def git_revision() -> str:
    """Short revision of the checkout, "none" outside git."""
    answer = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "none"


def run_group(study: str = "") -> str:
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


def linked_from() -> list[Path]:
    """Folders that artifacts may be links into: this project, the one it is an experiment of, and their DVC caches."""
    roots = [ROOT, main_root()]
    for root in list(roots):
        found = configparser.ConfigParser(interpolation=None)
        with contextlib.suppress(configparser.Error):
            found.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
        if place := found.get("cache", "dir", fallback=""):
            roots.append(root / ".dvc" / place)
    return roots


def check_paths(name: str, place: str, out: Path | None) -> None:
    """What a run clears and replaces are folders of ours, whatever the configuration says."""
    if not re.fullmatch(rf"(studies/\w+/)?{name}", place):
        raise ConfigError("configuration", [f"`place: {place}`; expected {name}, or studies/<study>/{name}"])
    if out is not None and out != (expected := ROOT / "artifacts" / ".unfinished" / place):
        raise ConfigError("configuration", [f"`hydra.run.dir: {out}`; `run=stage` writes to {expected}"])


def clear(out: Path, reports: Path) -> None:
    """Take away what a run that was killed left: unfinished artifacts, and files beside them and among the reports."""
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for folder in (out.parent, reports):
        for path in folder.glob(f".{out.name}.*{UNFINISHED}"):
            path.unlink()


def prune(folder: Path) -> None:
    """Take away empty folders, from the inside."""
    with contextlib.suppress(OSError):
        os.removedirs(folder)
