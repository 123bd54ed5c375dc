"""Do explanations find the channel and the moments where a fault was planted into a real recording?

Smartwatch windows get one of eight faults in one or two of six channels, for half of their time. The encoder
learned from the untouched series. Each method ranks channels (precision at the true number) and, where it can,
channel x time cells (AUROC of |relevance| against the planted mask). Writes docs/planted.csv and docs/planted.md.
A quarter of an hour on two cores:

    python -m benchmarks.planted
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm import tqdm

from benchmarks.watch import chosen
from clusterwhy.anomaly.detectors import Evidence, MaskedPredictionError
from clusterwhy.artifacts import write_table, write_text
from clusterwhy.data.windows import window_index, windows_at
from clusterwhy.encoders.masked import embed
from clusterwhy.relevance.composites import COMPOSITES
from clusterwhy.relevance.explaining import explain
from clusterwhy.relevance.faithfulness import statistics_z
from clusterwhy.relevance.targets import ClusterMembership, Distance, EmbeddingSum, prototypes
from clusterwhy.seeding import seed_torch

ROOT = Path(__file__).resolve().parents[1]
N_PER_FAULT, N_NORMAL, SEEDS = 16, 64, (0, 1, 2, 3, 4)
RULES = ("epsilon", "epsilon_plus", "epsilon_gamma", "epsilon_gamma_box")

Fault = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _spikes(piece: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = piece.copy()
    for at in rng.choice(len(piece) - 2, 3, replace=False):
        changed[at : at + 2] += 4.0
    return changed


def _faster(piece: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    steps = np.arange(len(piece))
    return np.interp((steps * 1.7) % (len(piece) - 1), steps, piece)


# (time,) of one channel, the same channel of another window of the same exercise
FAULTS: dict[str, Fault] = {
    "offset": lambda piece, other, rng: piece + 1.5,
    "variance": lambda piece, other, rng: piece.mean() + 2.5 * (piece - piece.mean()),
    "spikes": _spikes,
    "drift": lambda piece, other, rng: piece + np.linspace(0.0, 2.5, len(piece)),
    "correlation break": lambda piece, other, rng: other,
    "phase shift": lambda piece, other, rng: np.roll(piece, len(piece) // 4),
    "frequency": _faster,
    "swapped timing": lambda piece, other, rng: piece[::-1].copy(),
}
# mean, spread and spread of differences of the window stay (nearly) what they were
UNSEEN_BY_STATISTICS = ("correlation break", "phase shift", "swapped timing")


def plant(
    fault: Fault, windows: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Faulty windows (window, channel, time), and the mask of what was changed."""
    found, masks = [], []
    n_channels, length = windows.shape[1:]
    for at in rng.choice(len(windows), N_PER_FAULT, replace=False):
        window, mask = windows[at].copy(), np.zeros(windows.shape[1:], dtype=bool)
        first = int(rng.integers(0, length // 2))
        part = slice(first, first + length // 2)
        same = np.flatnonzero(labels == labels[at])
        for channel in rng.choice(n_channels, rng.integers(1, 3), replace=False):
            other = windows[rng.choice(same), channel, part]
            window[channel, part] = fault(window[channel, part], other, rng)
            mask[channel, part] = True
        found.append(window)
        masks.append(mask)
    return np.stack(found).astype(np.float32), np.stack(masks)


def gradients(network: nn.Module, windows: np.ndarray, starts: list[np.ndarray], steps: int) -> np.ndarray:
    """Mean over baselines and steps of (x - baseline) times the gradient on the way (Sundararajan 2017; Erion 2021)."""
    x, total = torch.from_numpy(windows), torch.zeros(windows.shape)
    for start in starts:
        base = torch.from_numpy(start)
        for step in range(steps):
            at = (base + (step + 0.5) / steps * (x - base)).requires_grad_()
            (gradient,) = torch.autograd.grad(network(at).sum(), at)
            total += (x - base) * gradient / (steps * len(starts))
    return total.numpy()


def occlusion(network: nn.Module, windows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(window, channel) how far the target falls when a channel comes from a normal window."""
    with torch.no_grad():
        start = network(torch.from_numpy(windows)).numpy()
        drops = []
        for channel in range(windows.shape[1]):
            changed = windows.copy()
            changed[:, channel] = others[:, channel]
            drops.append(start - network(torch.from_numpy(changed)).numpy())
    return np.stack(drops, axis=1)


def scores_of(channels: np.ndarray, cells: np.ndarray | None, masks: np.ndarray) -> dict[str, float]:
    """Precision at the true number of channels, and AUROC of cells."""
    truth = masks.any(axis=2)
    hits = [truth[i, np.argsort(-channels[i])[: truth[i].sum()]].mean() for i in range(len(truth))]
    found = {"precision": float(np.mean(hits))}
    if cells is not None:
        areas = [roc_auc_score(m.ravel(), np.abs(c).ravel()) for m, c in zip(masks, cells, strict=True)]
        found["cell_auroc"] = float(np.mean(areas))
    return found


def run(seed: int) -> list[dict[str, Any]]:
    """One row per fault and method; the seed chooses the subject, too."""
    settings = chosen(dataset={"subject": seed + 1})
    series = settings["dataset"].read()
    centre, scale = settings["scaler"].fit(series.values)
    values = ((series.values - centre) / scale).astype(np.float32)
    index = window_index(series, settings["window"])
    starts, length, labels = index["start"].to_numpy(), settings["window"].length, index["label"].to_numpy()
    seed_torch(seed)
    encoder = settings["encoder"].build(len(series.channels), length)
    settings["train"].fit(encoder, values, starts, length, seed, lambda row: None)
    encoder = encoder.cpu().eval().requires_grad_(False)
    windows = windows_at(values, starts, length)
    normal_embeddings = embed(encoder, values, starts, length, 128)
    rng = np.random.default_rng(seed)
    normal = windows[rng.choice(len(windows), N_NORMAL, replace=False)]
    normal_prototypes = prototypes(normal_embeddings, 16, seed)
    box = values.min(axis=0), values.max(axis=0)
    rows = []
    for fault, change in FAULTS.items():
        faulty, masks = plant(change, windows, labels, rng)
        with torch.no_grad():
            found = encoder(torch.from_numpy(faulty)).numpy()
        own = prototypes(found, 4, seed)
        distances = np.square(found[:, None] - normal_embeddings[None]).sum(axis=2)
        nearest = windows[np.argsort(distances, axis=1)[:, :4]]  # (window, neighbour, channel, time)
        heads = {
            "distance": Distance(normal_embeddings, 3),
            "membership": ClusterMembership(own, normal_prototypes, "midpoint"),
            "membership from zero": ClusterMembership(own, normal_prototypes, "zero"),
            "embedding sum": EmbeddingSum(),
        }
        methods: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
        for target, head in heads.items():
            network = nn.Sequential(encoder, head).eval()
            for rule in RULES:
                cells = explain(encoder, faulty, head, COMPOSITES[rule], box=box).values
                near = [explain(encoder, nearest[:, j], head, COMPOSITES[rule], box=box).values for j in range(4)]
                methods[f"LRP {rule}, {target}"] = cells.sum(axis=2), cells
                change_of = cells - np.mean(near, axis=0)
                methods[f"LRP {rule}, {target}, minus nearest"] = np.abs(change_of).sum(axis=2), change_of
            if target in ("distance", "membership"):
                zero = gradients(network, faulty, [np.zeros_like(faulty)], 1)
                integrated = gradients(network, faulty, [np.zeros_like(faulty)], 16)
                expected = gradients(network, faulty, [nearest[:, j] for j in range(4)], 8)
                for name, cells in (("gradient x input", zero), ("integrated gradients", integrated)):
                    methods[f"{name}, {target}"] = cells.sum(axis=2), cells
                methods[f"expected gradients, {target}"] = expected.sum(axis=2), expected
                methods[f"occlusion, {target}"] = occlusion(network, faulty, nearest[:, 0]), None
        together = np.concatenate([normal, faulty]).transpose(0, 2, 1).reshape(-1, windows.shape[1])
        evidence = Evidence(
            values=together,
            starts=np.arange(len(normal) + len(faulty)) * length,
            length=length,
            train=np.arange(len(normal) + len(faulty)) < len(normal),
            embeddings=found,
            projection=found[:, :2],
            load_encoder=lambda: encoder,
            seed=seed,
        )
        errors = MaskedPredictionError(n_parts=3, block=4, batch_size=128).score(evidence).channels
        methods["masked-prediction error"] = errors[len(normal) :], None  # type: ignore[index]
        methods["z of simple statistics"] = statistics_z(faulty, windows), None
        methods["random"] = rng.random(masks.shape[:2]), rng.random(masks.shape)
        for method, (channels, cells_or_none) in methods.items():
            row = {"seed": seed, "fault": fault, "method": method}
            rows.append(row | scores_of(channels, cells_or_none, masks))
    return rows


def write_tables(table: pd.DataFrame) -> None:
    """docs/planted.md from every run."""
    by_fault = table.groupby(["method", "fault"], sort=False)["precision"].mean().unstack()
    by_fault.insert(0, "mean", by_fault.mean(axis=1))
    by_fault.insert(1, "unseen by statistics", by_fault[list(UNSEEN_BY_STATISTICS)].mean(axis=1))
    by_fault["cell AUROC"] = table.groupby("method")["cell_auroc"].mean()
    ordered = by_fault.sort_values("mean", ascending=False)
    text = f"""# Planted faults

Written by `python -m benchmarks.planted`; every run is in `planted.csv`. Faults are planted into real
smartwatch windows (subjects 1 to {len(SEEDS)}, one seed each, {N_PER_FAULT} windows per fault) in one or two of
six channels for half of the window. Precision at the true number of channels; cell AUROC of |relevance| against
the planted channel x time mask. "Unseen by statistics": {", ".join(UNSEEN_BY_STATISTICS)}, which
leave mean, spread and spread of differences nearly as they were. "Minus nearest": relevance minus the mean
relevance of the four normal windows nearest in the embedding.

{ordered.to_markdown(floatfmt=".2f")}
"""
    write_text(ROOT / "docs" / "planted.md", text)


def main() -> None:
    """Run all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true", help="no runs, only the tables from docs/planted.csv")
    path = ROOT / "docs" / "planted.csv"
    if not parser.parse_args().tables:
        rows = [row for seed in tqdm(SEEDS, unit="seed") for row in run(seed)]
        write_table(path, pd.DataFrame(rows).round(4))
    write_tables(pd.read_csv(path))


if __name__ == "__main__":
    main()
