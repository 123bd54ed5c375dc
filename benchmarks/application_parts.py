"""What `benchmarks.application` measures: each part gives rows, one after the other."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.neighbors import NearestNeighbors

from benchmarks import plant
from benchmarks.finished import configuration, finished_study
from benchmarks.record import ROOT
from clusterwhy.anomaly.detectors import MeanAbsoluteZ, PcaError
from clusterwhy.application.applying import Application
from clusterwhy.application.fitted_study import FittedStudy
from clusterwhy.application.placing import NONE, place
from clusterwhy.application.recording import admitted, save_recording
from clusterwhy.compute.resources import peak_memory
from clusterwhy.compute.workers import HERE
from clusterwhy.config import build_settings
from clusterwhy.data.series import Series

KEPT = ROOT / ".tmp" / "application"
SUBJECTS, LEFT_OUT = (1, 2), (1, 4)  # two of seven exercises that a study has never seen
SETTINGS = build_settings(configuration({}, {}))
REACH = SETTINGS["application"].reach
REACHES = (1.0, 1.25, 1.5, 2.0)
NORMAL_S, FAULTY_S, BEGINS = 8000, 1600, 800  # seconds of the plant
GROWTH, N_CHANNELS, LENGTH = (12_500, 25_000, 50_000, 100_000), 38, 64
BASELINES = {"PCA error": PcaError(explained_share=0.95), "mean |z|": MeanAbsoluteZ()}


def applied(study: FittedStudy, series: Series, out: Path) -> Application:
    """A study applied to a series."""
    data = save_recording(out / "prepare", admitted(series, study.data.card, SETTINGS["application"]), study.data.card)
    return Application(study, data, out, HERE, SETTINGS["application"])


def half(series: Series, second: bool, exercises: list[int]) -> Series:
    """The first or second half of the recordings of some exercises."""
    chosen, firsts = [], []
    for first, stop in zip(series.segments, [*series.segments[1:], len(series.values)], strict=True):
        if series.labels is not None and series.labels[first] in exercises:
            middle = (first + stop) // 2
            firsts.append(sum(map(len, chosen)))
            chosen.append(np.arange(middle, stop) if second else np.arange(first, middle))
    kept = np.concatenate(chosen)
    return replace(
        series,
        values=series.values[kept],
        time=np.arange(len(kept)) / series.rate_hz,
        labels=None if series.labels is None else series.labels[kept],
        segments=tuple(firsts),
        train_stop=len(kept),
    )


def own() -> Iterator[dict[str, Any]]:
    """A study applied to its own recording, with and without knowing that these windows are its own."""
    study = _halves_study(SUBJECTS[0], "first without 0", range(7))
    found = applied(study, half(_watch(SUBJECTS[0]), False, list(range(7))), KEPT / "own")
    clustered = study.clusters.labels >= 0
    blind = place(study, found.embeddings, np.full(len(clustered), NONE), SETTINGS["application"])
    for how, labels in (("as applied", found.placed.labels), ("as if unseen", blind.labels)):
        yield {
            "windows are": how,
            "same label": float((labels == study.clusters.labels)[clustered].mean()),
            "largest difference of scores": float(np.abs(found.scores.windows - study.scores["score"]).max()),
        }


def halves() -> Iterator[dict[str, Any]]:
    """Clusters of first halves on second halves, which windows are unknown, and a study fitted on the second half."""
    for subject in SUBJECTS:
        for left_out in ((), LEFT_OUT):
            known = [exercise for exercise in range(7) if exercise not in left_out]
            study = _halves_study(subject, f"first without {len(left_out)}", known)
            out = KEPT / f"second_{subject}_{len(left_out)}"
            found = applied(study, half(_watch(subject), True, list(range(7))), out)
            truth = found.data.labels
            seen = np.isin(truth, known)
            nowhere = place(study, found.embeddings, found.placed.twins, replaced(reach=1e9))
            row = {
                "subject": subject,
                "exercises fitted": len(known),
                "fitted half": _ami(study.data.labels, study.clusters.labels),
                "placed": _ami(truth[seen], found.placed.labels[seen]),
                "placed, nothing unknown": _ami(truth[seen], nowhere.labels[seen]),
                "vote of 15 neighbours": _ami(truth[seen], _vote(study, found.embeddings)[seen]),
            }
            for reach in REACHES:
                row[f"known beyond {reach}"] = float((found.placed.distances[seen] > reach).mean())
                if left_out:
                    row[f"unknown beyond {reach}"] = float((found.placed.distances[~seen] > reach).mean())
            if not left_out:
                again = _halves_study(subject, "second", known, second=True)
                row["refit"] = _ami(again.data.labels, again.clusters.labels)
            yield row


def replaced(**values: Any) -> Any:
    """The default settings of an application with other values."""
    return SETTINGS["application"].model_copy(update=values)


def _vote(study: FittedStudy, embeddings: np.ndarray) -> np.ndarray:
    projecting = study.settings["projection"]
    search = NearestNeighbors(n_neighbors=15).fit(projecting.points(study.embeddings))
    near = search.kneighbors(projecting.points(embeddings, study.embeddings), return_distance=False)
    return np.array([np.bincount(row + 1).argmax() - 1 for row in study.clusters.labels[near]])


def _watch(subject: int) -> Series:
    series: Series = SETTINGS["dataset"].model_copy(update={"subject": subject}).read()
    return series


def _halves_study(subject: int, name: str, known: Any, second: bool = False) -> FittedStudy:
    return finished_study(KEPT / f"{name}_{subject}".replace(" ", "_"), half(_watch(subject), second, list(known)))


def _ami(truth: Any, labels: np.ndarray) -> float:
    return float(adjusted_mutual_info_score(truth, labels))


def plants() -> Iterator[dict[str, Any]]:
    """Faults of the plant, and an unseen normal day, by the study and by baselines fitted on the same normal day."""
    study = _plant()
    threshold = study.settings["threshold"]
    inputs = study.detector_input
    fitted = {name: detector.score(inputs) for name, detector in BASELINES.items()}
    for seed, fault in enumerate(("", *plant.FAULTS), start=1):
        found = applied(
            study, plant.run(FAULTY_S if fault else NORMAL_S // 2, seed, fault, BEGINS), KEPT / f"plant_{seed}"
        )
        index = found.data.index
        faulty = (index["start"] >= BEGINS).to_numpy() if fault else np.ones(len(index), dtype=bool)
        rows = {"ours": (found.scores.windows, study.threshold, found.scores.channels)}
        for name, detector in BASELINES.items():
            new = replace(inputs, values=found.data.scaled, starts=found.data.starts)
            scores = detector.score_new(new, fitted[name].fitted, inputs)
            rows[name] = (scores.windows, threshold.fit(fitted[name].windows), scores.channels)
        for name, (scores, limit, channels) in rows.items():
            first = np.argsort(-scores[faulty])[:2]
            yield {
                "fault": fault or "none",
                "kind": "normal" if not fault else "process" if fault in plant.PROCESS else "sensor",
                "method": name,
                "above threshold": float((scores > limit)[faulty].mean()),
                "rank": _rank(channels[faulty][first], fault) if fault else np.nan,
            }
        yield {
            "fault": fault or "none",
            "kind": "normal" if not fault else "process" if fault in plant.PROCESS else "sensor",
            "method": "unknown state",
            "above threshold": float(found.placed.unknown[faulty].mean()),
            "rank": np.nan,
        }


def blame() -> Iterator[dict[str, Any]]:
    """The rank of the true channel by relevance of the highest scores of each fault."""
    study = _plant()
    for seed, fault in enumerate(plant.FAULTS, start=2):
        found = applied(study, plant.run(FAULTY_S, seed, fault, BEGINS), KEPT / f"plant_{seed}")
        explained = found.explain_anomalies()
        inside = found.data.starts[explained.windows["window"].to_numpy()] >= BEGINS
        relevance = explained.relevance.sum(axis=2)[inside]
        yield {"fault": fault, "rank by relevance": _rank(relevance, fault) if inside.any() else np.nan}


def _plant() -> FittedStudy:
    return finished_study(KEPT / "plant", plant.run(NORMAL_S, 0), {"window": "short"}, {"anomalies": {"count": 2}})


def _rank(channels: np.ndarray, fault: str) -> float:
    """Mean rank of the first true channel, 1 is the best."""
    ranks = (-channels).argsort(axis=1).argsort(axis=1) + 1
    return float(ranks[:, plant.true_channels(fault)].min(axis=1).mean())


def growth() -> Iterator[dict[str, Any]]:
    """Seconds and memory for more and more windows of 38 channels."""
    rng = np.random.default_rng(0)

    def noise(n_windows: int) -> Series:
        values = rng.normal(size=(LENGTH // 4 * (n_windows + 3), N_CHANNELS)).cumsum(axis=0) * 0.01
        names = tuple(f"c{i:02d}" for i in range(N_CHANNELS))
        return Series("noise", values, np.arange(len(values)) / 1.0, 1.0, names, ("",) * N_CHANNELS, len(values))

    study = finished_study(KEPT / "growth", noise(2000), {"window": "short", "train": "quick"})
    for n_windows in GROWTH:
        new = noise(n_windows)
        found = applied(study, new, KEPT / "growth_new")
        began = time.monotonic()
        steps = {}
        for name, step in (("embed", "embeddings"), ("place", "placed"), ("score", "scores")):
            getattr(found, step)
            steps[name], began = time.monotonic() - began, time.monotonic()
        seconds = sum(steps.values())
        yield {
            "windows": len(found.data.index),
            **{f"{name} s": value for name, value in steps.items()},
            "windows per second": len(found.data.index) / seconds,
            "peak memory GB": peak_memory() / 1e9,
        }
