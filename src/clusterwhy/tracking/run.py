"""Weights & Biases: one run per stage, with its files as artifacts that carry DVC's MD5 digests."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from clusterwhy.tracking.live_sync import LiveSync
from clusterwhy.tracking.tracker import Tracker

log = logging.getLogger(__name__)


class WandbSettings(Settings):
    """Where runs are recorded, and how long a stage may wait. Offline needs neither account nor network."""

    mode: Literal["offline", "online", "disabled"]
    project: str
    entity: str | None
    timeout_s: float = Field(gt=0.0)


@dataclass(frozen=True)
class RunLabels:
    """What a run is found by in W&B.

    Attributes:
        job: the stage, or `summary`.
        name: unique enough to be told from the runs that it is compared with.
        group: the runs of one `dvc repro`.
        tags: the study and its choices.
        notes: what the run is, in a sentence.
    """

    job: str
    name: str
    group: str
    tags: tuple[str, ...] = ()
    notes: str = ""


@contextmanager
def track(
    settings: WandbSettings,
    root: Path,
    labels: RunLabels,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
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
            group=labels.group,
            job_type=labels.job,
            name=labels.name,
            tags=list(dict.fromkeys(labels.tags)),
            notes=labels.notes or None,
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
        self.tracker.tell_left_out()
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
