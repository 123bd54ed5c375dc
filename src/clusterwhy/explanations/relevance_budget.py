"""Where the target goes on its way to the input: relevance that each step of the network absorbs."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.types import FloatArray, IntArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance

CONSERVATION = ["window", "cluster", "target", "relevance_sum", "gap", "bias_share", "lost_share"]


def conservation_table(explained: "Relevance", ids: IntArray, cluster: int) -> pd.DataFrame:
    """Whether relevance adds up to the target: one row per window, with the columns `CONSERVATION`."""
    total = explained.values.sum(axis=(1, 2), dtype=np.float64)
    shares = explained.gap, explained.bias_share, explained.lost_share
    columns = ids, cluster, explained.target, total, *shares
    return pd.DataFrame(dict(zip(CONSERVATION, columns, strict=True)))


def relevance_budget(task: AttributionTask, windows: FloatArray) -> pd.DataFrame:
    """Relevance that each step keeps: one row per step and category, `share` of the target, mean over windows.

    The categories are those of `engine.RelevanceBudget`. The rows add up to the part of the target that does not
    arrive at the input.

    Args:
        windows: (window, channel, time).

    Raises:
        CompositeError: an operation has no rule.
    """
    import torch

    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.engine import Engine

    device = next(task.network.parameters()).device
    batch = torch.from_numpy(windows).to(device)
    engine = Engine(canonize(task.network, batch[:2]))
    low, high = (torch.as_tensor(end).to(device, batch.dtype)[None, :, None] for end in task.box)
    with torch.no_grad():
        total = float(engine.canonical(batch).abs().mean()) or 1.0
    kept = engine.budget(batch, task.composite.rules(low, high)).entries
    rows = [{"step": step, "category": kind, "share": float(amount.mean()) / total} for step, kind, amount in kept]
    return pd.DataFrame(rows, columns=["step", "category", "share"])
