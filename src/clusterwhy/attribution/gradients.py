"""Attributors by gradients of the target with respect to each channel and time step."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from clusterwhy.attribution.base import BatchAttributor, FrozenNetwork, register_attributor
from clusterwhy.attribution.baselines import BaselineAttributor

if TYPE_CHECKING:
    import torch
    from torch import nn

    from clusterwhy.propagation.steps import Canonical


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


@register_attributor("smoothgrad", noise=0.1, samples=50)
class SmoothGrad(BatchAttributor):
    """The mean gradient of noisy copies (Smilkov et al. 2017)."""

    noise: float = Field(ge=0.0)  # standard deviation, as a share of the window's range
    samples: int = Field(ge=1)

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        import torch

        spread = self.noise * (windows.amax(dim=(1, 2)) - windows.amin(dim=(1, 2)))[:, None, None]
        total = torch.zeros_like(windows)
        for _ in range(self.samples):
            total += network.gradient(windows + spread * network.noise(windows))
        return total / self.samples


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


@register_attributor("guided_backprop")
class GuidedBackpropagation(BatchAttributor):
    """Gradients that pass a ReLU only where they are positive (Springenberg et al. 2015).

    It works on the canonical form, which includes ReLUs that are functions or shared modules.
    """

    def relevance(self, network: FrozenNetwork, windows: "torch.Tensor") -> "torch.Tensor":
        return replace(network, module=guided(network.module, windows)).gradient(windows)


def guided(network: "nn.Module", windows: "torch.Tensor") -> "Canonical":
    """The canonical form of a network, where only positive gradients leave the output of a ReLU.

    Raises:
        CompositeError: an operation that the canonical form does not know.
    """
    import torch
    import torch.nn.functional as F

    from clusterwhy.propagation.canonical import canonize
    from clusterwhy.propagation.operations import Call

    canonical = canonize(network, windows[:2])
    for step in canonical.steps:
        called = isinstance(step.module, Call) and step.module.function in (F.relu, torch.relu, "relu", "relu_")
        if isinstance(step.module, torch.nn.ReLU) or called:
            step.module.register_forward_hook(_clamp_gradient)
    return canonical


def _clamp_gradient(_module: "nn.Module", _inputs: object, output: "torch.Tensor") -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.clamp(min=0))
