"""Which concepts of a classifier speak for a class, and when? Half a minute: `python docs/examples/concepts.py`.

Cells start with `# %%`: VS Code, Spyder and PyCharm run them one by one, Jupytext opens the file as a notebook.
"""

# %% Windows of a recording that people labelled: one arm, seven exercises, (window, channel, time)
import itertools
from pathlib import Path

import numpy as np
import torch
import yaml

from clusterwhy import (
    concept_difference,
    concept_relevance,
    concept_scores,
    concept_table,
    explain,
    layer_graph,
    plot_relevance,
    reference_windows,
)
from clusterwhy.config import build_settings
from clusterwhy.data.windows import WindowSettings, window_index, windows_at
from clusterwhy.explanations.aggregation import time_bin_difference, time_bins_of_width
from clusterwhy.plots.concept_pages import concept_differences_page, concepts_page
from clusterwhy.plots.explanations import Signals
from clusterwhy.plots.pages import methods_page, references_page, time_bins_page

out = Path("outputs/examples/concepts")
out.mkdir(parents=True, exist_ok=True)
dataset = build_settings({"dataset": yaml.safe_load(Path("conf/dataset/watch.yaml").read_text())})["dataset"]
series = dataset.read()
index = window_index(series, WindowSettings(length=128, stride=32))
recorded = windows_at(series.values, index["start"].to_numpy(), 128)
scaled = (recorded - recorded.mean(axis=(0, 2), keepdims=True)) / recorded.std(axis=(0, 2), keepdims=True)
labels, names = index["label"].to_numpy(), np.array(series.label_names)
signals = Signals(series.channels, series.units, 1 / series.rate_hz)

# %% A network: any torch.nn.Module that torch.fx can trace, here four convolutions
torch.manual_seed(0)
sizes = [len(series.channels), 16, 16, 32, 32]
layers = [
    layer
    for n_in, n_out in itertools.pairwise(sizes)
    for layer in (torch.nn.Conv1d(n_in, n_out, 7, padding=3), torch.nn.ReLU(), torch.nn.MaxPool1d(2))
]
network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(32 * 8, len(names)))
optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
x, y = torch.from_numpy(scaled.astype("float32")), torch.from_numpy(labels)
for _ in range(15):
    for rows in torch.randperm(len(x)).split(32):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
        optimiser.step()
network.eval()
probabilities = torch.softmax(network(x), dim=1).detach().numpy()
predicted = probabilities.argmax(axis=1)
print(f"training accuracy {(predicted == labels).mean():.2f}")

# %% Layers by name, what feeds what, and what each position of a layer sees
for layer in layer_graph(network, x[:2]):
    print(layer.name, layer.operation, "from", layer.inputs)
convolutions = [layer.name for layer in layer_graph(network, x[:2]) if layer.operation == "Conv1d"]

# %% One window by three composites, side by side
at = 0
print(f"predicted {names[predicted[at]]} with {probabilities[at].max():.0%}, labelled {names[labels[at]]}")
composites = ["lrp_epsilon", "lrp_epsilon_plus_flat", "lrp_epsilon_gamma_box"]
maps = {name: explain(network, x[at : at + 1], name).values[0] for name in composites}
methods_page(out / "composites", signals, recorded[at], maps, f"{names[predicted[at]]} ({probabilities[at].max():.0%})")

# %% Concepts: how much each channel of each layer matters for the class of each window
scores = concept_scores(network, x, predicted, convolutions)
table = concept_table(list(scores.values()), names[predicted], seed=0)
print(
    table[table["relevance_rank"] == 1][["group", "layer", "concept", "relevance", "relevance_low", "relevance_high"]]
)
concepts_page(out / "concepts", table[table["layer"] == convolutions[-1]])

# %% Windows that show the first concept of a class, coloured by the relevance that passes through it
code = int(predicted[at])
own = table[(table["group"] == names[code]) & (table["layer"] == convolutions[-1])]
first = int(own.loc[own["relevance_rank"].idxmin(), "concept"])
shown = reference_windows(scores[convolutions[-1]], first, n=4, among=predicted == code)
rows = [one.window for one in shown]
through = concept_relevance(network, x[rows], code, {convolutions[-1]: [first]})
references_page(
    out / "first_concept", signals, shown, recorded[rows], through.values, f"{names[code]}: concept {first}"
)

# %% Two classes, as good and bad: concepts and bins of time that set them apart
other = int(np.bincount(predicted[predicted != code]).argmax())
difference = concept_difference(list(scores.values()), predicted == code, predicted == other, seed=0)
concept_differences_page(out / "differences", {(names[code], names[other]): difference})
relevance = explain(network, x, "lrp_epsilon_plus")
both = [relevance.values[predicted == one] for one in (code, other)]
bins = time_bin_difference(both[0], both[1], series.channels, width=16, dt_s=signals.dt_s, seed=0)
print(bins[bins["apart"]].sort_values("difference", key=lambda d: -d.abs()).head(5))
time_bins_page(out / "bins", signals, time_bins_of_width(both[0], series.channels, 16, signals.dt_s, seed=0))

# %% A single window, and the same as a table
figure = plot_relevance(relevance, at, series.channels, series.units, series.rate_hz, recorded)
figure.savefig(out / "window.png", dpi=150)
print(relevance.to_frame(series.channels, series.rate_hz).groupby(["window", "channel"])["relevance"].sum().head(6))
