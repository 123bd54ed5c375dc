"""Where should a score become an alarm? Nineteen rules, on scores of up to five detectors, in four situations.

`clean`: fitted on the training span, judged on the labelled rest (SMD, ASD, NAB, SKAB). `mixed`: fitted on the labelled
rest, faults and all (SMD, ASD, NAB), as in a study of a recording that nobody has looked at. `planted`: fitted on a
normal training span into which 16 obvious faults were planted; and `normal`, the same span without them. The default
detector, which needs an encoder, is taken on ASD only. Rules were chosen on three series and every second of SKAB.
Twenty minutes of one core:

    python -m benchmarks.thresholds
    python -m benchmarks.thresholds --keep FOLDER    # encoders are kept here, and taken from here
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.detection import CHOSEN_ON, SERIES, SKAB_STRIDE, detector_input
from benchmarks.detection_baselines import k_means, nearest_raw, pca_error
from benchmarks.record import Result, benchmark_data, record, shown
from benchmarks.studies import archive, chosen, study
from benchmarks.threshold_rules import RULES
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import MeanAbsoluteZ
from clusterwhy.data.series import Series
from clusterwhy.data.windows import window_index
from clusterwhy.metrics.detection import events
from clusterwhy.types import BoolArray, FloatArray

N_FAULTS, APART, SIZE = 16, 400, 12.0  # planted: how many at most, samples for each at least, standard deviations
PER = 10_000  # samples
DEFAULT, ON = "clipped prediction", "ASD"  # its encoder is the one of the clean training span


def detectors(inputs: DetectorInput, encoder: bool) -> dict[str, FloatArray]:
    """(window,) scores; `encoder` adds those of the default detector."""
    default = {DEFAULT: chosen({"detector": "clipped_prediction"})["detector"].score(inputs).windows} if encoder else {}
    return default | {
        "PCA error": pca_error(inputs),
        "mean abs. z": MeanAbsoluteZ().score(inputs).windows,
        "k-NN, raw windows": nearest_raw(inputs),
        "k-means": k_means(inputs),
    }


@dataclass(frozen=True)
class Case:
    """Windows to fit and judge on.

    Attributes:
        inputs: `train` says what is fitted.
        anomalous: (time,) True inside faults.
        judged: (window,) windows that may raise alarms.
        first: first sample that is judged.
    """

    inputs: DetectorInput
    anomalous: BoolArray
    judged: BoolArray
    first: int


def part_of(case: DetectorInput, first: int, stop: int) -> DetectorInput:
    """The windows wholly inside a span, all of them fitted, scaled on it."""
    inside = (case.starts >= first) & (case.starts + case.length <= stop)
    values = case.values[first:stop].astype(np.float64)
    scale = values.std(axis=0)
    values = ((values - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)).astype(np.float32)
    return replace(
        case,
        values=values,
        starts=case.starts[inside] - first,
        train=np.ones(int(inside.sum()), dtype=bool),
    )


def with_faults(values: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """A normal span with shifts of a quarter of the channels for 20 to 60 samples, and where they are."""
    found, marked = values.copy(), np.zeros(len(values), dtype=bool)
    n_channels = values.shape[1]
    for at in np.linspace(200, len(values) - 300, min(N_FAULTS, len(values) // APART)).astype(int):
        stop, channels = at + int(rng.integers(20, 60)), rng.permutation(n_channels)[: max(1, n_channels // 4)]
        found[at:stop, channels] += SIZE * rng.choice([-1.0, 1.0], len(channels)).astype(np.float32)
        marked[at:stop] = True
    return found, marked


def cases(inputs: DetectorInput, anomalous: BoolArray, stop: int, dataset: str) -> Iterator[tuple[str, Case]]:
    """The situations of one series, with their names."""
    yield "clean", Case(inputs, anomalous, ~inputs.train, stop)
    if dataset == "SKAB":  # a third of it is faulty, and its training span holds six windows that do not overlap
        return
    later = part_of(inputs, stop, len(inputs.values))
    yield "mixed", Case(later, anomalous[stop:], later.train, 0)
    faulty, marked = with_faults(inputs.values[:stop], np.random.default_rng(0))
    for name, values, where in (
        ("planted", faulty, marked),
        ("normal", inputs.values[:stop], np.zeros(stop, dtype=bool)),
    ):
        planted = part_of(replace(inputs, values=np.concatenate([values, inputs.values[stop:]])), 0, stop)
        yield name, Case(planted, where, planted.train, 0)


def judged(case: Case, scores: FloatArray, threshold: float) -> dict[str, float]:
    """Labelled segments, those with an alarm, and what lies under alarms further than a window from any segment."""
    length, n = case.inputs.length, len(case.inputs.values)

    def covered(starts: np.ndarray, stops: np.ndarray) -> BoolArray:
        edges = np.zeros(n + 1)
        np.add.at(edges, np.clip(starts, 0, n), 1)
        np.add.at(edges, np.clip(stops, 0, n), -1)
        inside: BoolArray = np.cumsum(edges)[:-1] > 0
        inside[: case.first] = False
        return inside

    starts = case.inputs.starts[(scores > threshold) & case.judged]
    alarms = covered(starts, starts + length)
    counted = case.anomalous & (np.arange(n) >= case.first)
    first, last = events(counted)
    normal = ~covered(first - length, last + 1 + length) & (np.arange(n) >= case.first)
    return {
        "segments": len(first),
        "found": sum(bool(alarms[a : b + 1].any()) for a, b in zip(first, last, strict=True)),
        "false alarms": len(events(alarms & normal)[0]),
        "normal samples": int(normal.sum()),
        "under alarms": int((alarms & normal).sum()),
    }


def series() -> Iterator[tuple[str, str, bool, Series]]:
    """Dataset, name, whether the rule was chosen on it, and the series."""
    data = benchmark_data()
    for dataset, names in SERIES.items():
        for name in names:
            yield dataset, name, name in CHOSEN_ON, archive(dataset.lower(), data / dataset.lower() / f"{name}.npz")
    path = data / "skab" / "skab.npz"
    for place, name in enumerate(np.load(path, allow_pickle=False)["names"]):
        yield "SKAB", str(name), place % 2 == 0, archive("skab", path, experiment=str(name))


def inputs_of(dataset: str, one: Series, keep: Path | None, encoder: bool) -> DetectorInput:
    """What detectors look at."""
    if encoder:
        file = keep and keep / f"{dataset}-{one.name}-0.pt"
        made = study(one, chosen({"window": "short"}), 0, file)
        return detector_input(made, made.encoder)
    settings = chosen({"window": "short"}, window={"stride": SKAB_STRIDE} if dataset == "SKAB" else {})
    centre, scale = settings["scaler"].fit(one.fitted_values)
    index, nothing = window_index(one, settings["window"]), np.empty((0, 2))

    def load() -> Any:
        raise NotImplementedError("no detector with an encoder is taken here")

    return DetectorInput(
        ((one.values - centre) / scale).astype(np.float32),
        index["start"].to_numpy(),
        settings["window"].length,
        index["train"].to_numpy(),
        nothing,
        nothing,
        load,
        0,
    )


def runs(keep: Path | None) -> pd.DataFrame:
    """One row per series, situation, detector and rule."""
    rows: list[dict[str, Any]] = []
    for dataset, name, on_choice, one in tqdm(list(series()), unit="series"):
        assert one.anomalous is not None
        same = {"dataset": dataset, "series": name, "part": "chosen on" if on_choice else "not seen"}
        for situation, case in cases(
            inputs_of(dataset, one, keep, dataset == ON), one.anomalous, one.train_stop, dataset
        ):
            for detector, scores in detectors(case.inputs, dataset == ON).items():
                for rule, fit in RULES.items():
                    found = judged(case, scores, fit(scores[case.inputs.train]))
                    rows.append(same | {"situation": situation, "detector": detector, "rule": rule} | found)
    return pd.DataFrame(rows)


def tables(every: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Shares of all segments of a dataset, then means over the datasets and the detectors."""

    def summed(by: list[str]) -> pd.DataFrame:
        counts = every.groupby([*by, "dataset", "detector"], sort=False).sum(numeric_only=True).reset_index()
        counts["share found"] = counts["found"] / counts["segments"].where(counts["segments"] > 0)
        counts["false alarms"] = PER * counts["false alarms"] / counts["normal samples"]
        counts["share of normal samples"] = counts["under alarms"] / counts["normal samples"]
        figures = ["share found", "false alarms", "share of normal samples"]
        return counts.groupby(by, sort=False)[figures].mean().reset_index()

    default = every[every["detector"] == DEFAULT]
    return {
        "rules": summed(["part", "situation", "rule"]),
        "default": default.groupby(["situation", "rule"], sort=False)
        .sum(numeric_only=True)
        .reset_index()
        .assign(share=lambda t: t["found"] / t["segments"].where(t["segments"] > 0))
        .assign(alarms=lambda t: PER * t["false alarms"] / t["normal samples"]),
    }


def section(result: Result) -> str:
    """Its part of docs/benchmarks.md."""
    rules, default = result.table("rules"), result.table("default")
    lines = [
        f"Means over datasets and detectors ({', '.join(result.setup['detectors'])}; the first on ASD only): "
        "share of the labelled segments that an alarm touches, and in brackets false alarms in 10,000 normal samples, "
        "which are alarms further than a window from any segment. `clean`: fitted on the training span, judged on the "
        "labelled rest, which has drifted by then (SMD, ASD, NAB, SKAB). `mixed`: fitted on the labelled rest, faults "
        "and all. `planted`: fitted on a normal training span that holds 16 planted shifts of 12 standard deviations; "
        "`normal`: the same span without them.",
    ]
    for part in ("not seen", "chosen on"):
        lines += ["", f"Series that the rule was {'not chosen on' if part == 'not seen' else 'chosen on'}:", ""]
        lines += [shown(_wide(rules[rules["part"] == part], "share found", "false alarms", "situation"))]
    lines += ["", f"{DEFAULT.capitalize()} alone, all four series of {ON}:", ""]
    lines += [shown(_wide(default, "share", "alarms", "situation"))]
    return "\n".join(lines)


def _wide(table: pd.DataFrame, figure: str, beside: str, columns: str) -> pd.DataFrame:
    """One row per rule, one column per situation or dataset: the figure, with the other in brackets."""

    def cell(row: pd.Series) -> str:
        return f"({row[beside]:.1f})" if pd.isna(row[figure]) else f"{row[figure]:.2f} ({row[beside]:.1f})"

    cells = table.assign(cell=table.apply(cell, axis=1)).pivot(index="rule", columns=columns, values="cell")
    return cells.loc[list(RULES), list(dict.fromkeys(table[columns]))].reset_index()


def figure(result: Result, drawing: Figure) -> None:
    """Share found over false alarms in normal data, one panel per situation, series not chosen on."""
    table = result.table("rules")
    table = table[table["part"] == "not seen"]
    normal = table[table["situation"] == "normal"].set_index("rule")["false alarms"]
    panels = drawing.subplots(1, 3, sharey=True)
    kinds = {"halving": ("o", "#D55E00"), "extreme": ("s", "#0072B2"), "quantile": ("^", "#009E73")}
    for axes, situation in zip(panels, ("clean", "mixed", "planted"), strict=True):
        found = table[table["situation"] == situation].set_index("rule")["share found"]
        for rule in RULES:
            mark, colour = kinds.get(rule.split(" ")[0], ("x", "#666666"))
            axes.plot(normal[rule], found[rule], mark, color=colour)
        for rule, said in ((result.setup["default"], "default"), ("extreme value, risk 0.001", "former default")):
            axes.annotate(said, (normal[rule], found[rule]), textcoords="offset points", xytext=(6, -3), fontsize=8)
        axes.set(title=situation, xlabel="false alarms in 10,000 normal samples", xlim=(0, None), ylim=(0, 1))
        axes.grid(alpha=0.3)
    for name, (mark, colour) in {**kinds, "other": ("x", "#666666")}.items():
        panels[0].plot([], [], mark, color=colour, label=name)
    panels[0].legend(fontsize=7, loc="lower right")
    panels[0].set_ylabel("share of labelled segments found")


def main() -> None:
    """Measure, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="encoders are kept here, and taken from here")
    options, began = parser.parse_args(), time.monotonic()
    every = runs(options.keep)
    setup = {
        "series": int(every["series"].nunique()),
        "detectors": list(dict.fromkeys(every["detector"])),
        "default": next(rule for rule, fit in RULES.items() if getattr(fit, "__self__", None) == chosen()["threshold"]),
        "chosen on": [*CHOSEN_ON, "every second of SKAB"],
    }
    record("thresholds", "", began, setup, tables(every), every)


if __name__ == "__main__":
    main()
