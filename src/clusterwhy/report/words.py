"""How a channel differs, in words and units."""

import math
from collections.abc import Mapping
from typing import Any

from clusterwhy.plots.clock import UNITS

LEAST_FALL = 0.1  # of the membership
LEAST_RATIO = 1.05  # of two frequencies that are told apart
# of a property that is higher or lower than in the windows that it is compared with
DIRECTIONS = {
    "level": ("is higher", "is lower"),
    "spread": ("swings wider", "swings less"),
    "change": ("changes more from sample to sample", "changes less from sample to sample"),
    "slope": ("rises more", "rises less"),
    "frequency": ("oscillates {ratio}x faster", "oscillates {ratio}x slower"),
}
FALLING = ("falls less", "falls more")  # of slopes, where the own one is negative
RELATIONS = {"more": "correlates more with {partner}", "less": "correlates less with {partner}"}
OTHER_COURSE = "has another course"


def difference(row: Mapping[Any, Any], window_s: float) -> tuple[str, str]:
    """What is different, as "is higher", and the values, as "0.43 against -0.07 g"; both "" if nothing is.

    Args:
        row: `property`, its `partner`, `own` and `usual` value, and `unit`, as `clusterwhy.explanations.properties`
            tells them.
        window_s: length of a window: lags are in, and slopes and frequencies per the largest unit of time that fits.
    """
    name, own, usual = str(row["property"]), row["own"], row["usual"]
    if name not in {*DIRECTIONS, "relation", "timing"}:
        return OTHER_COURSE, ""
    unit = row["unit"] if isinstance(row["unit"], str) else ""
    if name in {"slope", "frequency"}:
        own, usual, unit = _per_time(name, own, usual, unit, window_s)
    if name == "timing":
        unit, seconds = _unit_of_time(window_s)
        sign = -1.0 if own < 0 else 1.0
        own, usual = sign * own / seconds, sign * usual / seconds
    first, second = pair(own, usual)
    ratio = max(own, usual) / min(own, usual) if name == "frequency" else math.inf
    if first == second or ratio < LEAST_RATIO:
        return "", ""
    words = _words(row, own, usual).format(ratio=f"{ratio:.2g}", partner=row.get("partner"))
    what = "correlation " if name == "relation" else ""
    return words, f"{what}{first} against {second}{f' {unit}' if unit else ''}"


def _words(row: Mapping[Any, Any], own: float, usual: float) -> str:
    name = str(row["property"])
    if name == "timing":
        return "leads {partner}" if row["own"] < 0 else "trails {partner}"
    if name == "relation":
        if own * usual < 0:
            return "goes against {partner}" if own < 0 else "goes with {partner}"
        return RELATIONS["more" if abs(own) > abs(usual) else "less"]
    if name == "slope" and own < 0:
        return FALLING[int(own < usual)]
    return DIRECTIONS[name][int(own < usual)]


def pair(own: float, usual: float) -> tuple[str, str]:
    """Two numbers with so many decimals that their difference has two digits, three where it begins with 1."""
    apart = abs(own - usual)
    if not apart > 0:
        return f"{own:.3g}", f"{usual:.3g}"
    decimals = 1 - math.floor(math.log10(apart))
    if decimals > 6 or max(abs(own), abs(usual)) >= 1e7:
        return f"{own:.4g}", f"{usual:.4g}"
    return f"{own:z.{max(0, decimals)}f}", f"{usual:z.{max(0, decimals)}f}"


def _unit_of_time(window_s: float) -> tuple[str, float]:
    """Name and seconds of the largest unit that fits into a window."""
    return next(((key, one) for key, one in reversed(UNITS.items()) if window_s >= one), ("s", 1.0))


def _per_time(name: str, own: float, usual: float, unit: str, window_s: float) -> tuple[float, float, str]:
    """Values per second as values per a unit of time that fits."""
    time, seconds = _unit_of_time(window_s)
    own, usual = own * seconds, usual * seconds
    if name == "frequency":
        return own, usual, "Hz" if time == "s" else f"per {time}"
    unit = unit.removesuffix("per s").removesuffix("/s").strip()
    return own, usual, f"{unit} per {time}".strip()
