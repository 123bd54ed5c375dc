"""What LRP costs: our engine, zennit's hooks and captum beside one plain forward + backward pass of the same batch.

Rounds are interleaved and the fastest counts, so that a busy machine disturbs all alike. A quarter of an hour on two
cores:

    python -m benchmarks.engine
    python -m benchmarks.engine --quick    # one network, one thread, few rounds; writes nothing
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from benchmarks.figures import bars
from benchmarks.record import Result, fastest, miniature_table, record, shown
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.explanations.target_heads import EmbeddingSum
from clusterwhy.propagation.canonical import canonize
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.engine import BATCH_SIZE, Engine
from clusterwhy.propagation.explainer import lrp
from clusterwhy.propagation.zennit_backend import zennit_composite, zennit_relevance

RULES = ("epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_gamma_box")
BATCH = 64
ROUNDS = 7
N_STEPS = 16  # of integrated gradients, samples of GradientSHAP
N_WINDOWS = (256, 1024, 4096)


def inception(channels: int, length: int) -> nn.Module:
    """The default encoder with the sum of its embedding."""
    return nn.Sequential(
        InceptionTime(n_filters=32, depth=6, kernel_size=40, head_dropout=0.1).build(channels, length), EmbeddingSum()
    )


def plain_cnn(channels: int, length: int) -> nn.Module:
    """Wide first kernel, four convolutions with pooling: the vibration network's shape."""
    widths, kernels = (channels, 16, 32, 64, 64), (64, 3, 3, 3)
    layers: list[nn.Module] = []
    for width, following, kernel in zip(widths, widths[1:], kernels, strict=False):
        layers += [
            nn.Conv1d(width, following, kernel, padding=kernel // 2),
            nn.BatchNorm1d(following),
            nn.ReLU(),
            nn.MaxPool1d(2),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(widths[-1], 1), nn.Flatten(0))


CASES: dict[str, tuple[Callable[[int, int], nn.Module], int, int]] = {
    "InceptionTimePlus 38 x 64": (inception, 38, 64),
    "InceptionTimePlus 38 x 128": (inception, 38, 128),
    "CNN 3 x 2000": (plain_cnn, 3, 2000),
}


def peak_mb(job: Callable[[], object]) -> float:
    """Greatest memory that tensors of a job hold at a time, from torch's own count of allocations."""
    job()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        job()
    held = peak = 0
    changes = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    for event in sorted(changes, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 2**20


def captum_jobs(network: nn.Module, windows: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Captum's methods for the same scalar; its LRP is given the epsilon rule for every layer it has none for."""
    from captum.attr import LRP, GradientShap, IntegratedGradients
    from captum.attr._utils.lrp_rules import EpsilonRule

    ruled = copy.deepcopy(network)
    zeros = torch.zeros_like(windows)

    def by_rules() -> object:
        for module in ruled.modules():  # captum takes the rules away when it is done
            if not list(module.children()) and not isinstance(module, nn.ReLU):
                module.rule = EpsilonRule()  # type: ignore[assignment]
        return LRP(ruled).attribute(windows.clone())

    return {
        "captum LRP epsilon": by_rules,
        "captum integrated gradients": lambda: IntegratedGradients(network).attribute(
            windows, zeros, n_steps=N_STEPS, internal_batch_size=BATCH
        ),
        "captum GradientSHAP": lambda: GradientShap(network).attribute(windows, zeros, n_samples=N_STEPS),
    }


def broken(job: Callable[[], object]) -> str:
    """Why a job does not run; "" where it does."""
    try:
        job()
    except Exception as error:  # whatever a peer raises is the finding
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return ""


def measure(name: str, threads: int, rounds: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the composites and of captum: ratios to a plain pass, each timed in the same rounds."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    build, channels, length = CASES[name]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build(channels, length).to(device).eval().requires_grad_(False)
    windows = torch.randn(BATCH, channels, length, device=device)
    canonical = canonize(network, windows[:2])
    engine = Engine(canonical)
    ends = windows.amin((0, 2), keepdim=True), windows.amax((0, 2), keepdim=True)

    def plain() -> object:
        inputs = windows.clone().requires_grad_()
        return torch.autograd.grad(network(inputs).sum(), inputs)

    def fused(rules: Any) -> Callable[[], object]:
        return lambda: engine.explain(windows, rules)

    def sweep() -> None:
        for part in windows.split(BATCH_SIZE):
            tape = engine.run(part)
            for rule in RULES:
                engine.relevance(tape, tape.output, COMPOSITES[rule].rules(*ends))

    jobs: dict[str, Callable[[], object]] = {"plain": plain, "sweep": sweep}
    for rule in RULES:
        rules = COMPOSITES[rule].rules(*ends)
        with torch.no_grad():
            output = network(windows)
        composite = zennit_composite(canonical, rules)
        jobs[f"fused {rule}"] = fused(rules)
        jobs[f"zennit {rule}"] = lambda c=composite, o=output: zennit_relevance(canonical, c, windows, o)  # type: ignore[misc]
    peers = captum_jobs(network, windows)
    reasons = {peer: broken(job) for peer, job in peers.items()}
    best = fastest({job: _finished(run) for job, run in jobs.items()}, rounds)
    # they take so much longer that two rounds say enough
    slower = {"plain": plain} | {peer: job for peer, job in peers.items() if not reasons[peer]}
    beside = fastest({job: _finished(run) for job, run in slower.items()}, min(rounds, 2))
    plain_memory = peak_mb(plain)
    same = {"network": name, "threads": threads}
    rows: list[dict[str, Any]] = []
    for rule in RULES:
        figures = {
            "plain (ms)": 1000 * best["plain"],
            "engine": best[f"fused {rule}"] / best["plain"],
            "zennit": best[f"zennit {rule}"] / best["plain"],
            "memory": peak_mb(jobs[f"fused {rule}"]) / plain_memory,
        }
        rows.append(same | {"composite": rule} | figures)
    together = {"plain (ms)": 1000 * best["plain"], "engine": best["sweep"] / best["plain"]}
    rows.append(same | {"composite": f"all {len(RULES)}, one forward pass"} | together)
    others = [
        same | {"method": peer, "cost": beside.get(peer, np.nan) / beside["plain"], "why not": reason}
        for peer, reason in reasons.items()
    ]
    return rows, others


def _finished(job: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        job()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def memory(sizes: tuple[int, ...]) -> pd.DataFrame:
    """Peak memory of `explain`, its result left out, against the number of windows."""
    torch.manual_seed(0)
    channels, length = 6, 128
    network = inception(channels, length).eval()
    rows = []
    for n_windows in sizes:
        windows = np.random.default_rng(0).standard_normal((n_windows, channels, length), dtype=np.float32)
        used = peak_mb(lambda w=windows: lrp(network, w, None, "epsilon_plus"))  # type: ignore[misc]
        rows.append({"windows": n_windows, "peak (MB)": used, "result (MB)": windows.nbytes / 2**20})
    return pd.DataFrame(rows)


def section(result: Result) -> str:
    """What LRP costs, in Markdown."""
    cost, others, used = result.table("cost"), result.table("captum"), result.table("memory")
    reasons = others[others["why not"] != ""].groupby("method")["why not"].first()
    notes = [f"{method} does not run on every network: `{why}`." for method, why in reasons.items()]
    beside = others.pivot_table("cost", ["network", "threads"], "method", dropna=False).reset_index()
    return f"""
Batches of {BATCH} windows, float32, the fastest of {result.setup["rounds"]} interleaved rounds. `plain` is one forward
and backward pass of the network with respect to its input, parameters frozen; every other figure is a ratio to it,
measured in the same run: our engine, and zennit on the same canonical form. Memory is what tensors hold at most; our
engine takes a batch in parts of {BATCH_SIZE} windows.

{shown(cost)}

Captum for the same scalar, {N_STEPS} steps or samples, as a ratio to the same plain pass. {" ".join(notes)}

{shown(beside)}

Peak memory of `explain` (InceptionTimePlus, 6 channels x 128, epsilon_plus) does not grow with the windows, apart from
what it returns:

{shown(used, 0)}
"""


def figure(result: Result, figure: Figure) -> None:
    """Engine and zennit by composite, one panel per network, one thread."""
    cost = result.table("cost")
    cost = cost[(cost["threads"] == cost["threads"].min()) & cost["zennit"].notna()]
    panels = figure.subplots(1, cost["network"].nunique(), sharey=True)
    for axes, (network, part) in zip(panels, cost.groupby("network", sort=False), strict=True):
        bars(axes, part, "composite", {"engine": "our engine", "zennit": "zennit"})
        axes.axvline(1.0, color="0.3", linewidth=0.8)
        axes.set(title=network, xlabel="cost (plain passes)")


def miniature() -> dict[str, float]:
    """Cost of every composite in plain passes: one network, one thread."""
    rows, _ = measure("InceptionTimePlus 38 x 64", 1, 3)
    return {row["composite"]: row["engine"] for row in rows}


def main() -> None:
    """Measure every case and record, or look at one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, one thread; writes nothing")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of torch; 1 and 2 if not given")
    options, began = parser.parse_args(), time.monotonic()
    if options.quick:
        rows, others = measure("InceptionTimePlus 38 x 64", 1, 2)
        print(shown(pd.DataFrame(rows)), shown(pd.DataFrame(others)), shown(memory((64, 256))), sep="\n\n")
        return
    jobs = [(name, threads) for threads in options.threads for name in CASES]
    found = [measure(*job, ROUNDS) for job in tqdm(jobs, unit="case")]
    cost = pd.DataFrame([row for rows, _ in found for row in rows])
    captum = pd.DataFrame([row for _, others in found for row in others])
    setup = {"networks": len(CASES), "rounds": ROUNDS, "batch": BATCH}
    tables = {"cost": cost, "captum": captum, "memory": memory(N_WINDOWS), "miniature": miniature_table(miniature())}
    arguments = "" if options.threads == [1, 2] else f"--threads {' '.join(map(str, options.threads))}"
    record("engine", arguments, began, setup, tables, cost)


if __name__ == "__main__":
    main()
