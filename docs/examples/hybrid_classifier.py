"""A CNN-LSTM-attention classifier of CSV files, explained. Half a minute: `python docs/examples/hybrid_classifier.py`.

Cells start with `# %%`: VS Code, Spyder and PyCharm run them one by one, Jupytext opens the file as a notebook.
"""

# %% CSV files to learn from and to test on, a column per channel and a label per sample; yours take the place of these
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import classification_report, confusion_matrix

from clusterwhy import explain, plot_relevance
from clusterwhy.attribution.activations import attention_of
from clusterwhy.classifiers.hybrid import Hybrid
from clusterwhy.classifiers.training import ClassifierTraining, LabelledWindows, logits_of
from clusterwhy.explanations.contributions import contributions
from clusterwhy.plots.contributions import draw_bars, prediction_label
from clusterwhy.plots.pages import attention_page, contributions_page

out = Path("outputs/examples/hybrid")
out.mkdir(parents=True, exist_ok=True)
rate_hz, length, channels, classes = 50.0, 64, ("a", "b", "c", "d"), ("rest", "swing", "jolt")


def example(seed: int, n_segments: int) -> pd.DataFrame:
    """Segments of four seconds: noise, or channel b swings at 2 Hz, or channel d jolts twice a second."""
    rng = np.random.default_rng(seed)
    label = np.repeat(rng.permutation(np.arange(n_segments) % 3), 200)
    values, time = rng.normal(0, 0.4, (len(label), 4)), np.arange(len(label)) / rate_hz
    values[:, 1] += np.where(label == 1, 0.5 * np.sin(2 * np.pi * 2.0 * time), 0.0)
    values[:, 3] += np.where((label == 2) & (np.arange(len(label)) % 25 < 3), 0.8, 0.0)
    return pd.DataFrame(values, columns=list(channels)).assign(label=np.array(classes)[label])


for name, seed, n_segments in (("train", 0, 60), ("validation", 1, 18), ("test", 2, 18)):
    example(seed, n_segments).to_csv(out / f"{name}.csv", index=False)

# %% Windows that lie in one segment, scaled by the training file
frames = {name: pd.read_csv(out / f"{name}.csv") for name in ("train", "validation", "test")}
centre, scale = frames["train"][list(channels)].mean(), frames["train"][list(channels)].std()


def windows_of(frame: pd.DataFrame) -> LabelledWindows:
    """Every 32 samples one window, if all of its samples have the same label."""
    code = frame["label"].map(classes.index).to_numpy()
    starts = np.array([at for at in range(0, len(frame) - length + 1, 32) if np.ptp(code[at : at + length]) == 0])
    values = ((frame[list(channels)] - centre) / scale).to_numpy(dtype="float32")
    return LabelledWindows(values, starts, code[starts], length)


parts = {name: windows_of(frame) for name, frame in frames.items()}

# %% Any setting of the network is an argument, as in conf/classifier/hybrid.yaml; a line per epoch
torch.manual_seed(0)
settings = Hybrid(n_filters=(16, 16), kernel_size=7, n_hidden=16, n_heads=2, dropout=0.3)
network = settings.build(len(channels), length, len(classes))
training = ClassifierTraining(
    n_epochs=12,
    batch_size=32,
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="cosine",
    class_weights="balanced",
    label_smoothing=0.0,
    noise=0.1,
    scale_spread=0.2,
    patience=None,
)
history = training.train(
    network,
    (parts["train"], parts["validation"]),
    seed=0,
    report=lambda row: print(
        f"epoch {row['epoch']:.0f}: loss {row['train_loss']:.3f}, validation accuracy {row['validation_accuracy']:.2f}"
    ),
)
history.to_csv(out / "history.csv", index=False)

# %% Confusion and the usual report, on the test file; windows that are told wrong, with predicted and true class
test = parts["test"].windows(slice(None))
logits = logits_of(network, parts["test"], batch_size=64)
predicted, labels = logits.argmax(axis=1), parts["test"].labels
print(pd.DataFrame(confusion_matrix(labels, predicted), index=list(classes), columns=list(classes)))
print(classification_report(labels, predicted, target_names=list(classes)))
for window in np.flatnonzero(predicted != labels):
    print("wrong:", window, prediction_label(classes[predicted[window]], classes[labels[window]]))

# %% SHAP (expected gradients) with training windows as background; bars over all classes, dots of all windows
background = parts["train"].windows(np.random.default_rng(0).permutation(len(parts["train"]))[:24])
network = network.cpu()
chosen = np.arange(len(test))[:120]
figure = Figure(figsize=(10, 2.6), layout="constrained")
for code, ax in enumerate(figure.subplots(1, len(classes))):
    found = explain(
        network,
        test[chosen],
        "gradient_shap(baseline=own_references, n_references=4, samples=4)",
        code,
        references=background,
    )
    parts_of = contributions(found.values, logits[chosen, code], test[chosen].numpy(), channels)
    draw_bars(ax, parts_of, 4, f"logit of {classes[code]}")
    ax.set_title(classes[code], fontsize=8)
    wrong = np.flatnonzero((predicted != labels)[chosen] & (predicted[chosen] == code))
    at = int(wrong[0]) if len(wrong) else int(np.flatnonzero(predicted[chosen] == code)[0])
    title = prediction_label(classes[predicted[at]], classes[labels[at]])
    contributions_page(out / f"shap_{classes[code]}", parts_of, at, title, 4, f"logit of {classes[code]}")
figure.savefig(out / "shap_all_classes.png", dpi=150)

# %% Attention, head by head, of one window
window = int(np.flatnonzero(predicted == 2)[0])
(weights,) = attention_of(network, test[window : window + 1]).values()
heads = {f"head {head}": weights[0, head].detach().numpy() for head in range(weights.shape[1])}
attention_page(out / "attention", heads, length / rate_hz, f"window {window}: {classes[predicted[window]]}")

# %% Grad-CAM and LRP of the same window; a map of zeros is told, not drawn as evidence
for name in ("grad_cam", "lrp_epsilon_plus"):
    one = explain(network, test[window : window + 1], name)
    print(name, "relevance of channels:", dict(zip(channels, one.values[0].sum(axis=1).round(3), strict=True)))
    print(*one.provenance.get("notes", ()), sep="\n")
    plot_relevance(one, 0, channels, rate_hz=rate_hz).savefig(out / f"{name}.png", dpi=150)
