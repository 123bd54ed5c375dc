"""Line-level checks of a CSV file: header and number of cells."""

import csv
import io
from pathlib import Path

from clusterwhy.errors import Fault
from clusterwhy.readers.files import Text, opened

OTHERS = (";", ",", "\t", "|")


def header_faults(text: Text, separator: str, time: str) -> list[Fault]:
    """A wrong separator, or duplicate names in the header."""
    names = _cells(text.first, separator)
    if time not in names:
        for other in OTHERS:
            if other != separator and time in _cells(text.first, other):
                said = f"the header is separated by {other!r}, not by {separator!r}: set `separator: {other!r}`"
                return [Fault("separator", said)]
    faults = []
    for name in dict.fromkeys(names):
        if (count := names.count(name)) > 1 and name:
            faults.append(Fault("duplicate-column", f"column {name!r} occurs {count} times in the header", name, count))
    return faults


def _cells(line: str, separator: str) -> list[str]:
    return line.split() if len(separator) > 1 else next(csv.reader([line], delimiter=separator), [])


def ragged_faults(file: Path, text: Text, separator: str) -> list[Fault]:
    """Lines with more or fewer cells than the header, or an unclosed quote."""
    if len(separator) > 1:
        return []
    counts: dict[int, list[int]] = {}
    try:
        with io.TextIOWrapper(opened(file, text.gzipped), "utf-8-sig", "replace", "") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=False)
            width = None
            for cells in reader:
                if not cells:
                    continue
                width = len(cells) if width is None else width
                if len(cells) != width:
                    counts.setdefault(len(cells), []).append(reader.line_num)
    except csv.Error as error:
        return [Fault("broken-csv", f"not readable as CSV: {error} in line {reader.line_num}")]
    return [
        Fault(
            "ragged",
            f"{len(lines)} lines have {n_cells} cells, the header has {width}, first line {lines[0]}",
            None,
            len(lines),
        )
        for n_cells, lines in sorted(counts.items())
    ]
