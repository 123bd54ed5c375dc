"""What LRP costs: our engine and zennit's hooks beside one plain forward + backward pass of the same batch.

Rounds are interleaved and the fastest counts, so that a busy machine disturbs all alike. Writes docs/engine.md.
Ten minutes on two cores:

    python -m benchmarks.engine
"""

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from clusterwhy.artifacts import write_text
from clusterwhy.encoders.inception_time import InceptionTime
from clusterwhy.relevance.canonical import canonize
from clusterwhy.relevance.composites import COMPOSITES
from clusterwhy.relevance.engine import PART, Engine
from clusterwhy.relevance.reference import zennit_composite, zennit_relevance
from clusterwhy.relevance.targets import EmbeddingSum

ROOT = Path(__file__).resolve().parents[1]
RULES = ("epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_gamma_box")
BATCH = 64


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


def seconds(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Fastest of several interleaved rounds of each job."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            gc.collect()
            began = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


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


def measure(name: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """One row per rule: seconds of a plain pass, and the others as ratios to it."""
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
        for part in windows.split(PART):
            tape = engine.run(part)
            for name in RULES:
                engine.relevance(tape, tape.output, COMPOSITES[name].rules(*ends))

    jobs: dict[str, Callable[[], object]] = {"plain": plain, "sweep": sweep}
    for rule in RULES:
        rules = COMPOSITES[rule].rules(*ends)
        with torch.no_grad():
            output = network(windows)
        composite = zennit_composite(canonical, rules)
        jobs[f"fused {rule}"] = fused(rules)
        jobs[f"zennit {rule}"] = lambda c=composite, o=output: zennit_relevance(canonical, c, windows, o)  # type: ignore[misc]
    best = seconds(jobs, rounds)
    plain_memory = peak_mb(plain)
    rows = []
    for rule in RULES:
        rows.append(
            {
                "network": name,
                "threads": threads,
                "composite": rule,
                "plain (ms)": 1000 * best["plain"],
                "fused / plain": best[f"fused {rule}"] / best["plain"],
                "zennit / plain": best[f"zennit {rule}"] / best["plain"],
                "memory / plain": peak_mb(jobs[f"fused {rule}"]) / plain_memory,
            }
        )
    rows.append(
        {
            "network": name,
            "threads": threads,
            "composite": f"all {len(RULES)}, one forward pass",
            "plain (ms)": 1000 * best["plain"],
        }
        | {"fused / plain": best["sweep"] / best["plain"]}
    )
    return rows


def main() -> None:
    """Measure every case, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args()
    jobs = [(name, threads) for threads in chosen.threads for name in CASES]
    table = pd.DataFrame([row for job in tqdm(jobs, unit="case") for row in measure(*job, chosen.rounds)])
    kind = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    text = f"""# Cost of LRP

Written by `python -m benchmarks.engine` on {kind}: batches of {BATCH} windows, float32, the fastest of
{chosen.rounds} interleaved rounds. `plain` is one forward and backward pass of the network with respect to its
input, parameters frozen; every other figure is a ratio to it, measured in the same run. zennit runs on the same
canonical form. Memory is what tensors hold at most; our engine takes a batch in parts of {PART} windows.

{table.to_markdown(index=False, floatfmt=".2f")}
"""
    write_text(ROOT / "docs" / "engine.md", text)


if __name__ == "__main__":
    main()
