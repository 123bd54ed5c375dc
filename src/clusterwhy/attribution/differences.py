"""DeepLIFT: relevance of the difference between windows and a baseline, such as windows to compare with."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from clusterwhy.attribution.base import AttributionTask, register_attributor, require_finite
from clusterwhy.attribution.baselines import WithBaseline
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.relevance import Relevance
    from clusterwhy.propagation.targets import Target


@register_attributor("difference", baseline="near_references", n_references=4)
@register_attributor("deep_lift", baseline="zero", n_references=8)
class DeepLift(WithBaseline):
    """DeepLIFT's rescale rule on the canonical form (`explain_difference`).

    `difference` compares each window with the references nearest to it, `deep_lift` with zero (Shrikumar et al. 2017).
    """

    complete: ClassVar[bool] = True

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time).

        Raises:
            CompositeError: an operation has no rule.
            MethodError: there are no references to compare with, or relevance is not finite.
        """
        import torch

        data = torch.as_tensor(windows)
        drawn_for = data if task.drawn_for is None else torch.as_tensor(task.drawn_for)
        baselines = self.baselines(data, torch.tensor(task.references, dtype=data.dtype), drawn_for, seed)
        # (reference, channel, time) for all windows alike, or (window, 1, channel, time)
        references = torch.cat(baselines) if len(baselines[0]) == 1 else torch.stack(baselines, dim=1)
        found = explain_difference(task.network, windows, references, None, self.batch_size)
        provenance = {"attributor": "DeepLift", **self.model_dump(), **found.provenance}
        return replace(found, values=require_finite(found.values), provenance=provenance)


def explain_difference(
    network: "nn.Module",
    windows: "FloatArray | torch.Tensor",
    references: "FloatArray | torch.Tensor",
    target: "Target" = None,
    batch_size: int = 64,
    n_path: int = 32,
) -> "Relevance":
    """Relevance of windows for the difference of a scalar to that of reference windows.

    Multipliers are carried back through the canonical form: transposed linear layers, the slope of the
    secant through both values at activations (the rescale rule of DeepLIFT, Shrikumar et al. 2017, eq. 8; LRP's
    epsilon rule on differences, Ancona et al. 2018), and mean gradients on the straight line between both
    inputs at maxima, minima, distances, norms, products, attention and recurrent layers (exact at distances, max
    pooling, norms, quotients and products). Biases cancel, so relevance adds up to the difference.

    Args:
        network: (window, channel, time) -> anything, in evaluation mode. It is not changed.
        windows: (window, channel, time) float32 or float64.
        references: (window, reference, channel, time), such as the nearest normal windows of each, or
            (reference, channel, time) for all windows alike; their mean relevance is given.
        target: as in `explain`.
        batch_size: windows at a time.
        n_path: points on the line where gradients are not exact; the gap tells what more of them would gain.

    Returns:
        Relevance whose `target` is the mean difference to the references and whose `bias_share` is 0.

    Raises:
        CompositeError: an operation has no rule.
        ShapeError: shapes do not fit, or the target is not one scalar per window.
    """
    import numpy as np
    import torch

    from clusterwhy.metrics.shares import TOLERATED_LOSS
    from clusterwhy.propagation import inputs
    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.losses import gap_note
    from clusterwhy.propagation.relevance import Relevance
    from clusterwhy.propagation.rescale_rule import RescaleRule
    from clusterwhy.propagation.targets import target_name

    with inputs.own_modes():
        whole, data = inputs.checked_inputs(network, windows, target)
        device = inputs.device_of(whole)
        others = inputs.as_references_of_each(references, data)
        canonical = canonize(whole, data[:2].to(device))
        values, differences = RescaleRule(canonical, n_path, device).mean_relevance(data, others, batch_size)
    provenance: dict[str, Any] = {
        "target": target_name(target),
        "rule": "rescale (DeepLIFT)",
        "references": others.shape[-3],
        "canonizer": "auto",
        "notes": list(canonical.notes),
    }
    found = Relevance(values.numpy(), differences.numpy(), torch.zeros_like(differences).numpy(), provenance)
    # a difference near 0 has no share that means something
    size = np.abs(found.values).sum(axis=(1, 2), dtype=np.float64)
    gap = np.where(np.abs(found.target) > TOLERATED_LOSS * size, found.gap, 0.0)
    note = gap_note(gap, "masks differ between windows and references, or `n_path` points are too few")
    notes = [*canonical.notes, *([note] if note else [])]
    return replace(found, provenance=provenance | {"notes": notes}, windows=data.detach().cpu().numpy())
