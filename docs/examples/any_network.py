"""Every method on a network of your own, from one call. Runs in half a minute: `python docs/examples/any_network.py`.

Cells start with `# %%`: VS Code, Spyder and PyCharm run them one by one, Jupytext opens the file as a notebook.
"""

# %% A network with a softmax, and windows (window, channel, time)
from pathlib import Path

import numpy as np
import torch

from clusterwhy import describe_methods, explain, list_methods, method_of, plot_relevance
from clusterwhy.errors import CompositeError, MethodError
from clusterwhy.metrics.insertion_deletion import Cells, insertion_deletion

out = Path("outputs/examples/any_network")
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(0)
windows = rng.normal(0, 0.3, (200, 3, 96)).astype("float32")
labels = rng.integers(0, 2, 200)
for window in np.flatnonzero(labels == 1):  # class 1 has a bump in channel 2
    first = rng.integers(10, 70)
    windows[window, 2, first : first + 12] += 2.0

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv1d(3, 12, 9, padding=4),
    torch.nn.ReLU(),
    torch.nn.MaxPool1d(2),
    torch.nn.Conv1d(12, 12, 9, padding=4),
    torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool1d(1),
    torch.nn.Flatten(),
    torch.nn.Linear(12, 2),
)
optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
for _ in range(20):
    for rows in torch.randperm(150).split(25):
        optimiser.zero_grad()
        logits = network(torch.from_numpy(windows[rows]))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows])).backward()
        optimiser.step()
network.eval()
print(
    "accuracy on unseen windows:", (network(torch.from_numpy(windows[150:])).argmax(1).numpy() == labels[150:]).mean()
)

# %% One call. Without a target, the class that is predicted for each window; logits, not probabilities
faulty = windows[150:][labels[150:] == 1][:4]
found = explain(network, faulty, "lrp_epsilon_plus")
print(found.provenance["units"], found.target, "missing:", found.gap.round(3), "in biases:", found.bias_share.round(3))
plot_relevance(found, 0, ["a", "b", "c"], rate_hz=100.0).savefig(out / "lrp.png", dpi=150)

# %% What there is: what each method is, its parameters, whether it needs references, whether it adds up
print(describe_methods()[["parameters", "references", "adds_up"]].to_string(max_colwidth=60))

# %% Parameters may stand in the name; a name that does not exist is answered with those that are meant
explain(network, faulty, "smoothgrad(noise=0.3, samples=20)", target=1)
explain(network, faulty, "lrp_epsilon(epsilon=0.5)", target=1)
explain(network, faulty, "grad_cam", target=1, layer="3")
try:
    explain(network, faulty, "shap", target=1)
except MethodError as error:
    print(error)

# %% All methods on the same windows: the share on the true channel, and what deleting the first cells does
normal = windows[:150][labels[:150] == 0][:16]
maps, refused = {}, {}
for name in list_methods():
    try:
        maps[name] = method_of(name).explain(network, faulty, 1, normal).values
    except (MethodError, CompositeError) as error:  # never another method in its place
        refused[name] = str(error)


def probability(some: np.ndarray) -> np.ndarray:
    """Of class 1."""
    return torch.softmax(network(torch.from_numpy(some)), dim=1)[:, 1].detach().numpy()


cells = Cells.of(faulty.shape[2], 12)
rankings = {name: cells.sums(relevance) for name, relevance in maps.items()}
rankings["random"] = rng.random(rankings["gradient"].shape)
areas = insertion_deletion(probability, faulty, {"normal windows": normal[: len(faulty)]}, rankings, cells)
print("method                            channel c  deletion (lower is better)")
for (_, name), curves in areas.items():
    share = np.abs(maps[name]).sum(axis=2) if name in maps else np.full((1, 3), np.nan)
    print(f"{name:32} {np.mean(share[:, 2] / share.sum(axis=1)):9.0%} {curves.deletion:9.2f}")
print("refused:", *(f"\n  {name}: {why}" for name, why in refused.items()))
