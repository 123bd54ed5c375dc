"""What does it bring to divide a score by what is usual in its cluster?

`states`: smartwatch subjects 1 to 3, who do seven exercises one after the other. 96 windows get one of the eight faults
of `benchmarks.planted` each, and are scored and placed as new windows are; all windows as they were recorded are what
they must stand out from. The other situations are those of `benchmarks.thresholds`, with clusters of the windows that
are fitted on: `clean`, `mixed`, `planted`, on ASD. Which clusters have a usual score of their own was chosen on subject
1 and ASD. A quarter of an hour of one core:

    python -m benchmarks.relative_scores
    python -m benchmarks.relative_scores --keep FOLDER    # encoders and parts are kept here, and taken from here
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

from benchmarks.detection import SERIES, detector_input
from benchmarks.kept import add_keep, kept
from benchmarks.planted import FAULTS, plant
from benchmarks.record import Result, benchmark_data, record, shown, with_interval
from benchmarks.studies import archive, chosen, study
from benchmarks.thresholds import Case, cases, judged
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.relative import ELSEWHERE, UsualInCluster, usual_scores
from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.clustering.base import Clusters
from clusterwhy.encoders.masked import embed
from clusterwhy.metrics.detection import volume_under_pr
from clusterwhy.types import BoolArray, FloatArray, IntArray

SUBJECTS, N_FAULTY, SEED = (1, 2, 3), 96, 0
DATASETS = ("ASD",)
CHOSEN_ON = ("watch 1", *SERIES["ASD"])
SETTINGS, SHORT = chosen(), chosen({"window": "short"})
DEFAULT: UsualInCluster = SETTINGS["relative_to"]
PLAIN, OURS = "nothing", "clusters by their size, up to what is common (default)"


def with_settings(**values: float) -> Callable[[FloatArray, IntArray, BoolArray], dict[int, float]]:
    """What is usual with other settings."""
    return DEFAULT.model_copy(update=values).usual


def of_share(share: float) -> Callable[[FloatArray, IntArray, BoolArray], dict[int, float]]:
    """The median of clusters that have at least so many of the training windows; of all for the others."""

    def usual(scores: FloatArray, labels: IntArray, train: BoolArray) -> dict[int, float]:
        found = with_settings(full_share=1e-9, common_share=0.0)(scores, labels, train)
        return {c: one for c, one in found.items() if c == ELSEWHERE or (labels[train] == c).mean() >= share}

    return usual


WAYS: dict[str, Callable[[FloatArray, IntArray, BoolArray], dict[int, float]]] = {
    PLAIN: lambda scores, labels, train: {},
    OURS: DEFAULT.usual,
    "clusters by their size": with_settings(common_share=0.0),
    "clusters up to what is common": with_settings(full_share=1e-9),
    "clusters": of_share(0.0),
    "clusters of a share of 0.1": of_share(0.1),
    "clusters of a share of 0.15": of_share(0.15),
}


@dataclass(frozen=True)
class States:
    """Clusters of the windows that are fitted on, and where others belong.

    Attributes:
        embeddings, projection, clusters: of the windows that are fitted on.
    """

    embeddings: FloatArray
    projection: FloatArray
    clusters: Clusters

    @classmethod
    def of(cls, embeddings: FloatArray, index: pd.DataFrame) -> "States":
        """By the default projection and clusterer."""
        placed = SETTINGS["projection"].fit(embeddings, SEED)
        clusterer = SETTINGS["clusterer"]
        points = placed if clusterer.space == "projection" else embeddings
        return cls(embeddings, placed, clusterer.fit(points, embeddings, index))

    def labels(self, embeddings: FloatArray) -> IntArray:
        """(window,) clusters of other windows, as `pipeline.apply` assigns them."""
        clusterer = SETTINGS["clusterer"]
        placed = SETTINGS["projection"].place(embeddings, self.embeddings, self.projection, SEED)
        new, points = (placed, self.projection) if clusterer.space == "projection" else (embeddings, self.embeddings)
        labels: IntArray = clusterer.assign(new, points, self.clusters, self.embeddings)[0]
        return labels


def divided(way: str, scores: FloatArray, labels: IntArray, train: BoolArray) -> FloatArray:
    """(window,) scores over what is usual."""
    usual = usual_scores(WAYS[way](scores, labels, train), labels)
    return scores if usual is None else scores / usual


def of_subject(subject: int, keep: Path | None) -> pd.DataFrame:
    """One row per fault and way."""
    settings = chosen(dataset={"subject": subject})
    made = study(settings["dataset"].read(), settings, SEED, keep and keep / f"watch-{subject}-{SEED}.pt")
    inputs, states = detector_input(made, made.encoder), States.of(made.embeddings, made.index)
    scores, known = settings["detector"].score(inputs), states.clusters.labels
    rows = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        rng = np.random.default_rng([SEED, number])
        faulty = plant(fault, made.windows, made.index["label"].to_numpy(), N_FAULTY, rng)[0]
        with torch.no_grad():
            embeddings = made.encoder.cpu()(torch.from_numpy(faulty)).numpy()
        own = settings["detector"].score_new(one_after_the_other(inputs, faulty), scores.fitted, inputs).windows
        every, labels = np.append(scores.windows, own), np.append(known, states.labels(embeddings))
        train, truth = np.append(made.train, np.zeros(len(own), dtype=bool)), np.arange(len(every)) >= len(known)
        for way in WAYS:
            found = divided(way, every, labels, train)
            alarms = found > settings["threshold"].fit(found[train])
            rows.append(
                {
                    "situation": "states",
                    "fault": name,
                    "way": way,
                    "average precision": average_precision_score(truth, found),
                    "auroc": roc_auc_score(truth, found),
                    "share found": float(alarms[truth].mean()),
                    "share of windows": float(alarms[~truth].mean()),
                }
            )
    return pd.DataFrame(rows).assign(dataset="watch", series=f"watch {subject}")


def one_after_the_other(inputs: DetectorInput, windows: FloatArray) -> DetectorInput:
    """Windows (window, channel, time) as a recording of their own."""
    n, n_channels, length = windows.shape
    nothing = np.zeros((n, 2))
    return DetectorInput(
        np.ascontiguousarray(windows.transpose(0, 2, 1).reshape(-1, n_channels)),
        length * np.arange(n),
        length,
        np.zeros(n, dtype=bool),
        nothing,
        nothing,
        inputs.load_encoder,
        inputs.seed,
    )


def of_series(dataset: str, name: str, keep: Path | None) -> pd.DataFrame:
    """One row per situation and way."""
    one = archive(dataset.lower(), benchmark_data() / dataset.lower() / f"{name}.npz")
    made = study(one, SHORT, SEED, keep and keep / f"{dataset}-{name}-{SEED}.pt")
    assert one.anomalous is not None
    rows = []
    for situation, case in cases(detector_input(made, made.encoder), one.anomalous, one.train_stop, dataset):
        inputs = case.inputs
        embeddings = embed(made.encoder, inputs.values, inputs.starts, inputs.length, 128)
        index = pd.DataFrame({"start": inputs.starts, "stop": inputs.starts + inputs.length})
        states = States.of(embeddings[inputs.train], index[inputs.train].reset_index(drop=True))
        labels = np.zeros(len(embeddings), dtype=np.int64)
        labels[inputs.train] = states.clusters.labels
        if not inputs.train.all():
            labels[~inputs.train] = states.labels(embeddings[~inputs.train])
        scores = SHORT["detector"].score(inputs).windows
        rows += [
            {"situation": situation, "way": way} | figures(case, divided(way, scores, labels, inputs.train))
            for way in WAYS
        ]
    return pd.DataFrame(rows).assign(dataset=dataset, series=name)


def figures(case: Case, scores: FloatArray) -> dict[str, float]:
    """VUS-PR and average precision of samples, and what the default threshold finds."""
    inputs, part = case.inputs, slice(case.first, None)
    truth = case.anomalous[part]
    found = judged(case, scores, SHORT["threshold"].fit(scores[inputs.train]))
    if not truth.any():
        return found
    samples = np.nan_to_num(sample_scores(scores, inputs.starts, inputs.length, len(inputs.values))[part])
    return found | {
        "vus_pr": volume_under_pr(truth, samples),
        "average precision": average_precision_score(truth, samples),
    }


def parts(keep: Path | None) -> Iterator[tuple[float, pd.DataFrame]]:
    """Seconds and rows of each series."""
    jobs: dict[str, Callable[[], pd.DataFrame]] = {
        f"watch-{subject}": partial(of_subject, subject, keep) for subject in SUBJECTS
    }
    jobs |= {f"{d}-{name}": partial(of_series, d, name, keep) for d in DATASETS for name in SERIES[d]}
    for name, job in tqdm(jobs.items(), unit="series"):
        yield kept(keep and keep / f"relative-{name}.csv", job)


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over series with intervals, of those that the share was chosen on and of others."""
    every = every.assign(part=np.where(every["series"].isin(CHOSEN_ON), "chosen on", "not seen"))
    watch, others = every[every["situation"] == "states"], every[every["situation"] != "states"]
    counts = others.groupby(["part", "situation", "way"], sort=False)
    summed = counts[["segments", "found", "false alarms", "normal samples"]].sum().reset_index()
    summed["share found"] = summed["found"] / summed["segments"].where(summed["segments"] > 0)
    summed["false alarms in 10,000 samples"] = 1e4 * summed["false alarms"] / summed["normal samples"]
    by_series = others[others["situation"] != "normal"]
    return {
        "states": with_interval(
            watch, ["part", "way"], ["average precision", "auroc", "share found", "share of windows"], "series"
        ),
        "series": with_interval(by_series, ["part", "situation", "way"], ["vus_pr", "average precision"]),
        "alarms": summed.drop(columns=["found", "false alarms", "normal samples"]),
    }


def section(result: Result) -> str:
    """Its part of docs/benchmarks.md."""
    tables = {name: result.table(name) for name in ("states", "series", "alarms")}
    return "\n".join(
        [
            "A score is divided by the median score of the training windows of its cluster: of every cluster, or of "
            "those with a share of them at least, all others by that of all windows. By default a cluster counts by "
            "its size, and up to what is common (`conf/relative_to/cluster.yaml`). Faults planted into windows of "
            "known states, against all windows as they were recorded; how many faulty windows are above the default "
            "threshold, and how many others:",
            "",
            shown(tables["states"]),
            "",
            "Labelled series. `clean`: fitted on the training span; `mixed`: fitted on the labelled rest, where faults "
            "that last are clusters of their own; `planted`: fitted on a normal span with planted shifts.",
            "",
            shown(tables["series"]),
            "",
            "Labelled segments that an alarm touches, and false alarms, all series together (`normal`: the span of "
            "`planted` without shifts):",
            "",
            shown(tables["alarms"]),
        ]
    )


def figure(result: Result, drawing: Figure) -> None:
    """Average precision of every way, one panel per situation; series not chosen on, where there are any."""
    states = result.table("states").assign(situation="states")
    table = pd.concat([states, result.table("series")])
    shown_ways, situations = list(dict.fromkeys(table["way"]))[::-1], list(dict.fromkeys(table["situation"]))
    for axes, situation in zip(drawing.subplots(1, len(situations), sharey=True), situations, strict=True):
        own = table[table["situation"] == situation]
        kind = "not seen" if (own["part"] == "not seen").any() else "chosen on"
        own = own[own["part"] == kind].set_index("way").loc[shown_ways]
        at, value = np.arange(len(own)), own["average precision"].to_numpy()
        reach = np.abs(own[["average precision low", "average precision high"]].to_numpy().T - value)
        for i, way in enumerate(own.index):
            colour = "#D55E00" if way.endswith("(default)") else "#0072B2"
            axes.errorbar(value[i], at[i], xerr=reach[:, i : i + 1], fmt="o", color=colour, markersize=4)
        labels = [
            way.replace("clusters of a share of", "share of at least").removesuffix(" (default)") for way in own.index
        ]
        axes.set(title=f"{situation}\n({kind})", xlabel="average precision", xlim=(0, 1), yticks=at, yticklabels=labels)
        axes.grid(axis="x", alpha=0.3)


def main() -> None:
    """Measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_keep(parser)
    seconds, found = zip(*parts(parser.parse_args().keep), strict=True)
    every = pd.concat(found)
    setup = {"series": int(every["series"].nunique()), "faults": len(FAULTS), "chosen on": list(CHOSEN_ON)}
    record("relative_scores", "", time.monotonic() - sum(seconds), setup, tables(every), every)


if __name__ == "__main__":
    main()
