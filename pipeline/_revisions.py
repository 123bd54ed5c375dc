"""Artifacts of another revision or DVC experiment, from the local cache."""

import subprocess
from pathlib import Path

from clusterwhy.errors import ArtifactError
from clusterwhy.report.stored_results import STAGES
from pipeline._parameters import ROOT


def commit_of(name: str) -> str:
    """The commit of a revision, a branch or an experiment; "" if there is none."""
    asked = (
        ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"),
        ("for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}"),
    )
    for command in asked:
        done = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=False)
        if found := done.stdout.split():
            return found[0]
    return ""


def copy_artifacts(name: str, folder: Path) -> None:
    """Copy the artifacts of every stage of the study, as a revision's `dvc.lock` has them, into a folder.

    Raises:
        ArtifactError: no such revision; or lists the stages whose artifacts are not in the cache.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    commit = "" if name.startswith("-") else commit_of(name)
    if not commit:
        raise ArtifactError(f"{name} is neither a folder nor a git revision or DVC experiment (`dvc exp list`)")
    files, missing = DVCFileSystem(url=str(ROOT), rev=commit), []
    for stage in STAGES:
        try:
            files.get(f"artifacts/{stage}", str(folder / stage), recursive=True)
        except (OSError, DvcException):
            missing.append(stage)
    if missing:
        raise ArtifactError(
            f"artifacts of {name} ({commit[:7]}) are not in the DVC cache: {', '.join(missing)}; `dvc pull` brings "
            "those of a remote, `dvc repro` in a checkout of it makes them"
        )
