"""Explain the classifier of a study by several methods, and by the concepts of a layer."""

import logging
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd

from clusterwhy.artifacts.counts import counted
from clusterwhy.artifacts.store import read_table, write_array, write_json, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.plots.names import shown
from pipeline._explained import Explained, pairs_of, references_of, write_concepts, write_time_bins
from pipeline._mistakes import write_mistakes
from pipeline._stage import StageRun, study_stage

if TYPE_CHECKING:
    from clusterwhy.classifiers.checkpoint import TrainedClassifier
    from clusterwhy.explanations.comparison import Comparison
    from clusterwhy.plots.explanations import Signals

log = logging.getLogger("clusterwhy")
SHAPLEY = "shapley_sampling"
MOST_DRAWN, MOST_HEADS = 12, 3  # windows of a class on a page: by the first method, by head of attention


def _test_windows(predictions: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The test windows, with `code` of the predicted class."""
    test = predictions[predictions["split"] == "test"].reset_index(drop=True)
    return test.assign(code=test["predicted"].map({name: code for code, name in enumerate(classes)}))


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
    """One page per class that compares methods, one of its windows by the first method, and one of the averages."""
    from clusterwhy.plots import pages

    codes, main = explained.codes, next(iter(found.relevance.values()))
    first, groups = next(iter(found.relevance)), {}
    for code in np.unique(codes):
        mine, name = np.flatnonzero(codes == code), trained.card.classes[code]
        maps = {method: values[mine[0]] for method, values in found.relevance.items()}
        rows = found.quality[found.quality["class"] == code]
        stem, why = run.out / f"methods_{code}", dict(zip(rows["method"], rows["note"], strict=True))
        pages.methods_page(stem, signals, explained.recorded[mine[0]], maps, explained.title(mine[0]), why)
        groups[name] = (explained.recorded[mine], main[mine])
        some = mine[:MOST_DRAWN]
        pages.windows_page(
            *(run.out / f"windows_{code}", signals, explained.recorded[some], main[some]),
            *([explained.name(one) for one in some], f"predicted {shown(name)}, by {first}"),
        )
    pages.averages_page(run.out / "averages", signals, groups)


def _draw_shapley(
    run: StageRun, method: str, test: pd.DataFrame, data: Prepared, trained: "TrainedClassifier", signals: "Signals"
) -> None:
    """Shapley values of more windows of each class than the other methods explain, so that a beeswarm has dots."""
    import torch

    from clusterwhy.attribution.registry import method_of
    from clusterwhy.explanations.contributions import contributions
    from clusterwhy.plots.pages import contributions_page
    from clusterwhy.propagation.targets import with_target

    how, seed = run.settings["methods"], run.settings["seed"]
    many = Explained.of(test.iloc[how.choose(test["code"].to_numpy(), seed, how.n_shapley)], data)
    references = references_of(data, many.codes, how.n_references, seed)
    for code, others in references.items():
        mine = np.flatnonzero(many.codes == code)
        found = method_of(method).explain(trained.network, many.scaled[mine], code, others, seed)
        with torch.no_grad():
            logits = with_target(trained.network, code)(torch.from_numpy(many.scaled[mine])).numpy()
        parts = contributions(found.values, logits, many.recorded[mine], signals.channels, 4, signals.dt_s)
        contributions_page(run.out / f"shapley_{code}", parts, 0, many.title(mine[0]))


def _draw_attention(run: StageRun, explained: Explained, trained: "TrainedClassifier", dt_s: float) -> None:
    """Attention by class, and of some windows of each class by head."""
    import torch

    from clusterwhy.attribution.activations import attention_of
    from clusterwhy.plots.pages import attention_page, heads_page

    if not any(isinstance(module, torch.nn.MultiheadAttention) for module in trained.network.modules()):
        return
    codes, seconds = explained.codes, explained.scaled.shape[2] * dt_s
    with torch.no_grad():
        layers = attention_of(trained.network, torch.from_numpy(explained.scaled))
    name, weights = list(layers)[-1], list(layers.values())[-1].numpy()
    write_array(run.out / "attention.npy", weights)
    means = weights.mean(axis=1)
    maps = {trained.card.classes[code]: means[codes == code].mean(axis=0) for code in np.unique(codes)}
    attention_page(run.out / "attention", maps, seconds, "mean over heads and windows")
    for code in np.unique(codes):
        mine = np.flatnonzero(codes == code)[:MOST_HEADS]
        title = f"predicted {shown(trained.card.classes[code])}, layer {name}"
        heads_page(run.out / f"attention_{code}", weights[mine], [explained.name(one) for one in mine], seconds, title)


@study_stage
def main(run: StageRun) -> None:
    from clusterwhy.classifiers.checkpoint import load_classifier
    from clusterwhy.explanations.comparison import compare
    from clusterwhy.plots.explanations import Signals

    mpl.use("agg")
    folder, how, seed = run.take("classify"), run.settings["methods"], run.settings["seed"]
    data, trained = Prepared(folder), load_classifier(folder / "checkpoint")
    classes = trained.card.classes
    test = _test_windows(read_table(folder / "predictions.parquet"), classes)
    explained = Explained.of(test.iloc[how.choose(test["code"].to_numpy(), seed)], data)
    pairs = pairs_of(explained, how.contrast)  # a class that is not there ends the stage before its work
    references = references_of(data, explained.codes, how.n_references, seed)
    found = compare(trained.network, explained.scaled, explained.codes, references, how, seed)
    _write_comparison(run, found, explained, classes)
    signals = Signals(data.channels, tuple(data.card.units), 1.0 / data.card.rate_hz)
    _draw_methods(run, found, explained, signals, trained)
    if shapley := [name for name in found.relevance if name.startswith(SHAPLEY)]:
        _draw_shapley(run, shapley[0], test, data, trained, signals)
    _draw_attention(run, explained, trained, signals.dt_s)
    write_mistakes(run, next(iter(found.relevance)), test, data, trained, signals)
    write_concepts(run, explained, pairs, trained, signals)
    write_time_bins(run, next(iter(found.relevance.values())), explained, pairs, signals)
    windows, methods = counted(len(explained.table), "window"), counted(len(found.relevance), "method")
    log.info("explained %s by %s", windows, methods)


if __name__ == "__main__":
    main()
