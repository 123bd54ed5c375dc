"""Parts of a benchmark that are kept in files, so that it goes on where it was stopped."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from clusterwhy.artifacts.store import write_table

SECONDS = "part_s"  # the column of a kept file that says how long its rows took


def add_keep(parser: argparse.ArgumentParser) -> None:
    """The option `--keep FOLDER`."""
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what was made here, and go on from it")


def kept(file: Path | None, measure: Callable[[], pd.DataFrame]) -> tuple[float, pd.DataFrame]:
    """Seconds and rows of one part: what an earlier run kept in `file`, else what `measure` finds, kept there."""
    if file and file.is_file():
        rows = pd.read_csv(file)
        return float(rows[SECONDS].iloc[0]), rows.drop(columns=SECONDS)
    began = time.monotonic()
    rows = measure()
    seconds = time.monotonic() - began
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_table(file, rows.assign(**{SECONDS: seconds}))
    return seconds, rows
