"""Where the target goes on its way to the input: relevance that each step of the network absorbs."""

import pandas as pd

from clusterwhy.attribution.base import AttributionTask
from clusterwhy.types import FloatArray


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
    from clusterwhy.propagation.engine import Engine, RelevanceBudget

    device = next(task.network.parameters()).device
    batch = torch.from_numpy(windows).to(device)
    engine = Engine(canonize(task.network, batch[:2]))
    low, high = (torch.as_tensor(end).to(device, batch.dtype)[None, :, None] for end in task.box)
    rules, budgets, targets = task.composite.rules(low, high), [], []
    for part in batch.split(len(batch) if engine.batch_size > 1 else 1):
        tape, budget = engine.run(part), RelevanceBudget()
        engine.relevance(tape, tape.output, rules, budget)
        budgets.append(budget.entries)
        targets.append(tape.output)
    total = float(torch.cat(targets).abs().mean()) or 1.0
    kept = [(*entries[0][:2], torch.cat([amount for *_, amount in entries])) for entries in zip(*budgets, strict=True)]
    rows = [{"step": step, "category": kind, "share": float(amount.mean()) / total} for step, kind, amount in kept]
    return pd.DataFrame(rows, columns=["step", "category", "share"])
