"""What is recorded in a run of Weights & Biases: metrics, tables, figures, the page and files."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clusterwhy.tracking.bounded_calls import BoundedCalls, in_one_line
from clusterwhy.tracking.checksums import dvc_md5
from clusterwhy.tracking.file_store import stored
from clusterwhy.tracking.names import Collection, metric_name, metric_names

log = logging.getLogger(__name__)

# in one run, in addition to the artifacts
MOST_BYTES = {"pages": 12_000_000, "pictures": 8_000_000}
Pictures = Mapping[str, Sequence[Path | None]]
STEPS = ("step", "epoch")  # what a row of metrics is drawn over


class Tracker:
    """Records metrics, tables, figures and files in a run; does nothing if tracking is disabled.

    Tables, figures and pages are of one step, so that a panel shows those of several runs together. Errors of W&B are
    collected instead of raised: the stage continues as it would without tracking.

    Attributes:
        left_out: names of pages and pictures that exceeded `MOST_BYTES`.
        errors: of W&B, each in one line.
    """

    def __init__(self, run: Any | None, metadata: Mapping[str, Any], calls: BoundedCalls | None = None) -> None:
        self._run = run
        self._metadata = dict(metadata)
        self._calls = calls
        self._drawn_over: set[str] = set()
        self._left = dict(MOST_BYTES)
        self.left_out: list[str] = []
        self.errors: list[str] = []

    def log(self, values: Mapping[str, float]) -> None:
        """Record one row of metrics, which W&B draws over its `step` or `epoch`."""
        row = {metric_name(name): value for name, value in values.items()}
        over = next((step for step in STEPS if step in row), None)
        new = [name for name in row if over and name != over and name not in self._drawn_over]
        self._drawn_over.update(new)

        def record(run: Any) -> None:
            for name in new:
                run.define_metric(name, step_metric=over)
            run.log(row)

        self.attempt(record)

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Record summary metrics of the finished stage, nested ones under names that W&B sorts and filters by."""
        known = {name: value for name, value in metric_names(values).items() if value is not None}
        self.attempt(lambda run: run.summary.update(known))

    def note(self, text: str) -> None:
        """Set the notes of the run, in place of those that it began with."""

        def record(run: Any) -> None:
            run.notes = text

        self.attempt(record)

    def table(
        self, name: str, table: pd.DataFrame, pictures: Mapping[str, Sequence[Path | None]] | None = None
    ) -> None:
        """Record a pandas table.

        Args:
            pictures: further columns, before the others: an image file per row, shown at half its size; None for none.
        """
        columns = {
            column: [path if path and self._admits("pictures", path) else None for path in paths]
            for column, paths in (pictures or {}).items()
        }

        def record(run: Any) -> None:
            import wandb

            found = _plain(table)
            for column, paths in reversed(columns.items()):
                images = [None if path is None else _row_picture(path) for path in paths]
                found.insert(0, column, pd.Series(images, index=found.index, dtype=object))
            run.log({metric_name(name): wandb.Table(dataframe=found)}, commit=False)

        self.attempt(record)

    def bars(self, name: str, table: pd.DataFrame, label: str, value: str, title: str) -> None:
        """Record a bar chart of one column of a pandas table by the labels of another."""

        def record(run: Any) -> None:
            import wandb

            found = _plain(table[[label, value]].dropna())
            labels, values = map(str, found.columns)
            chart = wandb.plot.bar(wandb.Table(dataframe=found), labels, values, title)
            run.log({metric_name(name): chart}, commit=False)

        self.attempt(record)

    def figure(self, name: str, path: Path) -> None:
        """Record an image file."""
        if not self._admits("pictures", path):
            return

        def record(run: Any) -> None:
            import wandb

            run.log({metric_name(name): wandb.Image(str(path))}, commit=False)

        self.attempt(record)

    def page(self, name: str, path: Path) -> None:
        """Record a page that needs no other file."""
        if not self._admits("pages", path):
            return

        def record(run: Any) -> None:
            import wandb

            run.log({metric_name(name): wandb.Html(str(path), inject=False)}, commit=False)

        self.attempt(record)

    def artifact(self, collection: Collection, path: Path, as_input: bool = False) -> None:
        """Record a folder or file as output or input of the run.

        An input is logged again as a draft: `use_artifact` fails offline, and this gives the same lineage edge after
        `wandb sync`. Missing paths are skipped; the stage reports them.
        """
        if not path.exists():
            return

        def record(run: Any) -> None:
            import wandb

            store = Path(os.environ["WANDB_DATA_DIR"]) / "artifacts" / "files"
            metadata = self._metadata | {"dvc_md5": dvc_md5(path), "path": path.name}
            made = wandb.Artifact(collection.name, type=collection.type, metadata=metadata)
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            for file in files:
                name = file.relative_to(path).as_posix() if path.is_dir() else path.name
                made.add_file(str(stored(file, store)), name=name, policy="immutable", skip_cache=True)
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

    def _admits(self, kind: str, path: Path) -> bool:
        """Whether a file still fits; what does not is told when the run ends."""
        size = path.stat().st_size if self._run is not None and path.is_file() else 0
        if size > self._left[kind]:
            self.left_out.append(path.name)
            return False
        self._left[kind] -= size
        return True

    def tell_left_out(self) -> None:
        """Log which files did not fit."""
        if self.left_out:
            limits = " and ".join(f"{size // 1_000_000} MB of {kind}" for kind, size in MOST_BYTES.items())
            names = ", ".join(dict.fromkeys(self.left_out))
            log.info("W&B: the run would exceed %s; in the artifact only: %s", limits, names)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """A table as W&B shows it: NaN is no JSON, and charts take a dot in the name of a column for a path."""
    found = table.astype(object).where(table.notna(), None)
    return found.set_axis([str(column).replace(".", "_") for column in found.columns], axis=1)


def _row_picture(path: Path) -> Any:
    """An image at half its size, which fits into a row, in half of the bytes."""
    import wandb

    whole: Any = wandb.Image(str(path)).image
    return wandb.Image(whole.convert("RGB").reduce(2))
