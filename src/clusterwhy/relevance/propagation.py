"""Carry a target's value back to channels and time steps."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from zennit.core import Composite

from clusterwhy.config import Settings
from clusterwhy.errors import CompositeError
from clusterwhy.types import FloatArray


@dataclass(frozen=True)
class Relevance:
    """An explanation of windows.

    Attributes:
        values: (window, channel, time) with sign, in units of the target.
        target: (window,) the scalar that was explained.
    """

    values: FloatArray
    target: FloatArray

    @property
    def gap(self) -> FloatArray:
        """(window,) 1 - sum(values) / target: what biases absorbed or a missing rule leaked."""
        total = self.values.sum(axis=(1, 2), dtype=np.float64)
        return 1.0 - total / np.where(self.target == 0, np.nan, self.target)


class Attributor(Settings):
    """`once`: one backward pass; `smooth`: the mean over noisy copies (Smilkov et al. 2017)."""

    kind: Literal["once", "smooth"]
    n_samples: int = Field(ge=1)
    noise_share: float = Field(ge=0.0)  # standard deviation, as a share of the window's range
    batch_size: int = Field(ge=1)

    def explain(self, network: nn.Module, composite: Composite | None, windows: FloatArray, seed: int) -> Relevance:
        """Relevance of windows for the network's scalar output.

        Args:
            network: (window, channel, time) -> (window,), in evaluation mode.
            composite: LRP rules, or None for gradient x input.
            windows: (window, channel, time) float32.

        Raises:
            CompositeError: the result is not finite, or the composite has no rule for this network.
        """
        device = next(network.parameters()).device
        generator = torch.Generator(device="cpu").manual_seed(seed)
        values, targets = [], []
        for first in range(0, len(windows), self.batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(windows[first : first + self.batch_size])).to(device)
            # the target is read before the network is rewritten: it must not depend on the canonizer
            with torch.inference_mode():
                targets.append(network(batch).cpu().numpy())
            values.append(self._batch(network, composite, batch, generator).cpu().numpy())
        relevance = Relevance(np.concatenate(values), np.concatenate(targets))
        if not np.isfinite(relevance.values).all():
            broken = int((~np.isfinite(relevance.values).all(axis=(1, 2))).sum())
            raise CompositeError(
                f"relevance of {broken} of {len(windows)} windows is not finite: "
                "the composite does not fit this network"
            )
        return relevance

    def _batch(
        self, network: nn.Module, composite: Composite | None, batch: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        if composite is None:
            return batch * _backward(network, batch, seed_with_value=False)
        spread = (batch.amax(dim=(1, 2), keepdim=True) - batch.amin(dim=(1, 2), keepdim=True)) * self.noise_share
        try:
            with composite.context(network) as changed:
                if self.kind == "once":
                    return _backward(changed, batch, seed_with_value=True)
                total = torch.zeros_like(batch)
                for _ in range(self.n_samples):
                    noise = torch.randn(batch.shape, generator=generator).to(batch.device)
                    total += _backward(changed, batch + spread * noise, seed_with_value=True)
                return total / self.n_samples
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise CompositeError(
                f"composite {type(composite).__name__} does not fit {type(network).__name__}: {error}"
            ) from error


def _backward(network: nn.Module, batch: torch.Tensor, seed_with_value: bool) -> torch.Tensor:
    inputs = batch.clone().requires_grad_()
    output = network(inputs)
    seed = output.detach() if seed_with_value else torch.ones_like(output)
    (gradient,) = torch.autograd.grad(output, inputs, seed)
    return gradient.detach()
