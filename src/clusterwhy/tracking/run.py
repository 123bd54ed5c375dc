"""Weights & Biases: one run per stage, with its files as artifacts that carry DVC's MD5 digests."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.tracking.bounded_calls import (
    BoundedCalls,
    create_folders,
    disable_import_telemetry,
    end_service,
    hooks_restored,
    in_one_line,
    is_complete,
)
from clusterwhy.tracking.checksums import dvc_md5
from clusterwhy.tracking.live_sync import LiveSync

log = logging.getLogger(__name__)


class WandbSettings(Settings):
    """Where runs are recorded, and how long a stage may wait. Offline needs neither account nor network."""

    mode: Literal["offline", "online", "disabled"]
    project: str
    entity: str | None
    timeout_s: float = Field(gt=0.0)


class Tracker:
    """Records metrics, tables, figures and files in a run; does nothing if tracking is disabled.

    Errors of W&B are collected instead of raised: the stage continues as it would without tracking.
    """

    def __init__(self, run: Any | None, metadata: Mapping[str, Any], calls: BoundedCalls | None = None) -> None:
        self._run = run
        self._metadata = dict(metadata)
        self._calls = calls
        self.errors: list[str] = []

    def log(self, values: Mapping[str, float]) -> None:
        """Record one step of metrics."""
        self.attempt(lambda run: run.log(dict(values)))

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Record summary metrics of the finished stage."""
        self.attempt(lambda run: run.summary.update({key: value for key, value in values.items() if value is not None}))

    def table(self, name: str, table: Any) -> None:
        """Record a pandas table."""

        def record(run: Any) -> None:
            import wandb

            run.log({name: wandb.Table(dataframe=table)})

        self.attempt(record)

    def figure(self, name: str, path: Path) -> None:
        """Record an image file."""

        def record(run: Any) -> None:
            import wandb

            run.log({name: wandb.Image(str(path))})

        self.attempt(record)

    def artifact(self, name: str, path: Path, as_input: bool = False) -> None:
        """Record a folder or file as output or input of the run.

        An input is logged again as a draft: `use_artifact` fails offline, and this gives the same lineage edge after
        `wandb sync`. Missing paths are skipped; the stage reports them.
        """
        if not path.exists():
            return

        def record(run: Any) -> None:
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
                run._log_artifact(made, aliases=[], is_user_created=True, use_after_commit=True)
            else:
                run.log_artifact(made, aliases=["latest"])

        self.attempt(record)

    def attempt(self, record: Callable[[Any], object]) -> None:
        """Call `record` with the run, if there is one; errors are collected."""
        if self._run is None or self._calls is None:
            return
        try:
            self._calls(lambda: record(self._run))
        except Exception as error:
            self.errors.append(in_one_line(error))


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
    """Open a run for a stage; failures of W&B never change the stage's result and cause at most one warning.

    The run is recorded below `root / "wandb"`. Online, another process uploads the record while it grows; what could
    not be uploaded stays there for `wandb sync`. If nothing can be recorded, the stage runs untracked.
    """
    if settings.mode == "disabled":
        yield Tracker(None, metadata)
        return
    # by default wandb stages artifact files outside the project, where a later sync would not find them
    folders = [
        os.environ.setdefault(f"WANDB_{what}_DIR", str(root / "wandb" / what.lower()))
        for what in ("DATA", "CACHE", "CONFIG")
    ]
    # the stage logs its own summary; wandb would print one line per artifact, and report errors to its makers
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

    def start() -> Any:
        create_folders([str(root / "wandb"), *folders])
        import wandb

        disable_import_telemetry()
        return wandb.init(
            mode="offline",
            dir=str(root),
            project=settings.project,
            entity=settings.entity,
            group=group,
            job_type=stage,
            name=f"{stage}-{group}",
            tags=list(tags),
            config=dict(config) | dict(metadata),
            settings=wandb.Settings(x_disable_stats=True, console="off", silent=True),
        )

    with hooks_restored():
        recording, exit_code = _Recording(settings, metadata), 1
        try:
            recording.begin(start)
            yield recording.tracker
            exit_code = 0
        finally:
            try:
                recording.end(exit_code)
            finally:
                recording.stop()


class _Recording:
    """An open run: what was started for it, and its errors."""

    def __init__(self, settings: WandbSettings, metadata: Mapping[str, Any]) -> None:
        self.mode = settings.mode
        self.calls = BoundedCalls(settings.timeout_s)
        self.tracker = Tracker(None, metadata)
        self.record: Path | None = None
        self.upload: LiveSync | None = None
        self.not_uploaded = ""
        self.metadata = metadata

    def begin(self, start: Callable[[], Any]) -> None:
        """Start the run and, online, its upload."""
        try:
            run = self.calls(start)
            self.record = Path(run.settings.sync_file).resolve()
            self.tracker = Tracker(run, self.metadata, self.calls)
        except Exception as error:
            self.tracker.errors.append(in_one_line(error))
            return
        if self.mode == "online":
            try:
                self.upload = LiveSync(self.record)
            except OSError as error:
                self.not_uploaded = in_one_line(error)

    def end(self, exit_code: int) -> None:
        """End the run and its upload within the remaining time; log failures in one warning."""

        def finish(run: Any) -> None:
            import wandb

            run.finish(exit_code=exit_code)
            wandb.teardown()

        self.tracker.attempt(finish)
        complete = self.record is not None and is_complete(self.record)
        # the upload of an incomplete record would never end
        if self.upload is not None:
            try:
                self.not_uploaded = self.upload.end(self.calls.left_s if complete else 0.0)
            except (OSError, ValueError, LookupError) as error:
                self.not_uploaded = in_one_line(error)
        if self.tracker.errors or self.not_uploaded or (self.record and not complete):
            log.warning("%s", self._warning(complete))

    def stop(self) -> None:
        """Stop everything that could delay the exit of the process."""
        if self.upload is not None:
            self.upload.stop()
        end_service()

    def _warning(self, complete: bool) -> str:
        error = self.tracker.errors[0] if self.tracker.errors else ""
        if self.record is None:
            return f"W&B: this run is not tracked ({error}); the stage continues without tracking"
        folder, why = self.record.parent, error or "the disk is full or the folder was deleted"
        if not complete:
            return f"W&B: the record of this run is incomplete ({why}): see {folder}"
        parts = [f"part of this run was not recorded ({error})"] if error else []
        if self.not_uploaded:
            parts.append(
                f"not uploaded ({self.not_uploaded}): the run is recorded offline, `wandb sync {folder}` uploads it"
            )
        return "W&B: " + "; ".join(parts)
