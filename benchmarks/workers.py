"""What do more workers bring, what does a killed one cost, and what would a billion samples cost?

The same windows are embedded here, by two processes and by a Dask cluster of two, through the code that the stages use
(`clusterwhy.compute.workers`); start-up of the workers is part of the clock. Then one shard kills its worker. Then one
core's throughput on 100 channels is carried on to a billion samples with what was measured. Ten minutes on two cores:

    python -m benchmarks.workers
    python -m benchmarks.workers --quick    # few windows; writes nothing
"""

import argparse
import functools
import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks.figures import dots
from benchmarks.record import RESULTS, Result, miniature_table, read, record, shown
from benchmarks.studies import chosen
from clusterwhy.compute.seeding import seed_torch
from clusterwhy.compute.workers import Workers
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import MaskedEncoder, embed, masked_errors
from clusterwhy.explanations.target_heads import Distance
from clusterwhy.propagation.explainer import lrp

CHANNELS, LENGTH, STRIDE, BATCH = 6, 128, 16, 128
N_WINDOWS, SHARD = 8192, 1024
MANY_CHANNELS, SAMPLES = 100, 1_000_000_000
WIDE_STRIDE, MEASURED = 32, 512  # of the billion samples; windows that one core's throughput is measured on


@functools.cache
def encoder(channels: int) -> MaskedEncoder:
    """The default encoder with random weights: speed does not depend on them. Built once per process."""
    seed_torch(0)
    return chosen()["encoder"].build(channels, LENGTH).eval()


def embedded(series: Path, part: slice) -> np.ndarray:
    """Embeddings of a shard, as pipeline/embed.py computes them."""
    starts = np.arange(part.start, part.stop) * STRIDE
    return embed(encoder(CHANNELS), np.load(series, mmap_mode="r"), starts, LENGTH, BATCH)


def deadly(series: Path, folder: Path, part: slice) -> np.ndarray:
    """The same, but the second shard kills its worker the first time."""
    (folder / f"ran-{part.start}-{time.monotonic_ns()}").touch()
    if part.start == SHARD and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return embedded(series, part)


def workers(backend: str) -> Workers:
    """Two of them."""
    return Workers(backend=backend, count=2, address=None, shard=SHARD, attempts=3)  # type: ignore[arg-type]


def measure(n_windows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seconds of each way with and without a killed worker."""
    rows, killed = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        series = folder / "series.npy"
        np.save(series, np.random.default_rng(0).standard_normal((n_windows * STRIDE + LENGTH, CHANNELS), dtype="f4"))
        for threads in (2, 1):
            torch.set_num_threads(threads)
            rows.append(_timed(f"here, {threads} thread{'s' * (threads > 1)}", "here", series, n_windows, folder))
        for backend in ("processes", "dask"):
            rows.append(_timed(f"{backend}, 2 workers", backend, series, n_windows, folder))
            runs = folder / backend
            runs.mkdir()
            began = time.perf_counter()
            work = functools.partial(deadly, series, runs)
            workers(backend).windows(work, n_windows, folder / "out.npy", BATCH, "embed")
            seconds = time.perf_counter() - began
            n_shards = -(-n_windows // SHARD)
            same = _md5(folder / "out.npy") == rows[0]["md5"]
            killed.append(
                {
                    "where": rows[-1]["where"],
                    "shards": n_shards,
                    "runs of shards": len(list(runs.glob("ran-*"))),
                    "seconds": seconds,
                    "more than without": seconds - rows[-1]["seconds"],
                    "same bytes": "yes" if same else "NO",
                }
            )
    table = pd.DataFrame(rows)
    table["speed-up"] = table["seconds"].iloc[0] / table["seconds"]
    table["same bytes"] = np.where(table["md5"] == table["md5"].iloc[0], "yes", "NO")
    return table.drop(columns="md5"), pd.DataFrame(killed)


def _timed(where: str, backend: str, series: Path, n_windows: int, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    workers(backend).windows(functools.partial(embedded, series), n_windows, folder / "out.npy", BATCH, "embed")
    seconds = time.perf_counter() - began
    return {
        "where": where,
        "seconds": seconds,
        "windows / s": round(n_windows / seconds),
        "md5": _md5(folder / "out.npy"),
    }


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def throughput(n_windows: int) -> pd.DataFrame:
    """Windows per second of one core on 100 channels: what each stage does with every window."""
    torch.set_num_threads(1)
    made = encoder(MANY_CHANNELS)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n_windows * WIDE_STRIDE + LENGTH, MANY_CHANNELS), dtype=np.float32)
    starts = np.arange(n_windows) * WIDE_STRIDE
    windows = windows_at(values, starts, LENGTH)
    target = nn.Sequential(made, Distance(rng.standard_normal((64, 128)).astype(np.float32), 3)).eval()
    jobs = {
        "embed": lambda: embed(made, values, starts, LENGTH, BATCH),
        "score": lambda: masked_errors(made, values, starts, LENGTH, 3, 4, BATCH),
        "explain (epsilon_plus)": lambda: lrp(target, windows, None, "epsilon_plus"),
    }
    rows = []
    for step, job in jobs.items():
        began = time.perf_counter()
        job()
        rows.append({"step": step, "windows / s of a core": n_windows / (time.perf_counter() - began)})
    return pd.DataFrame(rows)


def billion(speed: pd.DataFrame) -> pd.DataFrame:
    """Core hours and bytes of a billion samples x 100 channels, by what was measured here and in benchmarks.scaling."""
    n_windows = SAMPLES // WIDE_STRIDE
    rows = [
        {
            "what": row["step"],
            "core hours": n_windows / row["windows / s of a core"] / 3600,
            "hours on 64 cores": n_windows / row["windows / s of a core"] / 3600 / 64,
            "writes (GB)": n_windows * size / 1e9,
        }
        for (_, row), size in zip(speed.iterrows(), (128 * 4, 8, 0), strict=True)
    ]
    if (RESULTS / "scaling.json").is_file():
        grown = read("scaling").table("growth")
        for step in ("UMAP", "HDBSCAN"):
            part = grown[grown["step"] == step].sort_values("windows")
            (n_small, n_large), (small, large) = part["windows"].iloc[-2:], part["seconds"].iloc[-2:]
            each = (large - small) / (n_large - n_small)  # seconds per window once the sample is fitted
            hours = each * n_windows / 3600
            rows.append(
                {"what": f"{step}, placing", "core hours": hours, "hours on 64 cores": np.nan, "writes (GB)": 0.0}
            )
    rows.insert(
        0,
        {"what": "the series, float32", "writes (GB)": SAMPLES * MANY_CHANNELS * 4 / 1e9},
    )
    return pd.DataFrame(rows)


def miniature() -> dict[str, float]:
    """Seconds of two processes, once they run, as a ratio to one thread here, few windows."""
    measure(SHARD)  # joblib keeps the processes: after a longer run they are there already
    table = measure(2 * SHARD)[0].set_index("where")["seconds"]
    return {"processes / one thread": float(table["processes, 2 workers"] / table["here, 1 thread"])}


def section(result: Result) -> str:
    """Speed, a death and a billion samples, in Markdown."""
    return f"""
{result.setup["windows"]:,} windows ({CHANNELS} channels x {LENGTH}) are embedded in shards of {SHARD}. This machine has
two cores, so two workers can at best equal two threads; what they show is that the bytes are the
same and what starting them costs:

{shown(result.table("workers"))}

One shard kills its worker the first time it is run (two workers, so at most one other shard was under way):

{shown(result.table("killed"))}

On paper: {SAMPLES:,} samples x {MANY_CHANNELS} channels are {SAMPLES // WIDE_STRIDE / 1e6:.0f} million windows of
{LENGTH} at a stride of {WIDE_STRIDE}. One core's throughput on {MANY_CHANNELS} channels, and what follows from it;
shards need nothing of each other, so cores divide the first three (placing runs on one core today):

{shown(result.table("throughput"), 1)}

{shown(result.table("billion"), 1)}

Training does not grow: it draws a fixed number of batches. With a stride of half a window all of this halves; the
pipeline explains medoids and anomalies only, and then that row is not needed.
"""


def figure(result: Result, figure: Figure) -> None:
    """Windows per second of each way."""
    figure.set_size_inches(7, 2)
    axes, table = figure.subplots(), result.table("workers")
    dots(axes, table, "where", "windows / s", set(table["where"]))
    axes.set(xlabel="windows / s, start of the workers included")
    axes.set_xlim(left=0)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few windows; writes nothing")
    quick, began = parser.parse_args().quick, time.monotonic()
    table, killed = measure(3 * SHARD if quick else N_WINDOWS)
    speed = throughput(64 if quick else MEASURED)
    tables = {"workers": table, "killed": killed, "throughput": speed, "billion": billion(speed)}
    if quick:
        print(*(shown(found) for found in tables.values()), sep="\n\n")
        return
    tables["miniature"] = miniature_table(miniature())
    record("workers", "", began, {"windows": N_WINDOWS, "shard": SHARD, "workers": 2}, tables, table)


if __name__ == "__main__":
    # by its name, so that workers can import what they are sent
    from benchmarks import workers as named

    named.main()
