"""Are files of known content read right?

Files are generated as loggers and spreadsheets write them: separators, decimal and thousands marks, minus signs, marks
of missing cells, lines before the header, rows of units, text columns, two-word columns, names of rows, repeated
headers, trailing separators, rows of separators only, no header. Each is read

- with its declaration: the values, times, channels and units must be those that were written;
- without it: the same, or the file is refused, or a note tells what was assumed;
- by the advice: what the messages propose is set until the file is read, and then it must be read right.

A value, a time or a channel that is wrong ends the benchmark with exit code 1. Ten minutes on one core:

    python -m benchmarks.file_fuzz
    python -m benchmarks.file_fuzz --cases 500 --seed 7    # other than 10,000 of seed 0: writes nothing
"""

import argparse
import re
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from pydantic import ValidationError
from tqdm import tqdm

from benchmarks.record import Result, record, shown
from clusterwhy.data.series import Series
from clusterwhy.errors import DataError
from clusterwhy.readers.tables import CsvFile

N_CASES = 10_000
READINGS = ("declared", "undeclared", "by the advice")
OUTCOMES = ("right", "refused", "noted", "wrong")
# of messages that are followed one after the other
MOST_MESSAGES = 3
MARKS = ("?", "Bad", "No Data", "I/O Timeout", "-", "Err", "---", "n.v.")
TEXTS = (
    "Pump {} running",
    "M{}A",
    "v2.{}b",
    "S7-1500 RUN {}",
    "2024-01-01 00:00:{:02}",
    "10:{:02} AM",
    "ok {}",
    "{:02}.12.24",
)
WORDS = (("off", "on"), ("no", "yes"), ("closed", "open"))
UNITS = ("bar", "°C", "m/s2", "%", "[kPa]", "(rpm)")
# what may stand before the header
PREAMBLE = ("Logger 7", "Serial{} 123", "", 'created{} 2024-01-01{} by "A"', "Export v2.1", "# comment")


@dataclass
class Made:
    """A generated file.

    Attributes:
        text: its content.
        settings: its declaration.
        time: (row,) true times.
        values: channel -> (row,) true values, missing ones interpolated.
        missing: channel -> (row,) whether a cell is missing.
        units: channel -> unit.
        traits: what is special about it.
    """

    text: str
    settings: dict[str, Any]
    time: np.ndarray
    values: dict[str, np.ndarray]
    missing: dict[str, np.ndarray]
    units: dict[str, str]
    traits: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Marks:
    """How the file writes numbers."""

    separator: str
    decimal: str
    thousands: str | None
    written: str | None  # the character that is written for `thousands`
    minus: str

    def number(self, scaled: int, places: int, trimmed: bool) -> str:
        """An integer divided by 10 to the power of `places`, as text."""
        digits = str(abs(scaled)).zfill(places + 1)
        whole, rest = (digits[:-places], digits[-places:]) if places else (digits, "")
        rest = rest.rstrip("0") if trimmed else rest
        if self.written is not None:
            whole = re.sub(r"(?<=\d)(?=(\d{3})+$)", self.written, whole)
        return (self.minus if scaled < 0 else "") + whole + (self.decimal + rest if rest else "")


def chosen_marks(rng: np.random.Generator) -> Marks:
    """Separator, decimal mark and thousands mark that can stand in one file."""
    separator = str(rng.choice([",", ";", "\t", "|", " "], p=[0.35, 0.35, 0.1, 0.05, 0.15]))
    decimal = "," if rng.random() < (0.5 if separator == ";" else 0.2) else "."
    options = [mark for mark in (".", ",", "'", "\u2019", " ", "\u00a0", "\u202f") if mark != decimal]
    if separator == " ":
        options = [mark for mark in options if mark in ".,'\u2019"]
    written = str(rng.choice(options)) if rng.random() < 0.4 else None
    folded = {"\u2019": "'", "\u00a0": " ", "\u202f": " "}
    thousands = None if written is None else folded.get(written, written)
    return Marks(separator, decimal, thousands, written, "\u2212" if rng.random() < 0.15 else "-")


def made(rng: np.random.Generator) -> Made:
    """A file and what it holds."""
    marks, n = chosen_marks(rng), int(rng.integers(8, 40))
    blanks = marks.separator == " "
    settings: dict[str, Any] = {"time": "time", "max_missing_share": 0.8, "max_gap": 40}
    settings |= {"separator": r"\s+" if blanks else marks.separator, "decimal": marks.decimal}
    settings |= {"thousands": marks.thousands} if marks.thousands else {}
    file = Made("", settings, np.zeros(0), {}, {}, {})
    names, columns = ["time"], [_times(n, marks, file, rng)]
    for i in range(int(rng.integers(1, 4))):
        names.append(f"x{i}")
        columns.append(_channel(f"x{i}", n, marks, file, rng))
    if not blanks and rng.random() < 0.3:
        names.append("note")
        text = str(rng.choice(TEXTS))
        columns.append([text.format(i % 60) for i in range(n)])
        file.traits.append("a text column")
    if not blanks and rng.random() < 0.2:
        _words(n, names, columns, file, rng)
    _layout(names, columns, marks, file, rng)
    return file


def _times(n: int, marks: Marks, file: Made, rng: np.random.Generator) -> list[str]:
    kind = rng.integers(3)
    if kind == 0:
        file.time = (np.datetime64("2024-01-01", "ns") + np.arange(n) * np.timedelta64(60, "s")).astype(np.int64)
        return [str(np.datetime64(int(moment), "ns"))[:19] for moment in file.time]
    start, places = int(rng.choice([0, 0, 990, 4000])), int(rng.choice([0, 1]))
    step = int(rng.choice([1, 2, 5]))
    scaled = start * 10**places + step * np.arange(n)
    file.time = np.array([float(f"{value}e-{places}") for value in scaled])
    return [marks.number(int(value), places, trimmed=False) for value in scaled]


def _channel(name: str, n: int, marks: Marks, file: Made, rng: np.random.Generator) -> list[str]:
    places, size = int(rng.integers(0, 5)), int(rng.choice([1, 100, 1000, 20_000, 3_000_000]))
    scaled = rng.integers(-size if rng.random() < 0.4 else 0, size + 1, n) * 10**places
    scaled += rng.integers(0, 10**places, n) if places else 0
    if rng.random() < 0.1:
        scaled = 900 * 10**places + np.arange(n) * 10**places * 13
    trimmed = rng.random() < 0.4
    cells = [marks.number(int(value), places, trimmed) for value in scaled]
    values = np.array([float(f"{value}e-{places}") for value in scaled])
    missing = np.zeros(n, dtype=bool)
    if rng.random() < 0.4:
        options = [mark for mark in ("", "NaN", *MARKS) if marks.separator != " " or (mark and " " not in mark)]
        mark, missing = str(rng.choice(options)), rng.random(n) < 0.15
        missing[[0, n - 1]] = False
        cells = [mark if gone else cell for gone, cell in zip(missing, cells, strict=True)]
        rows = np.arange(n)
        values = np.interp(rows, rows[~missing], values[~missing])
        if mark not in ("", "NaN") and missing.any():
            file.settings.setdefault("missing_values", []).append(mark)
            file.traits.append("marks of missing cells")
    file.values[name], file.missing[name] = values, missing
    return cells


def _words(n: int, names: list[str], columns: list[list[str]], file: Made, rng: np.random.Generator) -> None:
    words = WORDS[rng.integers(len(WORDS))]
    states = rng.integers(0, 2, n)
    states[:2] = 0, 1
    names.append("state")
    columns.append([words[state] for state in states])
    if rng.random() < 0.5:
        file.settings["binary"] = {"state": list(words)}
        file.values["state"], file.missing["state"] = states.astype(float), np.zeros(n, dtype=bool)
    file.traits.append("a column of two words")


def _layout(names: list[str], columns: list[list[str]], marks: Marks, file: Made, rng: np.random.Generator) -> None:
    separator, settings = marks.separator, file.settings
    rows = [list(row) for row in zip(*columns, strict=True)]
    head: list[list[str]] = [names]
    kind = rng.choice(
        ["plain", "preamble", "units", "row names", "repeated", "no header"], p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1]
    )
    lines: list[str] = []
    if kind == "no header" and len(file.values) == len(names) - 1 and file.time.dtype != np.int64:
        head, settings["names"] = [], names
    elif kind == "row names":
        rows = [[f"r{i}" if separator != " " else str(i + 1), *row] for i, row in enumerate(rows)]
        settings["row_names"] = "row"
    elif kind == "repeated":
        rows[5:5] = [names]
        settings["repeated_headers"] = "drop"
    elif kind == "units":
        units = [str(rng.choice(UNITS)) if name in file.values and name != "state" else "-" for name in names]
        head.append(["s", *units[1:]])
        file.units = {name: unit.strip("[]()") for name, unit in zip(names, units, strict=True) if unit != "-"}
        settings["rows_below_header"] = ["units"]
    elif kind == "preamble":
        lines = [str(rng.choice(PREAMBLE)).replace("{}", separator) for _ in range(int(rng.integers(1, 5)))]
        settings["skip_lines"] = len(lines)
    else:
        kind = "plain"
    end = ""
    if separator != " " and kind != "row names" and rng.random() < 0.15:
        end = separator
        file.traits.append("trailing separators")
    lines += [separator.join(_quoted(cell, separator) for cell in row) + end for row in head + rows]
    if separator != " " and rng.random() < 0.1:
        lines.insert(len(lines) - 2, separator * (len(names) - 1) + end)
        file.traits.append("rows of separators")
    file.traits += [str(kind)] * (kind != "plain")
    file.text = "\n".join(lines) + "\n"


def _quoted(cell: str, separator: str) -> str:
    return f'"{cell}"' if separator in cell and cell else cell


def verdict(path: Path, settings: dict[str, Any], file: Made) -> tuple[str, str]:
    """One of `OUTCOMES`, and the message or what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", DeprecationWarning)
            series = CsvFile(path=str(path), **settings).read()
    except DataError as error:
        return "refused", "\n".join(error.faults)
    except Exception as error:
        return "wrong", "".join(traceback.format_exception(error))
    if not (said := _differences(series, settings, file)):
        return "right", ""
    assumed = any("may mark thousands or decimals" in note for note in series.notes)
    return "noted" if assumed else "wrong", said


def _differences(series: Series, settings: dict[str, Any], file: Made) -> str:
    said = []
    expected = [name for name in file.values if name != "state" or "binary" in settings]
    if settings["time"] != "time":
        # numbered columns
        named = dict(zip((f"c{i:02d}" for i in range(1, 99)), expected, strict=False))
        series_names = [named.get(name, name) for name in series.channels]
    else:
        series_names = list(series.channels)
    if series_names != expected:
        said.append(f"channels {series_names} instead of {expected}")
    if series.time.shape != file.time.shape or not np.allclose(series.time, file.time, rtol=1e-12, atol=0.0):
        said.append(f"times {series.time[:5]} ... instead of {file.time[:5]} ...")
        return "; ".join(said)
    for name, values in zip(series_names, series.values.T, strict=True):
        if name not in file.values:
            continue
        # what is written exactly, what is interpolated with rounding
        written, true = ~file.missing[name], file.values[name]
        near = np.abs(values - true) <= 1e-9 * np.abs(true).max()
        if not (near.all() and np.array_equal(values[written], true[written])):
            said.append(f"{name}: {values[:8]} ... instead of {true[:8]} ...")
    if "rows_below_header" in settings:
        found = dict(zip(series_names, series.units, strict=True))
        said += [
            f"unit {found.get(name)} instead of {unit}" for name, unit in file.units.items() if found.get(name) != unit
        ]
    return "; ".join(said)


def followed(message: str, settings: dict[str, Any], file: Made) -> dict[str, Any]:
    """The settings with those that a message proposes; of two meanings of a mark, the true one."""
    proposed = dict(settings)
    for line in message.splitlines():
        told = re.findall(r"`(\w+): (.+?)`(?=[ ;,.)]|$)", line)
        if " if it is " in line:
            told = []
            proposed |= {key: file.settings[key] for key in ("decimal", "thousands") if key in file.settings}
        for key, value in told:
            # a message offers to leave a column out besides the other way
            if key != "leave_out":
                proposed[key] = yaml.safe_load(value)
    return proposed


def case(seed: int, folder: Path) -> list[tuple[str, str, str, str]]:
    """Make one file and read it three times: reading, outcome, traits, what is wrong."""
    rng = np.random.default_rng(seed)
    file, path = made(rng), folder / "case.csv"
    path.write_text(file.text)
    bare = {key: file.settings[key] for key in ("time", "max_missing_share", "max_gap")}
    found = [("declared", *verdict(path, file.settings, file)), ("undeclared", *verdict(path, bare, file))]
    settings, (outcome, said), n_messages = bare, found[1][1:], 0
    while outcome == "refused" and n_messages < MOST_MESSAGES:
        n_messages += 1
        settings = followed(said, settings, file)
        try:
            outcome, said = verdict(path, settings, file)
        except ValidationError as error:
            outcome, said = "wrong", str(error)
    found.append(("by the advice", outcome, said))
    return [(reading, outcome, ", ".join(file.traits), said) for reading, outcome, said in found]


def faulty(rows: pd.DataFrame) -> pd.DataFrame:
    """What must not be: wrong values, and a file that is refused with its declaration."""
    return rows[(rows["outcome"] == "wrong") | ((rows["reading"] == "declared") & (rows["outcome"] != "right"))]


def section(result: Result) -> str:
    """How many files were read right, refused and read wrong."""
    return f"""
{result.setup["cases"]} files of known content. *Declared*: with the settings that describe the file. *Undeclared*: with
the name of the time column only; *noted* are files whose points may mark thousands, where a note says so. *By the
advice*: the settings that the messages propose, at most {MOST_MESSAGES} messages one after the other. A wrong value
fails the benchmark.

{shown(result.table("outcomes"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Outcomes of each reading."""
    figure.set_size_inches(8, 2.5)
    axes, left = figure.subplots(), np.zeros(len(READINGS))
    table = result.table("outcomes").set_index("reading").loc[list(READINGS)]
    for name, colour in zip(OUTCOMES, ("#0072b2", "#e69f00", "#999999", "#d55e00"), strict=True):
        axes.barh(READINGS, table[name], left=left, label=name, color=colour)
        left += table[name].to_numpy()
    axes.set_xlabel("files")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def main() -> None:
    """Generate files and count how they are read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=N_CASES)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds, one for each case")
    arguments, began = parser.parse_args(), time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in tqdm(range(arguments.seed, arguments.seed + arguments.cases), unit="file", disable=None):
            rows += [(seed, *entry) for entry in case(seed, Path(folder))]
    runs = pd.DataFrame(rows, columns=["seed", "reading", "outcome", "traits", "what"])
    counts = pd.crosstab(runs["reading"], runs["outcome"])
    outcomes = counts.reindex(index=list(READINGS), columns=list(OUTCOMES), fill_value=0).reset_index()
    print(shown(outcomes))
    bad = faulty(runs)
    for row in bad.head(20).itertuples():
        sys.stderr.write(f"seed {row.seed}, {row.reading}: {row.outcome} ({row.traits})\n{row.what}\n")
    if len(bad):
        sys.exit(1)
    if (arguments.cases, arguments.seed) == (N_CASES, 0):
        setup = {"cases": arguments.cases, "seeds": f"0 to {N_CASES - 1}"}
        record("file_fuzz", "", began, setup, {"outcomes": outcomes}, runs.drop(columns="what"))


if __name__ == "__main__":
    main()
