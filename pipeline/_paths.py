"""Folders and names of runs, and cleaning up in these folders."""

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
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "none"


def run_group(folder: str = "", entry: str = "") -> str:
    """The W&B group of all runs of one repro: the experiment's name, else entry, revision and parameters.

    Args:
        folder: of the params.yaml, "" for the root.
        entry: of it: a study, or a recording.
    """
    if name := os.environ.get("DVC_EXP_NAME"):
        return name
    digest = hashlib.md5((ROOT / folder / "params.yaml").read_bytes())
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        digest.update(path.read_bytes())
    return f"{entry}-" * bool(entry) + f"{git_revision()}-{digest.hexdigest()[:6]}"


def main_root() -> Path:
    """The repository that a temporary DVC experiment folder belongs to; otherwise this one."""
    folders = [folder for folder in ROOT.parents if folder.parts[-3:] == (".dvc", "tmp", "exps")]
    return folders[0].parents[2] if folders else ROOT


def linked_from() -> list[Path]:
    """Folders that artifacts may link into: this project, the project of the experiment, and their DVC caches."""
    roots = [ROOT, main_root()]
    for root in list(roots):
        found = configparser.ConfigParser(interpolation=None)
        with contextlib.suppress(configparser.Error):
            found.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
        if place := found.get("cache", "dir", fallback=""):
            roots.append(root / ".dvc" / place)
    return roots


def check_paths(name: str, place: str, out: Path | None) -> None:
    """Refuse configurations by which a run would clear or replace folders outside artifacts/ and reports/."""
    if not re.fullmatch(rf"((studies|applications)/\w+/)?{name}", place):
        raise ConfigError(
            "configuration",
            [f"`place: {place}`; expected {name}, studies/<study>/{name} or applications/<recording>/{name}"],
        )
    if out is not None and out != (expected := ROOT / "artifacts" / ".unfinished" / place):
        raise ConfigError("configuration", [f"`hydra.run.dir: {out}`; `run=stage` writes to {expected}"])


def clear(out: Path, reports: Path) -> None:
    """Remove leftovers of a killed run: unfinished artifacts, and temporary files beside them and below reports/."""
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for folder in (out.parent, reports):
        for path in folder.glob(f".{out.name}.*{UNFINISHED}"):
            path.unlink()


def prune(folder: Path) -> None:
    """Remove a folder and its parents as long as they are empty."""
    with contextlib.suppress(OSError):
        os.removedirs(folder)
