"""Layer-wise relevance propagation (LRP) by a composite: of the windows alone, smoothed, or less that of others."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clusterwhy.attribution.base import AttributionTask, Attributor, register_attributor
from clusterwhy.errors import MethodError
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from clusterwhy.propagation.relevance import Relevance


@register_attributor("lrp")
class Lrp(Attributor):
    """LRP of the windows as they are."""

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        return _explainer(task, windows, self.batch_size)(windows)


@register_attributor("smooth", n_samples=20, noise_share=0.1)
class Smooth(Attributor):
    """The mean LRP of noisy copies (SmoothGrad, Smilkov et al. 2017); the target is that without noise."""

    n_samples: int = Field(ge=1)
    noise_share: float = Field(ge=0.0)  # standard deviation, as a share of the window's range

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        from clusterwhy.propagation.relevance import Relevance

        explain = _explainer(task, windows, self.batch_size)
        plain = explain(windows)
        rng = np.random.default_rng(seed)
        spread = np.ptp(windows, axis=(1, 2), keepdims=True) * self.noise_share
        total = np.zeros_like(plain.values)
        absorbed, of_constants = np.zeros_like(plain.target), np.zeros_like(plain.target)
        for _ in range(self.n_samples):
            noise = rng.standard_normal(windows.shape, dtype=np.float32).astype(windows.dtype)
            noisy = explain(windows + (spread * noise).astype(windows.dtype))
            total += noisy.values
            absorbed += noisy.bias_share * noisy.target
            of_constants += noisy.constant_share * noisy.target
        shares = [_share(part / self.n_samples, plain.target) for part in (absorbed, of_constants)]
        return Relevance(total / self.n_samples, plain.target, shares[0], plain.provenance, shares[1])


@register_attributor("contrast", n_references=64)
class Contrast(Attributor):
    """LRP of the windows less the mean LRP of references, channel by channel.

    What a channel contributes to any window cancels, and so does most of what biases absorb. The target is the
    difference to the mean target of the references. Their relevance is spread evenly over time, since their samples
    have no counterpart in the window.
    """

    n_references: int = Field(ge=1)

    def explain(self, task: AttributionTask, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time).

        Raises:
            MethodError: there are no references.
        """
        from clusterwhy.propagation.relevance import Relevance

        references = task.references[: self.n_references]
        if not len(references):
            raise MethodError("`contrast` compares with other windows: give `references` (reference, channel, time)")
        explain = _explainer(task, windows, self.batch_size)
        own, others = explain(windows), explain(references)
        values = own.values - others.values.mean(axis=(0, 2), keepdims=True)
        target = own.target - others.target.mean()
        absorbed = own.bias_share * own.target - (others.bias_share * others.target).mean()
        of_constants = own.constant_share * own.target - (others.constant_share * others.target).mean()
        provenance: dict[str, Any] = {**own.provenance, "references": len(references)}
        return Relevance(values, target, _share(absorbed, target), provenance, _share(of_constants, target))


def _explainer(task: AttributionTask, windows: FloatArray, batch_size: int) -> Callable[[FloatArray], "Relevance"]:
    """LRP of any windows (window, channel, time) of the task, with the network canonized once."""
    import torch

    from clusterwhy.propagation.explainer import Explainer

    low, high = (torch.as_tensor(end) for end in task.box)
    example = torch.as_tensor(windows[:2])
    explainer = Explainer(task.network, example, None, task.composite, task.canonizer, "auto", (low, high))
    return lambda batch: explainer.explain(batch, batch_size)


def _share(absorbed: FloatArray, target: FloatArray) -> FloatArray:
    """(window,) what biases absorbed, as a share of the target; NaN where the target is 0."""
    share: FloatArray = absorbed / np.where(target == 0, np.nan, target)
    return share
