"""The usual step of a time axis: from the span, not from single stamps, which may be rounded."""

from dataclasses import dataclass

import numpy as np

from clusterwhy.readers.issues import Issues
from clusterwhy.readers.policies import Policies
from clusterwhy.readers.rows import Rows
from clusterwhy.types import BoolArray, FloatArray, IntArray

# seconds; a shorter step is an error, and its rate would overflow
SHORTEST = 1e-12
# Stamps of a rounded clock stay within 1.8 units of a straight line through a chunk of steps, nearly all within 1.5.
# Steps of one and two units may also be missing rows: of 1,000 random series of each kind with 12 to 40 of 60 to 1,000
# rows missing, at most 1 stays within 1.5 units in chunks with 64 of the rarer step.
CHUNK = 64
STRAIGHT, VERY_STRAIGHT = 1.8, 1.5
FEWEST = 12
# least number of steps that differ by one unit before they count as rounding
FEW = 3
# share of a step; smaller jitter is not told
TOLD = 1e-3
# groups named in a message
SHOWN = 6


@dataclass(frozen=True)
class Pace:
    """Usual steps.

    Attributes:
        step_s: (row - 1,) usual step of the group of each row, in seconds.
        slack_s: how much steps may differ by rounding.
        rate_hz: 1 / usual step of all rows.
    """

    step_s: FloatArray
    slack_s: float
    rate_hz: float


def pace_of(rows: Rows, resolution_s: float, policies: Policies, issues: Issues) -> Pace | None:
    """Usual steps of ordered rows without duplicates; None, with a fault, if they are practically zero.

    Groups of different rates are a fault unless they are resampled.
    """
    inside = ~rows.cut[1:]
    steps = np.diff(rows.seconds)
    if not inside.any():
        issues.fault("few-rows", "expected at least 2 consecutive rows, but no two are of one group")
        return None
    median = float(np.median(steps[inside]))
    if median < SHORTEST:
        issues.fault(
            "time-step",
            f"the median step is {median:.3g} s: is the time column really in seconds? if not, set `time_unit`",
        )
        return None
    # what float64 loses of the stamps
    float_s = 4 * float(np.spacing(np.abs(rows.time).max())) if rows.time.dtype != np.int64 else 2e-9
    resolution_s = max(resolution_s, float_s)
    step, rounded = usual_step(steps[inside], resolution_s)
    of_rows = np.full(len(steps), step)
    if "group" in rows.codes:
        of_rows = _of_groups(rows, steps, (step, resolution_s), policies, issues)
    slack_s = 1.1 * resolution_s if rounded else float_s
    _tell(steps[inside], (step, resolution_s), rounded, issues)
    return Pace(of_rows, slack_s, 1.0 / step)


def usual_step(steps: FloatArray, resolution_s: float) -> tuple[float, bool]:
    """The usual step in seconds, and whether the steps differ by rounding only.

    It is the mean of the usual steps, which is their span by their number. Gaps and single irregular steps do not
    count: usual steps lie near the range of the middle 80 %. The step of a rounded clock is a whole number of seconds
    or samples per second, if the span allows it.

    Args:
        steps: (step,) seconds.
        resolution_s: last place of the stamps.
    """
    doubled = np.isclose(steps, resolution_s, rtol=0.1) | np.isclose(steps, 2 * resolution_s, rtol=0.05)
    if doubled.mean() > 0.9:
        mixed = steps[doubled]
        step = float(mixed.mean())
        share = max(min(step / resolution_s - 1, 2 - step / resolution_s), 1 / len(mixed))
        rounded = _two_values(mixed, resolution_s, FEWEST)
        if rounded and _even(mixed - step, int(CHUNK / share)) <= VERY_STRAIGHT * resolution_s:
            return _whole(step, resolution_s / len(mixed)), True
    middle = float(np.median(steps))
    usual = steps[np.abs(steps - middle) < 0.5 * middle]
    if not len(usual):  # of few steps that are far apart, such as 1 and 13 s
        middle = float(np.quantile(steps, 0.5, method="lower"))
        usual = steps[np.abs(steps - middle) < 0.5 * middle]
    low, high = np.quantile(usual, [0.1, 0.9])
    near = usual[(usual > low - 1.1 * resolution_s) & (usual < high + 1.1 * resolution_s)]
    step = float(near.mean())
    if _two_values(near, resolution_s, FEW):
        rest = steps - np.maximum(np.rint(steps / step), 1) * step
        # a gap of no whole number of steps begins anew
        rest[np.abs(rest) > 1.1 * resolution_s] = 0.0
        if _even(rest, CHUNK) <= STRAIGHT * resolution_s:
            return _whole(step, resolution_s / len(near)), True
    width = max(2 * (high - low), TOLD * middle)
    return float(usual[(usual > low - width) & (usual < high + width)].mean()), False


def _whole(step_s: float, error_s: float) -> float:
    """The step of the nearest whole number of seconds or samples per second within the error, else the step."""
    whole = float(np.rint(step_s)) if step_s > 1 else 1.0 / float(np.rint(1.0 / step_s))
    return whole if abs(whole - step_s) <= error_s else step_s


def _two_values(steps: FloatArray, unit: float, fewest: int) -> bool:
    """Whether steps take two neighbouring multiples of a unit, each at least a few times."""
    low, high = steps.min(), steps.max()
    n_high = int((steps > (low + high) / 2).sum())
    return bool(0.5 * unit < high - low < 1.5 * unit) and min(n_high, len(steps) - n_high) >= fewest


def _even(rest: FloatArray, size: int) -> float:
    """How far stamps stray from a straight line within a chunk, in 90 % of the chunks.

    Args:
        rest: (step,) deviation of each step from the usual one.
        size: steps in a chunk.
    """
    size = min(size, len(rest))
    stamps = np.cumsum(rest[: len(rest) // size * size].reshape(-1, size), axis=1)
    place = np.arange(size) - (size - 1) / 2
    slope = (stamps * place).sum(axis=1) / max((place**2).sum(), 1.0)
    ranges = np.ptp(stamps - slope[:, None] * place, axis=1)
    return float(np.quantile(ranges, 0.9, method="lower"))


def _of_groups(
    rows: Rows, steps: FloatArray, usual: tuple[float, float], policies: Policies, issues: Issues
) -> FloatArray:
    """(row - 1,) usual step of each group; different ones are a fault unless all are resampled."""
    group, inside = rows.codes["group"][1:], ~rows.cut[1:]
    step, resolution_s = usual
    of_rows, different = np.full(len(steps), step), {}
    for code in np.unique(group[inside]):
        own = steps[inside & (group == code)]
        found, _ = usual_step(own, resolution_s)
        allowed = policies.rate_tolerance * step + 2 * resolution_s / len(own)
        # a group of few rows whose steps are gaps
        if abs(found - step) <= allowed or len(own) < FEW:
            continue
        different[int(code)] = found
        of_rows[group == code] = found
    if different and policies.irregular == "error":
        _different_rates(rows, {-2: step} | different, issues)
    return of_rows


def _different_rates(rows: Rows, found: dict[int, float], issues: Issues) -> None:
    names = rows.group_names
    shown = [f"{names[code]!r} {1 / step:.6g} Hz" for code, step in found.items() if 0 <= code < len(names)]
    numbers = np.sort(rows.number[np.isin(rows.codes["group"], list(found))])
    slowest = min(1 / step for step in found.values())
    more = " ..." if len(shown) > SHOWN else ""
    issues.fault(
        "group-rates",
        f"groups have different rates: most have {1 / found[-2]:.6g} Hz, but {', '.join(shown[:SHOWN])}{more} "
        f"({issues.where(numbers)}); set `irregular: resample` with `resample_hz: {slowest:.6g}`",
        numbers,
    )


def _tell(steps: FloatArray, usual: tuple[float, float], rounded: bool, issues: Issues) -> None:
    step, resolution_s = usual
    single: BoolArray = np.abs(steps - step) < 0.5 * step
    low, high = steps[single].min(initial=step), steps[single].max(initial=step)
    jitter = max(high - step, step - low) / step
    if rounded and resolution_s > TOLD * step:
        issues.notes.append(
            f"time stamps are rounded to {resolution_s:.6g} s, so that steps differ; rate of the span: "
            f"{1 / step:.6g} Hz"
        )
    elif jitter > TOLD:
        issues.notes.append(
            f"time steps jitter: {low:.6g} to {high:.6g} s, {step:.6g} s on average ({jitter:.2%}); {1 / step:.6g} Hz"
        )


def resolution(numbers: FloatArray | IntArray) -> float:
    """Last decimal place that any of the numbers has, such as 0.001; 1 for whole numbers.

    Of numbers with more than nine places, the distance of neighbouring floats.
    """
    if numbers.dtype.kind in "iu":
        return 1.0
    most = float(np.abs(numbers).max())
    for places in range(10):
        scaled = numbers * 10.0**places
        if places and most * 10**places > 2**49:
            break
        if (np.abs(scaled - np.rint(scaled)) <= 4 * np.spacing(np.maximum(np.abs(scaled), 1.0))).all():
            return float(10.0**-places)
    return float(np.spacing(most))


def resolution_of_stamps(nanoseconds: IntArray) -> float:
    """Seconds: the longest of an hour, a minute and powers of ten of a second of which all steps are multiples."""
    shared = int(np.gcd.reduce(np.diff(nanoseconds))) if len(nanoseconds) > 1 else 0
    for length in (3_600_000_000_000, 60_000_000_000, *(10**power for power in range(9, 0, -1))):
        if shared and shared % length == 0:
            return length / 1e9
    return 1e-9
