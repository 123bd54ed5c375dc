"""One place that makes a run repeatable."""

import random

import numpy as np

from clusterwhy.types import BoolArray


def seed_torch(seed: int) -> None:
    """Seed Python, NumPy and torch and ask torch for deterministic kernels.

    The masks of training are drawn from Python's and torch's global generators.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def drawn(n: int, count: int, seed: int) -> BoolArray:
    """(n,) True for `count` of them, drawn without putting back."""
    chosen = np.zeros(n, dtype=bool)
    chosen[np.random.default_rng(seed).choice(n, count, replace=False)] = True
    return chosen
