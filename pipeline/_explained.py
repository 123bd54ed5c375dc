"""Windows that a classifier is explained on: its concepts layer by layer, and its evidence in bins of time."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clusterwhy.artifacts.store import write_json, write_table
from clusterwhy.data.storage import Prepared
from clusterwhy.data.windows import windows_at
from clusterwhy.errors import ConfigError
from clusterwhy.types import BoolArray, FloatArray, IntArray
from pipeline._stage import StageRun

if TYPE_CHECKING:
    from clusterwhy.classifiers.checkpoint import TrainedClassifier
    from clusterwhy.concepts.tables import ConceptScores
    from clusterwhy.plots.explanations import Signals

MOST_LAYERS = 6  # whose concepts are ranked, unless others are chosen
REST = "all others"


@dataclass(frozen=True)
class Explained:
    """The windows that are explained.

    Attributes:
        recorded: (window, channel, time) as recorded.
        scaled: (window, channel, time) as in training.
        table: one row per window: `label` and `predicted` by name, `code` of the predicted class, probabilities.
    """

    recorded: FloatArray
    scaled: FloatArray
    table: pd.DataFrame

    @classmethod
    def of(cls, rows: pd.DataFrame, data: Prepared) -> "Explained":
        """The windows of some rows of the predictions."""
        starts = data.index.set_index("window")["start"].loc[rows["window"]].to_numpy()
        recorded, scaled = (windows_at(values, starts, data.length) for values in (data.values, data.scaled))
        return cls(recorded, scaled, rows.reset_index(drop=True))

    @property
    def labels(self) -> NDArray[Any]:
        """(window,) predicted class by name."""
        return self.table["predicted"].to_numpy()

    @property
    def codes(self) -> IntArray:
        return self.table["code"].to_numpy()

    def name(self, window: int) -> str:
        """Its number and its true class, in two lines."""
        from clusterwhy.plots.names import shown

        row = self.table.iloc[window]
        return f"window {row['window']}\ntrue {shown(row['label'], 18)}"

    def title(self, window: int) -> str:
        """What the network says of a window, and whether that is so."""
        from clusterwhy.plots.contributions import prediction_label

        row = self.table.iloc[window]
        return prediction_label(row["predicted"], row["label"], row[f"probability_{row['predicted']}"])


def references_of(data: Prepared, codes: IntArray, count: int, seed: int) -> dict[int, FloatArray]:
    """Class -> (window, channel, time) training windows of other classes."""
    labels, train = data.index["label"].to_numpy(), data.index["split"].to_numpy() == "train"
    rng, found = np.random.default_rng(seed), {}
    for code in np.unique(codes):
        others = rng.permutation(np.flatnonzero(train & (labels != code)))[:count]
        found[int(code)] = windows_at(data.scaled, data.starts[others], data.length)
    return found


@dataclass(frozen=True)
class Pair:
    """Two groups of windows that are compared.

    Attributes:
        names: of the groups.
        first: (window,) True in the first group.
        second: (window,) True in the second group.
    """

    names: tuple[str, str]
    first: BoolArray
    second: BoolArray

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table of a comparison with the names of the groups."""
        return table.assign(group=self.names[0], against=self.names[1])


def pairs_of(explained: Explained, contrast: tuple[str, str] | None) -> list[Pair]:
    """What is compared: two chosen classes, or each class with all others.

    Raises:
        ConfigError: `contrast` names a class that no explained window was predicted as.
    """
    names = explained.labels.astype(str)
    there = list(dict.fromkeys(names))
    if contrast is None:
        return [Pair((name, REST), names == name, names != name) for name in there if len(there) > 1]
    if missing := [name for name in contrast if name not in there]:
        text = f"`methods.contrast`: no window was predicted as {', '.join(missing)}; there are {', '.join(there)}"
        raise ConfigError("methods", [text])
    return [Pair(contrast, names == contrast[0], names == contrast[1])]


def write_concepts(
    run: StageRun, explained: Explained, pairs: list[Pair], trained: "TrainedClassifier", signals: "Signals"
) -> None:
    """The concepts of each layer by relevance to each class, the windows that show the first of them, and contrasts."""
    import torch

    from clusterwhy.concepts.tables import concept_difference, concept_scores, concept_table
    from clusterwhy.plots.concept_pages import concept_differences_page, concepts_page
    from clusterwhy.propagation.layer_graph import layer_graph

    how, network, codes, seed = run.settings["methods"], trained.network, explained.codes, run.settings["seed"]
    graph = layer_graph(network, torch.from_numpy(explained.scaled[:2]))
    layers = list(how.layers or spread([one.name for one in graph if one.operation == "Conv1d"]))
    scores = concept_scores(network, explained.scaled, codes, layers)
    table = concept_table(list(scores.values()), explained.labels, seed)
    write_table(run.out / "concepts.csv", table)
    write_json(run.out / "layers.json", {"layers": [asdict(one) for one in graph], "explained": list(scores)})
    for number, name in enumerate(scores):
        concepts_page(run.out / f"layer_{number}", table[table["layer"] == name])
    _write_windows(run, explained, trained, signals, scores, table)
    if pairs:
        found = list(scores.values())
        differences = {pair.names: concept_difference(found, pair.first, pair.second, seed) for pair in pairs}
        concept_differences_page(run.out / "concept_differences", differences)
        rows = [pair.named(differences[pair.names]) for pair in pairs]
        write_table(run.out / "concept_differences.csv", pd.concat(rows))


def spread(names: list[str]) -> list[str]:
    """At most `MOST_LAYERS` of the names, spread evenly; the last one is always among them."""
    chosen = np.linspace(len(names) - 1, 0, min(MOST_LAYERS, len(names))).round().astype(int)
    return [names[i] for i in chosen[::-1]]


def _write_windows(
    run: StageRun,
    explained: Explained,
    trained: "TrainedClassifier",
    signals: "Signals",
    scores: "dict[str, ConceptScores]",
    table: pd.DataFrame,
) -> None:
    """The windows that show the first concept of each layer and class; of the last layer they are drawn."""
    from clusterwhy.concepts.propagation import concept_relevance
    from clusterwhy.concepts.tables import By, reference_windows
    from clusterwhy.plots.pages import references_page

    count, codes, ids = run.settings["methods"].n_concept_windows, explained.codes, explained.table["window"].to_numpy()
    rankings: tuple[By, ...] = ("relevance", "activation")
    rows = []
    for layer, own in scores.items():
        for code in np.unique(codes):
            name = trained.card.classes[code]
            first = int(table.query("layer == @layer and group == @name and relevance_rank == 1")["concept"].iloc[0])
            found = {by: reference_windows(own, first, count, by, among=codes == code) for by in rankings}
            for by, references in found.items():
                rows += [
                    {
                        **{"class": name, "layer": layer, "concept": first, "by": by, "rank": rank},
                        **{"window": ids[one.window], "value": one.value},
                        **{"start_s": one.start * signals.dt_s, "stop_s": one.stop * signals.dt_s},
                    }
                    for rank, one in enumerate(references, start=1)
                ]
            if layer == list(scores)[-1]:
                at = [one.window for one in found["relevance"]]
                through = concept_relevance(trained.network, explained.scaled[at], int(code), {layer: [first]}).values
                title = f"{name}: concept {first} of {layer}, windows by share of relevance"
                stem = run.out / f"concept_{code}"
                references_page(stem, signals, found["relevance"], explained.recorded[at], through, title, ids[at])
    write_table(run.out / "concept_windows.csv", pd.DataFrame(rows))


def write_time_bins(
    run: StageRun, relevance: FloatArray, explained: Explained, pairs: list[Pair], signals: "Signals"
) -> None:
    """Evidence for each class in bins of time, what sets two classes apart, and the most important stretch in words.

    Args:
        relevance: (window, channel, time) by the first method.
    """
    from clusterwhy.explanations.aggregation import time_bin_difference, time_bins_of_width
    from clusterwhy.plots.pages import time_bins_page

    length, seed, channels = relevance.shape[2], run.settings["seed"], signals.channels
    seconds = run.settings["methods"].bin_s or length * signals.dt_s / 10
    width = max(1, round(seconds / signals.dt_s))
    tables, words = [], []
    for code in np.unique(explained.codes):
        own, name = relevance[explained.codes == code], str(explained.labels[explained.codes == code][0])
        table = time_bins_of_width(own, channels, width, signals.dt_s, seed)
        sizes = np.abs(own).sum(axis=1, keepdims=True)
        whole = time_bins_of_width(sizes, ("all channels",), width, signals.dt_s, seed)
        words.append({"class": name, "text": important(table, whole)})
        time_bins_page(run.out / f"time_bins_{code}", signals, table)
        tables.append(table.assign(**{"class": name}))
    write_table(run.out / "time_bins.csv", pd.concat(tables))
    write_table(run.out / "time_bins_in_words.csv", pd.DataFrame(words))
    differences = [
        pair.named(
            time_bin_difference(relevance[pair.first], relevance[pair.second], channels, width, signals.dt_s, seed)
        )
        for pair in pairs
    ]
    if differences:
        write_table(run.out / "time_bin_differences.csv", pd.concat(differences))


def important(table: pd.DataFrame, sizes: pd.DataFrame) -> str:
    """The bin with the most |relevance|, and the channel that has the most of it there.

    Args:
        table: of `time_bins_of_width`, signed shares of each channel.
        sizes: of the same bins, shares of |relevance| of all channels together.
    """
    if sizes["signed"].isna().all():
        return "no window has relevance"
    most = sizes.iloc[int(sizes["signed"].argmax())]
    inside = table[table["start_s"] == most["start_s"]]
    channel = inside.iloc[int(inside["signed"].abs().argmax())]
    return (
        f"most important stretch: {most['start_s']:.3g} to {most['stop_s']:.3g} s, {most['signed']:.0%} "
        f"({most['signed_low']:.0%} to {most['signed_high']:.0%}) of all |relevance|, where an even share is "
        f"{1 / len(sizes):.0%}; leading channel there: {channel['channel']} ({channel['signed']:+.1%})"
    )
