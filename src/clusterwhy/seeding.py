"""One place that makes a run repeatable."""

import random

import numpy as np


def seed_torch(seed: int) -> None:
    """Seed Python, NumPy and torch and ask torch for deterministic kernels.

    tsai draws its masks from Python's and torch's global generators, so both must be seeded.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
