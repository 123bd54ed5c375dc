"""Which columns of a table are channels, and their values; of every other column a note says why it is left out."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clusterwhy.readers.cell_faults import (
    FORMAT_FAULTS,
    MAX_MARKS,
    WITH_UNIT,
    binary_fix,
    format_fix,
    quoted,
    text_faults,
)
from clusterwhy.readers.cells import EXACT, Cells, Missing, TextCells, are_integers, precision_note, read_cells, typed
from clusterwhy.readers.issues import Issues
from clusterwhy.readers.number_format import NumberFormat, grouped_points, matches, number_like

UNNAMED = re.compile(r"Unnamed: \d+|__index_level_\d+__")
# a column with a smaller share of numbers is one of text, unless it has few different texts
MIN_NUMBERS = 0.1
PREFIXED = "m|g|s|A|K|mol|cd|Hz|N|Pa|J|W|V|F|Ω|Ohm|ohm|S|T|H|C|bar|l|L|eV|Wh|VA|var|B|bit|rad|Bq|Gy|lx|lm|Nm|Ah"
SINGLE = (
    "%|°|°C|°F|℃|℉|deg|degC|degF|degrees|grad|psi|psig|rpm|RPM|ppm|ppb|min|h|hr|d|t|mmHg|inHg|mph|kn|kt|kts|ft|in|lb"
    "|lbs|oz|gal|gpm|cfm|dB|dBm|dBA|dB\\(A\\)|kph|Torr|torr|atm|BTU|hp|PS|U|Hg|counts|V/V"
)
UNIT = rf"(?:(?:da|[pnµuμmcdhkMGT])?(?:{PREFIXED})|{SINGLE})(?:\^?-?\d|[²³])?"
UNITS = rf"{UNIT}(?:[/·*.]{UNIT})*"
# seats, doors and machines: 12A
ROOM = r"\d+[A-Z]"


def channel_names(table: pd.DataFrame, found: Mapping[str, Cells | None], issues: Issues) -> list[str]:
    """The columns with numbers, or with text that looks like numbers; a note for each other column.

    Args:
        found: column that may be a channel -> its cells, None if it holds neither numbers nor text.
    """
    names = []
    for name, read in found.items():
        why = "has no name in the file" if UNNAMED.fullmatch(name) else _why_not(table[name], read)
        if why is None:
            names.append(name)
        else:
            issues.notes.append(f"column {name!r} {why} and is left out")
    return names


def _why_not(column: pd.Series, read: Cells | None) -> str | None:
    """Why a column is no channel; None if it is one, perhaps with faults."""
    if read is None:
        return None if column.dtype.kind == "c" else "holds no numbers"
    if not isinstance(read, TextCells):
        return "is empty" if np.isnan(read.values).all() else None
    if not (n_filled := int((read.text.notna() | ~np.isnan(read.values)).sum())):
        return "is empty"
    if not read.bad.any():
        return None
    texts = read.text[read.bad]
    units = texts[~matches(texts, ROOM)].str.extract(WITH_UNIT, expand=False).dropna()
    units = units[matches(units, UNITS)]
    n_numbers = n_filled - len(texts) + int(number_like(texts).sum())
    words = dict.fromkeys(texts.str.casefold())
    if (n_numbers + len(units)) / n_filled >= MIN_NUMBERS or (n_numbers and len(words) <= MAX_MARKS):
        return None
    if not n_numbers and (fix := binary_fix(str(column.name), texts)) is not None:
        return f"holds two words ({fix})"
    example = texts.iloc[0]
    return f"holds no numbers but text such as {example if len(example) <= 40 else example[:40] + '...'!r}"


def binary_columns(
    table: pd.DataFrame, words: Mapping[str, Sequence[str]], missing: Missing, issues: Issues
) -> pd.DataFrame:
    """The table with columns of two words as 0 and 1, NaN where empty; other words are faults.

    Args:
        words: column -> (word of 0, word of 1), compared without case and spaces at their ends.
    """
    table = table.copy(deep=False)
    marks = {str(mark).strip() for mark in missing}
    for name, pair in words.items():
        text = table[name].astype("str").str.strip()
        text = text.mask(text.isin(["", *marks]))
        values = text.str.casefold().map({word.strip().casefold(): float(i) for i, word in enumerate(pair)})
        rows = np.flatnonzero(text.notna().to_numpy() & values.isna().to_numpy())
        if len(rows):
            found = quoted(sorted(set(text.iloc[rows]))[:MAX_MARKS])
            expected = f"expected {pair[0]!r} or {pair[1]!r} (`binary`)"
            issues.fault("not-binary", f"column {name!r}: {expected}, got {found} ({issues.where(rows)})", rows, name)
        table[name] = values.astype(np.float64).fillna(0.0) if len(rows) else values.astype(np.float64)
    return table


def read_channels(
    table: pd.DataFrame, found: Mapping[str, Cells | None], known: NumberFormat, missing: Missing, issues: Issues
) -> pd.DataFrame:
    """The table with columns of text as float64, NaN where a cell is empty or one of the texts in `missing`.

    Cells that are not numbers are faults, and 0, so that later checks do not report them again.

    Args:
        table: one column per channel.
        found: channel -> its cells, read with the format and the marks of missing cells that are given here.
    """
    read = _texts({str(name): found[str(name)] for name in table})
    text_faults(read, known, missing, issues)
    for name, cells in read.items():
        if (large := (np.abs(cells.values) >= EXACT) & are_integers(cells.text, known)).any():
            issues.notes.append(precision_note(name, np.flatnonzero(large), issues))
    return table.assign(**{name: np.where(cells.bad, 0.0, cells.values) for name, cells in read.items()})


def time_column(column: pd.Series, known: NumberFormat, issues: Issues) -> pd.Series | float:
    """A time column with numbers where its text holds some; cells in another format are a fault.

    After faults of the format, in this column or another, it is a rate of 1 Hz, so that the rest can still be checked.
    """
    if any(fault.kind in FORMAT_FAULTS for fault in issues.faults):
        return 1.0
    read = read_cells(column, known)
    if not isinstance(read, TextCells) or not read.bad.any():
        return typed(column, known)
    cells, rows = read.text[read.bad], np.flatnonzero(read.bad)
    if (marked := number_like(cells)).any():
        fix = format_fix([cells[marked]], [read.text[~read.bad].dropna()], known)
        where = f"first {cells[marked].iloc[0]!r} in {issues.row(int(rows[marked][0]))}"
        text = f"{marked.sum()} cells have {fix.mark(cells[marked])[1]}, {where}"
        issues.fault("not-time", f"time column {column.name!r}: {text}; {fix.advice}", rows[marked], str(column.name))
        return 1.0
    if not np.isfinite(read.values).any():
        return column
    return column.where(read.bad | column.isna(), pd.Series(read.values, column.index).astype(object))


def _texts(columns: Mapping[str, Cells | None]) -> dict[str, TextCells]:
    return {name: cells for name, cells in columns.items() if isinstance(cells, TextCells)}


def doubtful_points(columns: Mapping[str, Cells | None], separator: str | None, issues: Issues) -> None:
    """A fault, or a note, where "1.000" may be 1 or 1000 and neither a setting nor another number tells which."""
    read = _texts(columns)
    if any(number_like(cells.text[cells.bad]).any() for cells in read.values()):
        # these have a fault that tells
        return
    found = grouped_points([cells.text[~cells.bad].dropna() for cells in read.values()], separator)
    if found is None:
        return
    name, whole = list(read)[found.column], found.example.replace(".", "")
    text = (
        f"column {name!r}: the point in {found.example!r} may mark thousands or decimals, no number of the file tells"
    )
    thousands = f'`decimal: ","` and `thousands: "."` if it is {whole}'
    if found.likely:
        fix = f'set `decimal: "."` if it is {float(found.example):g}, or {thousands}'
        issues.fault("number-format", f"{text} which: {fix}", column=name)
    else:
        issues.notes.append(f"{text} which; it is read as {float(found.example):g}: set {thousands}")
