"""A classifier of raw windows that shares nothing with the encoders: a judge of their explanations."""

from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F

from clusterwhy.types import FloatArray, IntArray

N_KERNELS = 250
AT_ONCE = 256  # windows
FOLDS = 4
ALPHAS = np.logspace(-3, 3, 7)


class RandomKernels:
    """Features of random dilated convolutions: ROCKET (Dempster et al. 2020), its algorithm 1.

    Args:
        n_channels, length: of the windows.
        seed: of the kernels.
    """

    def __init__(self, n_channels: int, length: int, seed: int, n_kernels: int = N_KERNELS) -> None:
        rng = np.random.default_rng(seed)
        groups: dict[tuple[int, int, int], list[tuple[FloatArray, float]]] = defaultdict(list)
        sizes = [size for size in (7, 9, 11) if size <= length] or [length]
        for _ in range(n_kernels):
            size = int(rng.choice(sizes))
            longest = np.log2(max(1.0, (length - 1) / max(1, size - 1)))
            dilation = int(2 ** rng.uniform(0.0, longest))
            padding = (size - 1) * dilation // 2 if rng.random() < 0.5 else 0
            read = rng.choice(n_channels, int(2 ** rng.uniform(0.0, np.log2(min(n_channels, size) + 1))), replace=False)
            weights = np.zeros((n_channels, size))
            weights[read] = rng.standard_normal((len(read), size))
            weights[read] -= weights[read].mean(axis=1, keepdims=True)
            groups[size, dilation, padding].append((weights, rng.uniform(-1.0, 1.0)))
        self.groups = {
            key: (torch.tensor(np.stack([w for w, _ in own])).float(), torch.tensor([b for _, b in own]).float())
            for key, own in groups.items()
        }

    @torch.inference_mode()
    def features(self, windows: FloatArray) -> FloatArray:
        """(window, 2 x kernel): of each kernel the share of positive values and the greatest value."""
        parts = []
        for batch in torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32)).split(AT_ONCE):
            made = []
            for (_, dilation, padding), (weights, biases) in self.groups.items():
                found = F.conv1d(batch, weights, biases, dilation=dilation, padding=padding)
                made += [(found > 0).float().mean(dim=2), found.amax(dim=2)]
            parts.append(torch.cat(made, dim=1))
        return torch.cat(parts).numpy()


class WindowClassifier:
    """Ridge regression on `RandomKernels`, fitted on windows and their clusters.

    Args:
        windows: (window, channel, time).
        labels: (window,) two or more different ones.
        blocks: (window,) windows of one block are held out together, so that windows that overlap do not tell each
            other.
        seed: of the kernels.

    Attributes:
        accuracy: balanced accuracy in cross-validation; NaN where a cluster lies in fewer blocks than there are folds.
    """

    def __init__(self, windows: FloatArray, labels: IntArray, blocks: IntArray, seed: int) -> None:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.kernels = RandomKernels(windows.shape[1], windows.shape[2], seed)
        features = self.kernels.features(windows)
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))
        self.accuracy = _cross_validated(model, features, labels, blocks)
        self.model = model.fit(features, labels)
        self.classes: list[int] = self.model.classes_.tolist()

    def margins(self, windows: FloatArray) -> FloatArray:
        """(window, class) how far the decision value of a class exceeds those of all others; positive for one class."""
        values = self.model.decision_function(self.kernels.features(windows))
        if values.ndim == 1:
            values = np.stack([-values, values], axis=1)
        ranked = np.sort(values, axis=1)
        best_of_others = np.where(values == ranked[:, -1:], ranked[:, -2:-1], ranked[:, -1:])
        return np.asarray(values - best_of_others)


def _cross_validated(model: object, features: FloatArray, labels: IntArray, blocks: IntArray) -> float:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    if min(len(np.unique(blocks[labels == label])) for label in np.unique(labels)) < FOLDS:
        return float("nan")
    found = cross_val_predict(model, features, labels, groups=blocks, cv=StratifiedGroupKFold(FOLDS))
    return float(balanced_accuracy_score(labels, found))
