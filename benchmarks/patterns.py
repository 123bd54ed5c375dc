"""Do patterns of alarms gather what is the same fault? Planted faults of several kinds in several channels.

Each of eight faults (`benchmarks.planted`) is planted into six windows in each of three channels of a smartwatch
recording, at random moments. Windows whose score is above that of 99 % of the normal ones are alarms; they are
explained by the detector's score and grouped in four ways: by the shares of relevance, by relevance in channel and
time, by the deviation from normal windows, and by the deviation with channels weighed by their share of relevance, as
the pipeline does. Groups are compared with the true ones (adjusted Rand index) for several distances at which groups
are not merged. The distance was chosen on these recordings, for each way. Twenty minutes on one core; encoders are kept
in `.tmp/patterns`:

    python -m benchmarks.patterns
    python -m benchmarks.patterns --subjects 1    # one recording; writes nothing
"""

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

from benchmarks.planted import FAULTS, N_REFERENCES, REACH, detector_network
from benchmarks.record import ROOT, Result, mean_interval, record, shown
from benchmarks.studies import Study, chosen, study
from clusterwhy.attribution.differences import explain_difference
from clusterwhy.data.windows import windows_at
from clusterwhy.explanations.normal_windows import allowed_starts, matching_starts
from clusterwhy.explanations.patterns import APART, likeness

SUBJECTS, CHANNELS, N_EACH, USUAL = (1, 2, 3, 4), (0, 3, 5), 6, 0.99
DISTANCES = (0.2, 0.3, 0.4, 0.5, 0.6)
OURS = "deviation weighed by relevance"


def planted(made: Study, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[tuple[str, int]]]:
    """Windows (window, channel, time) with one fault in one channel, which windows they were, and fault and channel."""
    windows, labels, half = made.windows, made.index["label"].to_numpy(), made.length // 2
    found, origins, truth = [], [], []
    for name, fault in FAULTS.items():
        for channel in CHANNELS:
            for at in rng.choice(len(windows), N_EACH, replace=False):
                window, first = windows[at].copy(), int(rng.integers(0, half))
                part = slice(first, first + half)
                other = windows[rng.choice(np.flatnonzero(labels == labels[at])), channel, part]
                window[channel, part] = fault(window[channel, part], other, rng)
                found.append(window)
                origins.append(int(at))
                truth.append((name, channel))
    return np.stack(found).astype(np.float32), np.array(origins), truth


def explained(made: Study, faulty: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, ...]:
    """(window,) whether it is an alarm; (window, channel, time) relevance, and deviation from normal windows."""
    starts, length, values = made.starts, made.length, made.values
    network = detector_network(made, np.arange(len(starts)), made.settings["detector"]).eval()
    with torch.no_grad():
        usual = network(torch.from_numpy(made.windows)).numpy()
        scores, places = network(torch.from_numpy(faulty)).numpy(), made.encoder(torch.from_numpy(faulty)).numpy()
    is_alarm = scores > np.quantile(usual, USUAL)
    relevance, deviation = np.zeros(faulty.shape), np.zeros(faulty.shape)
    for i in tqdm(np.flatnonzero(is_alarm), leave=False, unit="alarm", disable=None):
        allowed = allowed_starts(starts, length, starts[origins[i : i + 1]], len(values))
        normal = starts[allowed[starts]]
        distances = np.square(places[i] - made.embeddings[allowed[starts]]).sum(axis=1)
        near = normal[np.argsort(distances, kind="stable")][None, : 4 * N_REFERENCES]
        fits = matching_starts(values, faulty[i : i + 1], near, allowed, N_REFERENCES, round(REACH * length))
        references = windows_at(values, fits.ravel(), length)[None]
        relevance[i] = explain_difference(network, faulty[i : i + 1], references).values[0]
        deviation[i] = faulty[i] - references[0].mean(axis=0)
    return is_alarm & (relevance.sum(axis=2) > 0).any(axis=1), relevance, deviation


def ways(relevance: np.ndarray, deviation: np.ndarray) -> dict[str, np.ndarray]:
    """(alarm, alarm) likeness in each way."""
    shares = np.maximum(relevance.sum(axis=2), 0.0)
    shares /= np.linalg.norm(shares, axis=1, keepdims=True)
    even = np.ones(relevance.shape)
    return {
        OURS: likeness(relevance, deviation),
        "deviation": likeness(even, deviation),
        "relevance in channel and time": likeness(even, relevance),
        "shares of relevance": shares @ shares.T,
    }


def run(subject: int) -> list[dict[str, Any]]:
    """One row per way and distance."""
    settings = chosen({}, dataset={"subject": subject})
    kept = ROOT / ".tmp" / "patterns" / f"{subject}.pt"
    made = study(settings["dataset"].read(), settings, 0, kept)
    faulty, origins, truth = planted(made, np.random.default_rng(subject))
    is_alarm, relevance, deviation = explained(made, faulty, origins)
    kinds = [truth[i] for i in np.flatnonzero(is_alarm)]
    faults, channels = [f"{name} {channel}" for name, channel in kinds], [channel for _, channel in kinds]
    rows = []
    for way, alike in ways(relevance[is_alarm], deviation[is_alarm]).items():
        distances = np.clip(1.0 - alike, 0.0, None)
        np.fill_diagonal(distances, 0.0)
        for apart in DISTANCES:
            linkage = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=apart)
            groups = linkage.fit_predict(distances)
            row = {"subject": subject, "way": way, "distance": apart, "alarms": len(kinds)}
            row |= {"patterns": groups.max() + 1, "faults": len(set(faults))}
            row |= {"fault and channel": adjusted_rand_score(faults, groups)}
            rows.append(row | {"channel": adjusted_rand_score(channels, groups)})
    return rows


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over recordings; the distance of each way but ours is the best one for it."""
    rows = []
    for (way, distance), part in runs.groupby(["way", "distance"], sort=False):
        row: dict[str, Any] = {"way": way, "distance": distance, "patterns": part["patterns"].mean()}
        for figure in ("fault and channel", "channel"):
            names = (figure, f"{figure} low", f"{figure} high")
            row |= dict(zip(names, mean_interval(part[figure]), strict=True))
        rows.append(row)
    every = pd.DataFrame(rows)
    others = every[every["way"] != OURS].sort_values("fault and channel", ascending=False).drop_duplicates("way")
    ours = every[every["way"] == OURS]
    return {"ways": pd.concat([ours[ours["distance"] == APART], others]), "distances": ours.drop(columns="way")}


def section(result: Result) -> str:
    """The conclusion first, then both tables."""
    found = result.table("ways").set_index("way")
    ours, best = found.loc[OURS], found.drop(index=OURS).iloc[0]
    return f"""
Patterns of alarms agree with planted faults by an adjusted Rand index of {ours["fault and channel"]:.2f} where fault
and channel must both be the same, and of {ours["channel"]:.2f} for the channel. By {best.name} alone these are
{best["fault and channel"]:.2f} and {best["channel"]:.2f}; by the shares of relevance, which know the channel only,
{found.loc["shares of relevance", "fault and channel"]:.2f} and {found.loc["shares of relevance", "channel"]:.2f}.
Faults whose course differs each time, such as another phase, fall into patterns of their own.

{result.setup["subjects"]} recordings; {result.setup["alarms"]} alarms of {result.setup["faults"]} kinds in each
(means), no label is used. Brackets: 95 % bootstrap intervals over recordings.

{shown(result.table("ways"))}

Ours by the distance at which groups are not merged (the pipeline: {APART}):

{shown(result.table("distances"))}
"""


def figure(result: Result, figure: Figure) -> None:
    """Agreement by distance."""
    figure.set_size_inches(6, 3.2)
    axes, found = figure.subplots(), result.table("distances")
    for name, colour in (("fault and channel", "#D55E00"), ("channel", "#0072B2")):
        errors = np.abs(found[[f"{name} low", f"{name} high"]].to_numpy().T - found[name].to_numpy())
        axes.errorbar(found["distance"], found[name], errors, color=colour, marker="o", capsize=3, label=name)
    axes.axvline(APART, color="#666666", linewidth=0.8, linestyle="--")
    axes.set(xlabel="distance at which groups are not merged", ylabel="adjusted Rand index")
    axes.legend(fontsize=8)


def main() -> None:
    """Plant, explain, group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="*", default=SUBJECTS)
    arguments, began = parser.parse_args(), time.monotonic()
    runs = pd.DataFrame([row for one in tqdm(arguments.subjects, unit="recording") for row in run(one)])
    found = tables(runs)
    for table in found.values():
        print(shown(table, 3), end="\n\n")
    if tuple(arguments.subjects) == SUBJECTS:
        means = {name: round(runs.groupby("subject")[name].first().mean()) for name in ("alarms", "faults")}
        record("patterns", "", began, {"subjects": len(SUBJECTS), **means}, found, runs)


if __name__ == "__main__":
    main()
