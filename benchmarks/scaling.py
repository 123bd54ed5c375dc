"""How do windowing, projection and clustering grow with the number of windows, and what does a sample of them lose?

Every step runs alone in a process of its own, which reports its seconds of processors (other work on the machine
does not count) and the memory it added. Points have the size of the default embedding and lie in twelve regimes;
projected ones lie in two dimensions. A step that would take over two minutes is not tried. Exponents are slopes of log
seconds and log memory. A quarter of an hour on two cores:

    python -m benchmarks.scaling
    python -m benchmarks.scaling --quick    # up to 1e4 windows; writes nothing
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.record import ROOT, Result, miniature_table, record, shown
from benchmarks.studies import chosen

N_WINDOWS = (1_000, 10_000, 100_000, 1_000_000)
N_FEATURES, N_REGIMES = 128, 12
CHANNELS, LENGTH, STRIDE = 6, 128, 32
LIMIT_S = 120.0
COMPARED = 20_000  # windows for which a sample is held against all of them
SAMPLES = (500, 1_000, 2_000, 4_000)


def points(n_windows: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """(window, feature) in curved, overlapping regimes of unlike size, and the regime of each window."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(N_REGIMES, 4.0))
    regime = rng.choice(N_REGIMES, n_windows, p=share)
    inner = 3.0 * rng.standard_normal((N_REGIMES, 4))[regime] + 0.6 * rng.standard_normal((n_windows, 4))
    bent = np.tanh(inner @ rng.standard_normal((4, n_features)) / 3.0)
    return (bent + 0.03 * rng.standard_normal(bent.shape)).astype(np.float32), regime


def flat(n_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """(window, 2) as a projection has them: tight blots far apart; and the regime of each."""
    rng = np.random.default_rng(0)
    regime = rng.choice(N_REGIMES, n_windows, p=rng.dirichlet(np.full(N_REGIMES, 4.0)))
    centre = 8.0 * rng.standard_normal((N_REGIMES, 2))
    return (centre[regime] + 0.7 * rng.standard_normal((n_windows, 2))).astype(np.float32), regime


def windowing(n_windows: int) -> Callable[[], object]:
    """The window index, and every window cut out of the series once, batch by batch."""
    from clusterwhy.data.series import Series
    from clusterwhy.data.windows import window_index, windows_at

    steps = n_windows * STRIDE + LENGTH
    values = np.random.default_rng(0).standard_normal((steps, CHANNELS), dtype=np.float32)
    settings = chosen(window={"length": LENGTH, "stride": STRIDE})["window"]
    names = tuple(f"channel {i}" for i in range(CHANNELS))
    series = Series("noise", values, np.arange(steps) / 10.0, 10.0, names, ("",) * CHANNELS, train_stop=steps)

    def run() -> None:
        starts = window_index(series, settings)["start"].to_numpy()
        for first in range(0, len(starts), 128):
            windows_at(series.values, starts[first : first + 128], LENGTH)

    return run


def umap(n_windows: int, **changes: Any) -> Callable[[], object]:
    """The projection of the default, or fitted on another number of windows."""
    found, settings = points(n_windows, N_FEATURES)[0], chosen(projection=changes)["projection"]
    settings.fit(found[:200], 0)  # reads what was compiled
    return partial(settings.fit, found, 0)


def hdbscan(n_windows: int, **changes: Any) -> Callable[[], object]:
    """Clusters in the projection, of the default or fitted on another number of windows."""
    found, settings = flat(n_windows)[0], chosen(clusterer=changes)["clusterer"]
    settings.fit(found[:200])
    return partial(settings.fit, found)


def fast_hdbscan(n_windows: int) -> Callable[[], object]:
    """fast_hdbscan with the same sizes."""
    from fast_hdbscan import HDBSCAN

    found = flat(n_windows)[0]
    size, samples = chosen()["clusterer"].sizes(n_windows)
    HDBSCAN(min_cluster_size=5, min_samples=3).fit(found[:200])
    return lambda: HDBSCAN(min_cluster_size=size, min_samples=samples).fit(found)


STEPS: dict[str, Callable[[int], Callable[[], object]]] = {
    "windowing": windowing,
    "UMAP": umap,
    "UMAP of all": partial(umap, sample=None),
    "HDBSCAN": hdbscan,
    "HDBSCAN of all": partial(hdbscan, sample=None),
    "fast_hdbscan": fast_hdbscan,
}


def alone(step: str, n_windows: int) -> dict[str, Any]:
    """Seconds and added peak memory of one step, in this process; none where memory does not suffice."""
    run = STEPS[step](n_windows)
    before, began = _peak_mb(), time.process_time()
    try:
        run()
    except MemoryError:
        return {"seconds": None, "memory (MB)": None}
    return {"seconds": time.process_time() - began, "memory (MB)": _peak_mb() - before}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _alone(step: str, n_windows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--alone", step, str(n_windows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{step} of {n_windows} windows failed\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def growth(most: int, keep: Path | None = None) -> pd.DataFrame:
    """Rows of every step and number of windows, as far as time and memory allow; those in `keep` are not run again."""
    rows = pd.read_json(keep, lines=True).to_dict("records") if keep and keep.exists() else []
    known = {(row["step"], row["windows"]): row for row in rows}
    bar = tqdm(total=len(STEPS) * sum(n <= most for n in N_WINDOWS), unit="step")
    for step in STEPS:
        for n_windows in (n for n in N_WINDOWS if n <= most):
            found = known.get((step, n_windows)) or {"step": step, "windows": n_windows} | _alone(step, n_windows)
            if found not in rows:
                rows.append(found)
                if keep:
                    keep.open("a").write(json.dumps(found) + "\n")
            bar.update()
            if not found["seconds"] or found["seconds"] > LIMIT_S / 10:
                break  # the next would not fit, or take too long
    bar.close()
    return pd.DataFrame(rows)


def exponents(rows: pd.DataFrame) -> pd.DataFrame:
    """Slopes of log figures over log windows, from 1e4 on, where a step's fixed cost no longer shows."""
    found = []
    for step, part in rows.groupby("step", sort=False):
        large = part[part["windows"] >= N_WINDOWS[1]]
        row: dict[str, Any] = {"step": step}
        for figure in ("seconds", "memory (MB)"):
            grown = large[large[figure] > 0.01]
            fits = len(grown) > 1
            row[f"exponent of {figure.split()[0]}"] = (
                float(np.polyfit(np.log(grown["windows"]), np.log(grown[figure]), 1)[0]) if fits else np.nan
            )
        found.append(row)
    return pd.DataFrame(found)


def quality(n_windows: int, samples: tuple[int, ...]) -> pd.DataFrame:
    """What a sample loses: trustworthiness of the projection, agreement of clusters with the regimes and with all.

    HDBSCAN clusters as by default, whatever UMAP was fitted on.
    """
    from clusterwhy.metrics.clusters import label_agreement
    from clusterwhy.projection import trustworthiness

    embeddings, regime = points(n_windows, N_FEATURES)
    rows, whole = [], None
    for sample in (None, *samples):
        began = time.process_time()
        settings = chosen(projection={"sample": sample})
        projection = settings["projection"].fit(embeddings, 0)
        seconds = time.process_time() - began
        labels = settings["clusterer"].fit(projection, embeddings).labels
        whole = labels if whole is None else whole
        rows.append(
            {
                "UMAP fitted on": f"{sample:,} windows" if sample else f"all {n_windows:,}",
                "seconds": seconds,
                "trustworthiness": trustworthiness(embeddings, projection, 15, 0),
                "AMI with the regimes": label_agreement(regime, labels)["ami"],
                "AMI with all windows' clusters": label_agreement(whole, labels)["ami"],
                "noise share": float((labels == -1).mean()),
            }
        )
    return pd.DataFrame(rows)


def miniature() -> dict[str, float]:
    """Growth of seconds from 2 000 to 8 000 windows."""
    found = {}
    for step in ("UMAP", "HDBSCAN"):
        few, many = (_alone(step, n)["seconds"] for n in (2_000, 8_000))
        found[f"{step}, 8 000 / 2 000 windows"] = many / few
    return found


def section(result: Result) -> str:
    """Growth and what a sample loses, in Markdown."""
    rows = result.table("growth")
    wide = rows.assign(
        cell=[
            "not enough memory" if pd.isna(s) else f"{s:.2f} s, {m:.0f} MB"
            for s, m in zip(rows["seconds"], rows["memory (MB)"], strict=True)
        ]
    )
    wide = wide.pivot_table("cell", "step", "windows", aggfunc="first", sort=False).fillna("")
    wide.columns = [f"{n:,}" for n in wide.columns]
    umap, hdbscan = chosen()["projection"].sample, chosen()["clusterer"].sample
    clock = result.setup.get("clock", "Seconds")
    return f"""
{clock}, and memory added at the peak, by number of windows; `windowing` cuts every window
({CHANNELS} channels x {LENGTH}) out of the series once, UMAP gets {N_FEATURES} features, HDBSCAN two. By default UMAP
is fitted on {umap:,} windows and HDBSCAN on {hdbscan:,}, drawn at random, and the others are placed and assigned; `of
all` fits on every window (`sample: null`). An empty cell would take over {LIMIT_S:.0f} s. fast_hdbscan keeps
`min_samples` neighbours (1.25 % of the windows) of every window, so that its memory grows with the square.

{shown(wide.reset_index())}

{shown(result.table("exponents"))}

What a sample loses, on {result.setup["compared"]:,} windows:

{shown(result.table("quality"), 3)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Seconds and memory over windows, both axes logarithmic."""
    rows = result.table("growth")
    for axes, column in zip(figure.subplots(1, 2), ("seconds", "memory (MB)"), strict=True):
        for step, part in rows.groupby("step", sort=False):
            part = part[part[column] > 0]
            axes.plot(part["windows"], part[column], "o-", markersize=4, label=step)
        axes.set(xscale="log", yscale="log", xlabel="windows", ylabel=column)
        axes.grid(alpha=0.3)
    axes.legend(frameon=False, bbox_to_anchor=(1.02, 1.0), loc="upper left")


def main() -> None:
    """Measure and record, or run one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 1e4 windows; writes nothing")
    parser.add_argument("--alone", nargs=2, metavar=("STEP", "WINDOWS"), help="one step; prints its figures as JSON")
    parser.add_argument("--keep", type=Path, help="file of finished steps: begun again, it goes on from there")
    options, began = parser.parse_args(), time.monotonic()
    if options.alone:
        print(json.dumps(alone(options.alone[0], int(options.alone[1]))))
        return
    most = N_WINDOWS[1] if options.quick else N_WINDOWS[-1]
    rows = growth(most, options.keep)
    if options.quick:
        print(shown(rows), shown(quality(3_000, (1_000,))), sep="\n\n")
        return
    tables = {"growth": rows, "exponents": exponents(rows), "quality": quality(COMPARED, SAMPLES)}
    tables["miniature"] = miniature_table(miniature())
    record(
        "scaling",
        "",
        began,
        {"compared": COMPARED, "regimes": N_REGIMES, "clock": "Seconds of processors"},
        tables,
        rows,
    )


if __name__ == "__main__":
    main()
