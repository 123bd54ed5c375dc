"""Explain the classifier of a study by several methods, and by the concepts of a layer."""

import logging
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_table, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.types import FloatArray, IntArray
from pipeline._explained import Explained, pairs_of, write_concepts, write_time_bins
from pipeline._stage import StageRun, study_stage

if TYPE_CHECKING:
    from clusterwhy.classifiers.checkpoint import TrainedClassifier
    from clusterwhy.explanations.comparison import Comparison
    from clusterwhy.plots.explanations import Signals

log = logging.getLogger("clusterwhy")
SHAPLEY = "shapley_sampling"


def _choose(run: StageRun, data: Prepared, predictions: pd.DataFrame, classes: tuple[str, ...]) -> Explained:
    test = predictions[predictions["split"] == "test"].reset_index(drop=True)
    test["code"] = test["predicted"].map({name: code for code, name in enumerate(classes)})
    chosen = test.iloc[run.settings["methods"].choose(test["code"].to_numpy(), run.settings["seed"])]
    starts = data.index.set_index("window")["start"].loc[chosen["window"]].to_numpy()
    recorded, scaled = (windows_at(values, starts, data.length) for values in (data.values, data.scaled))
    return Explained(recorded, scaled, chosen.reset_index(drop=True))


def _references(data: Prepared, codes: IntArray, count: int, seed: int) -> dict[int, FloatArray]:
    """Predicted class -> (window, channel, time) training windows of other classes."""
    labels, train = data.index["label"].to_numpy(), data.index["split"].to_numpy() == "train"
    rng, found = np.random.default_rng(seed), {}
    for code in np.unique(codes):
        others = rng.permutation(np.flatnonzero(train & (labels != code)))[:count]
        found[int(code)] = windows_at(data.scaled, data.starts[others], data.length)
    return found


def _write_comparison(run: StageRun, found: "Comparison", explained: Explained, classes: tuple[str, ...]) -> None:
    quality = found.quality.assign(**{"class": np.array(classes)[found.quality["class"]]})
    write_array(run.out / "relevance.npy", np.stack(list(found.relevance.values())).astype(np.float32))
    write_json(run.out / "methods.json", {"methods": list(found.relevance), "failures": found.failures})
    write_table(run.out / "windows.parquet", explained.table)
    write_table(run.out / "quality.csv", quality)
    write_table(run.out / "agreement.csv", found.agreement.rename_axis("method").reset_index())
    run.tracker.table("quality", quality)
    run.metrics["n_explained"] = len(explained.table)
    run.metrics["methods"] = found.figures()


def _draw_methods(
    run: StageRun, found: "Comparison", explained: Explained, signals: "Signals", trained: "TrainedClassifier"
) -> None:
    """One page per class that compares methods, one per class of Shapley values, and one of the averages."""
    import torch

    from clusterwhy.explanations.contributions import contributions
    from clusterwhy.plots import pages
    from clusterwhy.propagation.targets import with_target

    codes, main = explained.codes, next(iter(found.relevance.values()))
    shapley = [name for name in found.relevance if name.startswith(SHAPLEY)]
    groups = {}
    for code in np.unique(codes):
        mine, name = np.flatnonzero(codes == code), trained.card.classes[code]
        maps = {method: values[mine[0]] for method, values in found.relevance.items()}
        pages.methods_page(
            run.out / f"methods_{code}", signals, explained.recorded[mine[0]], maps, explained.title(mine[0])
        )
        groups[name] = (explained.recorded[mine], main[mine])
        if shapley:
            with torch.no_grad():
                logits = with_target(trained.network, int(code))(torch.from_numpy(explained.scaled[mine])).numpy()
            parts = contributions(
                found.relevance[shapley[0]][mine], logits, explained.recorded[mine], signals.channels, 4, signals.dt_s
            )
            pages.contributions_page(run.out / f"shapley_{code}", parts, 0, explained.title(mine[0]))
    pages.averages_page(run.out / "averages", signals, groups)


def _draw_attention(run: StageRun, explained: Explained, trained: "TrainedClassifier", dt_s: float) -> None:
    import torch

    from clusterwhy.attribution.activations import attention_of
    from clusterwhy.plots.pages import attention_page

    if not any(isinstance(module, torch.nn.MultiheadAttention) for module in trained.network.modules()):
        return
    codes = explained.codes
    with torch.no_grad():
        layers = attention_of(trained.network, torch.from_numpy(explained.scaled))
    weights = list(layers.values())[-1].mean(dim=1).numpy()
    maps = {trained.card.classes[code]: weights[codes == code].mean(axis=0) for code in np.unique(codes)}
    attention_page(run.out / "attention", maps, explained.scaled.shape[2] * dt_s, "mean over heads and windows")


@study_stage
def main(run: StageRun) -> None:
    from clusterwhy.classifiers.checkpoint import load_classifier
    from clusterwhy.explanations.comparison import compare
    from clusterwhy.plots.explanations import Signals

    mpl.use("agg")
    folder, how, seed = run.take("classify"), run.settings["methods"], run.settings["seed"]
    data, trained = Prepared(folder), load_classifier(folder / "checkpoint")
    classes = trained.card.classes
    explained = _choose(run, data, read_table(folder / "predictions.parquet"), classes)
    pairs = pairs_of(explained, how.contrast)  # a class that is not there ends the stage before its work
    references = _references(data, explained.codes, how.n_references, seed)
    found = compare(trained.network, explained.scaled, explained.codes, references, how, seed)
    _write_comparison(run, found, explained, classes)
    signals = Signals(data.channels, tuple(data.card.units), 1.0 / data.card.rate_hz)
    _draw_methods(run, found, explained, signals, trained)
    _draw_attention(run, explained, trained, signals.dt_s)
    write_concepts(run, explained, pairs, trained, signals)
    write_time_bins(run, next(iter(found.relevance.values())), explained, pairs, signals)
    windows, methods = counted(len(explained.table), "window"), counted(len(found.relevance), "method")
    log.info("explained %s by %s", windows, methods)


if __name__ == "__main__":
    main()
