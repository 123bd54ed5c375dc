"""Weights & Biases: one run per stage, its files as artifacts whose digests are DVC's MD5s."""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from clusterwhy.config import Settings

log = logging.getLogger(__name__)


class WandbSettings(Settings):
    """Where runs go. Offline needs no account and no network."""

    mode: Literal["offline", "online", "disabled"]
    project: str
    entity: str | None
    init_timeout_s: int = Field(ge=1)


def file_md5(path: Path) -> str:
    """What `dvc.lock` holds for a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def dvc_md5(path: Path) -> str:
    """What `dvc.lock` holds for a file or, as `....dir`, for a folder."""
    if path.is_file():
        return file_md5(path)
    entries = [
        {"md5": file_md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


class Tracker:
    """A run that takes metrics, tables, figures and files; does nothing when tracking is disabled."""

    def __init__(self, run: Any | None, metadata: Mapping[str, Any]) -> None:
        self._run = run
        self._metadata = dict(metadata)

    def log(self, values: Mapping[str, float]) -> None:
        """A row of a curve."""
        if self._run is not None:
            self._run.log(dict(values))

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Figures of the finished stage."""
        if self._run is not None:
            self._run.summary.update({key: value for key, value in values.items() if value is not None})

    def table(self, name: str, table: Any) -> None:
        """A pandas table."""
        if self._run is not None:
            import wandb

            self._run.log({name: wandb.Table(dataframe=table)})

    def figure(self, name: str, path: Path) -> None:
        """A picture that was written to a file."""
        if self._run is not None:
            import wandb

            self._run.log({name: wandb.Image(str(path))})

    def artifact(self, name: str, path: Path, as_input: bool = False) -> None:
        """A folder or file, as output or as input of the run.

        An input is logged again as a draft: `use_artifact` fails offline, this gives the same
        lineage edge after `wandb sync`.
        """
        if self._run is None:
            return
        import wandb

        clean = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        made = wandb.Artifact(
            clean, type=clean, metadata=self._metadata | {"dvc_md5": dvc_md5(path), "path": path.name}
        )
        if path.is_dir():
            made.add_dir(str(path))
        else:
            made.add_file(str(path))
        if as_input:
            self._run._log_artifact(made, aliases=[], is_user_created=True, use_after_commit=True)
        else:
            self._run.log_artifact(made, aliases=["latest"])


@contextmanager
def track(
    settings: WandbSettings,
    root: Path,
    stage: str,
    group: str,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    tags: Sequence[str] = (),
) -> Iterator[Tracker]:
    """Open a run for a stage; an online run that cannot start is recorded offline, with one warning."""
    if settings.mode == "disabled":
        yield Tracker(None, metadata)
        return
    # wandb stages artifact bytes outside the project by default; a later sync would miss them
    os.environ.setdefault("WANDB_DATA_DIR", str(root / "wandb" / "data"))
    os.environ.setdefault("WANDB_CACHE_DIR", str(root / "wandb" / "cache"))
    os.environ.setdefault("WANDB_CONFIG_DIR", str(root / "wandb" / "config"))
    # a stage says in one line what it found; wandb would add one per artifact
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    def start(mode: Literal["offline", "online"]) -> Any:
        return wandb.init(
            mode=mode,
            dir=str(root),
            project=settings.project,
            entity=settings.entity,
            group=group,
            job_type=stage,
            name=f"{stage}-{group}",
            tags=list(tags),
            config=dict(config) | dict(metadata),
            settings=wandb.Settings(
                x_disable_stats=True, console="off", silent=True, init_timeout=settings.init_timeout_s
            ),
        )

    try:
        run = start(settings.mode)
    except (wandb.errors.CommError, wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
        log.warning("W&B cannot be reached (%s): this run is recorded offline", str(error).splitlines()[0])
        wandb.teardown()
        run = start("offline")
    try:
        yield Tracker(run, metadata)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
