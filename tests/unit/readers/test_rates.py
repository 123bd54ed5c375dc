"""Generated time columns whose rate, gaps and samples are known: read rightly, or refused; never wrong in silence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clusterwhy.errors import DataError
from clusterwhy.readers.pace import usual_step
from clusterwhy.readers.tables import CsvFile

PERIODS = (1e4, 3600.0, 900.0, 60.0, 10.0, 1.0)
RATES = (1.0, 2.0, 10.0, 25.0, 29.97, 50.0, 60.0, 100.0, 256.0, 44.1, 1000.0, 12_800.0, 44_100.0, 1e5)
EPOCH_S = 1_700_000_000


def read(folder: Path, times: "list[str] | pd.Index", samples: np.ndarray, **chosen: Any) -> Any:
    """The file of one channel that holds the number of each sample."""
    path = folder / "made.csv"
    path.write_text("t,a\n" + "".join(f"{t},{i}\n" for t, i in zip(times, samples, strict=True)))
    return CsvFile(path=str(path), **{"time": "t"} | chosen).read()


def text(numbers: np.ndarray, places: int) -> list[str]:
    return [f"{number:.{places}f}" for number in numbers]


def places_for(step: float, rng: np.random.Generator) -> int:
    """Decimal places, of which the coarsest is a third of a step."""
    return max(0, int(np.ceil(-np.log10(step / 3)))) + int(rng.integers(0, 4))


def written(elapsed_s: np.ndarray, step_s: float, rng: np.random.Generator) -> tuple[list[str], dict[str, Any], float]:
    """Seconds in one of many forms, the settings that it needs, and its last place in seconds."""
    kind = rng.choice(["s", "ms", "us", "min", "epoch s", "epoch ms", "epoch us", "epoch ns", "excel", "iso", "format"])
    # Excel keeps microseconds
    kind = "s" if kind == "excel" and step_s < 1e-3 else kind
    if kind in ("s", "ms", "us", "min"):
        unit_s = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}[kind]
        places = places_for(step_s / unit_s, rng)
        chosen = {"time_unit": kind} if kind != "s" else {}
        return text(elapsed_s / unit_s, places), chosen, unit_s * 10.0**-places
    if kind.startswith("epoch"):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind[6:]]
        if step_s * per_second < 3 or kind == "epoch s":
            per_second = 10**9 if step_s < 3 else 1
        whole = np.rint(elapsed_s * per_second).astype(np.int64) + EPOCH_S * per_second
        return whole.astype(str).tolist(), {}, 1.0 / per_second
    if kind == "excel":
        places = places_for(step_s / 86_400, rng)
        places = max(places, 3)
        return (
            text(45_292 + elapsed_s / 86_400, min(places, 10)),
            {"time_unit": "excel"},
            86_400 * 10.0 ** -min(places, 10),
        )
    digits = 6 if kind == "format" else 9
    stamps = pd.Timestamp("2024-03-05") + pd.to_timedelta(np.rint(elapsed_s * 10**digits) * 10 ** (9 - digits), "ns")
    if kind == "iso":
        return [stamp.isoformat() for stamp in stamps], {}, 1e-9
    return stamps.strftime("%d.%m.%Y %H:%M:%S.%f").tolist(), {"time_format": "%d.%m.%Y %H:%M:%S.%f"}, 1e-6


@pytest.mark.parametrize("block", range(4))
def test_rate_and_gaps_of_any_time_column_are_the_true_ones(block: int, tmp_path: Path) -> None:
    wrong = []
    for seed in range(25 * block, 25 * block + 25):
        rng = np.random.default_rng(seed)
        step_s = 1 / rng.choice(RATES) if rng.random() < 0.5 else float(rng.choice(PERIODS))
        if rng.random() < 0.4:
            step_s = float(10 ** rng.uniform(-5, 4))
        n = int(rng.integers(60, 300))
        kept = np.ones(n, dtype=bool)
        for _ in range(int(rng.integers(0, 3))):
            start = int(rng.integers(5, n - 10))
            kept[start : start + int(rng.integers(1, 4))] = False
        samples = np.flatnonzero(kept)
        times, chosen, last_s = written(samples * step_s, step_s, rng)
        try:
            found = read(tmp_path, times, samples, max_missing_share=0.2, **chosen)
        except DataError as error:
            wrong.append((seed, step_s, last_s, times[:4], chosen, str(error)[:300]))
            continue
        allowed = 1e-9 + 2 * last_s / (n * step_s)
        if found.values[:, 0].tolist() != pytest.approx(list(range(n))):
            wrong.append((seed, "samples", step_s, last_s, times[:4], len(found.values), n, found.notes))
        elif abs(found.rate_hz * step_s - 1) > allowed:
            wrong.append((seed, "rate", found.rate_hz, 1 / step_s, last_s, times[:4], found.notes))
    assert wrong == []


def test_of_few_steps_that_are_far_apart_the_shorter_one_counts() -> None:
    assert usual_step(np.array([13.0, 1.0]), 1.0) == (1.0, False)
