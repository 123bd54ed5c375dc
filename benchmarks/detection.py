"""Do anomaly scores find labelled anomalies, and what does the trained encoder add?

SMD (3 machines), ASD (4 servers), NAB (3 series), SKAB (34 experiments), windows of 64 samples; everything is fitted
on the training span, measured on the rest. Two hours of one core; baselines need `pip install -e .[dev]`:

    python -m benchmarks.detection
    python -m benchmarks.detection --keep FOLDER    # begun again with the same folder, it goes on from there
    python -m benchmarks.detection --quick    # one series, a small encoder, tables on the screen, nothing written
"""

import argparse
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.detection_baselines import BASELINES, ideas, mahalanobis, nearest
from benchmarks.kept import add_keep, kept
from benchmarks.record import Result, benchmark_data, read, record, shown, with_interval
from benchmarks.studies import Study, archive, chosen, study
from clusterwhy.anomaly.base import DetectorInput
from clusterwhy.anomaly.detectors import Glosh
from clusterwhy.anomaly.thresholds import sample_scores
from clusterwhy.data.series import Series
from clusterwhy.encoders.masked import MaskedEncoder, embed
from clusterwhy.metrics.detection import event_quality, ranking_quality

SERIES = {
    "SMD": ("machine-1-6", "machine-2-1", "machine-2-7"),
    "ASD": ("omi-6", "omi-8", "omi-9", "omi-12"),
    "NAB": ("ambient_temperature_system_failure", "machine_temperature_system_failure", "nyc_taxi"),
}
SEEDS = 2  # of SMD and ASD; one of the others
# our detectors were chosen on these
CHOSEN_ON = ("machine-1-6", "omi-6", "omi-9")
OURS = ("masked_prediction", "clipped_prediction")
MEASURES = ("vus_pr", "range_f1", "event_recall", "auroc", "average_precision")
FALSE_ALARMS = 0.01
Job = tuple[str, str, int, Callable[[], Study]]
SKAB_STRIDE = 4  # samples: the training span of 400 has 22 windows at the usual 16


def detector_input(made: Study, encoder: MaskedEncoder) -> DetectorInput:
    """What detectors may look at, with this encoder."""
    embeddings = embed(encoder, made.values, made.starts, made.length, 128)
    return DetectorInput(
        made.values, made.starts, made.length, made.train, embeddings, embeddings[:, :2], lambda: encoder, made.seed
    )


def window_scores(made: Study, baselines: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Name and (window,) scores of each method; `baselines` adds those that no encoder takes part in."""
    trained, untrained = detector_input(made, made.encoder), detector_input(made, made.untrained)
    for name in OURS:
        detector = chosen({"detector": name})["detector"]
        yield name.replace("_", " "), detector.score(trained).windows
        yield f"{name.replace('_', ' ')}, untrained", detector.score(untrained).windows
    for end, inputs in (("", trained), (", untrained", untrained)):
        yield f"k-NN, embeddings{end}", nearest(inputs)
        yield f"Mahalanobis, embeddings{end}", mahalanobis(inputs.embeddings.astype(np.float64), made.train)
    yield "GLOSH, embeddings", Glosh(space="embeddings", min_cluster_share=0.05).score(trained).windows
    for name, method in BASELINES.items() if baselines else ():
        if name != "PCA error of points" or len(made.series.channels) > 1:
            yield name, method(trained)


def measured(made: Study, scores: np.ndarray) -> dict[str, float]:
    """Every measure of the samples after the training span."""
    assert made.series.anomalous is not None
    after = slice(made.series.train_stop, None)
    truth = made.series.anomalous[after]
    samples = sample_scores(scores, made.starts, made.length, len(made.values))[after]
    return ranking_quality(truth, samples) | event_quality(truth, samples, FALSE_ALARMS)


def rows(dataset: str, name: str, made: Study) -> list[dict[str, Any]]:
    """One row per method, and per idea on the series of SMD and ASD."""
    first = made.seed == 0
    same = {"dataset": dataset, "series": name, "seed": made.seed, "loss": made.loss}
    found = [same | {"kind": "method", "method": m} | measured(made, s) for m, s in window_scores(made, first)]
    if first and dataset in ("SMD", "ASD"):
        tried = ideas(detector_input(made, made.encoder))
        found += [same | {"kind": "idea", "method": m} | measured(made, s) for m, s in tried.items()]
    return found


def skab_studies(choices: dict[str, str], keep: Path | None) -> list[Job]:
    """SKAB's experiments with one encoder, which learned from the training spans of all, each scaled on its own."""
    path = benchmark_data() / "skab" / "skab.npz"
    settings = chosen(choices, window={"stride": SKAB_STRIDE})
    names = [str(name) for name in np.load(path, allow_pickle=False)["names"]]
    series = [archive("skab", path, experiment=name) for name in names]

    @functools.cache
    def learned() -> Study:
        scales = [settings["scaler"].fit(s.values[: s.train_stop]) for s in series]
        spans = [((s.values - c) / k)[: s.train_stop] for s, (c, k) in zip(series, scales, strict=True)]
        joined, stops = np.concatenate(spans), np.cumsum([len(span) for span in spans])
        together = replace(
            series[0],
            values=joined,
            time=np.arange(len(joined)) / series[0].rate_hz,
            train_stop=len(joined),
            segments=(0, *(int(stop) for stop in stops[:-1])),
            anomalous=None,
        )
        return study(together, settings, 0, keep and keep / "SKAB-0.pt")

    return [
        ("SKAB", name, 0, functools.partial(lambda one: prepared(one, learned()), one))
        for name, one in zip(names, series, strict=True)
    ]


def prepared(series: Series, learned: Study) -> Study:
    """A series with an encoder that learned elsewhere."""
    from clusterwhy.data.windows import window_index

    centre, scale = learned.settings["scaler"].fit(series.values[: series.train_stop])
    values = ((series.values - centre) / scale).astype(np.float32)
    return replace(learned, series=series, values=values, index=window_index(series, learned.settings["window"]))


def studies(n_seeds: int, keep: Path | None) -> list[Job]:
    """Dataset, series, seed and what makes the study; seed by seed."""
    data, choices, jobs = benchmark_data(), {"window": "short"}, []
    for seed in range(n_seeds):
        for dataset, names in SERIES.items():
            for name in names if seed == 0 or dataset in ("SMD", "ASD") else ():
                series = archive(dataset.lower(), data / dataset.lower() / f"{name}.npz")
                file = keep and keep / f"{dataset}-{name}-{seed}.pt"
                jobs.append((dataset, name, seed, functools.partial(study, series, chosen(choices), seed, file)))
        jobs += skab_studies(choices, keep) if seed == 0 else []
    return jobs


def quick() -> pd.DataFrame:
    """Rows of one series with a small encoder."""
    choices = {"window": "short", "train": "quick", "encoder": "inception_time_small"}
    series = archive("asd", benchmark_data() / "asd" / "omi-6.npz")
    return pd.DataFrame(rows("ASD", "omi-6", study(series, chosen(choices), 0)))


def tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means over seeds, then over series (with intervals over series), of methods and ideas."""
    means = runs.groupby(["kind", "dataset", "series", "method"], sort=False)[list(MEASURES)].mean().reset_index()
    methods = means[means["kind"] == "method"].drop(columns="kind")
    found = {
        "methods": with_interval(methods, ["dataset", "method"], list(MEASURES)),
        "series": methods[methods["dataset"] != "SKAB"].round(4),
    }
    tried = means[means["kind"] == "idea"].assign(part=lambda t: np.where(t["series"].isin(CHOSEN_ON), "chosen", "new"))
    if len(tried):
        ours = methods[methods["method"].isin([name.replace("_", " ") for name in OURS])]
        ours = ours.assign(part=np.where(ours["series"].isin(CHOSEN_ON), "chosen", "new"))
        tried = pd.concat([ours[ours["dataset"].isin(["SMD", "ASD"])], tried])
        tried = tried.groupby(["method", "dataset", "part"], sort=False)["vus_pr"].mean().reset_index()
        found["tried"] = tried.rename(columns={"method": "idea"})
    return found


def wide(table: pd.DataFrame, figure: str) -> pd.DataFrame:
    """One row per method, one column per dataset, intervals beside, the best first."""
    parts = []
    for dataset, part in table.groupby("dataset", sort=False):
        kept = part.set_index("method")[[figure, f"{figure} low", f"{figure} high"]]
        parts.append(kept.rename(columns=lambda name, d=dataset: name.replace(figure, str(d))))
    together = pd.concat(parts, axis=1)
    order = together[[c for c in together if " " not in str(c)]].mean(axis=1).sort_values(ascending=False).index
    return together.loc[order].reset_index()


def comparison(table: pd.DataFrame, own: str) -> str:
    """A sentence: the detector beside PCA error and mean |z|, dataset by dataset."""
    figures = table.pivot(index="dataset", columns="method", values="vus_pr")
    parts = []
    for dataset in figures.index.unique():
        ours, pca, z = (figures.loc[dataset, name] for name in (own, "PCA error", "mean abs. z"))
        verdict = "ahead of both" if ours > max(pca, z) else "not ahead of both"
        parts.append(f"{dataset} {ours:.2f} against {pca:.2f} and {z:.2f} ({verdict})")
    return f"`{own}` beside PCA error and mean |z|: " + "; ".join(parts) + "."


def section(result: Result) -> str:
    """Its part of docs/benchmarks.md."""
    methods, series = result.table("methods"), result.table("series")
    own = {name: name.replace("_", " ") for name in OURS}
    lines = [
        "Scores of windows become scores of samples as in the pipeline (mean over the windows on a sample), for all "
        "alike. VUS-PR (buffers of 0 to 100 samples) by dataset, mean over series, brackets over the choice of "
        "series; `untrained` is the same encoder before training. The pipeline's choice is "
        f"`{own.get(result.setup['default detector'], result.setup['default detector'])}`.",
        "",
        shown(wide(methods, "vus_pr")),
        "",
        *[comparison(methods, name) for name in own.values()],
        "",
        "The other measures, means of the datasets' means: range-F1 at its best threshold, share of events found at "
        f"{result.setup['false alarms']:.0%} false alarms, AUROC, area under precision and recall.",
        "",
        shown(methods.groupby("method", sort=False)[list(MEASURES[1:])].mean().reset_index()),
        "",
        f"VUS-PR of single series; the detectors were chosen on {', '.join(result.setup['chosen on'])}, seed 0.",
        "",
        shown(_by_series(series, [*own.values(), "PCA error", "mean abs. z"])),
    ]
    if "tried" in result.tables:
        tried = result.table("tried")
        tried = tried.pivot(index="idea", columns=["dataset", "part"], values="vus_pr")
        names = {"chosen": "chosen on", "new": "not seen"}
        tried.columns = [f"{dataset}, {names[part]}" for dataset, part in tried.columns]
        tried = tried.loc[tried.mean(axis=1).sort_values(ascending=False).index].reset_index()
        lines += ["", "Ways to judge the same encoder, VUS-PR on series they were chosen on and others:", ""]
        lines += [shown(tried)]
    return "\n".join(lines)


def _by_series(series: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    wanted = series[series["method"].isin(methods)]
    table = wanted.pivot(index=["dataset", "series"], columns="method", values="vus_pr")
    return table.loc[
        wanted[["dataset", "series"]].drop_duplicates().apply(tuple, axis=1).tolist(), methods
    ].reset_index()


def figure(result: Result, drawing: Figure) -> None:
    """VUS-PR of every method, one panel per dataset, with its interval."""
    table = result.table("methods")
    order = wide(table, "vus_pr")["method"].tolist()[::-1]
    panels = drawing.subplots(1, table["dataset"].nunique(), sharey=True)
    for axes, (dataset, part) in zip(panels, table.groupby("dataset", sort=False), strict=True):
        part = part.set_index("method").reindex(order)
        own = part.index.isin([name.replace("_", " ") for name in OURS])
        at, value = np.arange(len(order)), part["vus_pr"].to_numpy()
        reach = np.abs(part[["vus_pr low", "vus_pr high"]].to_numpy().T - value)
        for mask, colour in ((own, "#D55E00"), (~own, "#0072B2")):
            axes.errorbar(value[mask], at[mask], xerr=reach[:, mask], fmt="o", color=colour, markersize=4, linewidth=1)
        axes.set(title=dataset, xlabel="VUS-PR", xlim=(0, 1), yticks=at, yticklabels=order)
        axes.grid(axis="x", alpha=0.3)


def main() -> None:
    """Run all, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one series, a small encoder, nothing is written")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many for SMD and ASD; the others have one")
    add_keep(parser)
    options = parser.parse_args()
    if options.quick:
        for name, table in tables(quick()).items():
            print(f"\n{name}\n{shown(table)}")
        return
    found, spent = [], 0.0
    for dataset, name, seed, make in tqdm(studies(options.seeds, options.keep), unit="study"):
        file = options.keep and options.keep / f"{dataset}-{name}-{seed}.csv".replace("/", "_")
        seconds, part = kept(file, functools.partial(of_study, dataset, name, make))
        found.append(part)
        spent += seconds
    every = pd.concat(found)
    setup = {
        "window": "64 samples, stride 16 (SKAB 4)",
        "series": int(every["series"].nunique()),
        "seeds": f"{options.seeds} of SMD and ASD, 1 of the others",
        "default detector": str(chosen_detector()),
        "false alarms": FALSE_ALARMS,
        "chosen on": list(CHOSEN_ON),
    }
    arguments = "" if options.seeds == SEEDS else f"--seeds {options.seeds}"
    record("detection", arguments, time.monotonic() - spent, setup, tables(every), every)
    print(section(read("detection")))


def of_study(dataset: str, name: str, make: Callable[[], Study]) -> pd.DataFrame:
    """The rows of one study."""
    return pd.DataFrame(rows(dataset, name, make()))


def chosen_detector() -> str:
    """The name in params.yaml."""
    import yaml

    from benchmarks.record import ROOT

    return str(yaml.safe_load((ROOT / "params.yaml").read_text())["detector"])


if __name__ == "__main__":
    main()
