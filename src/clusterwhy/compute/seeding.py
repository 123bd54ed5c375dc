"""Seeding of all random generators."""

import random

import numpy as np

from clusterwhy.types import BoolArray


def seed_torch(seed: int) -> None:
    """Seed Python, NumPy and torch, and select deterministic kernels of torch.

    The masks of training are drawn from Python's and torch's global generators.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # on by default with it: writes to all memory that torch allocates, 5 % of the time of a training step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def drawn(n: int, count: int, seed: int) -> BoolArray:
    """(n,) True at `count` positions drawn without replacement."""
    chosen = np.zeros(n, dtype=bool)
    chosen[np.random.default_rng(seed).choice(n, count, replace=False)] = True
    return chosen
