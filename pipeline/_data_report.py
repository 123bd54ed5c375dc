"""Writes the data report: with the series, or below reports/ if the data is unusable."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterwhy.artifacts.store import write_json
from clusterwhy.errors import DataError
from clusterwhy.readers.data_report import fault_report
from pipeline._parameters import ROOT
from pipeline._stage import StageRun

NAME = "data_report.json"


@contextmanager
def faults_reported(run: StageRun) -> Iterator[None]:
    """Write the faults of unusable data to JSON and name the file in the error; success removes an old file."""
    # a failing run by DVC leaves no output folder
    folder = run.out if run.out == run.final else ROOT / "reports" / Path(run.place).parent
    path = folder / NAME
    try:
        yield
    except DataError as error:
        write_json(path, fault_report(error))
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise DataError(error.source, error.records, f"All faults as JSON: {shown}") from error
    if folder != run.out:
        path.unlink(missing_ok=True)
