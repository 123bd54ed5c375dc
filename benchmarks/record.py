"""What every benchmark leaves behind: `results/NAME.json` with the figures, `results/NAME.csv.gz` with every run."""

import gzip
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import write_bytes, write_json
from clusterwhy.metrics.bootstrap import bootstrap_means, percentile_limits

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = ROOT.parent / "shared" / "data"
PACKAGES = ("clusterwhy", "torch", "zennit", "captum", "tsai", "numpy", "scikit-learn", "hdbscan", "umap-learn")
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Result:
    """The figures of one benchmark.

    Attributes:
        command: what makes them again.
        date: day they were made.
        machine: processor, cores, memory, GPU.
        versions: of Python and the packages that matter.
        seconds: how long it took.
        setup: number of series, seeds, and whatever else was chosen.
        tables: rows of figures; `x` may have `x low` and `x high` beside it, a 95 % confidence interval.
    """

    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    setup: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables."""
        return pd.DataFrame(self.tables[name])


def record(
    name: str, arguments: str, began: float, setup: dict[str, Any], tables: dict[str, pd.DataFrame], runs: pd.DataFrame
) -> None:
    """Write the figures and every run of a benchmark.

    Args:
        name: of the benchmark, which is its module below `benchmarks`.
        arguments: of the command, "" for none.
        began: `time.monotonic()` at its start.
    """
    RESULTS.mkdir(exist_ok=True)
    rounded = {key: json.loads(table.round(4).to_json(orient="records")) for key, table in tables.items()}
    result = Result(
        command=f"python -m benchmarks.{name} {arguments}".strip(),
        date=datetime.now(UTC).date().isoformat(),
        machine=_machine(),
        versions={"python": platform.python_version()} | {package: version(package) for package in _installed()},
        seconds=round(time.monotonic() - began),
        setup=setup,
        tables=rounded,
    )
    table = runs.round(4).to_csv(index=False, lineterminator="\n")
    # the same runs, the same bytes
    write_bytes(RESULTS / f"{name}.csv.gz", gzip.compress(table.encode(), mtime=0))
    write_json(RESULTS / f"{name}.json", asdict(result))


def read(name: str) -> Result:
    """The figures that `record` wrote."""
    return Result(**json.loads((RESULTS / f"{name}.json").read_text()))


def runs(name: str) -> pd.DataFrame:
    """Every run that `record` wrote."""
    return pd.read_csv(RESULTS / f"{name}.csv.gz")


def benchmark_data() -> Path:
    """The folder of the labelled benchmark series; without it the benchmark ends with a message."""
    if not DATA.is_dir():
        sys.exit("skipped: this benchmark needs the labelled series in ../shared/data, beside the checkout")
    return DATA


def mean_interval(values: pd.Series, groups: pd.Series | None = None, seed: int = 0) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap confidence interval (percentiles; Efron 1979).

    With groups, the mean of the groups' means, and values are drawn within their group: what is uncertain is each
    series' figure, the choice of series is given.
    """
    parts = [values.to_numpy()] if groups is None else [part.to_numpy() for _, part in values.groupby(groups)]
    parts = [part[np.isfinite(part)] for part in parts]
    parts = [part for part in parts if len(part)]
    if not parts:
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = np.mean([bootstrap_means(part, rng, N_RESAMPLES) for part in parts], axis=0)
    low, high = percentile_limits(drawn)
    return float(np.mean([part.mean() for part in parts])), float(low), float(high)


def with_interval(runs: pd.DataFrame, by: list[str], figures: list[str], groups: str | None = None) -> pd.DataFrame:
    """One row per value of `by`: each figure with `low` and `high` beside it."""
    rows = []
    for key, part in runs.groupby(by, sort=False):
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        for figure in figures:
            found = mean_interval(part[figure], None if groups is None else part[groups])
            row |= dict(zip((figure, f"{figure} low", f"{figure} high"), found, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame, digits: int = 2, rename: dict[str, str] | None = None) -> str:
    """A Markdown table; intervals stand in brackets behind their figure."""
    cells: dict[str, Any] = {}
    for column in table.columns:
        if str(column).endswith((" low", " high")):
            continue
        values = table[column]
        if f"{column} low" in table:
            low, high = table[f"{column} low"], table[f"{column} high"]
            cells[column] = [
                "" if pd.isna(v) else f"{v:.{digits}f} ({a:.{digits}f}, {b:.{digits}f})"
                for v, a, b in zip(values, low, high, strict=True)
            ]
        elif pd.api.types.is_float_dtype(values):
            cells[column] = ["" if pd.isna(v) else f"{v:.{digits}f}" for v in values]
        else:
            cells[column] = values
    frame = pd.DataFrame(cells).rename(columns=rename or {})
    align = ["left" if pd.api.types.is_string_dtype(table[c]) else "right" for c in cells]
    return str(frame.to_markdown(index=False, disable_numparse=True, colalign=align))


def fastest(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of several interleaved rounds of each job, so that a busy machine disturbs all alike."""
    import gc

    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            gc.collect()
            began = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def miniature_table(ratios: dict[str, float]) -> pd.DataFrame:
    """The ratios that `benchmarks.check` measures again."""
    return pd.DataFrame([{"ratio": ratio, "value": value} for ratio, value in ratios.items()])


def _installed() -> list[str]:
    from importlib.metadata import packages_distributions

    known = {name.lower() for names in packages_distributions().values() for name in names}
    return [package for package in PACKAGES if package in known]


def _machine() -> dict[str, Any]:
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "memory_gb": round(memory),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
