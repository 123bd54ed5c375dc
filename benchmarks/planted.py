"""Do explanations find the channel and the moments where a fault was planted into a real recording?

Smartwatch windows get one of eight faults in one or two of six channels, for half of their time. The encoder
learned from the untouched series. Each method ranks channels (precision at the true number) and, where it can,
channel x time cells (AUROC of |relevance| against the planted mask). Normal windows that methods compare with never
overlap the window that a fault was planted into. Faults that are done are kept in `.tmp/planted`, so a run that was cut
off goes on, and its minutes are those of the last part. Some hours on one core:

    python -m benchmarks.planted
    python -m benchmarks.planted --quick                # one subject, one fault, a few steps; writes nothing
    python -m benchmarks.planted --tables 2026-11-26    # the tables again, from the runs of that day
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm import tqdm

from benchmarks.attributions import gradients, occlusion
from benchmarks.figures import dots
from benchmarks.record import RESULTS, ROOT, Result, mean_interval, read, record, runs, shown, with_interval
from benchmarks.studies import Study, chosen, study
from clusterwhy.anomaly.base import Detector, DetectorInput
from clusterwhy.artifacts.store import write_table
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.data.windows import windows_at
from clusterwhy.encoders.masked import masked_errors, usual_errors
from clusterwhy.explanations.embedded_series import EmbeddedSeries
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.score_modules import SquaredPredictionError
from clusterwhy.explanations.score_networks import score_network
from clusterwhy.explanations.target_heads import (
    ClusterMembership,
    Distance,
    EmbeddingSum,
    prototypes,
)
from clusterwhy.metrics.z_scores import channel_z_scores
from clusterwhy.propagation.composites import COMPOSITES
from clusterwhy.propagation.explainer import lrp

N_PER_FAULT, N_REFERENCES, REACH, SEEDS = 16, 4, 0.3, (0, 1, 2, 3, 4)
DEFAULT = "difference, detector's score, fitted references"
PLAIN = ("masked-prediction error", "deviation from fitted references", "z of simple statistics", "random")
OTHERS = ("integrated", "expected", "occlusion")
N_SHOWN = 25
RULES = ("epsilon", "epsilon_plus", "epsilon_gamma", "epsilon_gamma_box")
# of targets that are not explained by all of them
RULES_OF: dict[str, tuple[str, ...]] = {"masked prediction": ("epsilon_plus_norm",), "detector's score": ()}

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
    fault: Fault, windows: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faulty windows (window, channel, time), the mask of what was changed, and which windows they were."""
    found, masks = [], []
    n_channels, length = windows.shape[1:]
    origins = rng.choice(len(windows), count, replace=False)
    for at in origins:
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
    return np.stack(found).astype(np.float32), np.stack(masks), origins


def scores_of(channels: np.ndarray, cells: np.ndarray | None, masks: np.ndarray) -> dict[str, float]:
    """Precision at the true number of channels, and AUROC of cells."""
    truth = masks.any(axis=2)
    hits = [truth[i, np.argsort(-channels[i])[: truth[i].sum()]].mean() for i in range(len(truth))]
    found = {"precision": float(np.mean(hits))}
    if cells is not None:
        areas = [roc_auc_score(m.ravel(), np.abs(c).ravel()) for m, c in zip(masks, cells, strict=True)]
        found["cell_auroc"] = float(np.mean(areas))
    return found


def kept_run(seed: int) -> pd.DataFrame:
    """What `run` gives for all faults, from an earlier run that was cut off where it was done."""
    parts = []
    for name, fault in tqdm(FAULTS.items(), leave=False, unit="fault"):
        path = ROOT / ".tmp" / "planted" / f"{seed}-{name}.csv"
        if not path.is_file():
            write_table(path, pd.DataFrame(run(seed, {name: fault}, N_PER_FAULT, {})))
        parts.append(pd.read_csv(path))
    return pd.concat(parts)


def run(seed: int, faults: dict[str, Fault], count: int, choices: dict[str, str]) -> list[dict[str, Any]]:
    """One row per fault and method, from `count` windows each; the seed chooses the subject, too."""
    settings = chosen(choices, dataset={"subject": seed + 1})
    kept = ROOT / ".tmp" / "planted" / f"{seed}.pt" if not choices else None
    made = study(settings["dataset"].read(), settings, seed, kept)
    values, starts, length, labels = made.values, made.starts, made.length, made.index["label"].to_numpy()
    encoder, windows, embeddings = made.encoder.cpu(), made.windows, made.embeddings
    box = values.min(axis=0), values.max(axis=0)
    rows = []
    for fault, change in faults.items():
        rng = np.random.default_rng([seed, list(FAULTS).index(fault)])
        faulty, masks, origins = plant(change, windows, labels, count, rng)
        # what is known as normal: nothing that overlaps a window that was changed
        clear = allowed_starts(starts, length, starts[origins], len(values))
        normal = np.flatnonzero(clear[starts])
        with torch.no_grad():
            found = encoder(torch.from_numpy(faulty)).numpy()
        distances = np.square(found[:, None] - embeddings[normal][None]).sum(axis=2)
        near = starts[normal][np.argsort(distances, axis=1)]
        fitting = matching_starts(values, faulty, near[:, :16], clear, N_REFERENCES, round(REACH * length))

        def at(chosen: np.ndarray) -> np.ndarray:
            return windows_at(values, chosen.ravel(), length).reshape(*chosen.shape, *windows.shape[1:])

        nearest, fitted = at(near[:, :N_REFERENCES]), at(fitting)
        random = at(starts[rng.choice(normal, (len(faulty), N_REFERENCES))])
        errors = masked_errors(encoder, values, starts[normal], length, 3, 4, 128)
        usual = usual_errors(errors)
        prototype = prototypes(found, 4, seed), prototypes(embeddings[normal], 16, seed)
        networks: dict[str, nn.Module] = {
            "detector's score": detector_network(made, normal, settings["detector"]),
            "distance": nn.Sequential(encoder, Distance(embeddings[normal], 3)),
            "masked prediction": SquaredPredictionError(encoder, length, 3, 4, usual),
            "membership": nn.Sequential(encoder, ClusterMembership(*prototype, "midpoint")),
            "membership from zero": nn.Sequential(encoder, ClusterMembership(*prototype, "zero")),
            "embedding sum": nn.Sequential(encoder, EmbeddingSum()),
        }
        methods: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}

        def keep(name: str, cells: np.ndarray) -> None:
            methods[name] = cells.sum(axis=2), cells  # noqa: B023

        for target, network in networks.items():
            network.eval()
            for rule in RULES_OF.get(target, RULES):
                cells = lrp(network, faulty, None, COMPOSITES[rule], box=box).values
                keep(f"LRP {rule}, {target}", cells)
                usually = [lrp(network, fitted[:, j], None, COMPOSITES[rule], box=box).values for j in range(4)]
                keep(f"LRP {rule}, {target}, less that of fitted references", cells - np.mean(usually, axis=0))
            if target not in ("distance", "masked prediction", "membership", "detector's score"):
                continue
            for name, references in (("nearest", nearest), ("fitted", fitted)):
                keep(f"difference, {target}, {name} references", explain_difference(network, faulty, references).values)
            zeros = np.zeros_like(faulty)[:, None]
            # the gradient halfway from zero, times the window
            keep(f"integrated gradients of one step, {target}", gradients(network, faulty, zeros, 1))
            keep(f"integrated gradients, {target}", gradients(network, faulty, zeros, 16))
            keep(f"expected gradients, {target}, random references", gradients(network, faulty, random, 4))
            keep(f"expected gradients, {target}, fitted references", gradients(network, faulty, fitted, 4))
            for name, others in (("zeros", zeros), ("nearest references", nearest), ("fitted references", fitted)):
                methods[f"occlusion, {target}, {name}"] = occlusion(network, faulty, others), None
        squared = squared_errors(encoder, faulty) / usual[None, :, None]
        keep("masked-prediction error", squared)
        keep("deviation from fitted references", np.abs(faulty[:, None] - fitted).mean(axis=1))
        methods["z of simple statistics"] = channel_z_scores(faulty, windows[normal]), None
        keep("random", rng.random(masks.shape))
        for method, (channels, cells_or_none) in methods.items():
            row = {"seed": seed, "fault": fault, "method": method}
            rows.append(row | scores_of(channels, cells_or_none, masks))
    return rows


def detector_network(made: Study, normal: np.ndarray, detector: Detector) -> nn.Module:
    """The score of the pipeline's detector, fitted on the normal windows."""
    train = np.isin(np.arange(len(made.starts)), normal)
    inputs = DetectorInput(
        values=made.values,
        starts=made.starts,
        length=made.length,
        train=train,
        embeddings=made.embeddings,
        projection=made.embeddings[:, :2],
        load_encoder=lambda: made.encoder,
        seed=0,
    )
    series = EmbeddedSeries(made.encoder, made.values, made.index, made.embeddings, tuple("abcdef"), 1.0)
    networks = score_network(detector, series, detector.score(inputs).fitted)
    if networks is None:
        raise TypeError(f"{type(detector).__name__} has no gradient")
    return networks.unseen


def squared_errors(encoder: nn.Module, windows: np.ndarray) -> np.ndarray:
    """(window, channel, time) errors of predicting what is hidden, as `masked_errors` has them before the mean."""
    x = torch.from_numpy(windows)
    squared, part_of_time = torch.zeros_like(x), torch.arange(x.shape[2]) // 4 % 3
    with torch.no_grad():
        for part in range(3):
            hidden = part_of_time == part
            squared[:, :, hidden] = (encoder.predict(x.masked_fill(hidden, 0.0)) - x)[:, :, hidden] ** 2
    return squared.numpy()


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every method, the default beside the best of each kind, and what these find of each fault."""
    unseen = every[every["fault"].isin(UNSEEN_BY_STATISTICS)].rename(columns={"precision": "unseen"})
    methods = with_interval(every, ["method"], ["precision"], "fault")
    methods = methods.merge(with_interval(unseen, ["method"], ["unseen"], "fault"), on="method")
    methods = methods.merge(with_interval(every, ["method"], ["cell_auroc"], "fault"), on="method")
    ordered = methods.sort_values("precision", ascending=False)
    ours, rows = every[every["method"] == DEFAULT].set_index(["seed", "fault"])["precision"], []
    for kind, methods_of_kind in kinds(list(ordered["method"])).items():
        best = methods_of_kind[0]
        ahead = (ours - every[every["method"] == best].set_index(["seed", "fault"])["precision"]).reset_index()
        row = {"kind": kind, "best": best, "precision": ordered.set_index("method").loc[best, "precision"]}
        found = mean_interval(ahead["precision"], ahead["fault"])
        rows.append(
            row | dict(zip(("default ahead by", "default ahead by low", "default ahead by high"), found, strict=True))
        )
    named = every[every["method"].isin([DEFAULT, *(row["best"] for row in rows), *PLAIN])]
    by_fault = named.pivot_table("precision", "method", "fault", sort=False)[list(dict.fromkeys(every["fault"]))]
    by_fault = by_fault.assign(mean=by_fault.mean(axis=1)).sort_values("mean", ascending=False)
    return {"methods": ordered, "kinds": pd.DataFrame(rows), "faults": by_fault.drop(columns="mean").reset_index()}


def kinds(methods: list[str]) -> dict[str, list[str]]:
    """Which methods the default is held against."""
    others = [m for m in methods if m.startswith(OTHERS)]
    return {
        "no network that is explained": [m for m in methods if m in PLAIN],
        "LRP of the windows": [m for m in methods if m.startswith("LRP") and "less" not in m],
        "LRP less that of fitted references": [m for m in methods if m.startswith("LRP") and "less" in m],
        "other attributions, as people use them": [m for m in others if "fitted" not in m],
        "other attributions, given our target and references": [m for m in others if "fitted" in m],
    }


def section(result: Result) -> str:
    """What finds planted faults, in Markdown."""
    methods, best = result.table("methods"), result.table("kinds")
    kept = methods[(np.arange(len(methods)) < N_SHOWN) | methods["method"].isin(PLAIN)]
    ours = methods.set_index("method").loc[DEFAULT]
    ties = best[best["default ahead by low"] <= 0]["best"]
    together = "The default is ahead of all of them."
    if len(ties):
        together = f"Not told from the default: {', '.join(f'`{name}`' for name in ties)}."
    words = {"unseen": "unseen by statistics", "cell_auroc": "cell AUROC"}
    return f"""
Faults are planted into real smartwatch windows ({N_PER_FAULT} per fault, subject and seed) in one or two of six
channels, for half of the window. *Precision* of the channels at the true number; *unseen by statistics*: of
{", ".join(UNSEEN_BY_STATISTICS)}, which leave mean, spread and spread of differences nearly
as they were; *cell AUROC* of |relevance| against the planted channel x time mask. References are {N_REFERENCES}
normal windows for each faulty one: `nearest` in the embedding, or `fitted`, those moved in time to where they fit best.
No normal window overlaps one that a fault was planted into.

The default of the pipeline for anomalies (`{DEFAULT}`) finds {ours["precision"]:.2f}, and
{ours["unseen"]:.2f} of what statistics do not see. Beside the best of each kind, on the same faults:

{shown(best)}

{together}

The {N_SHOWN} best of {len(methods)} methods, and the plain ones (the other {len(methods) - len(kept)} are in the csv):

{shown(kept, 2, words)}

Precision by fault:

{shown(result.table("faults"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Precision of the methods in the first table: of all faults, and of those that statistics do not see."""
    methods = result.table("methods")
    kept = methods[(np.arange(len(methods)) < N_SHOWN) | methods["method"].isin(PLAIN)]
    figure.set_size_inches(11, 0.9 + 0.25 * len(kept))
    words = {"precision": "all faults", "unseen": "unseen by statistics"}
    for axes, (column, title) in zip(figure.subplots(1, 2, sharey=True), words.items(), strict=True):
        dots(axes, kept, "method", column, {DEFAULT})
        axes.set(title=title, xlabel="precision of the channels (95 % interval)", xlim=(0, 1.02))


def main() -> None:
    """Run all and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a miniature in a minute that writes nothing")
    parser.add_argument(
        "--tables", metavar="DATE", help="no runs, only the tables from results/planted.csv.gz of this day"
    )
    options, began = parser.parse_args(), time.monotonic()
    if options.quick:
        few = {"phase shift": FAULTS["phase shift"]}
        for name, table in tables(pd.DataFrame(run(0, few, 4, {"train": "quick"}))).items():
            print(f"{name}\n{table.to_string()}\n")
        return
    setup: dict[str, Any] = {"subjects and seeds": len(SEEDS), "faults": len(FAULTS), "windows per fault": N_PER_FAULT}
    if options.tables:
        setup["tables from runs of"] = options.tables
        every, began = runs("planted"), began - (read("planted").seconds if (RESULTS / "planted.json").exists() else 0)
    else:
        every = pd.concat([kept_run(seed) for seed in tqdm(SEEDS, unit="seed")], ignore_index=True)
    record("planted", "", began, setup, tables(every), every)


if __name__ == "__main__":
    main()
