"""Misclassified test windows: all of them in a table, and the surest ones explained for both classes."""

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.artifacts.store import write_array, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.types import FloatArray
from pipeline._explained import Explained, references_of
from pipeline._stage import StageRun

if TYPE_CHECKING:
    from clusterwhy.classifiers.checkpoint import TrainedClassifier
    from clusterwhy.plots.explanations import Signals

log = logging.getLogger("clusterwhy")
ROLES = ("predicted", "true")


def mistakes_in(test: pd.DataFrame, classes: tuple[str, ...], most: int) -> pd.DataFrame:
    """One row per misclassified window, those that the network is surest of first.

    Args:
        test: predictions of the test windows.
        classes: names, by code.
        most: windows of each true class that are `explained`.
    """
    wrong = test[test["predicted"] != test["label"]].reset_index(drop=True)
    wrong["true_code"] = wrong["label"].map({name: code for code, name in enumerate(classes)}).astype(int)
    probabilities = wrong[[f"probability_{name}" for name in classes]].to_numpy()
    rows = np.arange(len(wrong))
    wrong["of_predicted"] = probabilities[rows, wrong["code"].to_numpy()]
    wrong["of_true"] = probabilities[rows, wrong["true_code"].to_numpy()]
    wrong = wrong.sort_values("of_predicted", ascending=False, kind="stable").reset_index(drop=True)
    return wrong.assign(explained=wrong.groupby("label").cumcount() < most)


def write_mistakes(
    run: StageRun, method: str, test: pd.DataFrame, data: Prepared, trained: "TrainedClassifier", signals: "Signals"
) -> None:
    """Tables of the misclassified test windows, relevance of some for both classes by a method, and pages."""
    classes, how = trained.card.classes, run.settings["methods"]
    wrong = mistakes_in(test, classes, how.n_mistakes)
    run.metrics["n_misclassified"] = len(wrong)
    names = {"of_predicted": "probability_of_predicted", "of_true": "probability_of_true"}
    columns = ["window", "group", "label", "predicted", *names, "explained"]
    write_table(run.out / "mistakes.csv", wrong[columns].rename(columns=names))
    if not wrong["explained"].any():
        log.info("%d test windows are misclassified, of which none is explained", len(wrong))
        return
    explained = Explained.of(wrong[wrong["explained"]], data)
    relevance = _for_both_classes(run, method, explained, data, trained)
    write_array(run.out / "mistakes.npy", relevance)
    write_table(run.out / "mistake_channels.csv", _channels(explained, relevance, signals))
    _draw(run, method, explained, relevance, signals)


def _for_both_classes(
    run: StageRun, method: str, explained: Explained, data: Prepared, trained: "TrainedClassifier"
) -> FloatArray:
    """(window, role, channel, time) relevance for the predicted and for the true class."""
    from clusterwhy.attribution.registry import method_of

    how, seed = run.settings["methods"], run.settings["seed"]
    codes = explained.table[["code", "true_code"]].to_numpy()
    references = references_of(data, codes.ravel(), how.n_references, seed)
    found = np.zeros((len(codes), 2, *explained.scaled.shape[1:]), dtype=np.float32)
    for code, others in references.items():
        for role in range(2):
            mine = codes[:, role] == code
            if mine.any():
                own = method_of(method).explain(trained.network, explained.scaled[mine], code, others, seed)
                found[mine, role] = own.values
    return found


def _channels(explained: Explained, relevance: FloatArray, signals: "Signals") -> pd.DataFrame:
    """Each channel's relevance for both classes, in units of the logits, and what sets the classes apart."""
    sums = relevance.sum(axis=3)
    n_windows, n_channels = len(sums), len(signals.channels)
    return pd.DataFrame(
        {
            **{name: np.repeat(explained.table[name], n_channels) for name in ("window", "label", "predicted")},
            "channel": list(signals.channels) * n_windows,
            **{f"for_{role}": sums[:, i].ravel() for i, role in enumerate(ROLES)},
            "difference": (sums[:, 0] - sums[:, 1]).ravel(),
        }
    )


def _draw(run: StageRun, method: str, explained: Explained, relevance: FloatArray, signals: "Signals") -> None:
    """A page per true class: each window twice, with its relevance for the predicted and for the true class."""
    from clusterwhy.plots.names import shown
    from clusterwhy.plots.pages import windows_page

    true_codes = explained.table["true_code"].to_numpy()
    for code in np.unique(true_codes):
        mine = np.flatnonzero(true_codes == code)
        titles = []
        for _, row in explained.table.iloc[mine].iterrows():
            titles.append(
                f"window {row['window']}: predicted\n{shown(row['predicted'], 18)} ({row['of_predicted']:.0%})"
            )
            titles.append(f"window {row['window']}: true\n{shown(row['label'], 18)} ({row['of_true']:.0%})")
        twice = np.repeat(explained.recorded[mine], 2, axis=0)
        title = f"misclassified windows of {shown(explained.table['label'].iloc[mine[0]])}, by {method}"
        windows_page(run.out / f"mistakes_{code}", signals, twice, relevance[mine].reshape(twice.shape), titles, title)
