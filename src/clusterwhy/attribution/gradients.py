"""Attributors by gradients of the target with respect to each channel and time step."""

from abc import ABC
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterwhy.attribution.base import BatchAttributor, FrozenNetwork, register_attributor
from clusterwhy.attribution.baselines import BaselineAttributor

if TYPE_CHECKING:
    import torch


@register_attributor("gradient")
class Gradient(BatchAttributor):
    """The gradient of the target (Simonyan et al. 2014), with its sign."""

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return network.gradient(windows)


@register_attributor("gradient_x_input")
class GradientTimesInput(BatchAttributor):
    """Gradient times input (Shrikumar et al. 2016)."""

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return network.gradient(windows) * windows


class OfNoisyCopies(BatchAttributor, ABC):
    """A statistic of the gradients of noisy copies of each window."""

    noise: float = Field(ge=0.0)  # standard deviation, as a share of the window's range
    samples: int = Field(ge=1)

    def gradients(self, network: FrozenNetwork, windows: "torch.Tensor") -> "Iterator[torch.Tensor]":
        """(window, channel, time) of one noisy copy after another."""
        spread = self.noise * (windows.amax(dim=(1, 2)) - windows.amin(dim=(1, 2)))[:, None, None]
        for _ in range(self.samples):
            yield network.gradient(windows + spread * network.noise(windows))


@register_attributor("smoothgrad", noise=0.1, samples=50)
class SmoothGrad(OfNoisyCopies):
    """The mean gradient of noisy copies (Smilkov et al. 2017)."""

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        return sum(self.gradients(network, windows), torch.zeros_like(windows)) / self.samples


@register_attributor("vargrad", noise=0.1, samples=50)
class VarGrad(OfNoisyCopies):
    """The variance of the gradients of noisy copies (Adebayo et al. 2018, "Local explanation methods", equation 3).

    It has no sign: it says where the gradient depends on the noise, not what speaks for the target.
    """

    samples: int = Field(ge=2)

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        # around the first gradient: a variance from sums of squares loses digits where gradients hardly change
        copies = self.gradients(network, windows)
        first = next(copies)
        total, squares = torch.zeros_like(windows), torch.zeros_like(windows)
        for gradient in copies:
            total += gradient - first
            squares += (gradient - first).square()
        return (squares - total.square() / self.samples) / self.samples


@register_attributor("integrated_gradients", baseline="zero", n_references=8, steps=50)
class IntegratedGradients(BaselineAttributor):
    """Mean gradient on the straight line from a baseline, times the difference to it, by captum.

    Sundararajan et al. 2017, equation 1.
    """

    complete: ClassVar[bool] = True
    steps: int = Field(ge=2)  # of Gauss-Legendre quadrature

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        from captum.attr import IntegratedGradients

        method = IntegratedGradients(network)  # type: ignore[no-untyped-call]

        def of(baseline: "torch.Tensor") -> "torch.Tensor":
            found: torch.Tensor = method.attribute(
                windows, baseline, n_steps=self.steps, internal_batch_size=max(self.batch_size, len(windows))
            )
            return found

        return self.mean_over_baselines(network, windows, of)


@register_attributor("gradient_shap", baseline="zero", n_references=8, samples=20)
class GradientShap(BaselineAttributor):
    """Expected gradients: as integrated gradients, at random points of the lines (Erion et al. 2021)."""

    samples: int = Field(ge=1)

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        def of(baseline: "torch.Tensor") -> "torch.Tensor":
            total = torch.zeros_like(windows)
            for _ in range(self.samples):
                share = torch.rand((len(windows), 1, 1), generator=network.generator, dtype=windows.dtype)
                point = baseline + share.to(windows.device) * (windows - baseline)
                total += network.gradient(point) * (windows - baseline)
            return total / self.samples

        return self.mean_over_baselines(network, windows, of)
