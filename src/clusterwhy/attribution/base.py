"""How windows are explained: once, as a mean over noisy copies, or against windows from elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from clusterwhy.config import Settings
from clusterwhy.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from clusterwhy.propagation.canonizer import CanonizerName
    from clusterwhy.propagation.composites import CompositeSettings
    from clusterwhy.propagation.explainer import Relevance


@dataclass(frozen=True)
class Question:
    """What is asked of windows, and how relevance is to be carried back.

    Attributes:
        network: (window, channel, time) -> (window,), the target.
        composite: rules, for attributors that have none of their own.
        canonizer: the same.
        box: (channel,) lowest and highest values.
        references: (window, channel, time) windows from elsewhere in random order; as many as an attributor
            wants are taken from the front.
    """

    network: "nn.Module"
    composite: "CompositeSettings"
    canonizer: "CanonizerName"
    box: tuple[FloatArray, FloatArray]
    references: FloatArray


class Attributor(Settings, ABC):
    """A choice of `conf/attributor`."""

    batch_size: int = Field(ge=1)

    @abstractmethod
    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        """Relevance of windows (window, channel, time)."""

    @property
    def has_own_rules(self) -> bool:
        """Whether composite and canonizer are not used."""
        return False

    def _once(self, question: Question, windows: FloatArray) -> Callable[[FloatArray], "Relevance"]:
        import torch

        from clusterwhy.propagation.explainer import Explainer

        low, high = (torch.as_tensor(end) for end in question.box)
        explainer = Explainer(
            question.network,
            torch.as_tensor(windows[:2]),
            None,
            question.composite,
            question.canonizer,
            "auto",
            (low, high),
        )
        return lambda batch: explainer.explain(batch, self.batch_size)


class Once(Attributor):
    """LRP of the windows as they are."""

    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        return self._once(question, windows)(windows)


class Smooth(Attributor):
    """The mean LRP of noisy copies (SmoothGrad, Smilkov et al. 2017); the target is that without noise."""

    n_samples: int = Field(ge=1)
    noise_share: float = Field(ge=0.0)  # standard deviation, as a share of the window's range

    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        from clusterwhy.propagation.explainer import Relevance

        explain = self._once(question, windows)
        once = explain(windows)
        rng = np.random.default_rng(seed)
        spread = np.ptp(windows, axis=(1, 2), keepdims=True) * self.noise_share
        total, absorbed = np.zeros_like(once.values), np.zeros_like(once.target)
        for _ in range(self.n_samples):
            noise = rng.standard_normal(windows.shape, dtype=np.float32).astype(windows.dtype)
            noisy = explain(windows + (spread * noise).astype(windows.dtype))
            total += noisy.values
            absorbed += noisy.bias_share * noisy.target
        return Relevance(total / self.n_samples, once.target, _share(absorbed / self.n_samples, once), once.provenance)


class Contrast(Attributor):
    """LRP of the windows less the mean LRP of windows from elsewhere, channel by channel.

    What a channel contributes wherever the window lies cancels, and so does most of what biases absorb. The
    target is the difference to the mean target of the references; their relevance is spread evenly over time,
    since their moments have nothing to do with those of the window.
    """

    n_references: int = Field(ge=1)

    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        from clusterwhy.propagation.explainer import Relevance

        explain = self._once(question, windows)
        own, usual = explain(windows), explain(question.references[: self.n_references])
        values = own.values - usual.values.mean(axis=(0, 2), keepdims=True)
        target = own.target - usual.target.mean()
        absorbed = own.bias_share * own.target - (usual.bias_share * usual.target).mean()
        facts: dict[str, Any] = {**own.provenance, "references": len(question.references[: self.n_references])}
        found = Relevance(values, target, np.zeros_like(target), facts)
        return Relevance(values, target, _share(absorbed, found), facts)


class Difference(Attributor):
    """Relevance of the difference to windows from elsewhere, by DeepLIFT's rescale rule (`explain_difference`)."""

    n_references: int = Field(ge=1)

    @property
    def has_own_rules(self) -> bool:
        return True

    def explain(self, question: Question, windows: FloatArray, seed: int) -> "Relevance":
        from clusterwhy.attribution.differences import explain_difference

        references = question.references[: self.n_references]
        return explain_difference(question.network, windows, references, None, self.batch_size)


def _share(absorbed: FloatArray, of: "Relevance") -> FloatArray:
    share: FloatArray = absorbed / np.where(of.target == 0, np.nan, of.target)
    return share
