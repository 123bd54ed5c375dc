"""Line-level checks of a CSV file: duplicate names, number of cells."""

import csv
from collections.abc import Sequence
from pathlib import Path

from clusterwhy.errors import Fault
from clusterwhy.readers.files import Text
from clusterwhy.readers.layout import Counted, Head, records, text_lines


def name_faults(names: Sequence[str]) -> list[Fault]:
    """Duplicate names in the header."""
    faults = []
    for name in dict.fromkeys(names):
        if (count := names.count(name)) > 1:
            faults.append(Fault("duplicate-column", f"column {name!r} occurs {count} times in the header", name, count))
    return faults


def ragged_faults(file: Path, text: Text, separator: str, head: Head) -> list[Fault]:
    """Lines with more or fewer cells than the header, or an unclosed quote; empty cells at the end do not count."""
    widest = len(head.names)
    least = max((i + 1 for i, name in enumerate(head.names) if name != f"Unnamed: {i}"), default=widest)
    counts: dict[int, list[int]] = {}
    with text_lines(file, text) as stream:
        for _ in range(head.n_lines):
            stream.readline()
        lines = Counted(stream, head.n_lines)
        try:
            for cells in records(iter(lines), separator):
                if any(cells) and (len(cells) < least or any(cells[widest:])):
                    counts.setdefault(len(cells), []).append(lines.n_lines)
        except csv.Error as error:
            return [Fault("broken-csv", f"not readable as CSV: {error} in line {lines.n_lines}")]
    return [
        Fault(
            "ragged",
            f"{len(at)} lines have {n_cells} cells, the header has {widest}, first line {at[0]}",
            None,
            len(at),
        )
        for n_cells, at in sorted(counts.items())
    ]
