"""Numeric time: the unit of the numbers, or the date that their digits spell; guessed if no setting decides."""

import re
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from clusterwhy.readers.issues import Issues
from clusterwhy.types import BoolArray, FloatArray, IntArray

TimeUnit = Literal["s", "ms", "us", "ns", "min", "h", "d", "excel"]
# numbers of a unit in one second, or seconds in one of it
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
SECONDS = {"min": 60.0, "h": 3600.0, "d": 86_400.0, "excel": 86_400.0}
WORDS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "excel": "days of Excel since 1900",
}
# seconds since 1970: 1995 to 2070; .NET ticks (since year 1, 100 ns) would be nanoseconds of 1990
EPOCH = (788_918_400.0, 3_155_760_000.0)
# seconds; 300 years are no recording, but clocks that count from 1900 are below
MOST_S = 1e10
# seconds; longer steps, and times of more than twelve days, are told to be seconds
LONG_STEP_S, LONG_S = 10.0, 1e6
# digits that spell a date, from their least to their greatest value; no other quantity has only such values
DATES = {
    "%Y%m%d": (19_000_101, 21_001_231),
    "%Y%m%d%H": (1_900_010_100, 2_100_123_123),
    "%Y%m%d%H%M": (190_001_010_000, 210_012_312_359),
    "%Y%m%d%H%M%S": (19_000_101_000_000, 21_001_231_235_959),
    "%Y%m%d%H%M%S%f": (19_000_101_000_000_000, 21_001_231_235_959_999),
}
# shorter ones, which may as well be seconds
SHORT_DATES = {"%Y": (1800, 2100), "%Y%m": (180_001, 210_012), "%H%M%S": (0, 235_959), "%H%M": (0, 2359)}
# share of the cells that must spell a date
MOSTLY = 0.9
# day numbers of 1980 to 2070: Excel, MATLAB (datenum), Julian
DAYS = (("excel", 29_221, 62_093), ("d", 722_816, 755_000), ("d", 2_444_239, 2_477_110))
# periods of logging in seconds, below one hour and from there on, and rates in Hz that may be meant instead
SHORT_PERIODS = tuple(n * unit for unit in (1, 60) for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30))
LONG_PERIODS = tuple(3600 * n for n in (1, 2, 3, 4, 6, 8, 12, 24, 168))
RATES = (120.0, 240.0)
UNIT_NAMES = {
    "ms": "ms|msecs?|millis|milliseconds?|millisekunden?",
    "us": "us|µs|μs|usecs?|micros|microseconds?|mikrosekunden?",
    "ns": "ns|nsecs?|nanos|nanoseconds?|nanosekunden?",
    "s": "s|secs?|seconds?|sekunden?",
    "min": "mins?|minutes?|minuten?",
    "h": "h|hrs?|hours?|stunden?",
    "d": "days?|tage?",
}


class Choice(NamedTuple):
    """A reading of numeric time.

    Attributes:
        setting: "time_unit" or "time_format".
        value: of the setting.
        words: what the numbers are then.
    """

    setting: str
    value: str
    words: str

    def __str__(self) -> str:
        return f'`time_format: "{self.value}"`' if self.setting == "time_format" else f"`time_unit: {self.value}`"


def guessed(column: pd.Series, numbers: FloatArray, issues: Issues) -> Choice | None:
    """What the numbers of a time column are, by its name, their size and their steps.

    A guess is noted; None, with a fault that names the settings, if several or no reading is plausible.
    """
    name, first = str(column.name), f"{column.iloc[0]}".removesuffix(".0")
    choices = _choices(column, numbers)
    if len(choices) == 1:
        only = choices[0]
        if only.value != "s" or not _surely_seconds(name, numbers):
            text = f"time column {name!r}: numbers such as {first} are read as {only.words}, a guess"
            issues.notes.append(f"{text}: set `time_unit` or `time_format` if they are not")
        return only
    about = f"time column {name!r}: numbers such as {first} "
    if choices:
        means = " or ".join(choice.words for choice in choices)
        issues.fault("time-unit", f"{about}may be {means}: set {' or '.join(map(str, choices))}", column=name)
        return None
    issues.fault(
        "time-unit",
        f"{about}are implausible as seconds (more than {MOST_S / 3.156e7:.0f} years), and no other unit fits: "
        f"set `time_unit` ({', '.join(WORDS)}) or `time_format`",
        column=name,
    )
    return None


def _surely_seconds(name: str, numbers: FloatArray) -> bool:
    """Small numbers in small steps, or a name that says so; steps of 10, 100, ... may be counts of a smaller unit."""
    steps = np.diff(np.unique(numbers))
    small = len(steps) > 0 and np.median(steps) < LONG_STEP_S and np.abs(numbers).max() < LONG_S
    return bool(small) or _unit_in_name(name) == "s"


def _choices(column: pd.Series, numbers: FloatArray) -> list[Choice]:
    by_size, named = _by_size(column, numbers), _unit_in_name(str(column.name))
    if named is None:
        return by_size
    unit = _unit(named, ", by its name")
    absolute = [choice for choice in by_size if "since 1970" in choice.words and choice.value != named]
    if absolute or (not by_size and named in PER_SECOND):
        return [unit, *absolute] if absolute else []
    same = [choice for choice in by_size if choice.value == named]
    return same or [unit]


def _unit_in_name(name: str) -> str | None:
    for unit, words in UNIT_NAMES.items():
        if re.search(rf"(?:^|[^A-Za-zµμ])(?:{words})[\])]?\s*$", name, re.IGNORECASE):
            return unit
    return None


def _unit(unit: str, more: str = "") -> Choice:
    return Choice("time_unit", unit, WORDS[unit] + more)


def _by_size(column: pd.Series, numbers: FloatArray) -> list[Choice]:
    low, high = float(numbers.min()), float(numbers.max())
    for unit, count in PER_SECOND.items():
        if EPOCH[0] * count <= low and high <= EPOCH[1] * count and (unit != "s" or not _spells(column, "%Y%m%d%H")):
            return [_unit(unit, " since 1970")]
    for form in DATES:
        if _spells(column, form):
            return [Choice("time_format", form, f"dates of the form {form}")]
    if high > MOST_S or low < -MOST_S:
        return []
    seconds = _unit("s")
    if short := [form for form in SHORT_DATES if _spells_short(column, numbers, form)]:
        return [seconds, *(Choice("time_format", form, f"dates of the form {form}") for form in short)]
    for unit, least, most in DAYS:
        if least <= low and high <= most:
            return _days_or_seconds(unit, numbers)
    return [seconds]


def _spells(column: pd.Series, form: str, share: float = MOSTLY) -> bool:
    """Whether nearly all cells are whole numbers whose digits spell a date of a form."""
    digits = whole_numbers(column)
    if digits is None:
        return False
    least, most = (DATES | SHORT_DATES)[form]
    if ((digits >= least) & (digits <= most)).mean() < share:
        return False
    return bool(pd.to_datetime(digits_of(column, form), format=form, errors="coerce").notna().mean() >= share)


def _spells_short(column: pd.Series, numbers: FloatArray, form: str) -> bool:
    if not _spells(column, form, 1.0):
        return False
    steps = np.diff(np.unique(numbers))
    if form == "%Y":
        return bool(len(steps) and (steps == 1).all())
    # from :59 to the next hour or minute, or from December to January
    turn = 89 if form == "%Y%m" else 41
    return bool(turn in steps and 1 in steps) or (form == "%Y%m" and bool(len(steps) and (steps == 1).all()))


def _days_or_seconds(unit: str, numbers: FloatArray) -> list[Choice]:
    """Day numbers have steps of one second, a quarter of an hour or a day; seconds have a usual rate."""
    steps = np.diff(np.unique(numbers))
    steps = steps[steps > 0]
    days, seconds = _unit(unit), _unit("s")
    if not len(steps):
        return [seconds]
    middle = float(np.median(steps))
    step = float(steps[np.abs(steps - middle) < 0.5 * middle].mean())

    def near(periods: tuple[float, ...], value: float) -> bool:
        return bool((np.abs(np.array(periods) / value - 1.0) < 0.01).any())

    period_s = step * 86_400.0
    if near(LONG_PERIODS, period_s) or near(RATES, 1.0 / step):
        return [seconds, days]
    return [days] if period_s < 0.99 or near(SHORT_PERIODS, period_s) else [seconds]


def whole_numbers(column: pd.Series) -> IntArray | None:
    """The cells as int64, exactly; None if one is not a whole number below 2^63."""
    if column.dtype.kind == "u":
        return column.to_numpy().astype(np.int64) if column.max() < 2**63 else None
    if column.dtype.kind == "i":
        return column.to_numpy().astype(np.int64)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    whole = np.isfinite(numbers) & (np.abs(numbers) < 2**53) & (numbers == np.rint(numbers))
    return numbers.astype(np.int64) if whole.all() else None


def digits_of(column: pd.Series, form: str) -> pd.Series:
    """The cells as text for a time format, with the leading zeros that a number has lost."""
    whole = whole_numbers(column)
    if whole is None:
        return column.astype(str)
    digits = pd.Series(whole, index=column.index, name=column.name).astype(str)
    # fixed widths only
    if re.fullmatch(r"(?:%[YmdHMSyj])+", form):
        digits = digits.str.zfill(sum(4 if sign == "Y" else 3 if sign == "j" else 2 for sign in form[1::2]))
    return digits


def nanoseconds_since_1970(column: pd.Series, numbers: FloatArray, unit: str) -> IntArray | None:
    """Counts since 1970 as int64 nanoseconds, exact for whole numbers; None if they are not of 1995 to 2070.

    Seconds stay as they are, as float64.
    """
    count = PER_SECOND.get(unit, 0.0)
    if unit == "s" or not count or not _within(numbers, EPOCH[0] * count, EPOCH[1] * count).all():
        return None
    factor = round(1e9 / count)
    if (whole := whole_numbers(column)) is not None:
        return whole * factor
    floor = np.floor(numbers)
    # to microseconds, which float64 has left of milliseconds since 1970
    digits = 3 if unit == "ms" else 0
    rest = np.round(numbers - floor, digits) * factor
    return floor.astype(np.int64) * factor + np.rint(rest).astype(np.int64)


def _within(numbers: FloatArray, least: float, most: float) -> BoolArray:
    return (numbers >= least) & (numbers <= most)


def seconds_of(numbers: FloatArray, unit: str) -> FloatArray:
    """Numbers of a unit as seconds."""
    return numbers / PER_SECOND[unit] if unit in PER_SECOND else numbers * SECONDS[unit]
