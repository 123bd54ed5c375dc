"""Synthetic artifacts of a whole pipeline, of any size and with any names, for tests of the page."""

from pathlib import Path

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import write_array, write_json, write_table
from clusterwhy.clustering.base import Clusters
from clusterwhy.clustering.summary import summarise
from clusterwhy.data.series import Series
from clusterwhy.data.storage import save_prepared
from clusterwhy.data.windows import WindowSettings, timeline, window_index
from clusterwhy.explanations.noise import noise_table
from clusterwhy.report.stored_results import STAGES
from clusterwhy.report.study_results import StudyResults

N_CLUSTERS = 3
N_EXPLAINED, N_ANOMALIES = 4, 3  # explained windows of each cluster; explained anomalies


def synthetic_results(
    root: Path,
    n_windows: int = 60,
    channels: tuple[str, ...] = ("pressure", "flow", "current"),
    labels: tuple[str, ...] = ("idle", "run", "stop"),
    name: str = "made up",
    length: int = 32,
    stride: int = 16,
    rate_hz: float = 10.0,
    clock: float = 1.0,
    gap_s: float = 0.0,
    start: str | None = None,
    recordings: tuple[str, ...] = (),
) -> StudyResults:
    """Consecutive clusters, each with its own leading channel; the last windows are noise and one is anomalous.

    With `clock=1.01` the recorded time runs 1 % slower than `rate_hz` says; `gap_s` seconds are missing after half;
    `start` is the date of the first sample. `recordings` are groups of the same size.
    """
    rng = np.random.default_rng(0)
    n_samples = (n_windows - 1) * stride + length
    regime = np.minimum(np.arange(n_samples) * N_CLUSTERS // n_samples, N_CLUSTERS - 1)
    values = 0.2 * rng.standard_normal((n_samples, len(channels)))
    for cluster in range(N_CLUSTERS):
        values[regime == cluster, cluster % len(channels)] += 3.0 + np.sin(np.arange((regime == cluster).sum()))
    time = clock * np.arange(n_samples) / rate_hz + gap_s * (2 * np.arange(n_samples) >= n_samples)
    series = Series(
        name,
        values,
        time if start is None else pd.Timestamp(start).value + (1e9 * time).astype(np.int64),
        rate_hz,
        channels,
        tuple("bar" if i % 2 else "" for i in range(len(channels))),
        train_stop=n_samples,
        labels=regime,
        label_names=labels,
        groups=np.arange(n_samples) * len(recordings) // n_samples if recordings else None,
        group_names=recordings,
        notes=(f"a note about {name}",),
        segments=(0, -(-n_samples // 2)) if gap_s else (0,),
    )
    settings = WindowSettings(length=length, stride=stride)
    index = window_index(series, settings)
    for stage in STAGES:
        (root / stage).mkdir(parents=True, exist_ok=True)
        write_json(
            root / stage / "provenance.json", {"config": {"seed": 0}, "inputs_md5": {}, "versions": {"numpy": "2"}}
        )
    save_prepared(
        root / "prepare", series, index, settings, values.mean(axis=0), values.std(axis=0), constant_channels=[]
    )
    starts = index["start"].to_numpy()
    found = regime[starts + length // 2].copy()
    found[-2:] = -1
    centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], *([10.0 * i, 20.0] for i in range(N_CLUSTERS - 3)), [9.0, 9.0]]
    position = np.array(centres)[found] + rng.standard_normal((len(starts), 2))
    write_array(root / "embed" / "embeddings.npy", np.repeat(position, 4, axis=1).astype(np.float32))
    write_array(root / "project" / "projection.npy", position.astype(np.float32))
    _write_clusters(root / "cluster", found, position, index)
    score = rng.gamma(2.0, 0.5, len(starts))
    score[5] = 9.0
    write_table(
        root / "score" / "scores.parquet",
        pd.DataFrame({"window": np.arange(len(starts)), "score": score, "anomalous": score > 8.0}),
    )
    peak = {
        "start": int(starts[5]),
        "stop": int(starts[5]) + length,
        "n_windows": 1,
        "peak_score": 9.0,
        "peak_window": 5,
    }
    write_json(
        root / "score" / "segments.json", {"threshold": 8.0, "says": "the score that few exceed", "segments": [peak]}
    )
    _write_explanations(root / "explain", found, score, starts, channels, length, rng)
    _write_every_window(root / "explain_windows", found, channels, length, rng)
    _write_evaluation(root / "evaluate")
    return StudyResults.of(root)


def _write_clusters(folder: Path, found: np.ndarray, position: np.ndarray, index: pd.DataFrame) -> None:
    strengths = np.where(found < 0, 0.0, 0.9)
    clusters = Clusters(found, strengths, np.full(N_CLUSTERS, 0.5), pd.DataFrame())
    write_array(folder / "labels.npy", found)
    write_table(
        folder / "clusters.parquet",
        pd.DataFrame({"window": np.arange(len(found)), "cluster": found, "strength": strengths}),
    )
    few = np.arange(len(found)) % max(1, len(found) // 500) == 0  # medoids need all pairs
    records = summarise(
        Clusters(found[few], strengths[few], clusters.persistence, clusters.tree), position[few], index[few]
    )
    write_json(folder / "summary.json", {"clusters": records, "timeline": timeline(found, index)})


def _write_explanations(
    folder: Path,
    found: np.ndarray,
    score: np.ndarray,
    starts: np.ndarray,
    channels: tuple[str, ...],
    length: int,
    rng: np.random.Generator,
) -> None:
    windows = np.concatenate([np.flatnonzero(found == c)[:N_EXPLAINED] for c in range(N_CLUSTERS)])
    relevance = 0.1 * rng.standard_normal((len(windows), len(channels), length))
    for row, window in enumerate(windows):
        relevance[row, found[window] % len(channels)] += 1.0
    sums = relevance.sum(axis=(1, 2))
    write_array(folder / "relevance.npy", relevance.astype(np.float32))
    write_table(
        folder / "explained.parquet",
        pd.DataFrame(
            {
                "window": windows,
                "cluster": found[windows],
                "target": sums,
                "relevance_sum": sums,
                "gap": 1e-3,
                "bias_share": 0.0,
            }
        ),
    )
    write_json(folder / "clusters.json", {"clusters": list(range(N_CLUSTERS))})
    maps = np.stack([relevance[found[windows] == c].mean(axis=0) for c in range(N_CLUSTERS)])
    write_array(folder / "maps.npy", maps)
    shares = maps.sum(axis=2) / np.abs(maps).sum(axis=(1, 2))[:, None]
    rows = [
        {
            "cluster": cluster,
            "channel": name,
            **{column: shares[cluster, i] for column in ("absolute", "signed", "lrp", "contrast")},
            **{f"{column}_low": shares[cluster, i] - 0.05 for column in ("absolute", "signed", "contrast")},
            **{f"{column}_high": shares[cluster, i] + 0.05 for column in ("absolute", "signed", "contrast")},
            "z_score": 1.0 + i,
            "first_in": 3 * int(i == shares[cluster].argmax()),
            "encoders": 3,
            "behind": np.nan if i == shares[cluster].argmax() else 0.99,
        }
        for cluster in range(N_CLUSTERS)
        for i, name in enumerate(channels)
    ]
    write_table(folder / "importance.csv", pd.DataFrame(rows))
    rankings = {"relevance": 0.4, "z_score": 0.5, "random": 0.6}
    quality = [
        {"cluster": cluster, "ranking": ranking, "channel_deletion": area, "flip_rate": 1 - area}
        for cluster in range(N_CLUSTERS)
        for ranking, area in rankings.items()
    ]
    write_table(folder / "quality.csv", pd.DataFrame(quality))
    properties = [
        {
            "cluster": cluster,
            "channel": channels[0],
            "property": name,
            "partner": "",
            "own": own,
            "usual": 1.0,
            "unit": "bar",
        }
        | {"fall": fall, "n_left": round(8 * fall), "n_windows": 8}
        for cluster in range(N_CLUSTERS)
        for name, own, fall in (("level", 2.0, 0.5), ("spread", 0.5, 0.25), ("shape", None, 0.0))
    ]
    write_table(folder / "properties.csv", pd.DataFrame(properties))
    anomalies = np.argsort(-score, kind="stable")[:N_ANOMALIES]
    unlike = rng.standard_normal((N_ANOMALIES, len(channels), length))
    write_array(folder / "anomaly_relevance.npy", unlike.astype(np.float32))
    write_json(folder / "anomalies.json", {"target": "the score of a detector itself", "n_alarms": 1})
    peak = int(anomalies[0])
    pattern = {"pattern": 0, "n_alarms": 1, "window": peak, "first_window": peak, "last_window": peak, "likeness": 1.0}
    write_table(folder / "anomaly_patterns.csv", pd.DataFrame([pattern]))
    write_table(
        folder / "anomalies.parquet",
        pd.DataFrame(
            {
                "window": anomalies,
                "score": score[anomalies],
                "anomalous": score[anomalies] > 8.0,
                "target": unlike.sum(axis=(1, 2)),
                "gap": 0.0,
                "normal_windows": [starts[[10, 20]].tolist()] * N_ANOMALIES,
                "pattern": np.where(score[anomalies] > 8.0, 0, -1),
            }
        ),
    )
    rows = [
        {"window": window, "channel": name, "share": 0.5 - 0.1 * i, "z_score": 2.0, "detector_share": 0.3}
        for window in anomalies
        for i, name in enumerate(channels)
    ]
    write_table(folder / "anomaly_channels.csv", pd.DataFrame(rows))


def _write_every_window(
    folder: Path, found: np.ndarray, channels: tuple[str, ...], length: int, rng: np.random.Generator
) -> None:
    """All windows but the second one, each for its own cluster, noise for the last one; whole levels."""
    windows = np.delete(np.arange(len(found)), 1)
    own = np.where(found[windows] < 0, N_CLUSTERS - 1, found[windows])
    levels = rng.integers(-20, 20, (len(windows), len(channels), length)).astype(np.int8)
    levels[np.arange(len(windows)), own % len(channels)] += 100
    levels[found[windows] < 0] *= -1
    step = np.full(len(windows), 0.01)
    relevance = 0.01 * levels.astype(np.float32)
    table = pd.DataFrame({"window": windows, "cluster": found[windows], "explained_cluster": own, "reference": 1})
    sums = {
        "target": relevance.sum(axis=(1, 2)),
        "gap": 1e-3,
        "encoders": 1,
        "size": np.abs(relevance).sum(axis=(1, 2)),
    }
    table = table.assign(**sums, step=step)
    write_table(folder / "explained_windows.parquet", table)
    write_array(folder / "levels.npy", levels)
    write_array(folder / "channels.npy", relevance.sum(axis=2))
    write_table(folder / "noise.csv", noise_table(table, relevance.sum(axis=2), channels))
    write_json(folder / "windows.json", {"n_windows": len(found), "losses": []})


def _write_evaluation(folder: Path) -> None:
    rows = [
        {"question": "clusters", "method": "ours", "ami": 0.9},
        *(
            {"question": "explanation", "method": method, "channel_deletion": area, "flip_rate": 0.5}
            for method, area in {"relevance": 0.4, "z_score": 0.5, "random": 0.6}.items()
        ),
    ]
    write_table(folder / "results.csv", pd.DataFrame(rows))
    faithfulness = [
        {
            "cluster": cluster,
            "measure": measure,
            "baseline": baseline,
            "ranking": ranking,
            "value": 0.5,
            "n_windows": 4,
        }
        for cluster in range(N_CLUSTERS)
        for measure, baseline, ranking in (
            ("deletion", "mean", "relevance"),
            ("deletion", "mean", "random"),
            ("similarity", None, "randomised_100"),
            ("similarity", None, "noisy"),
        )
    ]
    write_table(folder / "faithfulness.csv", pd.DataFrame(faithfulness))
    areas = {"relevance": 0.4, "z_score": 0.5, "random": 0.5, "best": 0.3}
    judged = [
        {"judge": judge, "cluster": cluster, "ranking": ranking, "area": area, "ahead": 0.5 - area, "n_windows": 8}
        | {"ahead_low": 0.48 - area, "ahead_high": 0.52 - area, "verdict": "better" if area < 0.5 else ""}
        for judge in ("classifier of raw windows", "encoder that did not explain")
        for cluster in range(N_CLUSTERS)
        for ranking, area in areas.items()
    ]
    write_table(folder / "judged.csv", pd.DataFrame(judged))
    again = [
        {"cluster": c, "resample": i, "jaccard": 0.9 - 0.2 * c, "n_windows": 80}
        for c in range(N_CLUSTERS)
        for i in range(2)
    ]
    write_table(folder / "stability.csv", pd.DataFrame(again))
    write_table(
        folder / "relevance_budget.csv",
        pd.DataFrame([{"cluster": 0, "step": "relu", "category": "route", "share": 0.0}]),
    )
