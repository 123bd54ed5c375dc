"""Weights & Biases: one run per stage, its files as artifacts whose digests are DVC's MD5s."""

import hashlib
import json
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
    end_service,
    hooks_restored,
    in_one_line,
    is_whole,
    make_folders,
)
from clusterwhy.tracking.live_sync import Sending

log = logging.getLogger(__name__)


class WandbSettings(Settings):
    """Where runs go, and how long a stage may wait for them. Offline needs no account and no network."""

    mode: Literal["offline", "online", "disabled"]
    project: str
    entity: str | None
    timeout_s: float = Field(gt=0.0)


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
    """A run that takes metrics, tables, figures and files; does nothing when tracking is disabled.

    No method raises what W&B raises: it is noted, and the stage goes on as it would without tracking.
    """

    def __init__(self, run: Any | None, metadata: Mapping[str, Any], calls: BoundedCalls | None = None) -> None:
        self._run = run
        self._metadata = dict(metadata)
        self._calls = calls
        self.troubles: list[str] = []

    def log(self, values: Mapping[str, float]) -> None:
        """A row of a curve."""
        self.attempt(lambda run: run.log(dict(values)))

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Figures of the finished stage."""
        self.attempt(lambda run: run.summary.update({key: value for key, value in values.items() if value is not None}))

    def table(self, name: str, table: Any) -> None:
        """A pandas table."""

        def record(run: Any) -> None:
            import wandb

            run.log({name: wandb.Table(dataframe=table)})

        self.attempt(record)

    def figure(self, name: str, path: Path) -> None:
        """A picture that was written to a file."""

        def record(run: Any) -> None:
            import wandb

            run.log({name: wandb.Image(str(path))})

        self.attempt(record)

    def artifact(self, name: str, path: Path, as_input: bool = False) -> None:
        """A folder or file, as output or as input of the run.

        An input is logged again as a draft: `use_artifact` fails offline, this gives the same
        lineage edge after `wandb sync`.
        What is not there is left to the stage to report.
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
        """Do something with the run, if there is one; what goes wrong is noted."""
        if self._run is None or self._calls is None:
            return
        try:
            self._calls(lambda: record(self._run))
        except Exception as error:
            self.troubles.append(in_one_line(error))


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
    """Open a run for a stage; whatever W&B does, the stage's result stays what it would be, after one warning.

    The run is recorded below `root / "wandb"`. Online, another process sends the record while it grows; what could not
    be sent stays there for `wandb sync`. Where nothing can be recorded, the stage runs untracked.
    """
    if settings.mode == "disabled":
        yield Tracker(None, metadata)
        return
    # wandb stages artifact bytes outside the project by default; a later sync would miss them
    folders = [
        os.environ.setdefault(f"WANDB_{what}_DIR", str(root / "wandb" / what.lower()))
        for what in ("DATA", "CACHE", "CONFIG")
    ]
    # a stage says in one line what it found, and to nobody but the user; wandb would add one per artifact
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")

    def start() -> Any:
        make_folders([str(root / "wandb"), *folders])
        import wandb

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
                recording.leave()


class _Recording:
    """A run that is open: what was started for it, and what went wrong."""

    def __init__(self, settings: WandbSettings, metadata: Mapping[str, Any]) -> None:
        self.mode = settings.mode
        self.calls = BoundedCalls(settings.timeout_s)
        self.tracker = Tracker(None, metadata)
        self.record: Path | None = None
        self.sending: Sending | None = None
        self.unsent = ""
        self.metadata = metadata

    def begin(self, start: Callable[[], Any]) -> None:
        """Start the run and, online, its sending."""
        try:
            run = self.calls(start)
            self.record = Path(run.settings.sync_file).resolve()
            self.tracker = Tracker(run, self.metadata, self.calls)
        except Exception as error:
            self.tracker.troubles.append(in_one_line(error))
            return
        if self.mode == "online":
            try:
                self.sending = Sending(self.record)
            except OSError as error:
                self.unsent = in_one_line(error)

    def end(self, exit_code: int) -> None:
        """End the run and its sending in what is left of the time; log what is missing, in one warning."""

        def finish(run: Any) -> None:
            import wandb

            run.finish(exit_code=exit_code)
            wandb.teardown()

        self.tracker.attempt(finish)
        whole = self.record is not None and is_whole(self.record)
        # an incomplete record would be waited for in vain
        if self.sending is not None:
            try:
                self.unsent = self.sending.end(self.calls.left_s if whole else 0.0)
            except (OSError, ValueError, LookupError) as error:
                self.unsent = in_one_line(error)
        if self.tracker.troubles or self.unsent or (self.record and not whole):
            log.warning("%s", self._complaint(whole))

    def leave(self) -> None:
        """Leave nothing behind that could hold the process up."""
        if self.sending is not None:
            self.sending.stop()
        end_service()

    def _complaint(self, whole: bool) -> str:
        trouble = self.tracker.troubles[0] if self.tracker.troubles else ""
        if self.record is None:
            return f"W&B: this run is not tracked ({trouble}); the stage goes on without"
        folder, why = self.record.parent, trouble or "the disk is full or the folder was deleted"
        if not whole:
            return f"W&B: the record of this run is not complete ({why}): see {folder}"
        said = [f"not everything of this run was recorded ({trouble})"] if trouble else []
        if self.unsent:
            said.append(f"not sent ({self.unsent}): this run is recorded offline, `wandb sync {folder}` sends it")
        return "W&B: " + "; ".join(said)
